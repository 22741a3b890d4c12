//! Claims as request headers.

use super::base64url;
use super::json::{JsonRef, Value};
use super::pointer::Pointer;
use crate::error::{Refusal, TokenError, refuse};
use deserr::Deserr;
use portcullis_edge_core::{ConfigErrors, HeaderName};
use schemars::JsonSchema;
use std::io::Write as _;

/// How a claim is written in a header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, rename_all = lowercase)]
#[schemars(rename_all = "lowercase")]
pub enum ClaimEncoding {
    /// Text as it is (UTF-8), numbers and booleans as in JSON, lists of them with commas between. A token whose claim has a
    /// control character, a space at an end, a comma in a list's element or an object is refused.
    #[default]
    Text,
    /// The same with everything percent-encoded but letters, digits and `-._~`; then only objects are refused.
    Percent,
    /// The claim's JSON in ASCII, on one line.
    Json,
    /// The claim's JSON in base64url without padding.
    Base64url,
}

/// One claim and the header that it becomes.
#[derive(Clone, Debug)]
pub(crate) struct ClaimHeader {
    pub(crate) claim: Pointer,
    pub(crate) header: HeaderName,
    pub(crate) encoding: ClaimEncoding,
}

impl ClaimHeader {
    /// The header's value; `None` where the token has no such claim or it is null.
    pub(crate) fn value(&self, claims: JsonRef<'_>) -> Result<Option<Vec<u8>>, Refusal> {
        let Some(claim) = claims.at(&self.claim).filter(|claim| claim.value() != Value::Null) else {
            return Ok(None);
        };
        let value = match self.encoding {
            ClaimEncoding::Text => text_form(claim, &write_plain),
            ClaimEncoding::Percent => text_form(claim, &write_percent),
            ClaimEncoding::Json => json_form(claim),
            ClaimEncoding::Base64url => json_form(claim).map(|json| base64url::encode(&json).into_bytes()),
        };
        let unmappable = "a claim does not fit the header that it should become";
        value.map(Some).ok_or(refuse(TokenError::UnmappableClaim, unmappable))
    }
}

type WriteText = dyn Fn(&mut Vec<u8>, &str, bool) -> Option<()>;

fn text_form(claim: JsonRef<'_>, write: &WriteText) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    if claim.value() != Value::List {
        scalar(&mut out, claim, write, false)?;
        return Some(out);
    }
    for (index, (_, element)) in claim.children().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        scalar(&mut out, element, write, true)?;
    }
    Some(out)
}

fn scalar(out: &mut Vec<u8>, value: JsonRef<'_>, write: &WriteText, in_list: bool) -> Option<()> {
    match value.value() {
        Value::Text(text) => write(out, text, in_list),
        Value::Bool(b) => write!(out, "{b}").ok(),
        Value::UInt(n) => write!(out, "{n}").ok(),
        Value::Int(n) => write!(out, "{n}").ok(),
        Value::Float(n) => write!(out, "{n}").ok(),
        Value::Null | Value::List | Value::Object => None,
    }
}

fn write_plain(out: &mut Vec<u8>, text: &str, in_list: bool) -> Option<()> {
    let fine = if in_list { fits_list(text) } else { fits_header(text) };
    fine.then(|| out.extend_from_slice(text.as_bytes()))
}

/// Whether a text arrives as it is in a header. A space at an end would be lost on the way (RFC 9110 section 5.5), and
/// `"admin "` would arrive as `admin`.
pub(crate) fn fits_header(text: &str) -> bool {
    is_printable(text) && text.trim_matches(' ') == text
}

/// Whether a text arrives as one element of a list with commas between.
pub(crate) fn fits_list(text: &str) -> bool {
    fits_header(text) && !text.contains(',')
}

/// Whether a text has no control character, C1 and the line separators of Unicode included.
pub(crate) fn is_printable(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'))
}

#[allow(clippy::unnecessary_wraps)] // one signature with `write_plain`
fn write_percent(out: &mut Vec<u8>, text: &str, _: bool) -> Option<()> {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte),
            _ => write!(out, "%{byte:02X}").ok()?,
        }
    }
    Some(())
}

/// Compact JSON, with everything beyond printable ASCII as `\u` escapes.
fn json_form(claim: JsonRef<'_>) -> Option<Vec<u8>> {
    let json = serde_json::to_string(&claim.to_serde()).ok()?;
    let mut out = Vec::with_capacity(json.len());
    for c in json.chars() {
        if matches!(c, ' '..='~') {
            out.push(u8::try_from(c).ok()?);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}").ok()?;
            }
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::json::Json;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn map(claim: &str, encoding: ClaimEncoding) -> Result<Option<String>, TokenError> {
        let json = Json::parse(format!(r#"{{"c":{claim}}}"#).as_bytes()).unwrap();
        let header = HeaderName::parse("X-C").unwrap();
        let value = ClaimHeader { claim: Pointer::claim("c"), header, encoding }.value(json.root());
        value.map(|v| v.map(|v| String::from_utf8(v).unwrap())).map_err(|r| r.error)
    }

    fn ok(text: &str) -> Result<Option<String>, TokenError> {
        Ok(Some(text.to_owned()))
    }

    #[test]
    fn text_keeps_what_a_header_can_carry() {
        let text = |claim| map(claim, ClaimEncoding::Text);
        assert_eq!(text(r#""alice""#), ok("alice"));
        assert_eq!(text(r#""zoé""#), ok("zoé"));
        assert_eq!(text("42"), ok("42"));
        assert_eq!(text("-1"), ok("-1"));
        assert_eq!(text("true"), ok("true"));
        assert_eq!(text(r#"["a",1,"b"]"#), ok("a,1,b"));
        assert_eq!(text("null"), Ok(None));
    }

    #[test]
    fn text_refuses_what_a_service_would_read_otherwise() {
        for claim in [
            r#""a\r\nX-User-Role: admin""#,
            r#""a\u0000""#,
            r#""a\u007f""#,
            r#""a\u0085b""#,
            r#""a\u2028b""#,
            r#""admin ""#,
            r#"" admin""#,
            r#"["user,admin"]"#,
            r#"["a",["b"]]"#,
            r#"[null]"#,
            r#"{"a":1}"#,
        ] {
            assert_eq!(map(claim, ClaimEncoding::Text), Err(TokenError::UnmappableClaim), "{claim}");
        }
    }

    #[test]
    fn the_other_encodings_carry_everything_in_ascii() {
        assert_eq!(map(r#""a b\né,""#, ClaimEncoding::Percent), ok("a%20b%0A%C3%A9%2C"));
        assert_eq!(map(r#"["a,b","c"]"#, ClaimEncoding::Percent), ok("a%2Cb,c"));
        assert_eq!(
            map(r#"{"k":["é\n😀\u007f"]}"#, ClaimEncoding::Json),
            ok(r#"{"k":["\u00e9\n\ud83d\ude00\u007f"]}"#)
        );
        assert_eq!(map(r#"{"k":1}"#, ClaimEncoding::Base64url), ok("eyJrIjoxfQ"));
    }
}
