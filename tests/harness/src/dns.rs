//! Names that plugins may look up, and what the resolver says of them.

use std::net::IpAddr;
use std::time::Duration;

/// What a name is resolved to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dns {
    addresses: Vec<IpAddr>,
    ttl: Duration,
    fails: bool,
}

impl Dns {
    /// These addresses. As Envoy asks by default, IPv4 is looked at where there is no IPv6.
    pub fn addresses(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        Self { addresses: addresses.into_iter().collect(), ..Self::default() }
    }

    /// The server cannot answer (SERVFAIL).
    pub fn fails() -> Self {
        Self { fails: true, ..Self::default() }
    }

    /// How long the addresses may be kept, in whole seconds. 0 unless set.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// What `envoy_on_resolve_dns` can read: empty where there is no answer.
    pub(crate) fn serialized(&self) -> Vec<u8> {
        if self.fails {
            return Vec::new();
        }
        let of_kind = |v6: bool| self.addresses.iter().filter(move |address| address.is_ipv6() == v6);
        let v6 = of_kind(true).count() > 0;
        let found: Vec<&IpAddr> = of_kind(v6).collect();
        let ttl = u32::try_from(self.ttl.as_secs()).unwrap_or(u32::MAX);
        let numbers = std::iter::once(found.len() as u32).chain(found.iter().map(|_| ttl));
        let mut bytes: Vec<u8> = numbers.flat_map(u32::to_le_bytes).collect();
        for address in found {
            // Envoy's addresses are those of sockets, without a port.
            bytes.extend(std::net::SocketAddr::new(*address, 0).to_string().into_bytes());
            bytes.push(0);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_behind_their_number_and_how_long_they_hold() {
        let v4 = Dns::addresses(["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()]);
        let told = v4.ttl(Duration::from_secs(7)).serialized();
        assert_eq!(told, b"\x02\0\0\0\x07\0\0\0\x07\0\0\x0010.0.0.1:0\x0010.0.0.2:0\0");
    }

    #[test]
    fn ipv4_is_looked_at_where_there_is_no_ipv6() {
        let both = Dns::addresses(["10.0.0.1".parse().unwrap(), "::1".parse().unwrap()]);
        assert_eq!(both.serialized(), b"\x01\0\0\0\0\0\0\0[::1]:0\0");
        assert_eq!(Dns::fails().serialized(), b"");
    }
}
