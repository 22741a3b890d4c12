//! Asking an auth service about a token: OAuth 2.0 Token Introspection (RFC 7662), or the order processor's own
//! `POST /internal/auth/validate`.

use super::target::Target;
use crate::token::{Json, JsonRef, Value, without_bom};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use core::fmt::Write as _;
use core::time::Duration;
use portcullis_edge_core::{CallError, HttpCall};

/// The form of question and answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Rfc7662,
    OrderProcessor,
}

/// A compiled `introspection`.
#[derive(Clone)]
pub struct Introspection {
    pub(crate) style: Style,
    pub(crate) target: Target,
    pub(crate) cluster: String,
    /// `Authorization` for the auth service.
    pub(crate) credentials: Option<String>,
    pub(crate) timeout: Duration,
    pub(crate) retries: u8,
    pub(crate) cache: Duration,
    /// How long an inactive token is remembered.
    pub(crate) negative_cache: Duration,
    /// Whether a token that is good by itself passes while the auth service does not answer.
    pub(crate) allow_unavailable: bool,
}

/// Shows no credentials.
impl core::fmt::Debug for Introspection {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Introspection({:?} at {})", self.style, self.cluster)
    }
}

/// What an auth service says of a token.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It is active; its claims.
    Active(Json),
    /// It is not.
    Inactive,
    /// Nothing: it is out of reach, or broken (no answer in time, a connection that broke, 5xx).
    Unavailable,
    /// Nothing: the service is there and says something else. Whoever brings about such an answer (too many requests, a question
    /// that it does not take) must not gain by it.
    Unusable,
}

/// The largest answer in bytes.
pub const MAX_ANSWER: usize = 65_536;

impl Introspection {
    /// The question about a token.
    pub(crate) fn call(&self, token: &[u8]) -> HttpCall {
        let mut headers = vec![
            (":method", "POST".to_owned()),
            (":authority", self.target.authority.clone()),
            (":path", self.target.path.clone()),
            ("accept", "application/json".to_owned()),
        ];
        if let Some(credentials) = &self.credentials {
            headers.push(("authorization", credentials.clone()));
        }
        let body = match self.style {
            Style::Rfc7662 => {
                headers.push(("content-type", "application/x-www-form-urlencoded".to_owned()));
                format!("token={}&token_type_hint=access_token", form_encoded(token))
            }
            Style::OrderProcessor => {
                headers.push(("content-type", "application/json".to_owned()));
                headers.push(("x-source", "gateway".to_owned()));
                serde_json::json!({"token": String::from_utf8_lossy(token)}).to_string()
            }
        };
        HttpCall { cluster: self.cluster.clone(), headers, body: body.into_bytes(), timeout: self.timeout }
    }

    /// Reads an answer, or the lack of one.
    pub(crate) fn read(&self, answer: Result<(u16, &[u8]), CallError>) -> Answer {
        match answer {
            Ok((200, body)) => self.read_body(body).unwrap_or(Answer::Unusable),
            Ok((500.., _)) | Err(CallError::Timeout | CallError::Reset) => Answer::Unavailable,
            // A cluster that the proxy does not have is a mistake in its configuration, and no outage.
            Ok(_) | Err(CallError::NotSent) => Answer::Unusable,
        }
    }

    fn read_body(&self, body: &[u8]) -> Option<Answer> {
        if body.len() > MAX_ANSWER {
            return None;
        }
        let json = Json::parse(without_bom(body)).ok()?;
        let member = match self.style {
            Style::Rfc7662 => "active",
            Style::OrderProcessor => "valid",
        };
        match json.root().member(member).map(JsonRef::value)? {
            Value::Bool(true) => Some(Answer::Active(json)),
            Value::Bool(false) => Some(Answer::Inactive),
            _ => None,
        }
    }
}

/// The `Authorization` of a client (RFC 6749 section 2.3.1: both parts form-encoded, then Basic).
pub(crate) fn basic(id: &str, secret: &str) -> String {
    let pair = format!("{}:{}", form_encoded(id.as_bytes()), form_encoded(secret.as_bytes()));
    format!("Basic {}", STANDARD.encode(pair))
}

