//! Mistakes, shown in the file they are in.

use crate::source::{NotYaml, Source, line_and_column};
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use portcullis_edge_core::ConfigError;
use std::ops::Range;

/// Shows every mistake of a file with the lines it is on, in the order of the file.
#[must_use]
pub fn show(path: &str, source: &Source, errors: &[ConfigError], colour: bool) -> String {
    let mut placed: Vec<_> = errors.iter().map(|error| (source.range(error), error)).collect();
    placed.sort_by_key(|(range, _)| range.start);
    let shown: Vec<_> =
        placed.iter().map(|(range, error)| one(path, source, error, range.clone(), colour)).collect();
    shown.join("\n\n")
}

fn one(path: &str, source: &Source, error: &ConfigError, range: Range<usize>, colour: bool) -> String {
    let title = format!("{}: found {}", error.at, error.found);
    let label = format!("expected {}", error.expected);
    let help = error.nearest.as_ref().map(|name| format!("did you mean `{name}`?"));
    let mut group = group(path, &source.text, range, &title, &label);
    if let Some(help) = &help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    renderer(colour).render(&[group])
}

/// Shows why a file is no YAML.
#[must_use]
pub fn show_not_yaml(path: &str, error: &NotYaml, colour: bool) -> String {
    let first = error.message.lines().next().unwrap_or_default();
    renderer(colour).render(&[group(path, &error.text, error.at.clone(), "this is no YAML document", first)])
}

fn group<'a>(path: &'a str, text: &'a str, range: Range<usize>, title: &'a str, label: &'a str) -> Group<'a> {
    let snippet = Snippet::source(text)
        .path(path)
        .fold(true)
        .annotation(AnnotationKind::Primary.span(range).label(label));
    Level::ERROR.primary_title(title).element(snippet)
}

fn renderer(colour: bool) -> Renderer {
    if colour { Renderer::styled() } else { Renderer::plain() }
}

/// One line a mistake, for editors and CI: `file:line:column: place: found ..., expected ...`.
#[must_use]
pub fn list(path: &str, source: &Source, errors: &[ConfigError]) -> String {
    let line = |error: &ConfigError| {
        let (line, column) = line_and_column(&source.text, source.range(error).start);
        format!("{path}:{line}:{column}: {error}")
    };
    errors.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_edge_core::Node;

    #[test]
    fn a_mistake_is_shown_on_its_line_with_what_was_expected_and_the_nearest_name() {
        let source = Source::parse("version: 1\nmetrcis: {}\nservices: {}\nroutes: []\n".to_owned()).unwrap();
        let at = Node::top().key("metrcis");
        let errors =
            [at.error("the unknown field `metrcis`", "one of `metrics`").near("metrcis", ["metrics"])];
        let shown = show("gateway.yaml", &source, &errors, false);
        for part in [
            "error: metrcis: found the unknown field `metrcis`",
            "gateway.yaml:2:1",
            "did you mean `metrics`?",
        ] {
            assert!(shown.contains(part), "no `{part}` in\n{shown}");
        }
        assert!(list("f", &source, &errors).starts_with("f:2:1: metrcis: found the unknown field"));
    }
}
