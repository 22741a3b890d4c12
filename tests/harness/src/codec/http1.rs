//! Envoy's HTTP/1 codec.

use super::wire::{Framing, Head, parse};
use super::{Refusal, held_to, request_map};
use crate::HeaderMap;
use crate::message::{Part, open_ended, parts};
use crate::request::Request;

/// Headers that `connection` must not take away.
const NEVER_OF_ONE_HOP: [&str; 3] = ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];

/// What the codec hands on: headers, and the parts of the message (the headers' place among them is still to be filled).
pub(super) fn receive(request: Request) -> Result<(HeaderMap, Vec<Part>), Refusal> {
    let (head, body) = match &request.wire {
        Some(bytes) => {
            let (head, rest) = parse(bytes)?;
            let body = head.body(rest);
            (head, body)
        }
        None => {
            let (head, _) = parse(&rendered(&request))?;
            let (chunks, complete) = held_to(head.length(), request.chunks);
            (head, Framing { chunks, trailers: request.trailers, complete, broken: false })
        }
    };
    let headers = headers(&head)?;
    let in_chunks = headers.contains("transfer-encoding");
    let parts = body.parts(in_chunks);
    // What a CONNECT opens has no end of its own.
    let parts = if head.method == b"CONNECT" { open_ended(parts) } else { parts };
    Ok((headers, parts))
}

impl Framing {
    /// Headers do not end a request in chunks, even if there is none.
    fn parts(self, in_chunks: bool) -> Vec<Part> {
        let mut parts = parts(HeaderMap::new(), self.chunks, self.trailers, false);
        if let ([Part::Headers { end: end @ true, .. }], true) = (parts.as_mut_slice(), in_chunks) {
            *end = false;
            parts.push(Part::Data { bytes: Vec::new(), end: true });
        }
        if self.complete && !self.broken {
            return parts;
        }
        let mut parts = open_ended(parts);
        if self.broken {
            parts.push(Part::Refused(Box::new(Refusal::bad_request("http1.codec_error"))));
        }
        parts
    }
}

/// The head as the client writes it. A body without a length is sent in chunks.
fn rendered(request: &Request) -> Vec<u8> {
    let find = |wanted: &[u8]| request.fields.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
    let empty = Vec::new();
    let (method, path) = (find(b":method").unwrap_or(&empty), find(b":path").unwrap_or(&empty));
    let mut head = [method.as_slice(), b" ", path, b" HTTP/1.1\r\n"].concat();
    let mut line = |name: &[u8], value: &[u8]| head.extend([name, b": ", value, b"\r\n"].concat());
    if let Some(authority) = find(b":authority") {
        line(b"host", authority);
    }
    let pseudo: [&[u8]; 4] = [b":method", b":path", b":scheme", b":authority"];
    let regular = request.fields.iter().filter(|(name, _)| !pseudo.contains(&name.as_slice()));
    regular.for_each(|(name, value)| line(name, value));
    let named = |wanted: &[u8]| request.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
    let has_body = !request.chunks.is_empty() || request.trailers.is_some() || request.unfinished;
    if has_body && !named(b"content-length") && !named(b"transfer-encoding") {
        line(b"transfer-encoding", b"chunked");
    }
    head.extend(b"\r\n");
    head
}

/// The headers that a head has, once the codec has taken it.
fn headers(head: &Head) -> Result<HeaderMap, Refusal> {
    let mut headers = request_map(&head.fields);
    check_framing(&headers)?;
    check_upgrade_to_http2(&mut headers);
    remove_of_one_hop(&mut headers)?;
    if headers.get(":authority").is_some_and(|authority| !authority.iter().all(|byte| is_host(*byte))) {
        return Err(Refusal::bad_request("http.invalid_authority"));
    }
    place(&mut headers, head)?;
    headers.add(b":method", &head.method);
    Ok(headers)
}

fn check_framing(headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(coding) = headers.get("transfer-encoding") else { return Ok(()) };
    if headers.contains("content-length") {
        return Err(Refusal::bad_request("http1.content_length_and_chunked_not_allowed"));
    }
    match coding.eq_ignore_ascii_case(b"chunked") {
        true => Ok(()),
        false => Err(Refusal::by_http1(501, "Not Implemented", "http1.invalid_transfer_encoding")),
    }
}

