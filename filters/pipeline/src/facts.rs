//! What a request turned out to be: one slot for each stage, filled in on its way and turned into its record at the end.

use crate::findings::FindingsSlot;
use crate::guard::GuardSlot;
use crate::login::Login;
use crate::order::Stage;
use crate::path::RequestPath;
use crate::request_id::RequestId;
use crate::rules::RulesSlot;
use crate::token::TokenSlot;
use crate::trace::Trace;
use portcullis_access_log::TraceContext;
use portcullis_business::{Bodies, Happened};
use portcullis_client_ip::ClientIp;
use portcullis_edge_core::{Denial, Mono, Now, Reason, RequestHead};

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
pub enum Answerer {
    /// Nobody yet.
    Nobody,
    /// This gateway: a page or a denial.
    Gateway,
    /// The proxy, in the service's place.
    Proxy,
    /// The service.
    Service,
}

/// What is known of a request.
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
    /// Whether a proxy of ours in front of this one sent it.
    pub(crate) by_proxy: bool,
    /// What `X-Forwarded-For` must say to the service, where it says something else.
    pub(crate) forwarded_for: Option<Vec<u8>>,
    /// The stage that is to look at it next.
    pub at: Stage,
    /// Of the stage `Findings`: what an earlier instance of the filter found out.
    pub findings: FindingsSlot,
    /// Of the stage `Token`: who asks.
    pub token: TokenSlot,
    /// Of the stage `Rules`: whether they may.
    pub rules: RulesSlot,
    /// Of the stages that guard the gateway and its services.
    pub guard: GuardSlot,
    /// Bodies that business events look at; nothing for most requests.
    pub(crate) bodies: Option<Box<Bodies>>,
    /// A login whose account stands in its body, which has not come whole yet.
    pub(crate) login: Option<Login>,
    /// What they said, once the answer has come to its end.
    pub(crate) happened: Option<Vec<Happened>>,
    /// Why it was refused.
    pub denial: Option<Box<Denial>>,
    /// The reason for which another instance of the filter in the chain refused it.
    pub(crate) denied_elsewhere: Option<String>,
    /// Whether the client came over TLS.
    pub over_tls: bool,
    /// Status of the answer, once there is one.
    pub status: Option<u16>,
    /// What the stages said, if somebody wants to know.
    pub trace: Option<Box<Trace>>,
    /// The path in its normal form, if it has one.
    pub(crate) path: RequestPath,
    /// Why it has no target, if it has none.
    pub(crate) unroutable: Option<Reason>,
    /// Whether it was sent to the service behind its route.
    pub(crate) forwarded: bool,
    /// Whether it is exempt from the check of where it comes from.
    pub(crate) unvouched: bool,
    /// Whether its WebSocket's handshake was given a key.
    pub(crate) keyed: bool,
    /// The trace that it belongs to, where the policy wants to know.
    pub(crate) context: Option<TraceContext>,
    /// Whether that trace begins here.
    pub(crate) begins_trace: bool,
    /// When the answer began, where somebody wants to know.
    pub(crate) answered_at: Option<Mono>,
    /// Whether the answer came to its end.
    pub(crate) complete: bool,
    pub(crate) request_id: RequestId,
    pub(crate) counted: bool,
    pub(crate) answerer: Answerer,
}

impl Facts {
    /// The request's id, as all its log lines and its answer carry it.
    #[must_use]
    pub fn request_id(&self) -> &str {
        self.request_id.text(&self.head.headers)
    }

    /// The route that the request matched.
    #[must_use]
    pub fn route(&self) -> Option<usize> {
        match self.target {
            Target::Route(route) => Some(route),
            _ => None,
        }
    }

    /// The route that the request matched, or that a preflight asks about.
    #[must_use]
    pub fn matched_route(&self) -> Option<usize> {
        match self.target {
            Target::Route(route) | Target::Preflight(route) => Some(route),
            _ => None,
        }
    }

    /// The route to whose service the request was sent.
    #[must_use]
    pub fn forwarded_route(&self) -> Option<usize> {
        self.route().filter(|_| self.forwarded)
    }

    /// The path as the gateway sees it, query included if it was not rewritten.
    pub(crate) fn shown_path(&self) -> &[u8] {
        self.path.rewritten().map_or_else(|| self.head.path(), str::as_bytes)
    }
}
