use crate::field::FieldValue;
use crate::json::{escaped, push_thousandths};
use core::time::Duration;
use portcullis_edge_core::Wall;
use std::borrow::Cow;

/// How loud a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Info,
    /// The client got a 4xx.
    Warn,
    /// The client got a 5xx.
    Error,
}

impl Level {
    /// The level of a request that ended with `status`.
    #[must_use]
    pub const fn of_status(status: u16) -> Self {
        match status {
            500.. => Self::Error,
            400..=499 => Self::Warn,
            _ => Self::Info,
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        }
    }
}

/// The line of a finished request.
#[derive(Debug)]
pub struct RequestLine<'a> {
    /// When the request ended.
    pub at: Wall,
    /// Who writes the line (the gateway's name).
    pub service: &'a str,
    /// Joins all lines of a request.
    pub request_id: &'a str,
    /// The client's user, as [`crate::Logs::user`] shows it.
    pub user: Option<&'a str>,
    /// From the first byte of the request to the last of the answer.
    pub took: Duration,
    /// Everything else.
    pub extra: RequestExtra<'a>,
}

/// `extra` of a request's line.
#[derive(Debug)]
pub struct RequestExtra<'a> {
    /// Method, as text.
    pub method: &'a str,
    /// Path, as [`crate::loggable_path`] makes it.
    pub path: &'a str,
    /// The route's template, or `unmatched`.
    pub endpoint: &'a str,
    /// Status the client got; 499 if it left before.
    pub status: u16,
    /// The client's address, masked.
    pub ip: &'a str,
    /// The service behind the route; the gateway's own name for what it answers itself.
    pub target_service: &'a str,
    /// How the client was authenticated.
    pub auth_flow: &'a str,
    /// Whether the trust headers went to the service.
    pub security_headers: bool,
    /// Why the gateway refused the request.
    pub denied: Option<&'a str>,
    /// Why the service gave no answer, in Envoy's words (response code details).
    pub details: Option<&'a str>,
    /// What kind of stream it was, where it was one: `event_stream`, `grpc`, or the protocol of an upgrade.
    pub stream: Option<&'a str>,
    /// Who ended it, where it did not end by itself: `client`, `service` or `gateway`.
    pub ended_by: Option<&'a str>,
    /// The trace that it belongs to.
    pub trace: Option<Trace<'a>>,
    /// Fields that the policy adds.
    pub more: &'a [(&'a str, FieldValue)],
}

/// A trace and the span of the gateway in it, in the hexadecimal digits of W3C trace context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace<'a> {
    /// 32 digits.
    pub trace_id: &'a str,
    /// 16 digits.
    pub span_id: &'a str,
}

