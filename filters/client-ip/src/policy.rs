use crate::ClientIp;
use deserr::Deserr;
use portcullis_edge_core::{ConfigError, ConfigErrors, Headers, Networks, Node};
use schemars::JsonSchema;

/// `client_ip`: how a client's address is found.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawClientIp {
    /// Networks that your proxies in front of this one connect from (`10.0.0.0/8`, `192.0.2.7`). Each proxy appends the address it
    /// saw to `X-Forwarded-For`; the client is the first entry from the right end that is none of your proxies. Whoever connects from
    /// elsewhere is the client itself, whatever it claims. Left out: the peer is always the client.
    #[deserr(default)]
    #[schemars(default)]
    pub trusted_proxies: Vec<String>,
    /// How many proxies in front of this one are yours, where the addresses of those further out are not known (a CDN's): the client
    /// is then the entry this many places from the right end, if the peer is one of `trusted_proxies`. Left out: they are known by
    /// their networks.
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

impl Default for RawClientIp {
    fn default() -> Self {
        Self { trusted_proxies: Vec::new(), trusted_hops: 0, ipv6_prefix: default_prefix() }
    }
}

/// The compiled section.
#[derive(Clone, Debug)]
pub struct ClientIpPolicy {
    trusted_proxies: Networks,
    trusted_hops: usize,
    ipv6_prefix: u8,
}

/// Who sent a request, as far as it can be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The client.
    pub client: ClientIp,
    /// Whether the peer is a proxy of ours, so that what only such a proxy may say (a request id, TLS) can be believed.
    pub by_proxy: bool,
    /// What `X-Forwarded-For` must say on the way to a service, where it says something else: the client and the proxies behind it,
    /// without what the client wrote before its own address.
    pub forwarded_for: Option<Vec<u8>>,
}

/// In the place of a client that nothing is known of.
const UNKNOWN: &[u8] = b"unknown";

const FORWARDED_FOR: &str = "x-forwarded-for";

impl RawClientIp {
    /// Checks the section, which stands at `at`.
    ///
    /// # Errors
    /// A prefix that is no IPv6 prefix, or one so wide that strangers share it; networks that are none; hops that anybody could claim.
    pub fn compile(&self, at: &Node) -> Result<ClientIpPolicy, Vec<ConfigError>> {
        let mut errors = Vec::new();
        let trusted_proxies =
            Networks::compile(&self.trusted_proxies, &at.key("trusted_proxies"), &mut errors);
        if self.trusted_hops > 0 && self.trusted_proxies.is_empty() {
            let expected = "the networks that the proxies connect from in `trusted_proxies`: whoever else reaches this listener \
                could write the header to that length";
            errors.push(at.key("trusted_hops").error(format!("`{}` alone", self.trusted_hops), expected));
        }
        if self.trusted_hops == 0 && trusted_proxies.cover_everything() {
            let expected =
                "the networks of your proxies, or `trusted_hops` beside it: nobody could be a client";
            errors.push(at.key("trusted_proxies").error("a network of all addresses", expected));
        }
        if !(32..=128).contains(&self.ipv6_prefix) {
            let found = format!("`{}`", self.ipv6_prefix);
            errors.push(at.key("ipv6_prefix").error(found, "a number of bits from 32 to 128"));
        }
        let (trusted_hops, ipv6_prefix) = (usize::from(self.trusted_hops), self.ipv6_prefix);
        let policy = ClientIpPolicy { trusted_proxies, trusted_hops, ipv6_prefix };
        if errors.is_empty() { Ok(policy) } else { Err(errors) }
    }
}

impl ClientIpPolicy {
    /// The client of a request. `peer` is the address at the other end of the connection; `None` says that the proxy appended it to
    /// `X-Forwarded-For` already (Envoy's `use_remote_address`), which spares asking for it.
    ///
    /// A chain that ends before it leaves our proxies has no client: such a request is from nowhere.
    #[must_use]
    pub fn resolve(&self, headers: &Headers, peer: Option<&[u8]>) -> ClientIp {
        self.sender(headers, peer).client
    }

