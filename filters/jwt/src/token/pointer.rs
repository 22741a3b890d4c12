use deserr::Deserr;
use portcullis_edge_core::{ConfigError, ConfigErrors, Node};
use schemars::JsonSchema;

/// A JSON pointer (RFC 6901) to a claim: `/role`, `/realm_access/roles`, `/https:~1~1example.com~1roles`.
///
/// A name without a leading `/` is taken as that one top-level claim, since that is what people write: `role` is `/role`.
#[derive(Clone, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, try_from(String) = Pointer::from_policy -> ConfigError)]
#[schemars(with = "String", description = "A JSON pointer (RFC 6901), or the name of a top-level claim.")]
pub struct Pointer {
    /// Unescaped reference tokens.
    steps: Vec<String>,
}

impl Pointer {
    /// Parses a pointer.
    ///
    /// # Errors
    /// A `~` that is not `~0` or `~1`.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Ok(Self { steps: Vec::new() });
        }
        match text.strip_prefix('/') {
            Some(rest) => {
                let steps = rest.split('/').map(unescape).collect::<Result<_, _>>()?;
                Ok(Self { steps })
            }
            None => Ok(Self { steps: vec![text.to_owned()] }),
        }
    }

    fn from_policy(text: String) -> Result<Self, ConfigError> {
        let error = |expected| Node::top().error(format!("`{}`", text.escape_debug()), expected);
        if text.is_empty() {
            return Err(error("a claim: its name, or a JSON pointer such as `/realm_access/roles`"));
        }
        Self::parse(&text).map_err(error)
    }

    /// The single top-level claim `name`.
    #[must_use]
    pub fn claim(name: &str) -> Self {
        Self { steps: vec![name.to_owned()] }
    }

    /// Its reference tokens, unescaped.
    #[must_use]
    pub fn steps(&self) -> &[String] {
        &self.steps
    }
}

/// The list index that a reference token means: RFC 6901 section 4 has no leading zeros.
pub(crate) fn list_index(token: &str) -> Option<usize> {
    let canonical = token == "0" || token.bytes().next().is_some_and(|b| (b'1'..=b'9').contains(&b));
    canonical.then(|| token.parse().ok()).flatten()
}

fn unescape(token: &str) -> Result<String, &'static str> {
    if !token.split('~').skip(1).all(|tail| tail.starts_with(['0', '1'])) {
        return Err("a JSON pointer, in which `~` stands only in `~0` (for `~`) and `~1` (for `/`)");
    }
    Ok(token.replace("~1", "/").replace("~0", "~"))
}

impl core::fmt::Display for Pointer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        for step in &self.steps {
            write!(f, "/{}", step.replace('~', "~0").replace('/', "~1"))?;
        }
        Ok(())
    }
}

impl core::fmt::Debug for Pointer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_bare_name_is_a_top_level_claim_even_with_odd_characters() {
        assert_eq!(Pointer::parse("role").unwrap().to_string(), "/role");
        assert_eq!(Pointer::parse("cognito:groups").unwrap(), Pointer::claim("cognito:groups"));
        assert_eq!(Pointer::parse("https://a/b").unwrap().to_string(), "/https:~1~1a~1b");
    }

    #[test]
    fn escapes_are_read_in_the_right_order() {
        assert_eq!(Pointer::parse("/a~01").unwrap().steps[0], "a~1");
        assert!(Pointer::parse("/a~2").is_err());
        assert!(Pointer::parse("/a~").is_err());
    }
}
