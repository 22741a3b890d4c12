//! Where the sides differ, short enough to be read: of long lines the part around their first difference, of many the first.

use std::fmt::Write as _;

use similar::{ChangeTag, TextDiff};

use crate::run::Difference;

/// So many lines of a step are shown.
const MOST_LINES: usize = 40;
/// A longer line is shown around its first difference.
const LONG: usize = 200;
/// So many characters before the first difference, and twice as many behind it.
const AROUND: usize = 50;

/// All steps that differ.
pub fn all(differences: &[Difference]) -> String {
    differences.iter().map(one).collect()
}

/// Both outcomes of a step: `-` the harness alone, `+` Envoy alone.
fn one(difference: &Difference) -> String {
    let mut out = String::new();
    let _ =
        writeln!(out, "      step {} differs: {}  (- harness, + envoy)", difference.step, difference.title);
    let lines = lines(&difference.harness, &difference.envoy);
    for line in lines.iter().take(MOST_LINES) {
        let _ = writeln!(out, "        {line}");
    }
    if let Some(more) = lines.len().checked_sub(MOST_LINES).filter(|more| *more > 0) {
        let _ = writeln!(out, "        ... and {more} lines more");
    }
    out
}

fn lines(harness: &str, envoy: &str) -> Vec<String> {
    let diff = TextDiff::from_lines(harness, envoy);
    let mut shown = Vec::new();
    for group in diff.grouped_ops(2) {
        for operation in group {
            let texts = |tag: ChangeTag| {
                let changes = diff.iter_changes(&operation).filter(move |change| change.tag() == tag);
                changes.map(|change| change.value().trim_end_matches('\n').to_owned()).collect::<Vec<_>>()
            };
            let (equal, only_harness, only_envoy) =
                (texts(ChangeTag::Equal), texts(ChangeTag::Delete), texts(ChangeTag::Insert));
            let around = |own: &[String], other: &[String]| -> Vec<String> {
                own.iter()
                    .enumerate()
                    .map(|(place, line)| cut(line, other.get(place).map(String::as_str)))
                    .collect()
            };
            shown.extend(equal.iter().map(|line| format!("  {}", cut(line, None))));
            shown.extend(around(&only_harness, &only_envoy).iter().map(|line| format!("- {line}")));
            shown.extend(around(&only_envoy, &only_harness).iter().map(|line| format!("+ {line}")));
        }
    }
    shown
}

/// A long line, around the first character that the other one has not.
fn cut(line: &str, other: Option<&str>) -> String {
    let length = line.chars().count();
    if length <= LONG {
        return line.to_owned();
    }
    let same = other
        .map_or(0, |other| line.chars().zip(other.chars()).take_while(|(own, other)| own == other).count());
    let from = same.saturating_sub(AROUND);
    let part: String = line.chars().skip(from).take(3 * AROUND).collect();
    let before = if from > 0 { format!("({from} characters) ... ") } else { String::new() };
    let behind = length.saturating_sub(from + 3 * AROUND);
    let behind = if behind > 0 { format!(" ... ({behind} characters)") } else { String::new() };
    format!("{before}{part}{behind}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(harness: &str, envoy: &str) -> String {
        one(&Difference { step: 2, title: "GET /".into(), harness: harness.into(), envoy: envoy.into() })
    }

    #[test]
    fn a_difference_shows_what_only_one_side_has() {
        let text = told("client: 200\nmetric a: +1\n", "client: 200\nmetric a: +2\n");
        assert!(text.contains("- metric a: +1\n") && text.contains("+ metric a: +2\n"), "{text}");
    }

    #[test]
    fn of_two_lines_of_100_kb_the_place_is_shown_at_which_they_differ() {
        let long = |middle: &str| format!("body {}{middle}{}\n", "x".repeat(60_000), "y".repeat(40_000));
        let text = told(&long("one"), &long("two"));
        assert!(
            text.contains("xxxone") && text.contains("xxxtwo") && text.contains("(59955 characters)"),
            "{text}"
        );
        assert!(text.len() < 1000, "{} bytes", text.len());
    }

    #[test]
    fn of_very_many_lines_the_first_are_shown() {
        let many = |word: &str| (0..5000).map(|n| format!("log info: {word} {n}\n")).collect::<String>();
        let text = told(&many("a"), &many("b"));
        assert!(text.lines().count() < 50 && text.contains("lines more"), "{}", text.lines().count());
    }
}
