//! Routes: where requests go.

use std::time::Duration;

use crate::{HeaderMap, Metadata};

/// What becomes of a request that takes a route.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Cluster(String),
    Direct { status: u16, body: Vec<u8> },
}

/// A route. Of those with the request's host (of those without any, if no route has it) the first that fits is taken, as with
/// Envoy's virtual hosts.
#[derive(Clone, Debug)]
pub struct Route {
    pub(crate) host: Option<String>,
    pub(crate) prefix: Vec<u8>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) target: Target,
    pub(crate) timeout: Option<Duration>,
    pub(crate) name: String,
    pub(crate) metadata: Metadata,
}

impl Route {
    /// To a cluster.
    pub fn to(cluster: &str) -> Self {
        Self::new(Target::Cluster(cluster.to_owned()))
    }

    /// To no upstream: Envoy answers by itself.
    pub fn respond(status: u16, body: impl AsRef<[u8]>) -> Self {
        Self::new(Target::Direct { status, body: body.as_ref().to_vec() })
    }

    fn new(target: Target) -> Self {
        Self {
            host: None,
            prefix: b"/".to_vec(),
            headers: Vec::new(),
            target,
            timeout: None,
            name: String::new(),
            metadata: Metadata::default(),
        }
    }

    /// For requests whose path begins so (`/` unless set).
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// For requests with this `:authority`, without regard to case.
    pub fn host(mut self, host: &str) -> Self {
        self.host = Some(host.to_ascii_lowercase());
        self
    }

    /// For requests with this header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// How long the upstream may take, in place of the proxy's route timeout. Zero: as long as it likes.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Its name (`xds.route_name`).
    pub fn name(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    /// Metadata: a value under a namespace (`xds.route_metadata.filter_metadata.NAMESPACE`).
    pub fn metadata(mut self, namespace: &str, value: serde_json::Value) -> Self {
        self.metadata.set(namespace, value);
        self
    }

    /// The route of a request, and the name of its virtual host.
    pub(crate) fn find<'a>(routes: &'a [Route], headers: &HeaderMap) -> Option<&'a Route> {
        let path = headers.get(":path").filter(|path| path.starts_with(b"/"))?;
        let host = Self::virtual_host(routes, headers);
        routes.iter().find(|route| route.host.as_deref() == host.as_deref() && route.fits(path, headers))
    }

    /// The host that a request's routes are bound to; `None` for those that are bound to no host.
    pub(crate) fn virtual_host(routes: &[Route], headers: &HeaderMap) -> Option<String> {
        let authority = headers.text(":authority")?.to_ascii_lowercase();
        let known = routes.iter().any(|route| route.host.as_deref() == Some(authority.as_str()));
        known.then_some(authority)
    }

    fn fits(&self, path: &[u8], headers: &HeaderMap) -> bool {
        let has = |(name, value): &(String, String)| {
            headers.joined(name).is_some_and(|own| own == value.as_bytes())
        };
        path.starts_with(&self.prefix) && self.headers.iter().all(has)
    }
}
