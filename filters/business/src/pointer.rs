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
        let child = |value, step: &String| child(value, Child { step, unique: false }).ok()?;
        self.0.iter().try_fold(body, child)
    }

    /// The same, where every reader of JSON finds the same: through objects alone, and by members that stand there once. Some readers take
    /// the first of two, others the last (RFC 8259 section 4), and some take no notice of upper and lower case.
    ///
    /// # Errors
    /// Where two readers may differ, or there is nothing.
    pub fn find_unique<'b>(&self, body: &'b RawValue) -> Result<&'b RawValue, serde_json::Error> {
        self.0.iter().try_fold(body, |value, step| {
            let found = child(value, Child { step, unique: true })?;
            found.ok_or_else(|| serde::de::Error::custom("there is no such member"))
        })
    }
}

fn child<'b>(value: &'b RawValue, wanted: Child<'_>) -> Result<Option<&'b RawValue>, serde_json::Error> {
    let text = value.get();
    if !text.starts_with(['{', '[']) {
        return Ok(None);
    }
    serde_json::Deserializer::from_str(text).deserialize_any(wanted)
}

/// Finds one member of an object, or one element of a list; keeps nothing of the others.
struct Child<'s> {
    step: &'s str,
    /// Whether all readers must find the same.
    unique: bool,
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
            if self.unique && folded(&name) == folded(self.step) && (name != self.step || found.is_some()) {
                return Err(serde::de::Error::custom("a member stands there twice, or in other letters"));
            } else if name == self.step {
                found = Some(members.next_value()?);
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'b>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        if self.unique {
            return Err(serde::de::Error::custom("a list is on the way"));
        }
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

/// A name without upper and lower case, also in letters that have one only by their capital (`\u{17f}` is an `s`, `\u{212a}` a `k`).
fn folded(name: &str) -> String {
    name.to_uppercase().to_lowercase()
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
    fn what_two_readers_may_find_differently_is_not_found() {
        let unique = |body: &str| {
            let body: &RawValue = serde_json::from_str(body).unwrap();
            let found = Pointer::parse("/user/task").unwrap().find_unique(body);
            found.ok().and_then(scalar).map(Cow::into_owned)
        };
        let good = r#"{"user": {"task": "a", "other": 1, "other": 2, "tasks": 3}}"#;
        assert_eq!(unique(good).as_deref(), Some("a"));
        for bad in [
            "7",
            r#"{"user": {}}"#,
            r#"[{"user": {"task": "a"}}]"#,
            r#"{"user": [{"task": "a"}]}"#,
            r#"{"user": {"task": "a", "task": "b"}}"#,
            r#"{"user": {"task": "a"}, "user": {"task": "b"}}"#,
            r#"{"user": {"task": "a", "t\u0061sk": "b"}}"#,
            r#"{"user": {"task": "a", "Task": "b"}}"#,
            r#"{"user": {"TASK": "a"}}"#,
            r#"{"User": {"task": "a"}}"#,
            "{\"user\": {\"ta\u{17f}k\": \"a\"}}",
            "{\"user\": {\"tas\u{212a}\": \"a\"}}",
        ] {
            assert_eq!(unique(bad), None, "{bad}");
        }
    }

    #[test]
    fn deep_nesting_is_no_trap() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(30_000), "]".repeat(30_000));
        let body: &RawValue = serde_json::from_str(&deep).unwrap();
        assert!(Pointer::parse("/a").unwrap().find(body).and_then(scalar).is_none());
    }
}
