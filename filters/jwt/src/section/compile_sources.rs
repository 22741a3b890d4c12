//! Where tokens may stand, checked.

use super::mistakes::Mistakes;
use super::raw::RawSource;
use crate::token::{Place, Source};
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
    let place = match (&raw.header, &raw.cookie, &raw.query) {
        (Some(header), None, None) => {
            let name = HeaderName::parse(header).map_err(|expected| bad("header", header, expected))?;
            let usual = (name.as_str() == "authorization").then(|| "Bearer".to_owned());
            let scheme = raw.scheme.clone().or(usual).filter(|scheme| !scheme.is_empty());
            if let Some(scheme) = &scheme {
                is_name(scheme).map_err(|_| bad("scheme", scheme, "one word, such as `Bearer`"))?;
            }
            Place::Header { name, scheme }
        }
        (None, Some(name), None) => Place::Cookie(
            is_name(name).map_err(|_| bad("cookie", name, "a cookie's name (RFC 6265 section 4.1.1)"))?,
        ),
        (None, None, Some(name)) if !name.is_empty() => Place::Query(name.clone()),
        _ => {
            return Err(at.error("another number of places", "exactly one of `header`, `cookie` and `query`"));
        }
    };
    if raw.scheme.is_some() && raw.header.is_none() {
        return Err(at.key("scheme").error("a scheme", "none: only headers have one"));
    }
    Ok(Source { place, strip: raw.strip })
}
