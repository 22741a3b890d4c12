//! The authority of a request: whom the client asks.

/// Whether `authority` is a host, and a port if any, and nothing else (RFC 9110 section 7.2; RFC 3986 section 3.2 without userinfo).
///
/// Two `Host` lines reach a filter as one with a comma, which readers take for the first, the last, or both.
///
/// ```
/// use portcullis_edge_core::is_authority;
/// assert!(is_authority(b"shop.example:8443") && is_authority(b"[2001:db8::1]"));
/// assert!(!is_authority(b"user@shop.example") && !is_authority(b"a.example,b.example") && !is_authority(b""));
/// ```
#[must_use]
pub fn is_authority(authority: &[u8]) -> bool {
    let (host, port) = match authority.strip_prefix(b"[") {
        Some(rest) => match rest.iter().position(|b| *b == b']').and_then(|end| rest.split_at_checked(end)) {
            Some((address, [_, port @ ..])) => return is_v6(address) && (port.is_empty() || is_port(port)),
            _ => return false,
        },
        None => match authority.iter().position(|b| *b == b':').and_then(|at| authority.split_at_checked(at))
        {
            Some((host, port)) => (host, port),
            None => (authority, &b""[..]),
        },
    };
    !host.is_empty() && host.iter().all(is_host_byte) && (port.is_empty() || is_port(port))
}

fn is_host_byte(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'~')
}

fn is_v6(address: &[u8]) -> bool {
    core::str::from_utf8(address).is_ok_and(|text| text.parse::<core::net::Ipv6Addr>().is_ok())
}

/// `:` and up to five digits.
fn is_port(text: &[u8]) -> bool {
    matches!(text, [b':', digits @ ..] if digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_host_and_its_port_are_an_authority() {
        for good in
            ["a", "a.b-c_d~e", "127.0.0.1:80", "[::1]", "[::1]:8080", "shop.example:", "shop.example."]
        {
            assert!(is_authority(good.as_bytes()), "{good}");
        }
    }

    #[test]
    fn what_readers_could_take_for_another_host_is_none() {
        for bad in [
            "", ":80", "a,b", "a, b", "u@a", "u:p@a", "a/b", "a?b", "a#b", "a b", "a\\b", "a:80:81", "a:x",
            "a:123456", "[::1", "[::1]x", "[a]", "a%2eb", "\u{e9}",
        ] {
            assert!(!is_authority(bad.as_bytes()), "{bad}");
        }
        assert!(!is_authority(b"a\0") && !is_authority(b"\xff"));
    }
}
