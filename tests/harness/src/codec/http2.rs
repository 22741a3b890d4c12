//! Envoy's HTTP/2 codec (oghttp2). A field that breaks a rule closes the connection; a limit that is passed resets the stream.

use super::wire::{is_token, number};
use super::{DOWNSTREAM_RESET, MAX_FIELDS, MAX_HEAD, Refusal, request_map};
use crate::HeaderMap;
use crate::message::{Part, open_ended, parts};
use crate::request::{Field, Request};

/// A single field that is longer ends the whole connection.
const MAX_FIELD: usize = 64 * 1024;
/// Headers of a connection, which HTTP/2 has no use for (RFC 9113, section 8.2.2).
const OF_CONNECTIONS: [&[u8]; 5] =
    [b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"];

/// What the codec hands on: headers, and the parts of the message (the headers' place among them is still to be filled).
pub(super) fn receive(request: Request) -> Result<(HeaderMap, Vec<Part>), Refusal> {
    check_limits(&request.fields)?;
    check_fields(&request.fields)?;
    let find = |wanted: &[u8]| find(&request.fields, wanted);
    let has_body = !request.chunks.is_empty() || request.trailers.is_some() || request.unfinished;
    let length = find(b"content-length").and_then(|value| number(value, 10));
    let is_complete = check_pseudo(&request.fields) && (has_body || length.is_none_or(|length| length == 0));
    if !is_complete {
        return Err(Refusal::by_http2("http2.violation.of.messaging.rule"));
    }
    let headers = headers(&request.fields);
    Ok((headers, held_to(length, request)))
}

fn find<'a>(fields: &'a [Field], wanted: &[u8]) -> Option<&'a [u8]> {
    fields.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_slice())
}

fn check_limits(fields: &[Field]) -> Result<(), Refusal> {
    let details = if fields.iter().any(|(_, value)| value.len() > MAX_FIELD) {
        return Err(Refusal::by_http2("codec_error:The_user_callback_function_failed"));
    } else if fields.len() > MAX_FIELDS {
        "http2.too_many_headers"
    } else if fields.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > MAX_HEAD {
        "http2.header_list_size_too_large"
    } else {
        return Ok(());
    };
    Err(Refusal { flags: DOWNSTREAM_RESET, closes: false, ..Refusal::by_http2(details) })
}

/// Field by field, in order: pseudo-header fields first, each once.
fn check_fields(fields: &[Field]) -> Result<(), Refusal> {
    let mut regular = false;
    for (at, (name, value)) in fields.iter().enumerate() {
        let is_pseudo = name.first() == Some(&b':');
        let single = is_pseudo || [&b"host"[..], b"content-length"].contains(&name.as_slice());
        let again = single && fields[..at].iter().any(|(earlier, _)| earlier == name);
        let good = match is_pseudo {
            true => !regular && is_pseudo_value(name, value),
            false => is_regular(name, value),
        };
        if again || !good {
            return Err(Refusal::by_http2("http2.invalid.header.field"));
        }
        regular |= !is_pseudo;
    }
    Ok(())
}

fn is_pseudo_value(name: &[u8], value: &[u8]) -> bool {
    let all = |good: fn(u8) -> bool| !value.is_empty() && value.iter().all(|byte| good(*byte));
    match name {
        b":method" => all(is_token),
        b":scheme" => all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)),
        b":authority" => all(is_authority),
        b":path" => all(|byte| byte > b' ' && byte != 0x7f),
        _ => false,
    }
}

/// Bytes of an authority over HTTP/2: nobody is named before the host.
fn is_authority(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"%-._~!$&'()[]*+,;=:".contains(&byte)
}

fn is_regular(name: &[u8], value: &[u8]) -> bool {
    let lower = !name.is_empty() && name.iter().all(|byte| is_token(*byte) && !byte.is_ascii_uppercase());
    let printable = value.iter().all(|byte| (*byte >= b' ' || *byte == b'\t') && *byte != 0x7f);
    let good = match name {
        b"te" => value == b"trailers",
        b"content-length" => number(value, 10).is_some(),
        b"host" => !value.is_empty() && value.iter().all(|byte| is_authority(*byte)),
        name => !OF_CONNECTIONS.contains(&name),
    };
    lower && printable && good
}

/// The pseudo-header fields that a request must have (RFC 9113, section 8.3.1), and CONNECT (section 8.5).
fn check_pseudo(fields: &[Field]) -> bool {
    let find = |wanted: &[u8]| find(fields, wanted);
    let authority = find(b":authority").or_else(|| find(b"host"));
    let (method, scheme, path) = (find(b":method"), find(b":scheme"), find(b":path"));
    match (method, scheme, path, authority) {
        (Some(b"CONNECT"), None, None, Some(_)) => true,
        (Some(b"CONNECT"), ..) => false,
        (Some(method), Some(_), Some(path), Some(_)) => {
            path.starts_with(b"/") || (path == b"*" && method == b"OPTIONS")
        }
        _ => false,
    }
}

/// `host` gives way to `:authority`, or becomes it; the crumbs of a cookie come together, at the end; schemes are in lower case.
fn headers(fields: &[Field]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let has_authority = find(fields, b":authority").is_some();
    let mut cookies: Vec<&[u8]> = Vec::new();
    for (name, value) in fields {
        match name.as_slice() {
            b"cookie" => cookies.push(value),
            b"host" if has_authority => {}
            b":scheme" => headers.add(b":scheme", &value.to_ascii_lowercase()),
            b"te" if headers.contains("te") => {}
            name => headers.add(name, value),
        }
    }
    if !cookies.is_empty() {
        headers.add(b"cookie", &cookies.join(&b"; "[..]));
    }
    headers
}

/// A body that is shorter or longer than announced resets the stream, at the frame that shows it.
fn held_to(length: Option<u64>, request: Request) -> Vec<Part> {
    let mut left = length.and_then(|length| usize::try_from(length).ok());
    let mut kept = Vec::new();
    let last = request.chunks.len();
    let ends_with_data = request.trailers.is_none() && !request.unfinished;
    let mut broken = false;
    for (number, chunk) in request.chunks.into_iter().enumerate() {
        if let Some(left) = &mut left {
            let ends_here = ends_with_data && number + 1 == last;
            broken = chunk.len() > *left || (ends_here && chunk.len() < *left);
            if broken {
                break;
            }
            *left -= chunk.len();
        }
        kept.push(chunk);
    }
    broken |= request.trailers.is_some() && left.is_some_and(|left| left > 0);
    if !broken {
        return parts(request_map(&[]), kept, request.trailers, true);
    }
    let mut parts = open_ended(parts(request_map(&[]), kept, None, true));
    parts.push(Part::Refused(Box::new(Refusal::reset_by_http2())));
    parts
}
