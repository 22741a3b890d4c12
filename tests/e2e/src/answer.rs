//! An HTTP answer, as it came.

use serde_json::Value;
use std::fmt;

/// Header fields in the order in which they came; names in lower case, values as bytes, duplicates kept.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, Vec<u8>)>);

impl Headers {
    pub(crate) fn push(&mut self, name: &str, value: &[u8]) {
        self.0.push((name.to_ascii_lowercase(), value.to_vec()));
    }

    /// All values of `name`, in order.
    pub fn all(&self, name: &str) -> Vec<&[u8]> {
        let wanted = self.0.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
        wanted.map(|(_, value)| value.as_slice()).collect()
    }

    /// The only value of `name` as text (what is not UTF-8 is replaced); `None` if it is absent.
    ///
    /// # Panics
    /// If there are several: a test that reads one value must not pass when there are two.
    #[track_caller]
    pub fn get(&self, name: &str) -> Option<String> {
        let values = self.all(name);
        assert!(values.len() <= 1, "{name} came {} times: {self:?}", values.len());
        values.first().map(|value| String::from_utf8_lossy(value).into_owned())
    }

    /// Whether `name` is there.
    pub fn has(&self, name: &str) -> bool {
        !self.all(name).is_empty()
    }
}

/// As one would read it in a message: `name: value` a field, what is no text escaped.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = self.0.iter().map(|(name, value)| format!("{name}: {}", value.escape_ascii()));
        f.debug_list().entries(fields).finish()
    }
}

/// An HTTP answer.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The header fields.
    pub headers: Headers,
    /// The body, with the transfer encoding taken off.
    pub body: Vec<u8>,
    /// The trailer fields.
    pub trailers: Headers,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, headers, body, trailers } = self;
        write!(f, "{status} {headers:?} {:?}", String::from_utf8_lossy(body))?;
        if *trailers == Headers::default() { Ok(()) } else { write!(f, " {trailers:?}") }
    }
}

impl Answer {
    /// The only value of the header `name`; see [`Headers::get`].
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name)
    }

    /// The body as text.
    ///
    /// # Panics
    /// If it is not UTF-8.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is not JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in the body of {self:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn twice() -> Headers {
        Headers(vec![
            ("a".into(), b"1".to_vec()),
            ("b".into(), b"\xff".to_vec()),
            ("a".into(), b"2".to_vec()),
        ])
    }

    #[test]
    fn duplicates_are_kept_in_order() {
        assert_eq!(twice().all("A"), [b"1", b"2"]);
    }

    #[test]
    #[should_panic(expected = "a came 2 times")]
    fn reading_one_value_of_two_is_an_error() {
        twice().get("a");
    }
}
