//! The bytes of an HTTP/1 request, read as Envoy's parser (Balsa) reads them: what it is lenient about, and what it refuses.

use super::{MAX_FIELDS, MAX_HEAD, Refusal};
use crate::HeaderMap;
use crate::headers::Kind;
use crate::request::Field;

/// Methods that the parser knows: no other is let in over HTTP/1.
const METHODS: &[&str] = &[
    "ACL",
    "BIND",
    "CHECKOUT",
    "CONNECT",
    "COPY",
    "DELETE",
    "GET",
    "HEAD",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MOVE",
    "MSEARCH",
    "NOTIFY",
    "OPTIONS",
    "PATCH",
    "POST",
    "PROPFIND",
    "PROPPATCH",
    "PURGE",
    "PUT",
    "QUERY",
    "REBIND",
    "REPORT",
    "SEARCH",
    "SOURCE",
    "SUBSCRIBE",
    "TRACE",
    "UNBIND",
    "UNLINK",
    "UNLOCK",
    "UNSUBSCRIBE",
];

/// A request line and its fields.
pub(super) struct Head {
    pub method: Vec<u8>,
    pub target: Vec<u8>,
    pub fields: Vec<Field>,
}

/// The body behind a head.
pub(super) struct Framing {
    pub chunks: Vec<Vec<u8>>,
    pub trailers: Option<HeaderMap>,
    pub complete: bool,
    /// It cannot be read on.
    pub broken: bool,
}

fn codec_error() -> Refusal {
    Refusal::bad_request("http1.codec_error")
}

/// Reads a head; gives what stands behind it, too. A head that does not end is refused like one that is too long.
pub(super) fn parse(bytes: &[u8]) -> Result<(Head, &[u8]), Refusal> {
    let start = bytes.iter().position(|byte| !b"\r\n".contains(byte)).unwrap_or(bytes.len());
    let bytes = &bytes[start..];
    let end = end_of_head(bytes);
    if end.unwrap_or(bytes.len()) > MAX_HEAD {
        let body = "Request Header Fields Too Large";
        return Err(Refusal::by_http1(431, body, "http1.headers_too_large"));
    }
    let (head, rest) = bytes.split_at(end.ok_or_else(codec_error)?);
    if head.iter().any(|byte| is_control(*byte)) {
        return Err(Refusal::bad_request("http1.invalid_characters"));
    }
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let (method, target) = request_line(lines.next().unwrap_or_default())?;
    let fields = fields(lines)?;
    Ok((Head { method, target, fields }, rest))
}

/// The end of a head is an empty line; lines may end without a carriage return.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let ends = |at: usize| {
        bytes[at] == b'\n' && (bytes[at + 1..].starts_with(b"\n") || bytes[at + 1..].starts_with(b"\r\n"))
    };
    let at = (0..bytes.len()).find(|at| ends(*at))?;
    Some(at + if bytes[at + 1] == b'\n' { 2 } else { 3 })
}

fn is_control(byte: u8) -> bool {
    (byte < 0x20 && !b"\t\r\n".contains(&byte)) || byte == 0x7f
}

/// Method and target. Any number of spaces may stand between them.
fn request_line(line: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Refusal> {
    let is_space = |byte: &u8| b" \t".contains(byte);
    let line = trimmed(line);
    let (method, rest) = line.split_at(line.iter().position(is_space).unwrap_or(line.len()));
    let rest = trimmed(rest);
    let (target, version) = rest.split_at(rest.iter().position(is_space).unwrap_or(rest.len()));
    let version = trimmed(version);
    let known = METHODS.iter().any(|known| known.as_bytes() == method);
    if !known || !is_target(target, method == b"CONNECT") || !(version.is_empty() || is_version(version)) {
        return Err(codec_error());
    }
    if version != b"HTTP/1.1" {
        return Err(Refusal::by_http1(426, "Upgrade Required", "low_version"));
    }
    Ok((method.to_vec(), target.to_vec()))
}

fn is_version(version: &[u8]) -> bool {
    matches!(version, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit())
}

/// A path, `*`, or a scheme, a host and more; no byte beyond ASCII.
fn is_target(target: &[u8], is_connect: bool) -> bool {
    let is_path = |bytes: &[u8]| bytes.iter().all(|byte| (b'!'..=b'~').contains(byte));
    match target.first() {
        None => return false,
        Some(b'/' | b'*') => return is_path(target),
        Some(_) => {}
    }
    let text = String::from_utf8_lossy(target);
    let rest = match (is_connect, text.split_once("://")) {
        (true, _) => &*text,
        (false, Some((scheme, rest))) if is_scheme(scheme) => rest,
        (false, _) => return false,
    };
    let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"!$%&'()*+,-.:;=@[]_~".contains(&byte);
    host.bytes().all(is_host) && !host.contains("@@") && is_path(path.as_bytes())
}

fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

fn fields<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Field>, Refusal> {
    let mut fields: Vec<Field> = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        if b" \t".contains(&line[0]) {
            // A folded line goes on with the value before.
            let (_, value) = fields.last_mut().ok_or_else(codec_error)?;
            value.extend(line);
            continue;
        }
        let colon = line.iter().position(|byte| *byte == b':').ok_or_else(codec_error)?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
            return Err(codec_error());
        }
        fields.push((name.to_ascii_lowercase(), value.to_vec()));
    }
    for (_, value) in &mut fields {
        value.retain(|byte| *byte != b'\r');
        *value = trimmed(value).to_vec();
    }
    check_fields(&fields)?;
    Ok(fields)
}

