//! A file that somebody wrote: YAML with the place of every node.

use portcullis_edge_core::{ConfigError, Node};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::{Location, Spanned};
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

/// A file, read.
pub struct Source {
    /// The file's text.
    pub text: String,
    /// The document in it.
    pub value: Value,
    places: HashMap<Node, Places>,
}

/// Where a node stands in the text, in bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    /// The name, where it is a field.
    pub key: Option<Range<usize>>,
    value: Range<usize>,
    /// Where an alias leads to, if that is elsewhere.
    defined: Range<usize>,
    is_scalar: bool,
}

impl Places {
    /// Where the value stands, and where an alias finds it; nothing for a list or an object, whose parts have places of their own.
    pub fn scalars(&self) -> impl Iterator<Item = &Range<usize>> {
        [&self.value, &self.defined].into_iter().filter(|_| self.is_scalar)
    }
}

/// Shows nothing of the text: it may hold secrets.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({} bytes)", self.text.len())
    }
}

/// The text is no YAML document.
pub struct NotYaml {
    /// The file's text.
    pub text: String,
    /// What is wrong.
    pub message: String,
    /// Where, in bytes.
    pub at: Range<usize>,
}

/// Shows nothing of the text: it may hold secrets.
impl fmt::Debug for NotYaml {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NotYaml(at {:?})", self.at)
    }
}

impl Source {
    /// Reads a document.
    ///
    /// # Errors
    /// When the text is no YAML, has a key twice, or nests without end.
    pub fn parse(text: String) -> Result<Self, NotYaml> {
        match serde_saphyr::from_str::<Spanned<Raw>>(&text) {
            Ok(root) => {
                let mut places = HashMap::new();
                let value = place(&root, None, &Node::top(), &text, &mut places);
                Ok(Self { text, value, places })
            }
            Err(error) => {
                let at = error.location().map_or(0..0, |location| bytes(&text, location));
                let message = error.without_snippet().to_string();
                Err(NotYaml { text, message, at })
            }
        }
    }

    /// Every node and its places.
    pub(crate) fn places(&self) -> impl Iterator<Item = (&Node, &Places)> {
        self.places.iter()
    }

    /// Where to point for an error at `node`: at the key of an unknown field, else at the value, else at what encloses it.
    #[must_use]
    pub fn range(&self, error: &ConfigError) -> Range<usize> {
        let mut node = error.at.clone();
        let is_unknown = error.found.contains("unknown field");
        let at_key = is_unknown || error.found.starts_with("the name");
        if let Some(places) = self.places.get(&node) {
            return places.key.clone().filter(|_| at_key).unwrap_or_else(|| places.value.clone());
        }
        while node.0.pop().is_some() {
            if let Some(places) = self.places.get(&node) {
                return places.key.clone().unwrap_or_else(|| first_line(&self.text, &places.value));
            }
        }
        0..0
    }
}

fn first_line(text: &str, range: &Range<usize>) -> Range<usize> {
    let line = text.get(range.start..).and_then(|t| t.lines().next()).map_or(0, str::len);
    range.start..range.start + line
}

fn bytes(text: &str, location: Location) -> Range<usize> {
    let span = location.span();
    let start = match span.byte_offset() {
        Some(offset) => (offset as usize).min(text.len()),
        None => offset_of(text, location.line() as usize, location.column() as usize),
    };
    let end = start + span.byte_len().map_or(0, |len| len as usize);
    let end = end.clamp(start, text.len());
    // A block's span reaches to the next token; what is meant ends with its last visible character.
    let shown = text.get(start..end).map_or(0, |t| t.trim_end().len());
    start..start + shown
}

fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let rest = text.get(before..).unwrap_or_default();
    before + rest.chars().take(column.saturating_sub(1)).map(char::len_utf8).sum::<usize>()
}

fn place(
    raw: &Spanned<Raw>,
    key: Option<Range<usize>>,
    node: &Node,
    text: &str,
    places: &mut HashMap<Node, Places>,
) -> Value {
    let (value, defined) = (bytes(text, raw.referenced), bytes(text, raw.defined));
    let is_scalar = matches!(raw.value, Raw::Scalar(_));
    places.insert(node.clone(), Places { key, value, defined, is_scalar });
    match &raw.value {
        Raw::Scalar(value) => value.clone(),
        Raw::List(items) => items
            .iter()
            .enumerate()
            .map(|(i, item)| place(item, None, &node.index(i), text, places))
            .collect(),
        Raw::Object(fields) => fields
            .iter()
            .map(|(name, field)| {
                let key = bytes(text, name.referenced);
                (name.value.clone(), place(field, Some(key), &node.key(&name.value), text, places))
            })
            .collect(),
    }
}

/// A YAML node, its children with their places.
#[derive(Debug)]
enum Raw {
    Scalar(Value),
    List(Vec<Spanned<Raw>>),
    Object(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Scalar(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Scalar(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Raw, A::Error> {
        let mut object = Vec::new();
        while let Some(field) = fields.next_entry()? {
            object.push(field);
        }
        Ok(Raw::Object(object))
    }
}

/// The line and column, from 1, of a byte.
#[must_use]
pub fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown<'a>(source: &'a Source, at: &Node, found: &str) -> &'a str {
        &source.text[source.range(&at.error(found, ""))]
    }

    #[test]
    fn errors_point_at_the_value_or_the_unknown_key_or_what_encloses_them() {
        let text = "version: 1\nroutes:\n  - { path: /a, methods: [GET, \"é\"] }\n  - path: /b\n".to_owned();
        let source = Source::parse(text).unwrap();
        let routes = Node::top().key("routes");
        assert_eq!(shown(&source, &routes.index(0).key("methods").index(0), "x"), "GET");
        assert_eq!(shown(&source, &routes.index(1).key("path"), "x"), "/b");
        assert_eq!(shown(&source, &routes.index(1).key("path"), "the unknown field `path`"), "path");
        assert_eq!(shown(&source, &routes.index(1).key("service"), "nothing"), "path: /b");
        assert_eq!(shown(&source, &Node::top().key("services"), "nothing"), "version: 1");
    }

    #[test]
    fn a_key_given_twice_is_no_document() {
        let error = Source::parse("a: 1\nb: 2\na: 3\n".to_owned()).unwrap_err();
        assert_eq!(line_and_column(&error.text, error.at.start), (3, 1), "{error:?}");
    }

    #[test]
    fn text_that_is_no_yaml_is_told_with_its_place() {
        let error = Source::parse("a: 1\nb: [1, 2\n".to_owned()).unwrap_err();
        assert!(line_and_column(&error.text, error.at.start).0 > 1, "{error:?}");
    }
}
