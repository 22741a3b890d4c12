//! JSON as tokens and key sets need it: strict, and in two allocations.
//!
//! `serde_json` refuses bad UTF-8, trailing bytes, numbers beyond `f64` (1e400) and nesting beyond 128; what it does not
//! refuse is a member twice, which makes two readers of one token disagree (RFC 7519 section 4, RFC 7515 section 4). Here a
//! duplicate at any depth is an error. The document becomes a flat list of nodes in reading order over its own text, so the
//! size of a document in memory is known to the byte. Texts with escapes are few, and stand unescaped in a second string.

use super::pointer::{Pointer, list_index};
use core::fmt;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A place in the text, or in what was unescaped, which counts on from the text's end.
#[derive(Clone, Copy, Default)]
struct Span {
    start: u32,
    end: u32,
}

#[derive(Clone, Copy)]
enum Kind {
    Null,
    Bool(bool),
    UInt(u64),
    Int(i64),
    Float(f64),
    Text(Span),
    /// Elements follow, up to (not with) this node.
    List(u32),
    /// Members follow, up to (not with) this node.
    Object(u32),
}

#[derive(Clone, Copy)]
struct Node {
    /// The member's name; empty for what is no member.
    name: Span,
    kind: Kind,
}

/// A parsed document.
#[derive(Clone, Default)]
pub struct Json {
    text: String,
    unescaped: String,
    nodes: Vec<Node>,
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
        let text = String::from_utf8(bytes).map_err(serde_json::Error::custom)?;
        let nodes = Vec::with_capacity(text.len() / 12);
        let mut reader = Reader { text: &text, unescaped: String::new(), nodes };
        let mut deserializer = serde_json::Deserializer::from_str(&text);
        Seed { reader: &mut reader, name: Span::default() }.deserialize(&mut deserializer)?;
        deserializer.end()?;
        let Reader { unescaped, nodes, .. } = reader;
        Ok(Self { text, unescaped, nodes })
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

fn slice<'a>(text: &'a str, unescaped: &'a str, span: Span) -> &'a str {
    let (start, end) = (span.start as usize, span.end as usize);
    let beyond = || unescaped.get(start.checked_sub(text.len())?..end.checked_sub(text.len())?);
    text.get(start..end).or_else(beyond).unwrap_or_default()
}

/// The index behind a node and all that is in it.
fn end(nodes: &[Node], index: usize) -> usize {
    match nodes.get(index).map(|node| node.kind) {
        Some(Kind::List(end) | Kind::Object(end)) => end as usize,
        _ => index.saturating_add(1),
    }
}

/// The indices of what is right inside a list or an object; none for others.
fn inside(nodes: &[Node], index: usize) -> impl Iterator<Item = usize> {
    let (first, last) = (index.saturating_add(1), end(nodes, index));
    core::iter::successors(Some(first), move |at| Some(end(nodes, *at))).take_while(move |at| *at < last)
}

/// A document while it is read.
struct Reader<'t> {
    text: &'t str,
    unescaped: String,
    nodes: Vec<Node>,
}

impl Reader<'_> {
    fn push(&mut self, name: Span, kind: Kind) -> usize {
        self.nodes.push(Node { name, kind });
        self.nodes.len().saturating_sub(1)
    }

    /// Where a piece of the text stands. A document is never near 4 GiB; should one be, it is refused.
    fn place<E: Error>(&self, piece: &str) -> Result<Span, E> {
        let start = piece.as_ptr().addr().saturating_sub(self.text.as_ptr().addr());
        span(start, piece.len())
    }

    fn keep<E: Error>(&mut self, unescaped: &str) -> Result<Span, E> {
        let start = self.text.len().saturating_add(self.unescaped.len());
        self.unescaped.push_str(unescaped);
        span(start, unescaped.len())
    }

    fn close<E: Error>(&mut self, index: usize, kind: fn(u32) -> Kind) -> Result<(), E> {
        let end = u32::try_from(self.nodes.len()).map_err(E::custom)?;
        if let Some(node) = self.nodes.get_mut(index) {
            node.kind = kind(end);
        }
        Ok(())
    }

    fn names(&self, object: usize) -> impl Iterator<Item = &str> {
        let name = |at: usize| self.nodes.get(at).map(|node| slice(self.text, &self.unescaped, node.name));
        inside(&self.nodes, object).filter_map(name)
    }

    /// A token's objects have a dozen members; only a hostile one is large enough to be worth sorting.
    fn has_duplicates(&self, object: usize) -> bool {
        let mut seen = [""; 16];
        for (count, name) in self.names(object).enumerate() {
            let Some((earlier, [place, ..])) = seen.split_at_mut_checked(count) else {
                return self.has_duplicates_among_many(object);
            };
            if earlier.contains(&name) {
                return true;
            }
            *place = name;
        }
        false
    }

    fn has_duplicates_among_many(&self, object: usize) -> bool {
        let mut names: Vec<&str> = self.names(object).collect();
        names.sort_unstable();
        names.windows(2).any(|pair| matches!(pair, [a, b] if a == b))
    }
}

fn span<E: Error>(start: usize, length: usize) -> Result<Span, E> {
    let (start, end) = (u32::try_from(start), u32::try_from(start.saturating_add(length)));
    Ok(Span { start: start.map_err(E::custom)?, end: end.map_err(E::custom)? })
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

struct Seed<'r, 't> {
    reader: &'r mut Reader<'t>,
    name: Span,
}

impl<'de> DeserializeSeed<'de> for Seed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.reader.push(self.name, Kind::Null);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.reader.push(self.name, Kind::Bool(value));
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.reader.push(self.name, Kind::UInt(value));
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.reader.push(self.name, Kind::Int(value));
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.reader.push(self.name, Kind::Float(value));
        Ok(())
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<(), E> {
        let span = self.reader.place(value)?;
        self.reader.push(self.name, Kind::Text(span));
        Ok(())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        let span = self.reader.keep(value)?;
        self.reader.push(self.name, Kind::Text(span));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let index = self.reader.push(self.name, Kind::List(0));
        while list.next_element_seed(Seed { reader: self.reader, name: Span::default() })?.is_some() {}
        self.reader.close(index, Kind::List)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let index = self.reader.push(self.name, Kind::Object(0));
        while let Some(name) = object.next_key_seed(Name(self.reader))? {
            object.next_value_seed(Seed { reader: self.reader, name })?;
        }
        self.reader.close(index, Kind::Object)?;
        if self.reader.has_duplicates(index) {
            return Err(A::Error::custom("a member stands twice"));
        }
        Ok(())
    }
}

struct Name<'r, 't>(&'r mut Reader<'t>);

impl<'de> DeserializeSeed<'de> for Name<'_, '_> {
    type Value = Span;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Span, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name<'_, '_> {
    type Value = Span;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Span, E> {
        self.0.place(value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Span, E> {
        self.0.keep(value)
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