/// The tokens of a list.
fn tokens(headers: &HeaderMap, name: &str) -> Vec<String> {
    let text = headers.text(name).unwrap_or_default().to_ascii_lowercase();
    text.split(',').map(|token| token.trim().to_owned()).filter(|token| !token.is_empty()).collect()
}

/// Nobody is upgraded to HTTP/2: the wish is left out. An upgrade that `connection` does not speak of is none.
fn check_upgrade_to_http2(headers: &mut HeaderMap) {
    let mut connection = tokens(headers, "connection");
    if !headers.contains("upgrade") {
        return;
    }
    if !connection.iter().any(|token| token == "upgrade") {
        return headers.remove(b"upgrade");
    }
    // Beside other wishes it may stay.
    if tokens(headers, "upgrade") != ["h2c"] {
        return;
    }
    headers.remove(b"http2-settings");
    headers.remove(b"upgrade");
    connection.retain(|token| token != "http2-settings" && token != "upgrade");
    set_list(headers, "connection", &connection);
}

fn set_list(headers: &mut HeaderMap, name: &str, tokens: &[String]) {
    match tokens {
        [] => headers.remove(name.as_bytes()),
        tokens => headers.change(name.as_bytes(), tokens.join(",").as_bytes()),
    }
}

/// Headers that `connection` names are of one hop. `te` may stay if it says `trailers`.
fn remove_of_one_hop(headers: &mut HeaderMap) -> Result<(), Refusal> {
    let mut kept = tokens(headers, "connection");
    let all = kept.len();
    for token in kept.clone() {
        if token.starts_with(':') || NEVER_OF_ONE_HOP.contains(&token.as_str()) {
            return Err(Refusal::bad_request("http1.connection_header_rejected"));
        }
        match token.as_str() {
            "upgrade" | "http2-settings" | "te" | "close" | "keep-alive" | "connection" => {}
            other => {
                headers.remove(other.as_bytes());
                kept.retain(|token| token != other);
            }
        }
    }
    if kept.len() < all {
        set_list(headers, "connection", &kept);
    }
    Ok(())
}

/// Bytes of a host over HTTP/1.
fn is_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"%-._~!$&'()[]*+,;=:@".contains(&byte)
}

/// `:path`, and what an absolute target says of scheme and host.
fn place(headers: &mut HeaderMap, head: &Head) -> Result<(), Refusal> {
    let target = head.target.as_slice();
    let invalid = || Refusal::bad_request("http1.invalid_url");
    if head.method == b"CONNECT" {
        headers.set(b":authority", target);
        return if has_port(target) { Ok(()) } else { Err(invalid()) };
    }
    if target.starts_with(b"/") || (target == b"*" && head.method == b"OPTIONS") {
        headers.add(b":path", target);
        return Ok(());
    }
    let text = String::from_utf8_lossy(target).into_owned();
    let (scheme, rest) = text.split_once("://").ok_or_else(invalid)?;
    match scheme.to_ascii_lowercase().as_str() {
        "http" => {}
        "https" => {
            let details = "http1.https_url_on_plaintext_connection";
            return Err(Refusal::by_http1(403, "Forbidden", details));
        }
        _ => return Err(Refusal::bad_request("http1.invalid_scheme")),
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if !is_url_host(host) {
        return Err(invalid());
    }
    headers.set(b":authority", host.as_bytes());
    headers.add(b":scheme", b"http");
    headers.add(b":path", if path.is_empty() { b"/" } else { path.as_bytes() });
    Ok(())
}

fn has_port(target: &[u8]) -> bool {
    let text = String::from_utf8_lossy(target);
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    !host.is_empty() && is_url_host(host) && port.parse::<u16>().is_ok()
}

/// A host of a URL is read by stricter rules than that of a header.
fn is_url_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !host.ends_with(']') => (name, port.parse::<u16>().is_ok()),
        _ => (host, true),
    };
    let inner = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let good = match inner {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte)),
    };
    port && good && !name.is_empty()
}
