//! JSON as tokens and key sets need it: strict, and in two allocations.
//!
//! `serde_json` refuses bad UTF-8, trailing bytes, numbers beyond `f64` (1e400) and nesting beyond 128; what it does not
//! refuse is a member twice, which makes two readers of one token disagree (RFC 7519 section 4, RFC 7515 section 4). Here a
//! duplicate at any depth is an error. The document becomes a flat list of nodes in reading order over its own text, so the
//! size of a document in memory is known to the byte. Texts with escapes are few, and stand unescaped in a second string.

use super::json_nodes::{Kind, Node, Span, end, inside, slice};
use super::json_reader::{Reader, Seed};
use super::pointer::{Pointer, list_index};
use core::fmt;
use serde::de::{DeserializeSeed as _, Error as _};

/// A parsed document.
#[derive(Clone, Default)]
pub struct Json {
    text: String,
    unescaped: String,
    nodes: Vec<Node>,
    /// Objects in which a member stands twice, in order; only where such documents are read at all.
    doubled: Vec<u32>,
}

/// One value in a document.
#[derive(Clone, Copy)]
pub struct JsonRef<'a> {
    json: &'a Json,
    index: usize,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    UInt(u64),
    Int(i64),
    Float(f64),
    Text(&'a str),
    List,
    Object,
}

impl Json {
    /// Parses one document.
    ///
    /// # Errors
    /// Whatever is not JSON, a member twice in one object, a number beyond `f64`, nesting beyond 128.
    pub fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        Self::of(bytes.to_vec())
    }

    /// The same, of bytes that need not be copied.
    pub(crate) fn of(bytes: Vec<u8>) -> Result<Self, serde_json::Error> {
        Self::read(bytes, false)
    }

    /// Parses a document in which members may stand twice; [`JsonRef::is_doubled`] tells where they do.
    ///
    /// # Errors
    /// As [`Json::parse`].
    pub(crate) fn parse_marking_doubled(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        Self::read(bytes.to_vec(), true)
    }

    fn read(bytes: Vec<u8>, marks_doubled: bool) -> Result<Self, serde_json::Error> {
        let text = String::from_utf8(bytes).map_err(serde_json::Error::custom)?;
        let nodes = Vec::with_capacity(text.len() / 12);
        let doubled = marks_doubled.then(Vec::new);
        let mut reader = Reader { text: &text, unescaped: String::new(), nodes, doubled };
        let mut deserializer = serde_json::Deserializer::from_str(&text);
        Seed { reader: &mut reader, name: Span::default() }.deserialize(&mut deserializer)?;
        deserializer.end()?;
        let Reader { unescaped, nodes, doubled, .. } = reader;
        Ok(Self { text, unescaped, nodes, doubled: doubled.unwrap_or_default() })
    }

    /// Gives back what parsing reserved and did not need; for documents that are kept.
    pub fn shrink(&mut self) {
        self.text.shrink_to_fit();
        self.unescaped.shrink_to_fit();
        self.nodes.shrink_to_fit();
    }

    /// The whole document.
    #[must_use]
    pub fn root(&self) -> JsonRef<'_> {
        JsonRef { json: self, index: 0 }
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let nodes = self.nodes.capacity().saturating_mul(size_of::<Node>());
        [self.text.capacity(), self.unescaped.capacity(), nodes].iter().sum()
    }

    fn slice(&self, span: Span) -> &str {
        slice(&self.text, &self.unescaped, span)
    }
}

/// The document without a byte order mark, which some servers put before it (RFC 8259 section 8.1 lets readers ignore it).
pub(crate) fn without_bom(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// Shows nothing: a document may be a token's claims or hold a secret.
impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Json({} nodes)", self.nodes.len())
    }
}

impl<'a> JsonRef<'a> {
    /// The value itself.
    #[must_use]
    pub fn value(self) -> Value<'a> {
        match self.json.nodes.get(self.index).map(|node| node.kind) {
            None | Some(Kind::Null) => Value::Null,
            Some(Kind::Bool(b)) => Value::Bool(b),
            Some(Kind::UInt(n)) => Value::UInt(n),
            Some(Kind::Int(n)) => Value::Int(n),
            Some(Kind::Float(n)) => Value::Float(n),
            Some(Kind::Text(span)) => Value::Text(self.json.slice(span)),
            Some(Kind::List(_)) => Value::List,
            Some(Kind::Object(_)) => Value::Object,
        }
    }

    /// Whether a member of this object stands twice.
    pub(crate) fn is_doubled(self) -> bool {
        self.doubled_before(self.index.saturating_add(1))
    }

    /// Whether a member of this object, or of one in it, stands twice.
    pub(crate) fn has_doubled(self) -> bool {
        self.doubled_before(end(&self.json.nodes, self.index))
    }

    fn doubled_before(self, end: usize) -> bool {
        self.json.doubled.iter().any(|at| (self.index..end).contains(&(*at as usize)))
    }

    /// The text, if it is one.
    #[must_use]
    pub fn text(self) -> Option<&'a str> {
        match self.value() {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Elements of a list or members of an object, in order, with their names (empty in a list); nothing for others.
    pub fn children(self) -> impl Iterator<Item = (&'a str, JsonRef<'a>)> {
        inside(&self.json.nodes, self.index).map(move |index| {
            let name = self.json.nodes.get(index).map(|node| node.name).unwrap_or_default();
            (self.json.slice(name), JsonRef { index, ..self })
        })
    }

    /// The member `name`; nothing for what is no object.
    #[must_use]
    pub fn member(self, name: &str) -> Option<JsonRef<'a>> {
        (self.value() == Value::Object)
            .then(|| self.children().find(|(n, _)| *n == name).map(|(_, value)| value))
            .flatten()
    }

    /// The value that `pointer` leads to.
    #[must_use]
    pub fn at(self, pointer: &Pointer) -> Option<JsonRef<'a>> {
        self.walk(pointer.steps())
    }

    /// The value at the end of these steps, each a member's name or a list's index in decimal.
    #[must_use]
    pub fn walk(self, steps: &[String]) -> Option<JsonRef<'a>> {
        steps.iter().try_fold(self, |here, step| match here.value() {
            Value::Object => here.member(step),
            Value::List => here.children().nth(list_index(step)?).map(|(_, value)| value),
            _ => None,
        })
    }

    /// The same value for people and for further libraries.
    #[must_use]
    pub fn to_serde(self) -> serde_json::Value {
        match self.value() {
            Value::Null => serde_json::Value::Null,
            Value::Bool(b) => b.into(),
            Value::UInt(n) => n.into(),
            Value::Int(n) => n.into(),
            Value::Float(n) => n.into(),
            Value::Text(text) => text.into(),
            Value::List => self.children().map(|(_, value)| value.to_serde()).collect(),
            Value::Object => {
                let members = self.children().map(|(name, value)| (name.to_owned(), value.to_serde()));
                serde_json::Value::Object(members.collect())
            }
        }
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
