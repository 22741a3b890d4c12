//! JSON Pointers (RFC 6901) into the text of a body: numbers keep their digits.

use core::fmt;
use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A pointer, step by step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pointer(Vec<String>);

/// Steps of a pointer.
const MOST_STEPS: usize = 16;

impl Pointer {
    pub fn parse(text: &str) -> Option<Self> {
        let steps: Vec<_> = text
            .strip_prefix('/')?
            .split('/')
            .map(|step| step.replace("~1", "/").replace("~0", "~"))
            .collect();
        (steps.len() <= MOST_STEPS).then_some(Self(steps))
    }

    /// The text of what the pointer leads to; nothing if there is nothing.
    pub fn find<'b>(&self, body: &'b RawValue) -> Option<&'b RawValue> {
        self.0.iter().try_fold(body, |value, step| child(value, step))
    }
}

fn child<'b>(value: &'b RawValue, step: &str) -> Option<&'b RawValue> {
    let text = value.get();
    if !text.starts_with(['{', '[']) {
        return None;
    }
    serde_json::Deserializer::from_str(text).deserialize_any(Child { step }).ok()?
}

/// Finds one member of an object, or one element of a list; keeps nothing of the others.
struct Child<'s> {
    step: &'s str,
}

impl<'b> Visitor<'b> for Child<'_> {
    type Value = Option<&'b RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list")
    }

    /// Of members with one name the last counts, as most readers of JSON have it (RFC 8259 section 4).
    fn visit_map<A: MapAccess<'b>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = members.next_key::<Cow<'b, str>>()? {
            if name == self.step {
                found = Some(members.next_value()?);
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'b>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let wanted: Option<usize> = self.step.parse().ok();
        let mut found = None;
        let mut at = 0_usize;
        while let Some(element) = elements.next_element::<&'b RawValue>()? {
            if Some(at) == wanted {
                found = Some(element);
            }
            at = at.saturating_add(1);
        }
        Ok(found)
    }
}

/// A scalar as text: a string's content, another's spelling. Nothing for `null`, a list or an object.
pub(crate) fn scalar(value: &RawValue) -> Option<Cow<'_, str>> {
    let text = value.get();
    match text.as_bytes().first()? {
        b'"' => serde_json::from_str::<Cow<'_, str>>(text).ok(),
        b'{' | b'[' | b'n' => None,
        _ => Some(Cow::Borrowed(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const BODY: &str =
        r#"{"data": [{"id": "a\"b", "n": 1.10, "x/y": true, "none": null}], "deep": {"data": 5}}"#;

    fn find(pointer: &str) -> Option<String> {
        let body: &RawValue = serde_json::from_str(BODY).unwrap();
        Pointer::parse(pointer)?.find(body).and_then(scalar).map(Cow::into_owned)
    }

    #[test]
    fn scalars_are_found_as_they_are_spelt() {
        assert_eq!(find("/data/0/id").as_deref(), Some("a\"b"));
        assert_eq!(find("/data/0/n").as_deref(), Some("1.10"));
        assert_eq!(find("/data/0/x~1y").as_deref(), Some("true"));
        assert_eq!(find("/deep/data").as_deref(), Some("5"));
    }

    #[test]
    fn what_is_not_there_or_no_scalar_is_nothing() {
        for pointer in
            ["/none", "/data", "/data/1/id", "/data/x", "/data/0/none", "/deep", "/deep/data/5", ""]
        {
            assert_eq!(find(pointer), None, "{pointer}");
        }
    }

    #[test]
    fn deep_nesting_is_no_trap() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(30_000), "]".repeat(30_000));
        let body: &RawValue = serde_json::from_str(&deep).unwrap();
        assert!(Pointer::parse("/a").unwrap().find(body).and_then(scalar).is_none());
    }
}
