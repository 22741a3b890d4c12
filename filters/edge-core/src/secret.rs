use crate::{ConfigError, ConfigErrors, Node};
use core::{fmt, ops::Deref};
use deserr::{DeserializeError, Deserr, ErrorKind, IntoValue, Value, ValuePointerRef, take_cf_content};
use schemars::JsonSchema;

/// What is known of an environment variable of the proxy.
#[derive(Clone, PartialEq, Eq)]
pub enum Variable {
    /// Its value.
    Is(String),
    /// The proxy does not have it.
    Unset,
    /// It cannot be known here, away from the proxy: what it stands for is left out, and the rest still checked.
    Elsewhere,
}

/// A value, or the lack of one.
impl From<Option<String>> for Variable {
    fn from(value: Option<String>) -> Self {
        value.map_or(Self::Unset, Self::Is)
    }
}

/// Shows no value.
impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Is(_) => "Is(..)",
            Self::Unset => "Unset",
            Self::Elsewhere => "Elsewhere",
        })
    }
}

/// Reads an environment variable of the proxy.
pub type Env<'e> = &'e dyn Fn(&str) -> Variable;

/// A text of a policy that is never shown: not in errors, not in debug output.
///
/// `${ENV:NAME}` stands for an environment variable of the proxy, which is all that Istio and Envoy Gateway offer to bring a
/// secret to a filter.
#[derive(Clone, PartialEq, Eq, JsonSchema)]
#[schemars(transparent)]
pub struct SecretText(String);

impl SecretText {
    /// A secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, with an environment reference resolved; `None` where it can only be known elsewhere.
    ///
    /// # Errors
    /// A variable that is not set or empty, or a reference that names none.
    pub fn resolve(&self, at: &Node, env: Env<'_>) -> Result<Option<Resolved>, ConfigError> {
        let Some(rest) = self.0.strip_prefix("${") else { return Ok(Some(Resolved(self.0.clone()))) };
        let name = rest.strip_prefix("ENV:").and_then(|rest| rest.strip_suffix('}'));
        let is_name =
            |name: &&str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let name =
            name.filter(is_name).ok_or_else(|| at.error("another kind of reference", "`${ENV:NAME}`"))?;
        match env(name) {
            Variable::Is(value) if !value.is_empty() => Ok(Some(Resolved(value))),
            Variable::Elsewhere => Ok(None),
            _ => Err(at.error(unset(name), "an environment variable that the proxy has")),
        }
    }
}

/// RFC 2104 section 3: a key shorter than the hash (SHA-256) is discouraged.
const SHORTEST_HMAC_KEY: usize = 32;

impl SecretText {
    /// The bytes of a key for HMAC-SHA256; none where it can only be known elsewhere. Mistakes are added to `errors`: a variable that is
    /// not set, white space at an end, fewer than 32 bytes.
    pub fn hmac_key(&self, at: &Node, env: Env<'_>, errors: &mut Vec<ConfigError>) -> Vec<u8> {
        let secret = match self.resolve(at, env) {
            Ok(Some(secret)) => secret,
            Ok(None) => return Vec::new(),
            Err(error) => {
                errors.push(error);
                return Vec::new();
            }
        };
        errors.extend(secret.check_ends(at).err());
        if secret.len() < SHORTEST_HMAC_KEY {
            let found = format!("{} bytes (the value is not shown)", secret.len());
            errors.push(at.error(found, format!("{SHORTEST_HMAC_KEY} bytes or more")));
        }
        secret.as_bytes().to_vec()
    }
}

/// A name that is not written as variables are may be the secret itself.
fn unset(name: &str) -> String {
    match name.bytes().any(|b| b.is_ascii_lowercase()) {
        true => "a variable that is not set (its name is not shown)".to_owned(),
        false => format!("`${{ENV:{name}}}`, which is not set"),
    }
}

/// A resolved secret.
pub struct Resolved(String);

impl Resolved {
    /// A secret of which a file's last line break has become a part is another secret than the issuer's, and no log-in works.
    ///
    /// # Errors
    /// White space at an end.
    pub fn check_ends(&self, at: &Node) -> Result<(), ConfigError> {
        if self.0.trim() == self.0 {
            return Ok(());
        }
        Err(at
            .error("white space at an end, such as a line break (the value is not shown)", "the value alone"))
    }
}

impl Deref for Resolved {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

impl Deserr<ConfigErrors> for SecretText {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, ConfigErrors> {
        match value {
            Value::String(text) => Ok(Self(text)),
            _ => Err(take_cf_content(ConfigErrors::error(None, unshown::<V>(), location))),
        }
    }
}

/// Not `IncorrectValueKind`: that would show the value.
fn unshown<'a, V: IntoValue>() -> ErrorKind<'a, V> {
    ErrorKind::Unexpected { msg: "text (the value is not shown)".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn resolve(text: &str) -> Result<String, String> {
        let env = |name: &str| match name {
            "KEY" => Variable::Is("from-env".to_owned()),
            "EMPTY" => Variable::Is(String::new()),
            "ELSEWHERE" => Variable::Elsewhere,
            _ => Variable::Unset,
        };
        let resolved = SecretText::new(text).resolve(&Node::top().key("value"), &env);
        resolved.map(|r| r.map_or("?".to_owned(), |r| r.to_string())).map_err(|e| e.to_string())
    }

    #[test]
    fn a_reference_becomes_the_variable_and_a_text_stays() {
        assert_eq!(resolve("${ENV:KEY}"), Ok("from-env".to_owned()));
        assert_eq!(resolve("plain $ text"), Ok("plain $ text".to_owned()));
        assert_eq!(resolve("${ENV:ELSEWHERE}"), Ok("?".to_owned()));
    }

    #[test]
    fn a_reference_that_leads_nowhere_is_an_error_and_never_a_secret_by_itself() {
        for bad in ["${ENV:MISSING}", "${ENV:EMPTY}"] {
            assert!(
                resolve(bad).unwrap_err().contains("an environment variable that the proxy has"),
                "{bad}"
            );
        }
        for bad in ["${ENV:}", "${ENV:A-B}", "${FILE:/x}", "${ENV:KEY"] {
            assert!(resolve(bad).unwrap_err().contains("another kind of reference"), "{bad}");
        }
        assert!(resolve("${ENV:MISSING}").unwrap_err().contains("${ENV:MISSING}"));
    }

    #[test]
    fn neither_errors_nor_debug_show_a_secret() {
        let result: Result<SecretText, ConfigErrors> = deserr::deserialize(serde_json::json!([12_345_678]));
        assert!(!format!("{:?}", result.unwrap_err()).contains("12345678"));
        assert_eq!(format!("{:?}", SecretText::new("s3cret")), "SecretText(..)");
        assert_eq!(format!("{:?}", Variable::Is("s3cret".to_owned())), "Is(..)");
    }

    #[test]
    fn a_key_has_as_many_bytes_as_its_hash() {
        let key = |text: &str| {
            let mut errors = Vec::new();
            let key = SecretText::new(text).hmac_key(&Node::top(), &|_| Variable::Unset, &mut errors);
            (key.len(), errors.len())
        };
        assert_eq!(key(&"k".repeat(32)), (32, 0));
        assert_eq!(key(&"k".repeat(31)), (31, 1));
    }
}
