//! The gateway's own pages: which they are, and who may read them.

use crate::facts::{Facts, Page, Target};
use crate::findings::FindingsSlot;
use crate::{Pipeline, Step};
use portcullis_client_ip::ClientIp;
use portcullis_edge_core::{Host, RequestHead, StreamFact};
use portcullis_metrics::METRICS_ROUTE;
use portcullis_route::PathError;

impl Pipeline {
    /// The stage `Pages`: the gateway's own. They are not limited: who watches the gateway must get an answer.
    pub(crate) fn page_step(&self, facts: &mut Facts) -> Option<Step> {
        match facts.target {
            Target::Page(Page::Health) => Some(self.health(facts)),
            Target::Page(Page::Metrics) => Some(Step::ServeMetrics),
            _ => None,
        }
    }

    /// Pages are for HTTP: in an answer to gRPC they would stand in a header.
    pub(crate) fn page(
        &self,
        head: &RequestHead,
        path: &str,
        client: (ClientIp, &FindingsSlot),
        host: &dyn Host,
    ) -> Option<Page> {
        let page = match path {
            _ if path == self.policy.gateway.health => Page::Health,
            _ if path == self.policy.metrics.path => Page::Metrics,
            _ => return None,
        };
        let reads = matches!(head.method(), b"GET" | b"HEAD") && !head.is_grpc();
        (reads && (page == Page::Health || self.may_read_metrics(head, client, host))).then_some(page)
    }

    /// Who may is a client of the networks in the policy, or comes by the metrics' own listener. A peer on this machine stands in
    /// `X-Forwarded-For` under the machine's own address, so the connection is asked too.
    fn may_read_metrics(
        &self,
        head: &RequestHead,
        (client, findings): (ClientIp, &FindingsSlot),
        host: &dyn Host,
    ) -> bool {
        let networks = &self.policy.metrics.networks;
        let allows = |client: ClientIp| client.address().is_some_and(|address| networks.contains(address));
        let peer = || host.stream(StreamFact::Peer).map(|peer| ClientIp::parse(&peer));
        let is_local = |peer: ClientIp| peer.address().is_some_and(|address| address.is_loopback());
        let is_direct = !self.policy.client_ip.trusts_proxies() && findings.taken().is_none();
        if host.stream(StreamFact::RouteName).as_deref() == Some(METRICS_ROUTE.as_bytes()) {
            return true;
        }
        // Where no proxy is trusted, all that comes by one has the proxy's own address.
        if self.came_by_a_stranger(head, findings) {
            return false;
        }
        allows(client) || (is_direct && peer().is_some_and(|peer| is_local(peer) && allows(peer)))
    }

    /// Whether a proxy that nobody named sent the request on; of an earlier instance's requests, that one knows.
    pub(crate) fn came_by_a_stranger(&self, head: &RequestHead, findings: &FindingsSlot) -> bool {
        let seen_here = || !self.policy.client_ip.trusts_proxies() && Self::came_by_a_proxy(head);
        findings.taken().map_or_else(seen_here, |taken| taken.by_stranger)
    }

    /// Whether a request says that some proxy has sent it on. The proxy around this filter has added one address itself.
    fn came_by_a_proxy(head: &RequestHead) -> bool {
        let hops = head.headers.all("x-forwarded-for").flat_map(|line| line.split(|byte| *byte == b','));
        hops.count() > 1 || ["forwarded", "via"].iter().any(|name| head.headers.first(name).is_some())
    }

    pub(crate) fn is_uncounted(&self, target: Target, path: Result<&str, PathError>) -> bool {
        let ours = matches!(target, Target::Page(_) | Target::Unmatched);
        ours && path.is_ok_and(|path| self.policy.metrics.uncounted.iter().any(|uncounted| uncounted == path))
    }
}
