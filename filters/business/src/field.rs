//! One value of a request's body on which a decision rests.

use crate::pointer::Pointer;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A value in JSON bodies, as a policy names it: a JSON Pointer (RFC 6901).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field(Pointer);

/// A body in which not every reader finds the same: no JSON, a member twice or in other letters, a list on the way, a value that is no text
/// and no whole number, text with characters that nobody sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

impl Field {
    /// A field by its pointer, such as `/email`; nothing where the text is no pointer, or one of too many steps.
    #[must_use]
    pub fn parse(pointer: &str) -> Option<Self> {
        Pointer::parse(pointer).map(Self)
    }

    /// Its text: a string's content, or a whole number.
    ///
    /// # Errors
    /// When it is not there, or two readers of JSON could find two things.
    pub fn text<'b>(&self, body: &'b [u8]) -> Result<Cow<'b, str>, Unreadable> {
        let json: &RawValue = serde_json::from_slice(body).map_err(|_| Unreadable)?;
        let value = self.0.find_unique(json).map_err(|_| Unreadable)?.get();
        if value.starts_with('"') {
            let text: Cow<'_, str> = serde_json::from_str(value).map_err(|_| Unreadable)?;
            return if text.chars().any(is_unseen) { Err(Unreadable) } else { Ok(text) };
        }
        // `7`, `7.0` and `70e-1` are one number for some readers, and three texts here.
        let is_whole = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        if is_whole { Ok(Cow::Borrowed(value)) } else { Err(Unreadable) }
    }
}

/// Controls, and what a comparison of texts may leave out (Unicode's Default_Ignorable_Code_Point).
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn texts_and_whole_numbers_are_read_and_what_could_be_read_in_two_ways_is_not() {
        let read = |body: &str| {
            let field = Field::parse("/email").unwrap();
            field.text(body.as_bytes()).ok().map(Cow::into_owned)
        };
        assert_eq!(read(r#"{"email": "\u0065ve@example.com"}"#).as_deref(), Some("eve@example.com"));
        assert_eq!(read(r#" {"email": 12345} "#).as_deref(), Some("12345"));
        for bad in [
            "",
            "{}",
            r#""&email=eve@example.com&""#,
            r#"{"email": null}"#,
            r#"{"email": true}"#,
            r#"{"email": ["eve@example.com"]}"#,
            r#"{"email": {"$in": ["eve@example.com"]}}"#,
            r#"{"email": 12345.0}"#,
            r#"{"email": 1.2345e4}"#,
            r#"{"email": -0}"#,
            r#"{"email": "eve@example.com\ud800"}"#,
            r#"{"email": "e\u200bve@example.com"}"#,
            r#"{"email": "eve@example.com\u0000"}"#,
            r#"{"email": "eve@example.com"} {}"#,
            "\u{feff}{\"email\": \"eve@example.com\"}",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
        let utf16: Vec<u8> = r#"{"email": "a"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(Field::parse("/email").unwrap().text(&utf16), Err(Unreadable));
    }
}
