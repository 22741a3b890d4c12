//! What differs from run to run, or between the sides for a reason that is no module's business. The list is short, and
//! `docs/harness.md` repeats it:
//!
//! - headers of Envoy's own connection manager and router: `date`, `x-envoy-*`;
//! - framing: `transfer-encoding`, `connection`, `content-length: 0`;
//! - generated ids (UUIDs) stand as `<uuid>`, and instants lose their fraction of a second;
//! - ports of the loopback stand as `<port>`;
//! - the order of different headers.

use crate::plan::Fields;
use regex::Regex;
use std::sync::LazyLock;

static UUID: LazyLock<Regex> =
    LazyLock::new(|| regex("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"));
static INSTANT: LazyLock<Regex> = LazyLock::new(|| regex(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d+Z"));
static PORT: LazyLock<Regex> = LazyLock::new(|| regex(r"\b(127\.\d+\.\d+\.\d+):\d+"));

fn regex(text: &str) -> Regex {
    Regex::new(text).unwrap_or_else(|error| panic!("{error}"))
}

/// A text without what differs from run to run.
#[must_use]
pub fn text(text: &str) -> String {
    let text = UUID.replace_all(text, "<uuid>");
    let text = INSTANT.replace_all(&text, "${1}Z");
    PORT.replace_all(&text, "$1:<port>").into_owned()
}

/// Header fields without what differs, by name; values of one name keep their order.
#[must_use]
pub fn fields(fields: &Fields) -> Vec<(String, String)> {
    let kept = fields.iter().filter(|(name, value)| !is_volatile(name, value));
    let mut kept: Vec<_> =
        kept.map(|(name, value)| (name.clone(), text(&value.escape_ascii().to_string()))).collect();
    kept.sort_by(|a, b| a.0.cmp(&b.0));
    kept
}

fn is_volatile(name: &str, value: &[u8]) -> bool {
    let framing = ["date", "transfer-encoding", "connection"].contains(&name);
    framing || name.starts_with("x-envoy-") || (name == "content-length" && value == b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_fractions_and_ports_are_alike_in_every_run() {
        let one =
            text("c5b0e3c4-0f5e-4b1e-9a53-1f3f4f6e8a11 at 2026-01-01T00:00:00.123Z from 127.0.0.1:4567");
        assert_eq!(one, "<uuid> at 2026-01-01T00:00:00Z from 127.0.0.1:<port>");
    }

    #[test]
    fn what_the_proxy_adds_of_itself_is_left_out_and_the_order_of_names_does_not_matter() {
        let of = |names: &[(&str, &str)]| {
            fields(&names.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())).collect())
        };
        let one = of(&[("b", "1"), ("a", "2"), ("date", "now"), ("x-envoy-internal", "true")]);
        assert_eq!(one, of(&[("a", "2"), ("b", "1")]));
        assert_ne!(of(&[("a", "1"), ("a", "2")]), of(&[("a", "2"), ("a", "1")]));
    }
}