fn form_encoded(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => {
                out.push(char::from(*byte))
            }
            b' ' => out.push('+'),
            // Writing to a String cannot fail.
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn of(style: Style) -> Introspection {
        Introspection {
            style,
            target: Target::parse("http://auth:8003/internal/auth/validate").unwrap(),
            cluster: "auth".to_owned(),
            credentials: (style == Style::Rfc7662).then(|| basic("my client", "a:b")),
            timeout: Duration::from_secs(1),
            retries: 0,
            cache: Duration::ZERO,
            negative_cache: Duration::ZERO,
            allow_unavailable: false,
        }
    }

    #[test]
    fn rfc_7662_asks_with_a_form_and_client_credentials() {
        let call = of(Style::Rfc7662).call(b"a.b+c/d==");
        assert_eq!(call.body, b"token=a.b%2Bc%2Fd%3D%3D&token_type_hint=access_token");
        // "my+client:a%3Ab"
        assert!(call.headers.contains(&("authorization", "Basic bXkrY2xpZW50OmElM0Fi".to_owned())));
        assert!(call.headers.contains(&(":method", "POST".to_owned())));
        assert_eq!(format!("{call:?}"), "HttpCall(to auth, 52 bytes)");
    }

    #[test]
    fn the_order_processor_is_asked_with_json_from_the_gateway() {
        let call = of(Style::OrderProcessor).call(b"a.b.c");
        assert_eq!(call.body, br#"{"token":"a.b.c"}"#);
        assert!(call.headers.contains(&("x-source", "gateway".to_owned())));
        assert!(call.headers.contains(&(":path", "/internal/auth/validate".to_owned())));
    }

    fn read(status: u16, body: &str) -> &'static str {
        named(&of(Style::Rfc7662).read(Ok((status, body.as_bytes()))))
    }

    fn named(answer: &Answer) -> &'static str {
        match answer {
            Answer::Active(_) => "active",
            Answer::Inactive => "inactive",
            Answer::Unavailable => "unavailable",
            Answer::Unusable => "unusable",
        }
    }

    #[test]
    fn only_a_clear_yes_is_active_and_what_is_no_answer_is_neither() {
        assert_eq!(read(200, r#"{"active":true,"sub":"a"}"#), "active");
        assert_eq!(read(200, r#"{"active":false}"#), "inactive");
        for odd in
            [r#"{"active":"true"}"#, r#"{"active":1}"#, r#"{"active":null}"#, "{}", "[]", r#"{"valid":true}"#]
        {
            assert_eq!(read(200, odd), "unusable", "{odd}");
        }
        assert_eq!(read(200, r#"{"active":true,"active":false}"#), "unusable");
        let yes = r#"{"active":true}"#;
        let of_size = |size: usize| format!("{yes}{}", " ".repeat(size - yes.len()));
        assert_eq!(read(200, &of_size(MAX_ANSWER)), "active");
        assert_eq!(read(200, &of_size(MAX_ANSWER + 1)), "unusable");
        let valid = of(Style::OrderProcessor).read(Ok((200, br#"{"valid":true,"user":"alice"}"#)));
        assert_eq!(named(&valid), "active");
    }

    #[test]
    fn only_time_outs_resets_and_5xx_are_an_outage() {
        for status in [500, 502, 503, 504] {
            assert_eq!(read(status, r#"{"active":true}"#), "unavailable", "{status}");
        }
        for status in [201, 204, 302, 400, 401, 403, 404, 429] {
            assert_eq!(read(status, r#"{"active":true}"#), "unusable", "{status}");
        }
        let without = |error| named(&of(Style::Rfc7662).read(Err(error)));
        assert_eq!([CallError::Timeout, CallError::Reset].map(without), ["unavailable"; 2]);
        assert_eq!(without(CallError::NotSent), "unusable");
    }
}
