use core::{fmt, net::IpAddr, net::Ipv6Addr};

/// A client's address in canonical form, or the fact that there is none.
///
/// It has no `Display`: full addresses are personal data and go neither into logs nor into metrics. Use
/// [`ClientIp::masked`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientIp(Option<IpAddr>);

impl ClientIp {
    /// The host gave no usable address. All such requests are one client.
    pub const UNKNOWN: Self = Self(None);

    /// Reads `ip`, `ip:port`, `[ip]` or `[ip]:port`, with or without a scope (`%eth0`).
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        Self(core::str::from_utf8(text).ok().and_then(|text| parse_address(text.trim())).map(canonical))
    }

    /// The canonical address.
    #[must_use]
    pub fn address(self) -> Option<IpAddr> {
        self.0
    }

    /// The address all requests of this client's network count under: IPv4 whole, IPv6 cut to `prefix` bits.
    #[must_use]
    pub fn network(self, prefix: u8) -> Self {
        Self(self.0.map(|address| match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(v6) => IpAddr::V6(cut(v6, prefix)),
        }))
    }

    /// The address as logs may show it: without the last octet, or without the last 80 bits of IPv6.
    ///
    /// ```
    /// use portcullis_client_ip::ClientIp;
    /// assert_eq!(ClientIp::parse(b"203.0.113.9").masked(), "203.0.113.0");
    /// assert_eq!(ClientIp::parse(b"2001:db8:1:2::3").masked(), "2001:db8:1::");
    /// ```
    #[must_use]
    pub fn masked(self) -> String {
        match self.0 {
            None => "unknown".to_owned(),
            Some(IpAddr::V4(v4)) => {
                // By hand, because every log line has one.
                let [a, b, c, _] = v4.octets();
                let mut text = String::with_capacity(15);
                [a, b, c].into_iter().for_each(|octet| push_octet(&mut text, octet));
                text.push('0');
                text
            }
            Some(IpAddr::V6(v6)) => cut(v6, 48).to_string(),
        }
    }
}

impl From<IpAddr> for ClientIp {
    fn from(address: IpAddr) -> Self {
        Self(Some(canonical(address)))
    }
}

/// Masked, for the same reason.
impl fmt::Debug for ClientIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientIp({})", self.masked())
    }
}

fn push_octet(text: &mut String, octet: u8) {
    for (least, place) in [(100, 100), (10, 10), (0, 1)] {
        if octet >= least {
            text.push(char::from(b'0'.saturating_add(octet.checked_div(place).unwrap_or(0) % 10)));
        }
    }
    text.push('.');
}

fn cut(address: Ipv6Addr, prefix: u8) -> Ipv6Addr {
    let host_bits = 128_u32.saturating_sub(u32::from(prefix));
    let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
    Ipv6Addr::from_bits(address.to_bits() & mask)
}

fn canonical(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

fn parse_address(text: &str) -> Option<IpAddr> {
    if let Some(rest) = text.strip_prefix('[') {
        let (inside, after) = rest.split_once(']')?;
        let port_is_fine = after.is_empty() || after.strip_prefix(':').is_some_and(is_port);
        return if port_is_fine { parse_v6(inside) } else { None };
    }
    match text.split_once(':') {
        Some((v4, port)) if is_port(port) => v4.parse().ok().map(IpAddr::V4),
        Some(_) => parse_v6(text),
        None => text.parse().ok().map(IpAddr::V4),
    }
}

fn parse_v6(text: &str) -> Option<IpAddr> {
    let without_scope = text.split_once('%').map_or(text, |(address, _)| address);
    without_scope.parse().ok().map(IpAddr::V6)
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn every_spelling_of_an_address_is_one_client() {
        let v4 = ClientIp::parse(b"1.2.3.4");
        for text in ["1.2.3.4:80", " 1.2.3.4 ", "::ffff:1.2.3.4", "[::ffff:1.2.3.4]:443", "::ffff:102:304"] {
            assert_eq!(ClientIp::parse(text.as_bytes()), v4, "{text}");
        }
        let v6 = ClientIp::parse(b"fe80::1");
        for text in ["fe80::1%eth0", "[fe80::1%eth0]:80", "[FE80:0::1]", "fe80:0:0:0:0:0:0:1"] {
            assert_eq!(ClientIp::parse(text.as_bytes()), v6, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_unknown_and_never_somebody() {
        let texts: [&[u8]; 13] = [
            b"",
            b"\xff",
            b"1.2.3",
            b"1.2.3.4.5",
            b"host",
            b"1.2.3.4:x",
            b"1.2.3.4:65536",
            b"1.2.3.4:",
            b"1.2.3.4:+80",
            b"[::1",
            b"[::1]x",
            b"01.2.3.4",
            b"unknown",
        ];
        for text in texts {
            assert_eq!(ClientIp::parse(text), ClientIp::UNKNOWN, "{text:?}");
        }
    }

    #[test]
    fn a_v6_network_is_one_client_and_a_v4_address_is_itself() {
        let one = ClientIp::parse(b"2001:db8:0:1:aaaa::1").network(64);
        assert_eq!(one, ClientIp::parse(b"2001:db8:0:1:bbbb::2").network(64));
        assert_ne!(one, ClientIp::parse(b"2001:db8:0:2::1").network(64));
        assert_ne!(ClientIp::parse(b"1.2.3.4").network(64), ClientIp::parse(b"1.2.3.5").network(64));
        assert_eq!(ClientIp::parse(b"::1").network(0), ClientIp::parse(b"::").network(128));
    }

    #[test]
    fn neither_mask_nor_debug_shows_a_whole_address() {
        assert_eq!(format!("{:?}", ClientIp::parse(b"203.0.113.77")), "ClientIp(203.0.113.0)");
        assert_eq!(ClientIp::parse(b"2001:db8:aaaa:bbbb::77").masked(), "2001:db8:aaaa::");
        assert_eq!(ClientIp::parse(b"10.0.109.1").masked(), "10.0.109.0");
    }
}
