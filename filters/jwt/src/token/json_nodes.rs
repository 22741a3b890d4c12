//! A document as a flat list of nodes over its text.

/// A place in the text, or in what was unescaped, which counts on from the text's end.
#[derive(Clone, Copy, Default)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

#[derive(Clone, Copy)]
pub(super) enum Kind {
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
pub(super) struct Node {
    /// The member's name; empty for what is no member.
    pub(super) name: Span,
    pub(super) kind: Kind,
}

pub(super) fn slice<'a>(text: &'a str, unescaped: &'a str, span: Span) -> &'a str {
    let (start, end) = (span.start as usize, span.end as usize);
    let beyond = || unescaped.get(start.checked_sub(text.len())?..end.checked_sub(text.len())?);
    text.get(start..end).or_else(beyond).unwrap_or_default()
}

/// The index behind a node and all that is in it.
pub(super) fn end(nodes: &[Node], index: usize) -> usize {
    match nodes.get(index).map(|node| node.kind) {
        Some(Kind::List(end) | Kind::Object(end)) => end as usize,
        _ => index.saturating_add(1),
    }
}

/// The indices of what is right inside a list or an object; none for others.
pub(super) fn inside(nodes: &[Node], index: usize) -> impl Iterator<Item = usize> {
    let (first, last) = (index.saturating_add(1), end(nodes, index));
    core::iter::successors(Some(first), move |at| Some(end(nodes, *at))).take_while(move |at| *at < last)
}
