//! How long a request may wait for keys, for a deny list or for an auth service: less than the proxy gives it.

use super::raw::{RawJwt, RawProvider};
use core::time::Duration;
use portcullis_edge_core::{ConfigError, Node, PolicyDuration};

/// One kind of waiting: where its time-out stands, and how often it may run out in a row.
struct Wait {
    at: Node,
    timeout: PolicyDuration,
    times: u32,
}

impl RawJwt {
    /// Time-outs that a request may not live to see: to the proxy, a request that waits in the filter is one that has not come in
    /// yet, and ends with `gateway.request_timeout`.
    #[must_use]
    pub fn check_waits(&self, request_timeout: PolicyDuration, at: &Node) -> Vec<ConfigError> {
        let at = at.key("providers");
        let waits = self.providers.iter().flat_map(|(name, provider)| waits_of(provider, &at.key(name)));
        waits.filter_map(|wait| wait.check(request_timeout)).collect()
    }
}

fn waits_of(raw: &RawProvider, at: &Node) -> Vec<Wait> {
    let wait = |key: &str, timeout, times| Wait { at: at.key(key).key("timeout"), timeout, times };
    let fetch = raw.fetch.as_ref();
    let keys = fetch.map(|fetch| wait("fetch", fetch.timeout, if fetch.discovery { 2 } else { 1 }));
    let list = raw.revocation.as_ref().map(|list| wait("revocation", list.timeout, 1));
    let asking = raw.introspection.as_ref();
    let asking =
        asking.map(|raw| wait("introspection", raw.timeout, u32::from(raw.retries).saturating_add(1)));
    keys.into_iter().chain(list).chain(asking).collect()
}

impl Wait {
    fn check(&self, request_timeout: PolicyDuration) -> Option<ConfigError> {
        let longest = self.timeout.0.checked_mul(self.times).unwrap_or(Duration::MAX);
        let times = match self.times {
            1 => String::new(),
            times => format!(" up to {times} times"),
        };
        let expected = format!(
            "less{} than `gateway.request_timeout` (`{request_timeout}`), which ends a request that still waits",
            if self.times == 1 { "" } else { " in all" }
        );
        (longest >= request_timeout.0).then(|| self.at.error(format!("`{}`{times}", self.timeout), expected))
    }
}