fn check_fields(fields: &[Field]) -> Result<(), Refusal> {
    let mut lengths = fields.iter().filter(|(name, _)| name == b"content-length");
    let (first, more) = (lengths.next(), lengths.next());
    if more.is_some() || first.is_some_and(|(_, value)| number(value, 10).is_none()) {
        return Err(codec_error());
    }
    match fields.len() > MAX_FIELDS {
        true => Err(Refusal::by_http1(431, "Request Header Fields Too Large", "http1.too_many_headers")),
        false => Ok(()),
    }
}

/// Bytes of a field's name (RFC 9110, section 5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn trimmed(bytes: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| b" \t\r".contains(byte);
    let start = bytes.iter().position(|byte| !is_space(byte)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last + 1);
    &bytes[start..end]
}

/// Digits, and nothing else.
pub(super) fn number(digits: &[u8], radix: u32) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?;
    u64::from_str_radix(text, radix).ok()
}

impl Head {
    fn field(&self, wanted: &[u8]) -> Option<&[u8]> {
        self.fields.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_slice())
    }

    /// What `content-length` says.
    pub fn length(&self) -> Option<u64> {
        number(self.field(b"content-length")?, 10)
    }

    /// The body at the start of what stands behind the head. What arrives together reaches filters in one piece.
    pub fn body(&self, rest: &[u8]) -> Framing {
        if self.field(b"transfer-encoding").is_some() {
            return chunked(rest);
        }
        let length = self.length().unwrap_or(0);
        let here = usize::try_from(length).unwrap_or(usize::MAX).min(rest.len());
        let chunks = if here > 0 { vec![rest[..here].to_vec()] } else { Vec::new() };
        Framing { chunks, trailers: None, complete: here as u64 == length, broken: false }
    }
}

fn chunked(mut rest: &[u8]) -> Framing {
    let mut body = Vec::new();
    let mut framing = Framing { chunks: Vec::new(), trailers: None, complete: false, broken: false };
    while let Some((line, behind)) = line(rest) {
        let digits = line.split(|byte| b"; \t".contains(byte)).next().unwrap_or_default();
        let Some(size) = number(digits, 16).and_then(|size| usize::try_from(size).ok()) else {
            framing.broken = true;
            break;
        };
        if size == 0 {
            end_of_chunks(behind, &mut framing);
            break;
        }
        body.extend(&behind[..size.min(behind.len())]);
        // Whatever stands between a chunk and the end of its line is not looked at.
        rest = behind.get(size..).and_then(|behind| self::line(behind)).map_or(&[], |(_, behind)| behind);
    }
    if !body.is_empty() {
        framing.chunks.push(body);
    }
    framing
}

fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let line = &bytes[..end];
    Some((line.strip_suffix(b"\r").unwrap_or(line), &bytes[end + 1..]))
}

fn end_of_chunks(mut rest: &[u8], framing: &mut Framing) {
    let mut found = Vec::new();
    while let Some((text, behind)) = line(rest) {
        if !text.is_empty() {
            found.push(text);
            rest = behind;
            continue;
        }
        framing.complete = true;
        match trailers(&found) {
            Ok(trailers) => framing.trailers = trailers,
            Err(_) => framing.broken = true,
        }
        return;
    }
}

fn trailers(lines: &[&[u8]]) -> Result<Option<HeaderMap>, Refusal> {
    let fields = fields(lines.iter().copied())?;
    let map = HeaderMap::of(Kind::RequestTrailers).with(fields.iter().map(|(name, value)| (name, value)));
    Ok((!map.is_empty()).then_some(map))
}
