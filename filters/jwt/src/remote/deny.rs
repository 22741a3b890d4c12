//! Tokens that are revoked before they expire: a bounded list, fetched on a timer.
//!
//! ```json
//! {"revoked": [{"jti": "4f1a"}, {"sub": "alice", "issued_before": 1795000000}, {"signed": "<SHA-256, base64url>"}]}
//! ```
//! `signed` is the hash of a token's signing input (header, dot, payload), with `jti` or without. Never of the whole token: an
//! ECDSA signature can be changed into another valid one by anybody.

use super::failure::FetchFailure;
use super::fetch_policy::FetchPolicy;
use super::fetcher::Document;
use crate::token::{Identity, Json, JsonRef, Value, base64url, numeric_date, without_bom};
use portcullis_edge_core::Wall;
use std::collections::{HashMap, HashSet};

/// A compiled `revocation`.
#[derive(Clone, Debug)]
pub(crate) struct Revocation {
    pub(crate) fetch: FetchPolicy,
    pub(crate) max_entries: usize,
    /// Whether tokens pass while the list is not there.
    pub(crate) allow_unknown: bool,
}

/// A deny list.
#[derive(Debug, Default)]
pub struct DenyList {
    ids: HashSet<Box<str>>,
    subjects: HashMap<Box<str>, Wall>,
    signed: HashSet<[u8; 32]>,
}

impl Document for DenyList {
    /// The most entries.
    type Rules = usize;

    /// One entry that is not understood refuses the whole list: a revocation must not be skipped.
    fn read(body: &[u8], max_entries: &usize) -> Result<Self, FetchFailure> {
        let json = Json::parse(without_bom(body)).map_err(|_| FetchFailure::NotJson)?;
        let entries = json.root().member("revoked").filter(|list| list.value() == Value::List);
        let entries = entries.ok_or(FetchFailure::NotADenyList)?;
        if entries.children().count() > *max_entries {
            return Err(FetchFailure::TooManyEntries);
        }
        let mut list = Self::default();
        for (_, entry) in entries.children() {
            list.add(entry).ok_or(FetchFailure::NotAnEntry)?;
        }
        Ok(list)
    }
}

impl DenyList {
    fn add(&mut self, entry: JsonRef<'_>) -> Option<()> {
        let text = |name| entry.member(name).map(JsonRef::text);
        match (text("jti"), text("sub"), text("signed")) {
            (Some(id), None, None) => drop(self.ids.insert(id?.into())),
            (None, Some(subject), None) => {
                let before = numeric_date(entry.member("issued_before")?)?;
                let known = self.subjects.entry(subject?.into()).or_insert(before);
                *known = before.max(*known);
            }
            (None, None, Some(hash)) => {
                let hash = base64url::decode(hash?.as_bytes())?;
                self.signed.insert(hash.try_into().ok()?);
            }
            _ => return None,
        }
        Some(())
    }

    /// Whether the token behind `identity` is revoked. A token that does not say when it was issued counts as old.
    #[must_use]
    pub fn revokes(&self, identity: &Identity) -> bool {
        let claims = identity.claims();
        let has = |name| claims.member(name).and_then(JsonRef::text);
        let by_subject = || {
            let before = has("sub").and_then(|subject| self.subjects.get(subject));
            let issued = claims.member("iat").and_then(numeric_date).unwrap_or(Wall(0));
            before.is_some_and(|before| issued < *before)
        };
        has("jti").is_some_and(|id| self.ids.contains(id))
            || identity.signed.is_some_and(|hash| self.signed.contains(&hash))
            || by_subject()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn read(text: &str) -> Result<DenyList, FetchFailure> {
        <DenyList as Document>::read(text.as_bytes(), &3)
    }

    fn revoked(list: &DenyList, claims: &str, signed: Option<[u8; 32]>) -> bool {
        list.revokes(&Identity { signed, ..Identity::of_claims(claims) })
    }

    #[test]
    fn a_token_is_revoked_by_id_by_subject_and_by_what_was_signed() {
        let hash = base64url::encode(&[7; 32]);
        let list = read(&format!(
            r#"{{"revoked":[{{"jti":"x"}},{{"sub":"a","issued_before":100}},{{"signed":"{hash}"}}]}}"#
        ))
        .unwrap();
        assert!(revoked(&list, r#"{"jti":"x"}"#, None));
        assert!(!revoked(&list, r#"{"jti":"y","sub":"x"}"#, None));
        assert!(revoked(&list, r#"{"sub":"a","iat":99}"#, None));
        assert!(!revoked(&list, r#"{"sub":"a","iat":100}"#, None));
        assert!(revoked(&list, r#"{"sub":"a"}"#, None));
        assert!(!revoked(&list, r#"{"sub":"b","iat":1}"#, None));
        assert!(revoked(&list, "{}", Some([7; 32])));
        assert!(!revoked(&list, "{}", Some([8; 32])));
    }

    #[test]
    fn of_two_entries_for_a_subject_the_later_counts() {
        let list =
            read(r#"{"revoked":[{"sub":"a","issued_before":200},{"sub":"a","issued_before":100}]}"#).unwrap();
        assert!(revoked(&list, r#"{"sub":"a","iat":150}"#, None));
    }

    #[test]
    fn a_list_with_one_odd_entry_is_refused_whole() {
        for odd in [
            r#"{}"#,
            r#"{"jti":1}"#,
            r#"{"sub":"a"}"#,
            r#"{"sub":"a","issued_before":"1"}"#,
            r#"{"jti":"a","sub":"b","issued_before":1}"#,
            r#"{"signed":"AAAA"}"#,
            r#""x""#,
        ] {
            let list = format!(r#"{{"revoked":[{{"jti":"x"}},{odd}]}}"#);
            assert_eq!(read(&list).err(), Some(FetchFailure::NotAnEntry), "{odd}");
        }
        assert_eq!(read("[]").err(), Some(FetchFailure::NotADenyList));
        assert_eq!(read(r#"{"revoked":[{},{},{},{}]}"#).err(), Some(FetchFailure::TooManyEntries));
        assert_eq!(read("x").err(), Some(FetchFailure::NotJson));
        assert!(read(r#"{"revoked":[]}"#).is_ok());
    }
}
