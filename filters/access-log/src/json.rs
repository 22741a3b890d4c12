//! One JSON object, written field by field.
//!
//! A log line is written for every request, and nearly all its text needs no escaping: that is checked and copied, which takes
//! a fifth of what a serialiser takes. Text that does need it is left to `serde_json`.

use crate::user::shortened;
use std::borrow::Cow;

/// An object being written.
pub(crate) struct Object {
    out: Vec<u8>,
    /// Whether the next field is the first of its object.
    first: bool,
}

impl Object {
    /// An object with room for `bytes`.
    pub fn with_capacity(bytes: usize) -> Self {
        let mut out = Vec::with_capacity(bytes);
        out.push(b'{');
        Self { out, first: true }
    }

    /// Names are literals of ours that need no escaping.
    fn name(&mut self, name: &'static str) {
        if !core::mem::take(&mut self.first) {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    /// A field whose text is `parts`, one after another.
    pub fn text(&mut self, name: &'static str, parts: &[&str]) {
        self.name(name);
        self.out.push(b'"');
        parts.iter().for_each(|part| self.out.extend_from_slice(escaped(part).as_bytes()));
        self.out.push(b'"');
    }

    /// A field whose text is cut at `most` bytes.
    pub fn bounded(&mut self, name: &'static str, text: &str, most: usize) {
        self.text(name, &[&shortened(text, most)]);
    }

    /// A field with a whole number.
    pub fn number(&mut self, name: &'static str, value: u64) {
        self.name(name);
        self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }

    /// A field with `true` or `false`.
    pub fn boolean(&mut self, name: &'static str, value: bool) {
        self.name(name);
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// Begins an object inside.
    pub fn open(&mut self, name: &'static str) {
        self.name(name);
        self.out.push(b'{');
        self.first = true;
    }

    /// Ends the object inside.
    pub fn close(&mut self) {
        self.out.push(b'}');
        self.first = false;
    }

    /// Ends the whole.
    pub fn end(mut self) -> Vec<u8> {
        self.out.push(b'}');
        self.out
    }
}

/// Text as it stands between quotes in JSON.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    if is_plain(text.as_bytes()) {
        return Cow::Borrowed(text);
    }
    // Text always has a JSON form.
    let quoted = serde_json::to_string(text).unwrap_or_default();
    let inside = quoted.strip_prefix('"').and_then(|q| q.strip_suffix('"')).unwrap_or_default();
    Cow::Owned(inside.to_owned())
}

/// A number of thousandths: 1234 is written as 1.234.
pub(crate) fn push_thousandths(out: &mut Vec<u8>, value: u64) {
    let mut digits = itoa::Buffer::new();
    out.extend_from_slice(digits.format(value / 1000).as_bytes());
    out.push(b'.');
    let thousandths = value % 1000;
    let zeros = match thousandths {
        100.. => "",
        10..=99 => "0",
        _ => "00",
    };
    out.extend_from_slice(zeros.as_bytes());
    out.extend_from_slice(digits.format(thousandths).as_bytes());
}

/// Whether text stands in JSON as it is. Looks at eight bytes at a time: in wasm, a loop over single bytes would be most of what
/// a line costs.
fn is_plain(text: &[u8]) -> bool {
    let mut words = text.chunks_exact(8);
    let whole =
        words.by_ref().all(|word| word.try_into().is_ok_and(|word| !any_special(u64::from_le_bytes(word))));
    whole && words.remainder().iter().all(|b| *b >= 0x20 && *b != b'"' && *b != b'\\')
}

/// Whether any of eight bytes is a control, `"` or `\`. A byte below `n` is one whose high bit appears when `n` is subtracted and
/// that had none; a borrow from a lower byte can only make the answer yes when that lower byte was special itself.
fn any_special(word: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let below = |word: u64, n: u64| word.wrapping_sub(ONES.wrapping_mul(n)) & !word & HIGHS;
    let equals = |byte: u8| below(word ^ ONES.wrapping_mul(u64::from(byte)), 1);
    (below(word, 0x20) | equals(b'"') | equals(b'\\')) != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn numbers_keep_their_zeros() {
        for (value, expected) in
            [(0, "0.000"), (7, "0.007"), (70, "0.070"), (1_000, "1.000"), (u64::MAX, "18446744073709551.615")]
        {
            let mut out = Vec::new();
            push_thousandths(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
        let mut object = Object::with_capacity(0);
        object.number("e", 10_090);
        object.number("f", 0);
        assert_eq!(String::from_utf8(object.end()).unwrap(), r#"{"e":10090,"f":0}"#);
    }

    #[test]
    fn a_special_byte_is_found_wherever_it_stands() {
        for length in 0..20 {
            for at in 0..length {
                for byte in 0..=255_u8 {
                    let mut text = vec![b'a'; length];
                    text[at] = byte;
                    let expected = byte >= 0x20 && byte != b'"' && byte != b'\\';
                    assert_eq!(is_plain(&text), expected, "byte {byte} at {at} of {length}");
                }
            }
        }
    }

    #[test]
    fn objects_nest_and_go_on_after_one_that_is_empty() {
        let mut object = Object::with_capacity(0);
        object.open("a");
        object.close();
        object.text("b", &["x", "\"\n"]);
        object.boolean("c", true);
        assert_eq!(String::from_utf8(object.end()).unwrap(), r#"{"a":{},"b":"x\"\n","c":true}"#);
    }
}
