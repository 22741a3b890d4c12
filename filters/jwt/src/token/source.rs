//! Where a token stands in a request: exactly one, or the request is refused.

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
    /// A cookie of this name.
    Cookie(String),
    /// A query parameter of this name.
    Query(String),
}

/// The kinds of places.
pub(crate) const KINDS: [&str; 3] = ["header", "cookie", "query"];

impl Source {
    pub(crate) fn kind(&self) -> &'static str {
        match self.place {
            Place::Header { .. } => "header",
            Place::Cookie(_) => "cookie",
            Place::Query(_) => "query",
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
    Some(match &source.place {
        Place::Header { name, .. } => Strip::Remove(name.as_str().to_owned()),
        Place::Cookie(name) => without_cookie(&head.headers, name),
        Place::Query(name) => Strip::Replace(":path".to_owned(), without_parameter(head.path(), name)),
    })
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
    /// Whether two places are one, whatever scheme stands there.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Header { name: a, .. }, Self::Header { name: b, .. }) => a == b,
            (Self::Cookie(a), Self::Cookie(b)) | (Self::Query(a), Self::Query(b)) => a == b,
            _ => false,
        }
    }

    fn find<'h>(&self, head: &'h RequestHead) -> Result<Option<Cow<'h, [u8]>>, Refusal> {
        match self {
            Self::Header { name, scheme } => {
                let value = only(head.headers.all(name.as_str()), "the token's header twice")?;
                Ok(value
                    .map(|value| in_header(value, scheme.as_deref()))
                    .transpose()?
                    .flatten()
                    .map(Cow::Borrowed))
            }
            Self::Cookie(name) => {
                let values = cookies(&head.headers).filter(|(n, _)| *n == name.as_bytes()).map(|(_, v)| v);
                Ok(only(values, "the token's cookie twice")?.map(Cow::Borrowed))
            }
            Self::Query(name) => {
                let values = parameters(head.path()).filter(|(n, _)| form_decoded(n) == name.as_bytes());
                Ok(only(values, "the token's parameter twice")?.map(|(_, value)| form_decoded(value)))
            }
        }
    }
}

/// The token in a header's value: after the scheme, where there is one. Another scheme's credentials are no token, unless
/// ours stands behind a comma.
fn in_header<'h>(value: &'h [u8], scheme: Option<&str>) -> Result<Option<&'h [u8]>, Refusal> {
    let value = value.trim_ascii();
    let Some(scheme) = scheme else { return Ok(Some(value)) };
    // Nearly no value has a comma, which is told for many bytes at a time.
    if value.contains(&b',') && is_followed_by_ours(value, scheme) {
        return Err(two("credentials joined by a comma"));
    }
    Ok(after_scheme(value, scheme))
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
