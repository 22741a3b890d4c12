//! A file as mistakes may show it: without what may be a secret, every byte else in its place.

use crate::source::Source;
use portcullis_edge_core::{ConfigError, Node};
use std::ops::Range;

/// The text of `source` with `*` in the place of all that may be a secret: values of fields that may hold one, values of fields that
/// are not known (somebody may have mistyped a secret's), passwords in addresses, and remarks on the lines of any of these. A reference
/// to an environment variable is none.
pub(crate) fn redacted(source: &Source, errors: &[ConfigError]) -> String {
    let mut hidden: Vec<Range<usize>> = Vec::new();
    for (node, places) in source.places() {
        let is_unknown =
            || errors.iter().any(|error| is_unknown_field(error) && starts_with(node, &error.at));
        if node.may_hold_secret() || is_unknown() {
            let key = places.key.clone().filter(|_| node.name_may_be_secret());
            let values = places.scalars().filter(|range| !is_reference(source.text.get((*range).clone())));
            hidden.extend(values.cloned().chain(key));
        }
    }
    hidden.extend(passwords(&source.text));
    let remarks: Vec<_> = hidden.iter().filter_map(|range| remark_behind(&source.text, range.end)).collect();
    hidden.extend(remarks);
    covered(&source.text, &hidden)
}

/// The text with each visible byte of `hidden` covered. Line breaks stay, so that every line keeps its number.
fn covered(text: &str, hidden: &[Range<usize>]) -> String {
    let mut shown = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let is_hidden = !c.is_whitespace() && hidden.iter().any(|range| range.contains(&at));
        if is_hidden {
            shown.extend(std::iter::repeat_n('*', c.len_utf8()));
        } else {
            shown.push(c);
        }
    }
    shown
}

fn is_unknown_field(error: &ConfigError) -> bool {
    error.found.starts_with("the unknown field") || error.found.starts_with("an unknown field")
}

fn starts_with(node: &Node, begin: &Node) -> bool {
    node.0.starts_with(&begin.0)
}

/// `${ENV:NAME}`, perhaps between quotes.
fn is_reference(text: Option<&str>) -> bool {
    let text = text.unwrap_or_default().trim_matches(['"', '\'']);
    let name = text.strip_prefix("${ENV:").and_then(|rest| rest.strip_suffix('}'));
    name.is_some_and(|name| name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_'))
}

/// The user and password of every address that has them.
fn passwords(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (at, mark) in text.match_indices("://") {
        let start = at + mark.len();
        let rest = text.get(start..).unwrap_or_default();
        let authority =
            rest.split(|c: char| c.is_whitespace() || "/?#\"',}]".contains(c)).next().unwrap_or_default();
        found.extend(authority.rfind('@').map(|end| start..start + end));
    }
    found
}

/// The remark on the rest of a line, where there is one: an old secret may stand there.
fn remark_behind(text: &str, at: usize) -> Option<Range<usize>> {
    let line = text.get(at..)?.lines().next()?;
    let start = at + line.find(" #")? + 1;
    Some(start..at + line.len())
}
