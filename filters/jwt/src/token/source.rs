//! Where a token stands in a request: exactly one, or the request is refused.

use super::{cross_site, subprotocol};
use crate::error::{Refusal, TokenError, refuse};
use portcullis_edge_core::{HeaderName, Headers, RequestHead};
use std::borrow::Cow;

/// A place where a token may stand.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) place: Place,
    /// Whether the token is taken out of the request before it goes on.
    pub(crate) strip: bool,
}

/// Where exactly.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// A header, its scheme before the token if it has one.
    Header { name: HeaderName, scheme: Option<String> },
    /// A cookie.
    Cookie(Cookie),
    /// A query parameter of this name.
    Query(String),
    /// Behind this marker among the subprotocols that a WebSocket's client offers.
    Subprotocol(String),
}

/// A cookie with a token.
#[derive(Clone, Debug)]
pub(crate) struct Cookie {
    pub(crate) name: String,
    /// What may stand before the token.
    pub(crate) scheme: Option<String>,
    /// Origins whose pages may use it in unsafe requests, beside the gateway's own.
    pub(crate) origins: Vec<String>,
    /// The `Set-Cookie` that ends it.
    pub(crate) clear: String,
}

/// The kinds of places.
pub(crate) const KINDS: [&str; 4] = ["header", "cookie", "query", "websocket_protocol"];

impl Source {
    pub(crate) fn kind(&self) -> &'static str {
        match self.place {
            Place::Header { .. } => "header",
            Place::Cookie(_) => "cookie",
            Place::Query(_) => "query",
            Place::Subprotocol(_) => "websocket_protocol",
        }
    }
}

/// A token in a request.
#[derive(Clone)]
pub struct Found<'h> {
    /// Its bytes, as untrusted as the request.
    pub token: Cow<'h, [u8]>,
    source: usize,
}

impl Found<'_> {
    /// The index of its place among the policy's `sources`.
    #[must_use]
    pub fn source(&self) -> usize {
        self.source
    }
}

/// Shows nothing of the token.
impl core::fmt::Debug for Found<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Found({} bytes)", self.token.len())
    }
}

/// A change that takes a token out of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Strip {
    /// Remove the header.
    Remove(String),
    /// Give the header (or `:path`) this value.
    Replace(String, Vec<u8>),
}

/// Finds the token of a request.
///
/// # Errors
/// More than one token, or a header that could be read as holding more than one.
pub(crate) fn find<'h>(sources: &[Source], head: &'h RequestHead) -> Result<Option<Found<'h>>, Refusal> {
    let mut found = None;
    for (source, place) in sources.iter().map(|source| &source.place).enumerate() {
        let Some(token) = place.find(head)? else { continue };
        if found.replace(Found { token, source }).is_some() {
            return Err(two("tokens in two places"));
        }
    }
    Ok(found)
}

/// The change that takes the token out of the request, where its source says so.
pub(crate) fn strip(sources: &[Source], head: &RequestHead, found: &Found<'_>) -> Option<Strip> {
    let source = sources.get(found.source).filter(|source| source.strip)?;
    Some(source.place.without(head))
}

/// The same, whatever the source says.
pub(crate) fn take_out(sources: &[Source], head: &RequestHead, found: &Found<'_>) -> Option<Strip> {
    sources.get(found.source).map(|source| source.place.without(head))
}

/// Whether a page of another site may have made a browser send this token.
pub(crate) fn check_site(sources: &[Source], head: &RequestHead, found: &Found<'_>) -> Result<(), Refusal> {
    let Some(Source { place: Place::Cookie(cookie), .. }) = sources.get(found.source) else { return Ok(()) };
    if !cross_site::is_unsafe(head) || cross_site::is_allowed(head, &cookie.origins) {
        return Ok(());
    }
    let detail = "an unsafe method with a token from a cookie, and neither an allowed `Origin` nor `Sec-Fetch-Site: same-origin`";
    Err(refuse(TokenError::CrossSite, detail))
}

/// The `Set-Cookie` that takes the token's cookie out of the browser, where it stands in one.
pub(crate) fn clear<'s>(sources: &'s [Source], found: &Found<'_>) -> Option<&'s str> {
    match sources.get(found.source).map(|source| &source.place) {
        Some(Place::Cookie(cookie)) => Some(&cookie.clear),
        _ => None,
    }
}

