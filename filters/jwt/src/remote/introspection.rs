//! Asking an auth service about a token: OAuth 2.0 Token Introspection (RFC 7662), or the order processor's own
//! `POST /internal/auth/validate`.

use super::target::Target;
use crate::token::{Json, JsonRef, Value};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use core::fmt::Write as _;
use core::time::Duration;
use portcullis_edge_core::HttpCall;

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
    /// Whether a token that is good by itself passes while the auth service does not answer.
    pub(crate) allow_unavailable: bool,
}

/// Shows no credentials.
impl core::fmt::Debug for Introspection {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Introspection({:?} at {})", self.style, self.cluster)
    }
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

    /// Reads an answer: the claims of an active token, nothing for another one.
    ///
    /// # Errors
    /// Whatever is no answer: then nothing is known of the token.
    pub(crate) fn read(&self, status: u16, body: &[u8]) -> Result<Option<Json>, &'static str> {
        if status != 200 {
            return Err("status");
        }
        if body.len() > MAX_ANSWER {
            return Err("too_large");
        }
        let json = Json::parse(body).map_err(|_| "not_json")?;
        let member = match self.style {
            Style::Rfc7662 => "active",
            Style::OrderProcessor => "valid",
        };
        match json.root().member(member).map(JsonRef::value) {
            Some(Value::Bool(true)) => Ok(Some(json)),
            Some(Value::Bool(false)) => Ok(None),
            _ => Err("not_an_answer"),
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

    #[test]
    fn only_a_clear_yes_is_active_and_what_is_no_answer_is_neither() {
        let read =
            |status, body: &str| of(Style::Rfc7662).read(status, body.as_bytes()).map(|json| json.is_some());
        assert_eq!(read(200, r#"{"active":true,"sub":"a"}"#), Ok(true));
        assert_eq!(read(200, r#"{"active":false}"#), Ok(false));
        for odd in
            [r#"{"active":"true"}"#, r#"{"active":1}"#, r#"{"active":null}"#, "{}", "[]", r#"{"valid":true}"#]
        {
            assert_eq!(read(200, odd), Err("not_an_answer"), "{odd}");
        }
        assert_eq!(read(200, r#"{"active":true,"active":false}"#), Err("not_json"));
        assert_eq!(read(500, r#"{"active":true}"#), Err("status"));
        assert_eq!(read(401, r#"{"active":true}"#), Err("status"));
        assert_eq!(read(200, &" ".repeat(MAX_ANSWER + 1)), Err("too_large"));
        let valid = of(Style::OrderProcessor).read(200, br#"{"valid":true,"user":"alice"}"#);
        assert!(valid.is_ok_and(|json| json.is_some()));
    }
}
