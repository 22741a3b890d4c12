use crate::ClientIp;
use deserr::Deserr;
use portcullis_edge_core::{ConfigError, ConfigErrors, Headers, Node};
use schemars::JsonSchema;

/// `client_ip`: how a client's address is found.
#[derive(Clone, Debug, Default, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawClientIp {
    /// How many proxies in front of this one are yours. Each appends the address it saw to `X-Forwarded-For`; the client is
    /// the entry this many places from the right end. 0 (the default): the peer itself is the client.
    #[deserr(default)]
    #[schemars(default)]
    pub trusted_hops: u8,
    /// IPv6 clients count by prefixes of this many bits (default 64), since one subscriber has that many addresses.
    #[deserr(default = 64)]
    #[schemars(default = "default_prefix", range(min = 32, max = 128))]
    pub ipv6_prefix: u8,
}

fn default_prefix() -> u8 {
    64
}

/// The compiled section.
#[derive(Clone, Copy, Debug)]
pub struct ClientIpPolicy {
    trusted_hops: usize,
    ipv6_prefix: u8,
}

impl RawClientIp {
    /// Checks the section, which stands at `at`.
    ///
    /// # Errors
    /// A prefix that is no IPv6 prefix, or one so wide that strangers share it.
    pub fn compile(&self, at: &Node) -> Result<ClientIpPolicy, Vec<ConfigError>> {
        if !(32..=128).contains(&self.ipv6_prefix) {
            let found = format!("`{}`", self.ipv6_prefix);
            return Err(vec![at.key("ipv6_prefix").error(found, "a number of bits from 32 to 128")]);
        }
        Ok(ClientIpPolicy { trusted_hops: usize::from(self.trusted_hops), ipv6_prefix: self.ipv6_prefix })
    }
}

impl ClientIpPolicy {
    /// The client of a request. `peer` is the address at the other end of the connection; `None` says that the proxy
    /// appended it to `X-Forwarded-For` already (Envoy's `use_remote_address`), which spares asking for it.
    ///
    /// A chain shorter than the trusted hops did not come through our proxies: the address nearest to us counts then.
    #[must_use]
    pub fn resolve(&self, headers: &Headers, peer: Option<&[u8]>) -> ClientIp {
        let lines = headers.all("x-forwarded-for");
        if self.trusted_hops == 0 {
            let last = || lines.last().and_then(|line| line.rsplit(|b| *b == b',').next());
            return ClientIp::parse(peer.or_else(last).unwrap_or_default());
        }
        let chain: Vec<&[u8]> = lines.flat_map(|line| line.split(|b| *b == b',')).chain(peer).collect();
        let nearest = chain.last().copied().unwrap_or_default();
        let client = chain.iter().rev().nth(self.trusted_hops).copied().unwrap_or(nearest);
        ClientIp::parse(client)
    }

    /// Proxies in front of this one that are ours.
    #[must_use]
    pub fn trusted_hops(&self) -> usize {
        self.trusted_hops
    }

    /// Whether proxies in front of this one are ours.
    #[must_use]
    pub fn trusts_proxies(&self) -> bool {
        self.trusted_hops > 0
    }

    /// The address that limits, blocks and token networks count under.
    #[must_use]
    pub fn network(&self, client: ClientIp) -> ClientIp {
        client.network(self.ipv6_prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn resolve(hops: u8, lines: &[&str], peer: Option<&str>) -> ClientIp {
        let policy = RawClientIp { trusted_hops: hops, ipv6_prefix: 64 }.compile(&Node::top()).unwrap();
        let headers = Headers::from_pairs(lines.iter().map(|line| ("x-forwarded-for", line.as_bytes())));
        policy.resolve(&headers, peer.map(str::as_bytes))
    }

    #[test]
    fn with_no_trusted_hop_the_peer_is_the_client_whatever_it_claims() {
        assert_eq!(resolve(0, &["9.9.9.9"], Some("1.1.1.1:555")), ClientIp::parse(b"1.1.1.1"));
        assert_eq!(resolve(0, &["9.9.9.9,1.1.1.1"], None), ClientIp::parse(b"1.1.1.1"));
        assert_eq!(resolve(0, &[], Some("1.1.1.1:555")), ClientIp::parse(b"1.1.1.1"));
    }

    #[test]
    fn each_trusted_hop_is_one_step_from_the_right() {
        assert_eq!(resolve(1, &["6.6.6.6, 2.2.2.2"], Some("10.0.0.1:1")), ClientIp::parse(b"2.2.2.2"));
        assert_eq!(resolve(2, &["6.6.6.6, 2.2.2.2"], Some("10.0.0.1:1")), ClientIp::parse(b"6.6.6.6"));
    }

    #[test]
    fn a_header_split_over_lines_is_one_chain() {
        assert_eq!(resolve(1, &["6.6.6.6", "2.2.2.2"], Some("10.0.0.1:1")), ClientIp::parse(b"2.2.2.2"));
    }

    #[test]
    fn a_chain_too_short_falls_back_to_the_nearest_address() {
        assert_eq!(resolve(3, &["6.6.6.6"], Some("10.0.0.1:1")), ClientIp::parse(b"10.0.0.1"));
    }

    #[test]
    fn garbage_at_the_trusted_place_is_unknown_and_not_the_next_best() {
        assert_eq!(resolve(1, &["6.6.6.6, junk"], Some("10.0.0.1:1")), ClientIp::UNKNOWN);
        assert_eq!(resolve(0, &[], None), ClientIp::UNKNOWN);
    }

    #[test]
    fn a_prefix_that_lumps_strangers_together_is_refused() {
        let errors = RawClientIp { trusted_hops: 0, ipv6_prefix: 8 }
            .compile(&Node::top().key("client_ip"))
            .unwrap_err();
        assert_eq!(
            errors[0].to_string(),
            "client_ip.ipv6_prefix: found `8`, expected a number of bits from 32 to 128"
        );
    }
}
