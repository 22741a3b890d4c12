//! Sets of keys, and their reading from a JWK Set (RFC 7517).

use super::error::KeyError;
use super::jwk::{self, SetRules};
use super::key::Key;
use crate::token::{Json, JsonRef, Value, without_bom};
use core::time::Duration;

/// Keys that can be used now.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
    skipped: Vec<Skipped>,
    refresh_hint: Option<Duration>,
}

/// A key of a JWK Set that is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its place in `keys`.
    pub index: usize,
    /// Its id, if it has one.
    pub kid: Option<Box<str>>,
    /// Why.
    pub why: KeyError,
}

/// A document that is no JWK Set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SetError {
    /// Not JSON, or the set's own members stand twice.
    NotJson,
    /// No object with a list `keys`.
    NoKeys,
    /// More keys than allowed.
    TooMany,
}

impl SetError {
    /// As a log value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::NoKeys => "not_a_key_set",
            Self::TooMany => "too_many_keys",
        }
    }
}

impl KeySet {
    /// A set of given keys.
    #[must_use]
    pub fn of(keys: Vec<Key>) -> Self {
        Self { keys, ..Self::default() }
    }

    /// Reads a JWK Set (RFC 7517 section 5). Keys that cannot be used are skipped, and listed; the others serve.
    ///
    /// # Errors
    /// A document that is no set, or is larger than allowed.
    pub fn read(bytes: &[u8], rules: &SetRules) -> Result<Self, SetError> {
        let json = Json::parse_marking_doubled(without_bom(bytes)).map_err(|_| SetError::NotJson)?;
        if json.root().is_doubled() {
            return Err(SetError::NotJson);
        }
        let keys = json.root().member("keys").filter(|keys| keys.value() == Value::List);
        let keys = keys.ok_or(SetError::NoKeys)?;
        if keys.children().count() > rules.max_keys {
            return Err(SetError::TooMany);
        }
        let mut set = Self { refresh_hint: refresh_hint(json.root()), ..Self::default() };
        let mut taken = Vec::new();
        for (index, (_, jwk)) in keys.children().enumerate() {
            set.add(index, jwk, &mut taken, rules);
        }
        Ok(set)
    }

    fn add<'j>(&mut self, index: usize, jwk: JsonRef<'j>, taken: &mut Vec<JsonRef<'j>>, rules: &SetRules) {
        let is_again = taken.iter().any(|known| jwk::is_same(*known, jwk));
        let read = if is_again { Err(KeyError::Duplicate) } else { jwk::read(jwk, rules) };
        match read {
            Ok(keys) => {
                self.keys.extend(keys);
                taken.push(jwk);
            }
            Err(why) => {
                let kid = jwk.member("kid").and_then(JsonRef::text).map(Into::into);
                self.skipped.push(Skipped { index, kid, why });
            }
        }
    }

    /// Its keys.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// What was not used.
    #[must_use]
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// How soon it should be fetched again, by its own word.
    #[must_use]
    pub fn refresh_hint(&self) -> Option<Duration> {
        self.refresh_hint
    }

    /// Adds the keys of another set.
    pub fn extend(&mut self, other: Self) {
        self.keys.extend(other.keys);
        self.skipped.extend(other.skipped);
    }
}

/// SPIFFE Trust Domain and Bundle section 4.1.3: seconds. What is no such number is no hint.
fn refresh_hint(set: JsonRef<'_>) -> Option<Duration> {
    match set.member("spiffe_refresh_hint")?.value() {
        Value::UInt(seconds @ 1..) => Some(Duration::from_secs(seconds)),
        _ => None,
    }
}

#[cfg(test)]
#[path = "set_tests.rs"]
mod tests;
