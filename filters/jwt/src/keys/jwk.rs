//! One key of a JWK Set.
//!
//! Real issuers write keys that the RFCs do not allow. What can be read in one way only is taken: `=` at the end of base64url,
//! coordinates without their leading zeros or with more of them, members that are null. Whatever else is wrong costs that key,
//! never the set.

use super::alg_set::AlgSet;
use super::error::KeyError;
use super::key::Key;
use crate::token::{Alg, Family, Issuer, JsonRef, Value, base64url};

/// What a set may hold.
#[derive(Clone, Copy, Debug, Hash)]
pub struct SetRules {
    /// Algorithms that the provider's tokens may have.
    pub algorithms: AlgSet,
    /// Most keys in a set.
    pub max_keys: usize,
    /// Whether the set came over the network.
    pub fetched: bool,
    /// The least length of a secret in bytes, where the policy sets one.
    pub min_secret: Option<usize>,
}

/// Members that only private keys have (RFC 7518 sections 6.2.2, 6.3.2 and 6.4, and `priv` of post-quantum keys).
const PRIVATE: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

/// Members that make a key what it is.
const OWN: [&str; 10] = ["kid", "kty", "alg", "use", "crv", "x", "y", "n", "e", "k"];

/// Whether two entries are one key.
pub(super) fn is_same(one: JsonRef<'_>, other: JsonRef<'_>) -> bool {
    let text = |jwk: JsonRef<'_>, name| jwk.member(name).and_then(JsonRef::text).map(str::to_owned);
    OWN.iter().all(|name| text(one, name) == text(other, name))
}

/// Reads an entry: one key, or one for each algorithm that it may serve.
pub(super) fn read(jwk: JsonRef<'_>, rules: &SetRules) -> Result<Vec<Key>, KeyError> {
    if jwk.value() != Value::Object || jwk.has_doubled() {
        return Err(KeyError::Malformed);
    }
    check_purpose(jwk)?;
    let issuer = optional_text(jwk, "issuer")?.map(Issuer::new);
    let keys = match required_text(jwk, "kty")? {
        "oct" if rules.fetched => Err(KeyError::PublishedSecret),
        "oct" => read_secret(jwk, rules).map(|key| vec![key]),
        _ if PRIVATE.iter().any(|name| present(jwk, name).is_some()) => Err(KeyError::PrivateKey),
        "RSA" => read_rsa(jwk, rules),
        "EC" => read_curve(jwk, rules).map(|key| vec![key]),
        "OKP" if required_text(jwk, "crv")? == "Ed25519" => read_edwards(jwk, rules).map(|key| vec![key]),
        _ => Err(KeyError::Unknown),
    };
    Ok(keys?.into_iter().map(|key| key.of_issuer(issuer.clone())).collect())
}

fn read_secret(jwk: JsonRef<'_>, rules: &SetRules) -> Result<Key, KeyError> {
    let alg = bind_one(jwk, rules, |alg| alg.family() == Family::Secret)?;
    Key::secret(optional_text(jwk, "kid")?, alg, &bytes(jwk, "k")?, rules.min_secret)
}

/// A key without `alg` serves each RSA algorithm of the provider: Microsoft's sets have no `alg`, and a provider that lists RS256 and
/// PS256 would have no key at all.
fn read_rsa(jwk: JsonRef<'_>, rules: &SetRules) -> Result<Vec<Key>, KeyError> {
    let (kid, n, e) = (optional_text(jwk, "kid")?, bytes(jwk, "n")?, bytes(jwk, "e")?);
    let algs = bind(jwk, rules, |alg| alg.family() == Family::Rsa)?;
    algs.into_iter().map(|alg| Key::rsa(kid, alg, &n, &e)).collect()
}

fn read_edwards(jwk: JsonRef<'_>, rules: &SetRules) -> Result<Key, KeyError> {
    bind_one(jwk, rules, |alg| alg == Alg::EdDSA)?;
    Key::edwards(optional_text(jwk, "kid")?, &bytes(jwk, "x")?)
}

