use crate::Access;
use crate::request_id::RequestId;
use portcullis_client_ip::ClientIp;
use portcullis_edge_core::{DenyReason, Now, RequestHead};

/// A page of the gateway's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// Says that the gateway is alive.
    Health,
    /// The metrics as text.
    Metrics,
}

/// Where a request turned out to be going.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// To the service behind this route.
    Route(usize),
    /// A browser asks whether it may send a request to this route.
    Preflight(usize),
    /// To a page of the gateway's.
    Page(Page),
    /// Nowhere: no route matches.
    Unmatched,
}

/// Who gave the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// Nobody yet.
    NotYet,
    /// This gateway: a page or a denial.
    Here,
    /// The proxy, in the service's place.
    Proxy,
    /// The service.
    Service,
}

/// What a request turned out to be; filled in on its way and turned into its record at the end.
#[derive(Debug)]
pub struct Facts {
    /// The request as it came in.
    pub head: RequestHead,
    /// When it came in.
    pub started: Now,
    /// Where it goes.
    pub target: Target,
    /// Who sent it.
    pub client: ClientIp,
    /// Who asks, and whether they may.
    pub access: Access,
    /// Why it was refused.
    pub denial: Option<DenyReason>,
    /// Whether the client came over TLS.
    pub over_tls: bool,
    /// Status of the answer, once there is one.
    pub status: Option<u16>,
    /// Whether the answer came to its end.
    pub complete: bool,
    pub(crate) request_id: RequestId,
    /// The normal path, where it is not the one the client sent.
    pub(crate) rewritten: Option<String>,
    pub(crate) counted: bool,
    pub(crate) answered: Answered,
}

impl Facts {
    /// The request's id, as all its log lines and its answer carry it.
    #[must_use]
    pub fn request_id(&self) -> &str {
        self.request_id.text(&self.head.headers)
    }

    /// The route that the request was sent to.
    #[must_use]
    pub fn forwarded_route(&self) -> Option<usize> {
        match self.target {
            Target::Route(route) if self.denial.is_none() => Some(route),
            _ => None,
        }
    }

    /// The path as the gateway sees it, query included if it was not rewritten.
    pub(crate) fn path(&self) -> &[u8] {
        self.rewritten.as_ref().map_or_else(|| self.head.path(), String::as_bytes)
    }
}
