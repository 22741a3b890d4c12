//! Where tokens may stand, checked.

use super::mistakes::Mistakes;
use super::raw_request::RawSource;
use crate::token::{Cookie, Place, Source};
use portcullis_edge_core::{ConfigError, HeaderName, Node};

/// Checks the list of sources; an empty one is `Authorization: Bearer`.
pub(super) fn compile(raw: &[RawSource], at: &Node, mistakes: &mut Mistakes) -> Vec<Source> {
    let usual = [RawSource { header: Some("Authorization".to_owned()), ..RawSource::default() }];
    let raw = if raw.is_empty() { &usual } else { raw };
    let mut sources: Vec<Source> = Vec::new();
    for (index, raw) in raw.iter().enumerate() {
        let place = &at.index(index);
        let Some(source) = mistakes.keep(compile_one(raw, place)) else { continue };
        if sources.iter().any(|known| known.place.is_same(&source.place)) {
            mistakes.add(place.error("the same place again", "each place once"));
        }
        sources.push(source);
    }
    sources
}

fn compile_one(raw: &RawSource, at: &Node) -> Result<Source, ConfigError> {
    let is_name = |name: &str| HeaderName::parse(name).map(|_| name.to_owned());
    let bad = |key: &str, name: &str, expected: &'static str| {
        at.key(key).error(format!("`{}`", name.escape_debug()), expected)
    };
    let place = match (&raw.header, &raw.cookie, &raw.query, &raw.websocket_protocol) {
        (Some(header), None, None, None) => {
            let name = HeaderName::parse(header).map_err(|expected| bad("header", header, expected))?;
            let usual = (name.as_str() == "authorization").then(|| "Bearer".to_owned());
            let scheme = raw.scheme.clone().or(usual).filter(|scheme| !scheme.is_empty());
            if let Some(scheme) = &scheme {
                is_name(scheme).map_err(|_| bad("scheme", scheme, "one word, such as `Bearer`"))?;
            }
            Place::Header { name, scheme }
        }
        (None, Some(name), None, None) => Place::Cookie(cookie(name, raw, at)?),
        (None, None, Some(name), None) if !name.is_empty() => Place::Query(name.clone()),
        (None, None, None, Some(marker)) => {
            let expected = "a subprotocol's name, such as `bearer` (RFC 6455 section 4.1)";
            is_name(marker).map_err(|_| bad("websocket_protocol", marker, expected))?;
            Place::Subprotocol(marker.clone())
        }
        _ => {
            let expected = "exactly one of `header`, `cookie`, `query` and `websocket_protocol`";
            return Err(at.error("another number of places", expected));
        }
    };
    check_extras(raw, at)?;
    // A subprotocol that nobody knows is of no use to a service.
    let strip = raw.strip || matches!(place, Place::Subprotocol(_));
    Ok(Source { place, strip })
}

fn cookie(name: &str, raw: &RawSource, at: &Node) -> Result<Cookie, ConfigError> {
    let is_word = |text: &str| HeaderName::parse(text).is_ok();
    let check = |key: &str, value: Option<&String>, fine: &dyn Fn(&str) -> bool, expected: &'static str| {
        let bad = value.filter(|value| !fine(value));
        bad.map_or(Ok(()), |value| Err(at.key(key).error(format!("`{}`", value.escape_debug()), expected)))
    };
    check("cookie", raw.cookie.as_ref(), &is_word, "a cookie's name (RFC 6265 section 4.1.1)")?;
    check("scheme", raw.scheme.as_ref(), &is_word, "one word, such as `Bearer`")?;
    let is_path = |text: &str| text.starts_with('/') && is_attribute(text);
    check("path", raw.path.as_ref(), &is_path, "a path, such as `/`")?;
    check("domain", raw.domain.as_ref(), &is_attribute, "a domain, such as `shop.example`")?;
    for (index, origin) in raw.origins.iter().enumerate() {
        let expected =
            "an origin, such as `https://app.example` (scheme, host, and a port if it is not the usual one)";
        let place = at.key("origins").index(index);
        if !is_origin(origin) {
            return Err(place.error(format!("`{}`", origin.escape_debug()), expected));
        }
    }
    let clear = clearing(name, raw.path.as_deref().unwrap_or("/"), raw.domain.as_deref());
    Ok(Cookie { name: name.to_owned(), scheme: raw.scheme.clone(), origins: raw.origins.clone(), clear })
}

/// A value of a cookie's attribute (RFC 6265 section 4.1.1).
fn is_attribute(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b';')
}

/// As browsers write it (RFC 6454 section 6.2): lower case, no path, no port that is the scheme's own.
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return false };
    let usual_port = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => return false,
    };
    let is_host = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:[]".contains(&byte);
    !host.is_empty() && host.bytes().all(is_host) && !host.ends_with(usual_port)
}

/// The `Set-Cookie` that ends a cookie (RFC 6265 section 3.1): the same name, path and domain, expired.
fn clearing(name: &str, path: &str, domain: Option<&str>) -> String {
    // A browser takes these prefixes only with `Secure`, and only a secure answer may clear a secure cookie.
    let secure = if name.starts_with("__") { "; Secure" } else { "" };
    let domain = domain.map(|domain| format!("; Domain={domain}")).unwrap_or_default();
    format!("{name}=; Path={path}{domain}; Max-Age=0{secure}; HttpOnly; SameSite=Lax")
}

/// What only some places have.
fn check_extras(raw: &RawSource, at: &Node) -> Result<(), ConfigError> {
    if raw.scheme.is_some() && raw.header.is_none() && raw.cookie.is_none() {
        return Err(at.key("scheme").error("a scheme", "none: only headers and cookies have one"));
    }
    let of_cookies = [
        ("origins", !raw.origins.is_empty()),
        ("path", raw.path.is_some()),
        ("domain", raw.domain.is_some()),
    ];
    let stray = of_cookies.iter().find(|(_, is_there)| *is_there && raw.cookie.is_none());
    stray.map_or(Ok(()), |(key, _)| Err(at.key(key).error("a setting of cookies", "none: this is no cookie")))
}