/// The subprotocol to answer with, where a client offers none but the marker before its token.
pub(crate) fn answered_protocol<'s>(
    sources: &'s [Source],
    head: &RequestHead,
    found: &Found<'_>,
) -> Option<&'s str> {
    match sources.get(found.source).map(|source| &source.place) {
        Some(Place::Subprotocol(marker)) if subprotocol::is_only(&head.headers, marker) => Some(marker),
        _ => None,
    }
}

const fn two(detail: &'static str) -> Refusal {
    refuse(TokenError::TwoTokens, detail)
}

/// The only item, or none.
fn only<T>(mut items: impl Iterator<Item = T>, detail: &'static str) -> Result<Option<T>, Refusal> {
    let first = items.next();
    if items.next().is_some() { Err(two(detail)) } else { Ok(first) }
}

impl Place {
    /// The change that takes whatever stands here out of a request.
    fn without(&self, head: &RequestHead) -> Strip {
        match self {
            Self::Header { name, .. } => Strip::Remove(name.as_str().to_owned()),
            Self::Cookie(cookie) => without_cookie(&head.headers, &cookie.name),
            Self::Query(name) => Strip::Replace(":path".to_owned(), without_parameter(head.path(), name)),
            Self::Subprotocol(marker) => {
                let header = subprotocol::HEADER.to_owned();
                match subprotocol::without(&head.headers, marker) {
                    Some(rest) => Strip::Replace(header, rest),
                    None => Strip::Remove(header),
                }
            }
        }
    }

    /// Whether two places are one, whatever scheme stands there.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Header { name: a, .. }, Self::Header { name: b, .. }) => a == b,
            (Self::Cookie(a), Self::Cookie(b)) => a.name == b.name,
            (Self::Query(a), Self::Query(b)) | (Self::Subprotocol(a), Self::Subprotocol(b)) => a == b,
            _ => false,
        }
    }

    /// The token that stands here. An empty one is none: that is what is left after a log-out.
    fn find<'h>(&self, head: &'h RequestHead) -> Result<Option<Cow<'h, [u8]>>, Refusal> {
        match self {
            Self::Header { name, scheme } => {
                let scheme_of = scheme.as_deref();
                let values = head.headers.all(name.as_str()).filter(|value| !is_empty(value, scheme_of));
                let value = only(values, "the token's header twice")?;
                Ok(value
                    .map(|value| in_header(value, scheme.as_deref()))
                    .transpose()?
                    .flatten()
                    .map(Cow::Borrowed))
            }
            Self::Cookie(cookie) => {
                let values = cookies(&head.headers).filter(|(name, _)| *name == cookie.name.as_bytes());
                let tokens = values.map(|(_, value)| in_cookie(value, cookie.scheme.as_deref()));
                let token = only(tokens.filter(|token| !token.is_empty()), "the token's cookie twice")?;
                Ok(token.map(Cow::Borrowed))
            }
            Self::Query(name) => {
                let is_token =
                    |(n, value): &(&[u8], &[u8])| !value.is_empty() && form_decoded(n) == name.as_bytes();
                let values = parameters(head.path()).filter(is_token);
                Ok(only(values, "the token's parameter twice")?.map(|(_, value)| form_decoded(value)))
            }
            Self::Subprotocol(marker) => {
                only(subprotocol::tokens(&head.headers, marker), "the token's subprotocol twice")
            }
        }
    }
}

/// The token in a header's value: after the scheme, where there is one. Another scheme's credentials are no token, unless
/// the source's own scheme stands behind a comma.
fn in_header<'h>(value: &'h [u8], scheme: Option<&str>) -> Result<Option<&'h [u8]>, Refusal> {
    let value = value.trim_ascii();
    let Some(scheme) = scheme else { return Ok(Some(value)) };
    // Nearly no value has a comma, and that is checked many bytes at a time.
    if value.contains(&b',') && is_followed_by_ours(value, scheme) {
        return Err(two("credentials joined by a comma"));
    }
    Ok(after_scheme(value, scheme))
}

/// Whether a header has no token at all, with its scheme or without.
fn is_empty(value: &[u8], scheme: Option<&str>) -> bool {
    let value = value.trim_ascii();
    value.is_empty() || scheme.and_then(|scheme| after_scheme(value, scheme)).is_some_and(<[u8]>::is_empty)
}

