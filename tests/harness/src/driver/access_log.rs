//! Envoy's access log format, as far as it is needed to see what a module left behind for it.

use super::World;
use crate::HeaderMap;
use crate::stream::info::flag_names;
use crate::stream::{Stream, StreamRef};

impl World {
    pub(super) fn write_access_log(&self, stream: &StreamRef) {
        let Some(format) = &self.options.access_log else { return };
        let now = self.process.clock.get().mono;
        let line = render(format, &stream.borrow(), now);
        self.process.access_log.borrow_mut().push(String::from_utf8_lossy(&line).into_owned());
        stream.borrow_mut().access_log.push(line);
    }
}

/// Fills the operators of a format. `%%` is a percent sign, and what is not known stands as `-`.
pub(crate) fn render(format: &str, stream: &Stream, now: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let behind = &rest[at + 1..];
        let Some(len) = behind.find('%') else { break };
        match &behind[..len] {
            "" => out.push(b'%'),
            operator => out.extend(value(operator, stream, now).unwrap_or_else(|| b"-".to_vec())),
        }
        rest = &behind[len + 1..];
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

fn value(operator: &str, stream: &Stream, now: u64) -> Option<Vec<u8>> {
    let (name, argument) = match operator.split_once('(') {
        Some((name, argument)) => (name, argument.split(')').next().unwrap_or_default()),
        None => (operator, ""),
    };
    let info = &stream.info;
    let text = match name {
        "REQ" => return header(stream.request.headers.as_ref(), argument),
        "RESP" => return header(stream.response.headers.as_ref(), argument),
        "TRAILER" => return header(stream.response.trailers.as_ref(), argument),
        "FILTER_STATE" => return filter_state(stream, argument),
        "RESPONSE_CODE" => info.response_code.unwrap_or(0).to_string(),
        "RESPONSE_CODE_DETAILS" => info.details.clone()?,
        "RESPONSE_FLAGS" => flag_names(info.flags),
        "BYTES_RECEIVED" => info.bytes_received.to_string(),
        "BYTES_SENT" => info.bytes_sent.to_string(),
        "DURATION" => (info.duration(now) / 1_000_000).to_string(),
        "PROTOCOL" => info.protocol.clone(),
        "UPSTREAM_CLUSTER" => info.cluster.clone()?,
        "UPSTREAM_HOST" => info.upstream_address.clone()?,
        "ROUTE_NAME" => info.route_name().filter(|name| !name.is_empty())?.to_owned(),

        "DOWNSTREAM_REMOTE_ADDRESS" => info.peer.clone(),
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => {
            info.peer.rsplit_once(':')?.0.trim_matches(['[', ']']).to_owned()
        }
        "REQUESTED_SERVER_NAME" => info.tls.as_ref().map(|tls| tls.server_name.clone())?,
        "DOWNSTREAM_TLS_VERSION" => info.tls.as_ref().map(|tls| tls.version.clone())?,
        "DOWNSTREAM_PEER_SUBJECT" => info.tls.as_ref()?.client.as_ref()?.subject.clone(),
        "DOWNSTREAM_PEER_URI_SAN" => info.tls.as_ref()?.client.as_ref()?.uris.join(","),
        _ => return None,
    };
    // Of TLS what is empty is not there; details that a module gave may well be empty.
    let is_of_tls = name == "REQUESTED_SERVER_NAME"
        || name.starts_with("DOWNSTREAM_TLS")
        || name.starts_with("DOWNSTREAM_PEER");
    Some(text).filter(|text| !(is_of_tls && text.is_empty())).map(String::into_bytes)
}

/// `NAME?ALTERNATIVE`
fn header(headers: Option<&HeaderMap>, argument: &str) -> Option<Vec<u8>> {
    let headers = headers?;
    argument.split('?').find_map(|name| headers.joined(name))
}

/// `KEY:PLAIN`; any other form is not text, and is shown as such.
fn filter_state(stream: &Stream, argument: &str) -> Option<Vec<u8>> {
    let (key, form) = argument.split_once(':').unwrap_or((argument, ""));
    let state = stream.info.filter_state.get(key)?;
    match form {
        "PLAIN" => Some(state.value.clone()),
        _ => Some(format!("(not PLAIN: {} bytes)", state.value.len()).into_bytes()),
    }
}
