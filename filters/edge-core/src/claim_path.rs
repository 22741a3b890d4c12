use crate::{ConfigError, ConfigErrors, Node};
use deserr::Deserr;
use schemars::JsonSchema;

/// The way to a claim: the reference tokens of a JSON pointer (RFC 6901), or the name of one top-level claim.
#[derive(Clone, Debug, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, try_from(String) = ClaimPath::parse -> ConfigError)]
#[schemars(with = "String", description = "A JSON pointer (RFC 6901), or the name of a top-level claim.")]
pub struct ClaimPath(Vec<String>);

impl ClaimPath {
    /// Parses a pointer or a name.
    ///
    /// # Errors
    /// An empty text, or a `~` that is not `~0` or `~1`.
    pub fn parse(text: String) -> Result<Self, ConfigError> {
        let Some(rest) = text.strip_prefix('/') else {
            return if text.is_empty() { Err(bad(&text)) } else { Ok(Self(vec![text])) };
        };
        rest.split('/').map(unescape).collect::<Option<_>>().map(Self).ok_or_else(|| bad(&text))
    }

    /// Its steps, unescaped.
    #[must_use]
    pub fn steps(&self) -> &[String] {
        &self.0
    }
}

fn bad(text: &str) -> ConfigError {
    let expected = "a claim: its name, or a JSON pointer such as `/realm_access/roles` (RFC 6901)";
    Node::top().error(format!("`{}`", text.escape_debug()), expected)
}

fn unescape(token: &str) -> Option<String> {
    let fine = token.split('~').skip(1).all(|tail| tail.starts_with(['0', '1']));
    fine.then(|| token.replace("~1", "/").replace("~0", "~"))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_name_is_one_step_and_a_pointer_as_many_as_it_has() {
        let steps = |text: &str| ClaimPath::parse(text.to_owned()).map(|path| path.steps().to_vec()).ok();
        let expected = |steps: &[&str]| Some(steps.iter().map(|step| (*step).to_owned()).collect::<Vec<_>>());
        assert_eq!(steps("https://a.example/roles"), expected(&["https://a.example/roles"]));
        assert_eq!(steps("/realm_access/roles"), expected(&["realm_access", "roles"]));
        assert_eq!(steps("/a~1b/m~0n"), expected(&["a/b", "m~n"]));
        assert_eq!([steps(""), steps("/a~2"), steps("/a~")], [None, None, None]);
    }
}
