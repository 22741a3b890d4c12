//! Errors in a policy: all of them at once, each with its place, what stands there, what was expected and the nearest valid
//! name.

use core::{fmt, ops::ControlFlow};
use deserr::{DeserializeError, ErrorKind, IntoValue, MergeWithError, ValueKind, ValuePointerRef};

/// One step into a policy document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathSegment {
    /// A field of an object.
    Key(String),
    /// An element of a list.
    Index(usize),
}

/// A place in the policy: the steps from its top.
///
/// ```
/// use portcullis_edge_core::Node;
/// let methods = Node::top().key("routes").index(3).key("methods");
/// assert_eq!(methods.to_string(), "routes[3].methods");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(pub Vec<PathSegment>);

impl Node {
    /// The document itself.
    #[must_use]
    pub fn top() -> Self {
        Self::default()
    }

    /// The field `name` below this place.
    #[must_use]
    pub fn key(&self, name: &str) -> Self {
        self.step(PathSegment::Key(name.to_owned()))
    }

    /// The element `index` below this place.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.step(PathSegment::Index(index))
    }

    fn step(&self, segment: PathSegment) -> Self {
        let mut steps = self.0.clone();
        steps.push(segment);
        Self(steps)
    }

    /// Whether what stands here may be a secret, perhaps one that somebody put where it does not belong: then nothing shows it, neither
    /// an error nor the lines of the file around another one.
    #[must_use]
    pub fn may_hold_secret(&self) -> bool {
        self.0.iter().any(|segment| matches!(segment, PathSegment::Key(name) if is_secret(name)))
    }

    /// Whether the name that stands here may be a secret: it is that of a field inside one that may hold a secret, and none that such
    /// fields have.
    #[must_use]
    pub fn name_may_be_secret(&self) -> bool {
        match self.0.split_last() {
            Some((PathSegment::Key(name), above)) => {
                !KNOWN.contains(&name.as_str()) && Self(above.to_vec()).may_hold_secret()
            }
            _ => false,
        }
    }

    /// An error at this place.
    #[must_use]
    pub fn error(&self, found: impl Into<String>, expected: impl Into<String>) -> ConfigError {
        let (found, expected) = (without_userinfo(found.into()), without_userinfo(expected.into()));
        ConfigError { at: self.clone(), found, expected, nearest: None }
    }

    fn from_pointer(pointer: ValuePointerRef<'_>) -> Self {
        match pointer {
            ValuePointerRef::Origin => Self::top(),
            ValuePointerRef::Key { key, prev } => Self::from_pointer(*prev).key(key),
            ValuePointerRef::Index { index, prev } => Self::from_pointer(*prev).index(index),
        }
    }
}

/// Fields of a policy that hold secrets or keys, and names that people give to such fields.
const SECRETS: [&str; 10] = [
    "secret",
    "password",
    "passwd",
    "passphrase",
    "credential",
    "private",
    "pem",
    "api_key",
    "apikey",
    "authorization",
];

/// Names of fields below a secret one that say what it is, and are no secret themselves.
const KNOWN: [&str; 12] =
    ["alg", "value", "values", "encoding", "kid", "id", "use", "kty", "crv", "keys", "pem", "jwks"];

/// Whether a field of this name may hold a secret.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    name == "jwks" || name == "jwk" || SECRETS.iter().any(|secret| name.contains(secret))
}

/// `https://user:password@host` without user and password.
fn without_userinfo(text: String) -> String {
    let Some((before, rest)) = text.split_once("://") else { return text };
    let authority = rest.split(['/', '?', '#', ' ', '`']).next().unwrap_or_default();
    match authority.rfind('@').and_then(|at| rest.get(at..)) {
        Some(host) => format!("{before}://***{host}"),
        None => text,
    }
}

/// In the place of a name that may be a secret.
const HIDDEN: &str = "***";

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("(top of the policy)");
        }
        let mut above = Self::top();
        for segment in &self.0 {
            let here = above.step(segment.clone());
            match segment {
                PathSegment::Key(_) if here.name_may_be_secret() => write!(f, ".{HIDDEN}")?,
                PathSegment::Key(key) if above.0.is_empty() => f.write_str(key)?,
                PathSegment::Key(key) => write!(f, ".{key}")?,
                PathSegment::Index(index) => write!(f, "[{index}]")?,
            }
            above = here;
        }
        Ok(())
    }
}

/// One mistake in a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Where.
    pub at: Node,
    /// What stands there.
    pub found: String,
    /// What may stand there.
    pub expected: String,
    /// The valid name that looks most like what was found.
    pub nearest: Option<String>,
}

impl ConfigError {
    /// Adds the nearest of the valid names to `name`, if one is near enough to be meant.
    #[must_use]
    pub fn near<'a>(mut self, name: &str, valid: impl IntoIterator<Item = &'a str>) -> Self {
        self.nearest = nearest(name, valid).map(str::to_owned);
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: found {}, expected {}", self.at, self.found, self.expected)?;
        match &self.nearest {
            Some(name) => write!(f, "; did you mean `{name}`?"),
            None => Ok(()),
        }
    }
}

