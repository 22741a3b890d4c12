//! Local replies and resets.

use super::World;
use crate::HeaderMap;
use crate::headers::Kind;
use crate::stream::{Direction, Half, LocalReply, StreamRef};
use crate::vm::context::BodyView;

impl World {
    /// A plugin wants to answer. The first reply is sent, but the details are those of the last.
    pub(super) fn prepare_reply(&self, stream: &StreamRef, reply: LocalReply) {
        {
            let mut stream = stream.borrow_mut();
            if stream.finished {
                return;
            }
            stream.info.details = Some(reply.details.clone());
            stream.prepared.get_or_insert(reply);
        }
        self.settle(stream);
    }

    /// A plugin wants the stream gone.
    pub(super) fn ask_reset(&self, stream: &StreamRef) {
        stream.borrow_mut().reset_asked = true;
        self.settle(stream);
    }

    /// Carries out a prepared reply or a reset, once no callback of the stream is running.
    pub(super) fn settle(&self, stream: &StreamRef) {
        let (reset, reply) = {
            let mut stream = stream.borrow_mut();
            if stream.depth > 0 || stream.finished {
                return;
            }
            (std::mem::take(&mut stream.reset_asked), stream.prepared.take())
        };
        if reset {
            return self.reset(stream);
        }
        if let Some(reply) = reply {
            self.reply(stream, reply);
        }
    }

    /// Ends the stream without an answer.
    pub(super) fn reset(&self, stream: &StreamRef) {
        stream.borrow_mut().client.reset = true;
        self.finish(stream);
    }

    /// Answers in place of the upstream: through the filters, unless a response is already under way.
    pub(super) fn reply(&self, stream: &StreamRef, reply: LocalReply) {
        let (response_begun, sent) = {
            let mut stream = stream.borrow_mut();
            stream.info.details.get_or_insert_with(|| reply.details.clone());
            stream.request.aborted = true;
            if stream.client.headers.is_none() {
                stream.info.response_code = Some(reply.status);
            }
            (stream.response.headers.is_some(), stream.client.headers.is_some())
        };
        if sent {
            return self.reset(stream);
        }
        let (headers, body) = self.render(stream, reply);
        let end = body.is_empty();
        {
            let mut stream = stream.borrow_mut();
            stream.response = Half {
                headers: Some(headers),
                chunk: body,
                complete: true,
                aborted: false,
                ..Half::default()
            };
        }
        // A reply in the middle of a response goes straight to the client.
        let start = if response_begun { stream.borrow().filters.len() } else { 0 };
        self.pass_headers(stream, Direction::Response, start, end);
        if !end {
            self.pass_data(stream, Direction::Response, start, BodyView::Chunk, true);
        }
    }

    /// `:status`, the plugin's own headers, then length and type. gRPC clients get 200 and a `grpc-status`.
    fn render(&self, stream: &StreamRef, reply: LocalReply) -> (HeaderMap, Vec<u8>) {
        let stream = stream.borrow();
        let request = stream.request.headers.as_ref();
        let value = |name: &str| request.and_then(|headers| headers.get(name)).unwrap_or_default();
        let mut headers = HeaderMap::of(Kind::Response).with([(":status", reply.status.to_string())]);
        reply.headers.iter().for_each(|(name, value)| headers.add(name, value));
        if is_grpc(value("content-type")) {
            grpc_headers(&mut headers, &reply);
            return (headers, Vec::new());
        }
        if reply.body.is_empty() {
            headers.remove(b"content-length");
            headers.remove(b"content-type");
            return (headers, Vec::new());
        }
        headers.set(b"content-length", reply.body.len().to_string().as_bytes());
        if !headers.contains("content-type") {
            headers.add(b"content-type", b"text/plain");
        }
        let body = if value(":method") == b"HEAD" { Vec::new() } else { reply.body };
        (headers, body)
    }

    /// What is kept back has outgrown the limit.
    pub(super) fn refuse_body(&self, stream: &StreamRef, way: Direction) {
        let (status, body, details) = match way {
            Direction::Request => (413, "Payload Too Large", "request_payload_too_large"),
            Direction::Response => (500, "Internal Server Error", "response_payload_too_large"),
        };
        let reply = LocalReply {
            status,
            body: body.into(),
            headers: Vec::new(),
            grpc: None,
            details: details.into(),
        };
        self.prepare_reply(stream, reply);
    }
}

/// `application/grpc`, alone or with a `+format`; other types that begin so are none of gRPC's.
fn is_grpc(content_type: &[u8]) -> bool {
    content_type
        .strip_prefix(b"application/grpc")
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'+')))
}

fn grpc_headers(headers: &mut HeaderMap, reply: &LocalReply) {
    let code = reply.grpc.unwrap_or_else(|| grpc_code(reply.status));
    headers.set(b":status", b"200");
    headers.set(b"content-type", b"application/grpc");
    headers.remove(b"content-length");
    headers.set(b"grpc-status", code.to_string().as_bytes());
    if !reply.body.is_empty() {
        headers.set(b"grpc-message", percent_encoded(&reply.body).as_bytes());
    }
}

/// The gRPC code that stands for an HTTP status.
pub(crate) fn grpc_code(status: u32) -> u32 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    }
}

/// As gRPC wants its messages: printable ASCII but `%` stands for itself.
fn percent_encoded(text: &[u8]) -> String {
    let encode = |byte: &u8| match byte {
        b' '..=b'~' if *byte != b'%' => (*byte as char).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.iter().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grpc_message_is_printable_whatever_is_in_it() {
        assert_eq!(percent_encoded(b"100% \n\xc3"), "100%25 %0A%C3");
    }

    #[test]
    fn http_statuses_have_their_grpc_codes() {
        assert_eq!([grpc_code(401), grpc_code(403), grpc_code(503), grpc_code(418)], [16, 7, 14, 2]);
    }
}