fn read_curve(jwk: JsonRef<'_>, rules: &SetRules) -> Result<Key, KeyError> {
    let (own, size) = match required_text(jwk, "crv")? {
        "P-256" => (Alg::ES256, 32),
        "P-384" => (Alg::ES384, 48),
        "P-521" => (Alg::ES512, 66),
        _ => return Err(KeyError::Unknown),
    };
    let alg = bind_one(jwk, rules, |alg| alg == own)?;
    let [x, y] = [coordinate(jwk, "x", size)?, coordinate(jwk, "y", size)?];
    Key::curve(optional_text(jwk, "kid")?, alg, &[&[4][..], &x, &y].concat())
}

/// RFC 7518 section 6.2.1.2 wants the full size; writers of big integers cut leading zeros, or add one.
fn coordinate(jwk: JsonRef<'_>, name: &str, size: usize) -> Result<Vec<u8>, KeyError> {
    let bytes = bytes(jwk, name)?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let number = bytes.get(zeros..).unwrap_or_default();
    let missing = size.checked_sub(number.len()).ok_or(KeyError::NotOnCurve)?;
    Ok([&vec![0; missing], number].concat())
}

/// RFC 7517 sections 4.2 and 4.3; `jwt-svid` is the use of keys in SPIFFE bundles. A key that says nothing may be used.
fn check_purpose(jwk: JsonRef<'_>) -> Result<(), KeyError> {
    if optional_text(jwk, "use")?.is_some_and(|purpose| !["sig", "jwt-svid"].contains(&purpose)) {
        return Err(KeyError::NotForVerification);
    }
    let Some(operations) = present(jwk, "key_ops") else { return Ok(()) };
    let texts: Option<Vec<&str>> = operations.children().map(|(_, operation)| operation.text()).collect();
    let texts = texts.filter(|_| operations.value() == Value::List).ok_or(KeyError::Malformed)?;
    let is_twice =
        |(at, operation): (usize, &&str)| texts.iter().take(at).any(|earlier| earlier == operation);
    if texts.iter().enumerate().any(is_twice) {
        return Err(KeyError::Malformed);
    }
    if texts.contains(&"verify") { Ok(()) } else { Err(KeyError::NotForVerification) }
}

/// The algorithms of a key: what its `alg` says, else those of its kind that the provider accepts.
fn bind(jwk: JsonRef<'_>, rules: &SetRules, fits: impl Fn(Alg) -> bool) -> Result<Vec<Alg>, KeyError> {
    if let Some(name) = optional_text(jwk, "alg")? {
        let alg = Alg::parse(name).map_err(|_| KeyError::Unknown)?;
        return match (fits(alg), rules.algorithms.contains(alg)) {
            (false, _) => Err(KeyError::WrongFamily),
            (true, false) => Err(KeyError::NotAccepted),
            (true, true) => Ok(vec![alg]),
        };
    }
    let algs: Vec<Alg> =
        Alg::ALL.into_iter().filter(|alg| fits(*alg) && rules.algorithms.contains(*alg)).collect();
    if algs.is_empty() { Err(KeyError::NoAlgorithm) } else { Ok(algs) }
}

/// The only algorithm of a key.
fn bind_one(jwk: JsonRef<'_>, rules: &SetRules, fits: impl Fn(Alg) -> bool) -> Result<Alg, KeyError> {
    match bind(jwk, rules, fits)?.as_slice() {
        [alg] => Ok(*alg),
        _ => Err(KeyError::NoAlgorithm),
    }
}

/// A member, unless it is null: some writers have all members of a type, null where a key has none.
fn present<'j>(jwk: JsonRef<'j>, name: &str) -> Option<JsonRef<'j>> {
    jwk.member(name).filter(|value| value.value() != Value::Null)
}

fn optional_text<'j>(jwk: JsonRef<'j>, name: &str) -> Result<Option<&'j str>, KeyError> {
    present(jwk, name).map(|value| value.text().ok_or(KeyError::Malformed)).transpose()
}

fn required_text<'j>(jwk: JsonRef<'j>, name: &str) -> Result<&'j str, KeyError> {
    optional_text(jwk, name)?.ok_or(KeyError::Malformed)
}

fn bytes(jwk: JsonRef<'_>, name: &str) -> Result<Vec<u8>, KeyError> {
    let text = required_text(jwk, name)?.trim_end_matches('=');
    base64url::decode(text.as_bytes()).ok_or(KeyError::Malformed)
}