    /// The same, with what a service gets as `X-Forwarded-For`.
    #[must_use]
    pub fn sender(&self, headers: &Headers, peer: Option<&[u8]>) -> Sender {
        if self.trusts_proxies() {
            return self.behind_proxies(&entries(headers), peer);
        }
        let last = || headers.all(FORWARDED_FOR).last().and_then(|line| line.rsplit(|b| *b == b',').next());
        let sender = peer.or_else(last).unwrap_or_default().trim_ascii();
        let client = ClientIp::parse(sender);
        let forwarded_for = forwarded_for(headers, client, peer.is_none().then_some(sender));
        Sender { client, by_proxy: false, forwarded_for }
    }

    fn behind_proxies(&self, entries: &[&[u8]], peer: Option<&[u8]>) -> Sender {
        let chain: Vec<&[u8]> = entries.iter().copied().chain(peer).collect();
        let nearest = chain.last().map_or(ClientIp::UNKNOWN, |entry| ClientIp::parse(entry));
        let by_proxy = self.is_proxy(nearest);
        let place = if by_proxy { self.place_of_client(&chain) } else { chain.len().checked_sub(1) };
        let client = place.and_then(|place| chain.get(place)).map(|entry| ClientIp::parse(entry));
        let client = client.unwrap_or(ClientIp::UNKNOWN);
        // A client that is the peer itself stands in the header only if the proxy has appended it.
        let kept = place.filter(|_| client != ClientIp::UNKNOWN).and_then(|place| entries.get(place..));
        let forwarded_for = match kept {
            Some(kept) if kept.len() == entries.len() => None,
            Some([]) => client.address().map(|address| address.to_string().into_bytes()),
            Some(kept) => Some(kept.join(&b", "[..])),
            None if entries.is_empty() => None,
            None => Some(UNKNOWN.to_vec()),
        };
        Sender { client, by_proxy, forwarded_for }
    }

    /// The place of the client in a chain whose last entry is a proxy of ours.
    fn place_of_client(&self, chain: &[&[u8]]) -> Option<usize> {
        match self.trusted_hops {
            0 => chain.iter().rposition(|entry| !self.is_proxy(ClientIp::parse(entry))),
            hops => chain.len().checked_sub(hops)?.checked_sub(1),
        }
    }

    fn is_proxy(&self, address: ClientIp) -> bool {
        address.address().is_some_and(|address| self.trusted_proxies.contains(address))
    }

    /// Whether proxies in front of this one are ours.
    #[must_use]
    pub fn trusts_proxies(&self) -> bool {
        !self.trusted_proxies.is_empty()
    }

    /// How many proxies in front of this one are ours, one at least where there are any: for a proxy that can only count them.
    #[must_use]
    pub fn least_hops(&self) -> usize {
        if self.trusts_proxies() { self.trusted_hops.max(1) } else { 0 }
    }

    /// The address that limits, blocks and token networks count under.
    #[must_use]
    pub fn network(&self, client: ClientIp) -> ClientIp {
        client.network(self.ipv6_prefix)
    }
}

/// All entries of `X-Forwarded-For`, over all its lines.
fn entries(headers: &Headers) -> Vec<&[u8]> {
    let lines = headers.all(FORWARDED_FOR);
    lines.flat_map(|line| line.split(|b| *b == b',')).map(<[u8]>::trim_ascii).collect()
}

/// What the header must say where no proxy is trusted: the client alone. Nearly always it does already. `entry` is the one that the
/// proxy appended, if it did.
fn forwarded_for(headers: &Headers, client: ClientIp, entry: Option<&[u8]>) -> Option<Vec<u8>> {
    let mut lines = headers.all(FORWARDED_FOR);
    let first = lines.next()?;
    // Of one line with one entry, that entry is the one that the proxy appended, and the client was read from it.
    let is_client = |first| entry.is_some() || ClientIp::parse(first) == client;
    let says_it = lines.next().is_none() && !first.contains(&b',') && is_client(first);
    if says_it && client != ClientIp::UNKNOWN {
        return None;
    }
    let believed = client
        .address()
        .map(|address| entry.map_or_else(|| address.to_string().into_bytes(), <[u8]>::to_vec));
    Some(believed.unwrap_or_else(|| UNKNOWN.to_vec()))
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