/// The token in a cookie's value, whether the scheme stands before it or not. A cookie can have no space, so that writers put
/// quotes around it or escape it.
fn in_cookie<'h>(value: &'h [u8], scheme: Option<&str>) -> &'h [u8] {
    let Some(scheme) = scheme else { return value };
    let Some((word, rest)) = value.split_at_checked(scheme.len()) else { return value };
    if !word.eq_ignore_ascii_case(scheme.as_bytes()) {
        return value;
    }
    let spaces = [&b" "[..], b"%20", b"+"];
    let after = |rest: &'h [u8]| spaces.iter().find_map(|space| rest.strip_prefix(*space));
    match after(rest) {
        Some(token) => core::iter::successors(Some(token), |token| after(token)).last().unwrap_or(token),
        None if rest.is_empty() => rest,
        None => value,
    }
}

fn is_followed_by_ours(value: &[u8], scheme: &str) -> bool {
    let parts = value.split(|b| *b == b',').skip(1);
    parts.map(<[u8]>::trim_ascii).any(|part| after_scheme(part, scheme).is_some())
}

/// What follows the scheme. Spaces (RFC 9110 section 11.4) are skipped; anything else stays, to be found malformed.
fn after_scheme<'h>(value: &'h [u8], scheme: &str) -> Option<&'h [u8]> {
    let (word, rest) = value.split_at_checked(scheme.len())?;
    let ends = rest.first().is_none_or(|b| !(b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b)));
    if !word.eq_ignore_ascii_case(scheme.as_bytes()) || !ends {
        return None;
    }
    let spaces = rest.iter().take_while(|b| **b == b' ').count();
    rest.get(spaces..)
}

/// Name and value of every cookie (RFC 6265 section 5.4); HTTP/2 may split them over several headers.
fn cookies(headers: &Headers) -> impl Iterator<Item = (&[u8], &[u8])> {
    headers.all("cookie").flat_map(|line| line.split(|b| *b == b';')).filter_map(|pair| {
        let pair = pair.trim_ascii();
        let at = pair.iter().position(|b| *b == b'=')?;
        let (name, value) = (pair.get(..at)?.trim_ascii(), pair.get(at.checked_add(1)?..)?.trim_ascii());
        let unquoted = value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\""));
        Some((name, unquoted.unwrap_or(value)))
    })
}

fn without_cookie(headers: &Headers, name: &str) -> Strip {
    let is_token =
        |pair: &&[u8]| pair.split(|b| *b == b'=').next().unwrap_or_default().trim_ascii() == name.as_bytes();
    let pairs = headers.all("cookie").flat_map(|line| line.split(|b| *b == b';')).map(<[u8]>::trim_ascii);
    let kept: Vec<&[u8]> = pairs.filter(|pair| !pair.is_empty() && !is_token(pair)).collect();
    let header = "cookie".to_owned();
    if kept.is_empty() { Strip::Remove(header) } else { Strip::Replace(header, kept.join(&b"; "[..])) }
}

fn query(path: &[u8]) -> Option<&[u8]> {
    let at = path.iter().position(|b| *b == b'?')?;
    path.get(at.checked_add(1)?..)
}

/// Name and value of every query parameter, still encoded.
fn parameters(path: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    query(path).into_iter().flat_map(|query| query.split(|b| *b == b'&')).map(|pair| {
        let at = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
        (pair.get(..at).unwrap_or_default(), pair.get(at.saturating_add(1)..).unwrap_or_default())
    })
}

fn without_parameter(path: &[u8], name: &str) -> Vec<u8> {
    let is_token = |pair: &&[u8]| {
        let raw = pair.split(|b| *b == b'=').next().unwrap_or_default();
        form_decoded(raw) == name.as_bytes()
    };
    let bare = path.split(|b| *b == b'?').next().unwrap_or_default();
    let pairs = query(path).into_iter().flat_map(|query| query.split(|b| *b == b'&'));
    let kept: Vec<&[u8]> = pairs.filter(|pair| !is_token(pair)).collect();
    if kept.is_empty() { bare.to_vec() } else { [bare, b"?", &kept.join(&b"&"[..])].concat() }
}

/// Undoes `application/x-www-form-urlencoded`, so that no spelling of a name hides it.
fn form_decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.iter().any(|b| matches!(b, b'%' | b'+')) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        let byte = if *first == b'%' { tail.get(..2).and_then(hex_byte) } else { None };
        out.push(byte.unwrap_or(if *first == b'+' { b' ' } else { *first }));
        rest = if byte.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    Cow::Owned(out)
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    let text =
        core::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()))?;
    u8::from_str_radix(text, 16).ok()
}
