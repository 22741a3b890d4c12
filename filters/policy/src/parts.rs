//! What a build of the module has: `portcullis.wasm` has every part, a module for one concern has one.
//!
//! A policy with a section whose part is not there is refused: nobody is to believe that it holds.

use crate::document::Document;
use portcullis_edge_core::{ConfigError, Node};

/// Whether tokens are checked.
pub const TOKENS: bool = cfg!(feature = "tokens");
/// Whether limits, breakers and blocked networks are there.
pub const GUARDS: bool = cfg!(feature = "guards");
/// Whether business events are counted.
pub const BUSINESS: bool = cfg!(feature = "business");

/// A part that a build may be without: whether it is there, its sections, and the smallest module that has it.
type Part = (bool, &'static [&'static str], &'static str);

const PARTS: [Part; 3] = [
    (TOKENS, &["jwt"], "jwt.wasm"),
    (GUARDS, &["limits", "concurrency", "breakers", "abuse"], "rate-limit.wasm"),
    (BUSINESS, &["business"], "metrics.wasm"),
];

/// Sections of the document that this build does not know what to do with.
pub(crate) fn missing(document: &Document<'_>) -> Vec<ConfigError> {
    not_built(&PARTS, |section| document.has(section))
}

fn not_built(parts: &[Part], has: impl Fn(&str) -> bool) -> Vec<ConfigError> {
    let absent = parts.iter().filter(|(is_built, ..)| !is_built);
    let sections =
        absent.flat_map(|(_, sections, module)| sections.iter().map(move |section| (*section, *module)));
    sections.filter(|(section, _)| has(section)).map(|(section, module)| error(section, module)).collect()
}

fn error(section: &str, module: &str) -> ConfigError {
    let expected =
        format!("no section `{section}`, or one of the modules that have it: `portcullis.wasm`, `{module}`");
    Node::top().key(section).error("a section that this module was built without", expected)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_section_whose_part_is_not_built_is_an_error_that_names_the_modules_with_it() {
        let parts: [Part; 2] =
            [(true, &["jwt"], "jwt.wasm"), (false, &["limits", "abuse"], "rate-limit.wasm")];
        let errors = not_built(&parts, |section| section != "limits");
        let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "abuse: found a section that this module was built without, expected no section `abuse`, or one of the \
            modules that have it: `portcullis.wasm`, `rate-limit.wasm`"
            ]
        );
    }
}
