//! Mistakes, shown in the file they are in.

use crate::redact::redacted;
use crate::source::{NotYaml, Source, line_and_column};
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use portcullis_edge_core::ConfigError;
use std::ops::Range;

/// Shows every mistake of a file with the lines it is on, in the order of the file.
#[must_use]
pub fn show(path: &str, source: &Source, errors: &[ConfigError], colour: bool) -> String {
    let mut placed: Vec<_> = errors.iter().map(|error| (source.range(error), error)).collect();
    placed.sort_by_key(|(range, _)| range.start);
    let text = redacted(source, errors);
    let shown: Vec<_> =
        placed.iter().map(|(range, error)| one(path, &text, error, range.clone(), colour)).collect();
    shown.join("\n\n")
}

fn one(path: &str, text: &str, error: &ConfigError, range: Range<usize>, colour: bool) -> String {
    let title = format!("{}: found {}", error.at, error.found);
    let label = format!("expected {}", error.expected);
    let help = error.nearest.as_ref().map(|name| format!("did you mean `{name}`?"));
    let mut group = group(path, text, range, &title, &label);
    if let Some(help) = &help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    renderer(colour).render(&[group])
}

/// Says why a file is no YAML. Not with its lines: what cannot be read may be a secret anywhere.
#[must_use]
pub fn show_not_yaml(path: &str, error: &NotYaml, colour: bool) -> String {
    // Behind a colon the parser quotes the text.
    let first = error.message.lines().next().and_then(|line| line.split(':').next()).unwrap_or_default();
    let (line, column) = line_and_column(&error.text, error.at.start);
    let (title, place) = ("this is no YAML document", format!("{path}:{line}:{column}: {first}"));
    renderer(colour).render(&[Level::ERROR.primary_title(title).element(Level::NOTE.message(place))])
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

    const SECRET: &str = "\
jwt:
  providers:
    one: { secrets: [{ alg: HS256, value: &s s3cret-1 }], user_clam: x } # was s3cret-2
    two:
      secrets: [{ alg: HS256, value: *s }]
      client_secrt: s3cret-3
      jwks_uri: https://me:s3cret-4@idp.example/keys
      keys:
        - pem: |
            -----BEGIN s3cret-5
            s3cret-6
          usse: sig
    three: { secrets: [{ alg: HS256, value: \"${ENV:JWT_SECRET}\", s3cret-7: 1 }] }
";

    #[test]
    fn no_secret_is_shown_in_any_format_nor_beside_another_mistake() {
        let source = Source::parse(SECRET.to_owned()).unwrap();
        let providers = Node::top().key("jwt").key("providers");
        let two = providers.key("two");
        let at = [
            providers.key("one").key("user_clam"),
            two.key("client_secrt"),
            two.key("jwks_uri"),
            two.key("keys").index(0).key("usse"),
            two.key("keys").index(0).key("pem"),
            two.key("secrets").index(0).key("value"),
            providers.key("three").key("secrets").index(0).key("s3cret-7"),
            two,
            providers.key("one").key("secrets"),
        ];
        let unknown = |at: &Node| at.error("the unknown field `x`", "y");
        let errors: Vec<_> = at.iter().map(unknown).chain(at.iter().map(|at| at.error("x", "y"))).collect();
        for told in [show("p.yaml", &source, &errors, false), list("p.yaml", &source, &errors)] {
            assert!(!told.contains("s3cret"), "{told}");
        }
        let shown = show("p.yaml", &source, &errors, false);
        assert!(shown.contains("${ENV:JWT_SECRET}") && shown.contains("one: { secrets: [{ alg: "), "{shown}");
    }

    #[test]
    fn a_file_that_is_no_yaml_is_not_shown() {
        for text in ["secrets: [{ value: s3cret: x }]\n", "value: \"s3cret\n", "s3cret: 1\ns3cret: 2\n"] {
            let error = Source::parse(text.to_owned()).unwrap_err();
            let shown = show_not_yaml("p.yaml", &error, false);
            assert!(shown.contains("p.yaml:") && !shown.contains("s3cret"), "{shown}");
            assert!(!format!("{error:?}").contains("s3cret"));
        }
    }

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