impl RequestLine<'_> {
    /// The line, without a line break; `message` is `METHOD path -> target`.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut line = Vec::with_capacity(512);
        let extra = EscapedExtra::of(&self.extra);
        self.write_head(&mut line, &extra);
        if let Some(user) = self.user {
            push(&mut line, [r#","user":""#, &escaped(user), "\""]);
        }
        push(&mut line, [r#","duration_ms":"#]);
        push_thousandths(&mut line, u64::try_from(self.took.as_micros()).unwrap_or(u64::MAX));
        extra.write(&mut line, &self.extra);
        line
    }

    fn write_head(&self, line: &mut Vec<u8>, extra: &EscapedExtra<'_>) {
        let EscapedExtra { method, path, target_service } = extra;
        let (level, at) = (Level::of_status(self.extra.status).as_str(), self.at.rfc3339());
        let (service, request_id) = (&*escaped(self.service), &*escaped(self.request_id));
        push(line, [r#"{"timestamp":""#, &at, r#"","level":""#, level, r#"","service":""#, service]);
        push(line, [r#"","request_id":""#, request_id, r#"","action":"request","message":""#]);
        push(line, [method, " ", path, " -> ", target_service, "\""]);
    }
}

/// What stands in a line more than once.
struct EscapedExtra<'a> {
    method: Cow<'a, str>,
    path: Cow<'a, str>,
    target_service: Cow<'a, str>,
}

impl<'a> EscapedExtra<'a> {
    fn of(extra: &RequestExtra<'a>) -> Self {
        let RequestExtra { method, path, target_service, .. } = extra;
        Self { method: escaped(method), path: escaped(path), target_service: escaped(target_service) }
    }

    fn write(&self, line: &mut Vec<u8>, extra: &RequestExtra<'_>) {
        let (endpoint, ip) = (&*escaped(extra.endpoint), &*escaped(extra.ip));
        let mut status = itoa::Buffer::new();
        push(line, [r#","extra":{"method":""#, &self.method, r#"","path":""#, &self.path]);
        push(line, [r#"","endpoint":""#, endpoint, r#"","status":"#, status.format(extra.status)]);
        push(line, [r#","ip":""#, ip, r#"","target_service":""#, &self.target_service]);
        push(line, [r#"","auth_flow":""#, &escaped(extra.auth_flow), r#"","security_headers":"#]);
        push(line, [if extra.security_headers { "true" } else { "false" }]);
        for (name, text) in [
            (r#","denied":""#, extra.denied),
            (r#","details":""#, extra.details),
            (r#","stream":""#, extra.stream),
            (r#","ended_by":""#, extra.ended_by),
            (r#","trace_id":""#, extra.trace.map(|trace| trace.trace_id)),
            (r#","span_id":""#, extra.trace.map(|trace| trace.span_id)),
        ] {
            text.iter().for_each(|text| push(line, [name, &escaped(text), "\""]));
        }
        extra.more.iter().for_each(|(name, value)| push_field(line, name, value));
        push(line, ["}}"]);
    }
}

/// Names of fields are plain.
fn push_field(line: &mut Vec<u8>, name: &str, value: &FieldValue) {
    push(line, [r#",""#, name, r#"":"#]);
    match value {
        FieldValue::Text(text) => push(line, ["\"", &escaped(text), "\""]),
        FieldValue::Number(number) => push(line, [itoa::Buffer::new().format(*number)]),
        FieldValue::Thousandths(number) => push_thousandths(line, *number),
    }
}

/// The line is a template: every request has one, and writing it a field at a time, each with its name, takes longer.
fn push<const N: usize>(line: &mut Vec<u8>, parts: [&str; N]) {
    parts.iter().for_each(|part| line.extend_from_slice(part.as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn line(path: &str, status: u16) -> Value {
        line_of(None, path, status)
    }

    fn line_with<'a>(change: impl FnOnce(RequestExtra<'a>) -> RequestExtra<'a>) -> Value {
        read(None, change(extra("/a", 200)))
    }

    fn line_of(user: Option<&str>, path: &str, status: u16) -> Value {
        read(user, extra(path, status))
    }

    fn extra(path: &str, status: u16) -> RequestExtra<'_> {
        RequestExtra {
            method: "GET",
            path,
            endpoint: "/a",
            status,
            ip: "203.0.113.0",
            target_service: "order",
            auth_flow: "none",
            security_headers: true,
            denied: None,
            details: None,
            stream: None,
            ended_by: None,
            trace: None,
            more: &[],
        }
    }

    fn read(user: Option<&str>, extra: RequestExtra<'_>) -> Value {
        let line = RequestLine {
            at: Wall(0),
            service: "gateway",
            request_id: "r-1",
            user,
            took: Duration::from_nanos(1_234_560),
            extra,
        };
        let text = String::from_utf8(line.to_json()).unwrap();
        assert!(!text.contains('\n'));
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_line_has_the_required_fields_and_says_what_happened() {
        assert_eq!(
            line("/a", 200),
            json!({
                "timestamp": "1970-01-01T00:00:00.000Z", "level": "INFO", "service": "gateway", "request_id": "r-1",
                "action": "request", "message": "GET /a -> order", "duration_ms": 1.234,
                "extra": {
                    "method": "GET", "path": "/a", "endpoint": "/a", "status": 200, "ip": "203.0.113.0",
                    "target_service": "order", "auth_flow": "none", "security_headers": true
                }
            })
        );
    }

    #[test]
    fn a_user_is_named_once_known() {
        assert_eq!(line("/a", 200).get("user"), None);
        assert_eq!(line_of(Some("ada"), "/a", 200)["user"], "ada");
    }

    #[test]
    fn a_stream_says_what_it_was_who_ended_it_and_what_the_policy_wants_to_know() {
        let more = [
            ("tenant", FieldValue::Text("a\"b".to_owned())),
            ("bytes", FieldValue::Number(u64::MAX)),
            ("upstream_ms", FieldValue::Thousandths(12_034)),
        ];
        let trace = Some(Trace { trace_id: "0af7651916cd43dd8448eb211c80319c", span_id: "b7ad6b7169203331" });
        let line = line_with(|extra| RequestExtra {
            stream: Some("websocket"),
            ended_by: Some("client"),
            trace,
            more: &more,
            ..extra
        });
        let expected = json!({ "stream": "websocket", "ended_by": "client", "tenant": "a\"b", "bytes": u64::MAX,
            "upstream_ms": 12.034, "trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331" });
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&line["extra"][name], value, "{name}");
        }
    }

    #[test]
    fn the_level_follows_the_status() {
        let levels: Vec<_> = [200, 302, 404, 499, 500, 503].map(|s| line("/a", s)["level"].clone()).into();
        assert_eq!(levels, ["INFO", "INFO", "WARN", "WARN", "ERROR", "ERROR"]);
    }

    #[test]
    fn no_byte_breaks_the_line() {
        let path = "/\"\\\u{0}\r\n\u{1b}[31m\u{fffd}\u{2028}";
        assert_eq!(line(path, 400)["extra"]["path"], path);
    }
}
