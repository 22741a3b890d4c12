//! From text to nodes.

use super::json_nodes::{Kind, Node, Span, inside, slice};
use core::fmt;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A document while it is read.
pub(super) struct Reader<'t> {
    pub(super) text: &'t str,
    pub(super) unescaped: String,
    pub(super) nodes: Vec<Node>,
    /// Where to note objects with a member that stands twice; without it they are an error.
    pub(super) doubled: Option<Vec<u32>>,
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

/// Reads one value.
pub(super) struct Seed<'r, 't> {
    pub(super) reader: &'r mut Reader<'t>,
    pub(super) name: Span,
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
        if !self.reader.has_duplicates(index) {
            return Ok(());
        }
        let doubled = self.reader.doubled.as_mut().ok_or(A::Error::custom("a member stands twice"))?;
        doubled.push(u32::try_from(index).map_err(A::Error::custom)?);
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