/// The name among `valid` that is closest to `name`, within a third of its length in edits (one at least).
#[must_use]
pub fn nearest<'a>(name: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = name.chars().count().div_ceil(3).max(1);
    valid
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Every mistake found so far; the error type of all policy parsing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl MergeWithError<ConfigErrors> for ConfigErrors {
    fn merge(this: Option<Self>, other: Self, _: ValuePointerRef<'_>) -> ControlFlow<Self, Self> {
        let mut all = this.unwrap_or_default();
        all.0.extend(other.0);
        ControlFlow::Continue(all)
    }
}

/// A `try_from` of a policy type says what it expected; what it found is the value.
impl MergeWithError<ConfigError> for ConfigErrors {
    fn merge(this: Option<Self>, other: ConfigError, at: ValuePointerRef<'_>) -> ControlFlow<Self, Self> {
        let mut all = this.unwrap_or_default();
        all.0.push(ConfigError { at: Node::from_pointer(at), ..other });
        ControlFlow::Continue(all)
    }
}

impl DeserializeError for ConfigErrors {
    fn error<V: IntoValue>(
        this: Option<Self>,
        error: ErrorKind<'_, V>,
        at: ValuePointerRef<'_>,
    ) -> ControlFlow<Self, Self> {
        let mut all = this.unwrap_or_default();
        all.0.push(describe(error, &Node::from_pointer(at)));
        ControlFlow::Continue(all)
    }
}

fn describe<V: IntoValue>(error: ErrorKind<'_, V>, at: &Node) -> ConfigError {
    match error {
        ErrorKind::IncorrectValueKind { actual, accepted } if at.may_hold_secret() => {
            at.error(kind_name(actual.kind()), kinds(accepted))
        }
        ErrorKind::IncorrectValueKind { actual, accepted } => at.error(found(&actual), kinds(accepted)),
        ErrorKind::MissingField { field } => at.key(field).error("nothing", format!("the field `{field}`")),
        ErrorKind::UnknownKey { key, accepted } if at.may_hold_secret() => {
            at.key(key).error("an unknown field (its name is not shown)", one_of(accepted))
        }
        ErrorKind::UnknownKey { key, accepted } => at
            .key(key)
            .error(format!("the unknown field `{key}`"), one_of(accepted))
            .near(key, accepted.iter().copied()),
        ErrorKind::UnknownValue { accepted, .. } if at.may_hold_secret() => {
            at.error("another value (it is not shown)", one_of(accepted))
        }
        ErrorKind::UnknownValue { value, accepted } => {
            at.error(quoted(value), one_of(accepted)).near(value, accepted.iter().copied())
        }
        ErrorKind::BadSequenceLen { actual, expected } => {
            use deserr::Sequence as _;
            at.error(format!("a list of {}", actual.len()), format!("a list of {expected}"))
        }
        ErrorKind::Unexpected { .. } if at.may_hold_secret() => {
            at.error("an unusable value", "another (the value is not shown)")
        }
        ErrorKind::Unexpected { msg } => unexpected(&msg, at),
    }
}

/// The parser has only text to say that a number is out of range: "value: `300` is too large to be deserialized, maximum
/// value authorized is `255`".
fn unexpected(msg: &str, at: &Node) -> ConfigError {
    let mut quoted = msg.split('`').skip(1).step_by(2);
    let is_small = msg.contains("too small");
    match (quoted.next(), quoted.next()) {
        (Some(value), Some(limit)) if is_small || msg.contains("too large") => {
            let bound = if is_small { "from" } else { "up to" };
            at.error(format!("`{value}`"), format!("a whole number {bound} {limit}"))
        }
        _ => at.error("an unusable value", msg),
    }
}

/// A value as an error shows it: quoted, on one line, cut at 80 characters.
pub(crate) fn quoted(value: &str) -> String {
    let short: String = value.chars().take(80).collect();
    let more = if short.len() < value.len() { "..." } else { "" };
    format!("`{}{more}`", short.escape_debug())
}

fn one_of(names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [only] => only.clone(),
        _ => format!("one of {}", names.join(", ")),
    }
}

fn found<V: IntoValue>(value: &deserr::Value<V>) -> String {
    use deserr::{Sequence as _, Value};
    match value {
        Value::Null => "nothing (null)".to_owned(),
        Value::Boolean(value) => format!("the boolean `{value}`"),
        Value::Integer(value) => format!("the number `{value}`"),
        Value::NegativeInteger(value) => format!("the number `{value}`"),
        Value::Float(value) => format!("the number `{value}`"),
        Value::String(value) => format!("the text {}", quoted(value)),
        Value::Sequence(value) => format!("a list of {}", value.len()),
        Value::Map(_) => "an object".to_owned(),
    }
}

fn kinds(accepted: &[ValueKind]) -> String {
    let is_signed = accepted.contains(&ValueKind::NegativeInteger);
    let name = |kind: &ValueKind| match kind {
        ValueKind::Integer if !is_signed => "a whole number, 0 or more",
        kind => kind_name(*kind),
    };
    let mut names: Vec<&str> = accepted.iter().map(name).collect();
    names.dedup();
    names.join(" or ")
}

fn kind_name(kind: ValueKind) -> &'static str {
    match kind {
        ValueKind::Null => "nothing",
        ValueKind::Boolean => "true or false",
        ValueKind::Integer | ValueKind::NegativeInteger => "a whole number",
        ValueKind::Float => "a number",
        ValueKind::String => "text",
        ValueKind::Sequence => "a list",
        ValueKind::Map => "an object",
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
