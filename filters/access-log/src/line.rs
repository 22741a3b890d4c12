use portcullis_edge_core::Wall;
use serde::Serialize;

/// How loud a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
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
    /// From the first byte of the request to the last of the answer, in milliseconds.
    pub duration_ms: f64,
    /// Everything else.
    pub extra: RequestExtra<'a>,
}

/// `extra` of a request's line.
#[derive(Debug, Serialize)]
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denied: Option<&'a str>,
    /// Why the service gave no answer, in Envoy's words (response code details).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<&'a str>,
}

/// The fields in the order of the wire; `message` is `METHOD path -> target`.
#[derive(Serialize)]
struct Wire<'a> {
    timestamp: String,
    level: Level,
    service: &'a str,
    request_id: &'a str,
    action: &'static str,
    message: String,
    duration_ms: f64,
    extra: &'a RequestExtra<'a>,
}

impl RequestLine<'_> {
    /// The line, without a line break.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let extra = &self.extra;
        let wire = Wire {
            timestamp: self.at.rfc3339(),
            level: Level::of_status(extra.status),
            service: self.service,
            request_id: self.request_id,
            action: "request",
            message: [extra.method, " ", extra.path, " -> ", extra.target_service].concat(),
            duration_ms: (self.duration_ms * 1000.0).round() / 1000.0,
            extra,
        };
        let mut line = Vec::with_capacity(512);
        // Only a map with keys that are no text can fail to serialise; there is none here.
        let _ = serde_json::to_writer(&mut line, &wire);
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn line(path: &str, status: u16) -> Value {
        let extra = RequestExtra {
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
        };
        let line =
            RequestLine { at: Wall(0), service: "gateway", request_id: "r-1", duration_ms: 1.23456, extra };
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
                "action": "request", "message": "GET /a -> order", "duration_ms": 1.235,
                "extra": {
                    "method": "GET", "path": "/a", "endpoint": "/a", "status": 200, "ip": "203.0.113.0",
                    "target_service": "order", "auth_flow": "none", "security_headers": true
                }
            })
        );
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
