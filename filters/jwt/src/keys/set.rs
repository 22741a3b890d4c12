//! Sets of keys, and their reading from a JWK Set (RFC 7517).

use super::key::{Key, KeyError};
use super::native::can_check;
use crate::token::{Alg, Family, Json, JsonRef, Value, base64url};

/// How many keys one token may be tried against. Whoever publishes more keys of one algorithm gives them ids. Public keys that
/// the host cannot check take the module up to milliseconds each, for tokens of nobody too: two are enough to rotate.
pub(crate) fn max_candidates(alg: Alg) -> usize {
    if alg.family() == Family::Secret || can_check(alg) { 16 } else { 2 }
}

/// A set of algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct AlgSet(u16);

impl AlgSet {
    /// Adds one.
    #[must_use]
    pub const fn with(self, alg: Alg) -> Self {
        Self(self.0 | Self::bit(alg))
    }

    /// Whether it has one.
    #[must_use]
    pub const fn contains(self, alg: Alg) -> bool {
        self.0 & Self::bit(alg) != 0
    }

    const fn bit(alg: Alg) -> u16 {
        1_u16.wrapping_shl(alg as u32)
    }
}

impl FromIterator<Alg> for AlgSet {
    fn from_iter<I: IntoIterator<Item = Alg>>(algs: I) -> Self {
        algs.into_iter().fold(Self::default(), Self::with)
    }
}

/// Keys that can be used now.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
    skipped: Vec<Skipped>,
}

/// A key of a JWK Set that is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its place in `keys`.
    pub index: usize,
    /// Why.
    pub why: Skip,
}

/// Why a key is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// `use` is not `sig`, or `key_ops` has no `verify`: no mistake, just not for us.
    NotForVerification,
    /// A key type, curve or algorithm that is not known here: no mistake (RFC 7517 section 5).
    Unknown,
    /// Its algorithm is not among the provider's `algorithms`.
    NotAccepted,
    /// It names no `alg`, and the provider's `algorithms` leave more than one possible (or none).
    NoAlgorithm,
    /// A shared secret in a set that was fetched: a secret that is served is none.
    PublishedSecret,
    /// A member is missing, twice the same thing in two ways, or of a wrong type.
    Malformed,
    /// The key itself is unsound.
    Unsound(KeyError),
}

impl Skip {
    /// Whether somebody should mend the set.
    #[must_use]
    pub const fn is_mistake(self) -> bool {
        !matches!(self, Self::NotForVerification | Self::Unknown)
    }

    /// What would have been right.
    #[must_use]
    pub const fn expected(self) -> &'static str {
        match self {
            Self::NotForVerification => "a key for signatures (`use`: `sig`; `key_ops` with `verify`)",
            Self::Unknown => "a key type and algorithm known here",
            Self::NotAccepted => "an algorithm that the provider's `algorithms` list",
            Self::NoAlgorithm => {
                "`alg`, or exactly one algorithm for this kind of key in the provider's `algorithms`"
            }
            Self::PublishedSecret => "public keys only in a fetched set",
            Self::Malformed => "a JWK with the members of its type (RFC 7518 section 6)",
            Self::Unsound(error) => error.expected(),
        }
    }
}

/// A document that is no JWK Set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SetError {
    /// Not JSON, or a member twice.
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

impl KeySet {
    /// A set of given keys.
    #[must_use]
    pub fn of(keys: Vec<Key>) -> Self {
        Self { keys, skipped: Vec::new() }
    }

    /// Reads a JWK Set (RFC 7517 section 5). Keys that cannot be used are skipped, and listed.
    ///
    /// # Errors
    /// A document that is no set, or is larger than allowed.
    pub fn read(bytes: &[u8], rules: &SetRules) -> Result<Self, SetError> {
        let json = Json::parse(bytes).map_err(|_| SetError::NotJson)?;
        let keys = json.root().member("keys").filter(|keys| keys.value() == Value::List);
        let keys = keys.ok_or(SetError::NoKeys)?;
        if keys.children().count() > rules.max_keys {
            return Err(SetError::TooMany);
        }
        let mut set = Self::default();
        for (index, (_, jwk)) in keys.children().enumerate() {
            match read_key(jwk, rules) {
                Ok(key) => set.keys.push(key),
                Err(why) => set.skipped.push(Skipped { index, why }),
            }
        }
        Ok(set)
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

    /// Adds the keys of another set.
    pub fn extend(&mut self, other: Self) {
        self.keys.extend(other.keys);
        self.skipped.extend(other.skipped);
    }
}

fn read_key(jwk: JsonRef<'_>, rules: &SetRules) -> Result<Key, Skip> {
    if jwk.value() != Value::Object {
        return Err(Skip::Malformed);
    }
    check_purpose(jwk)?;
    let kid = optional_text(jwk, "kid")?;
    match required_text(jwk, "kty")? {
        "oct" if rules.fetched => Err(Skip::PublishedSecret),
        "oct" => {
            let alg = bind(jwk, rules, |alg| alg.family() == Family::Secret)?;
            Key::secret(kid, alg, &bytes(jwk, "k")?, rules.min_secret).map_err(Skip::Unsound)
        }
        _ if jwk.member("d").is_some() => Err(Skip::Unsound(KeyError::PrivateKey)),
        "RSA" => {
            let alg = bind(jwk, rules, |alg| alg.family() == Family::Rsa)?;
            Key::rsa(kid, alg, &bytes(jwk, "n")?, &bytes(jwk, "e")?).map_err(Skip::Unsound)
        }
        "EC" => read_curve(jwk, kid, rules),
        "OKP" if required_text(jwk, "crv")? == "Ed25519" => {
            bind(jwk, rules, |alg| alg == Alg::EdDSA)?;
            Key::edwards(kid, &bytes(jwk, "x")?).map_err(Skip::Unsound)
        }
        _ => Err(Skip::Unknown),
    }
}

fn read_curve(jwk: JsonRef<'_>, kid: Option<&str>, rules: &SetRules) -> Result<Key, Skip> {
    let (own, size) = match required_text(jwk, "crv")? {
        "P-256" => (Alg::ES256, 32),
        "P-384" => (Alg::ES384, 48),
        "P-521" => (Alg::ES512, 66),
        _ => return Err(Skip::Unknown),
    };
    let alg = bind(jwk, rules, |alg| alg == own)?;
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    // RFC 7518 section 6.2.1.2: full size, leading zeros kept.
    if x.len() != size || y.len() != size {
        return Err(Skip::Malformed);
    }
    let point = [&[4][..], &x, &y].concat();
    Key::curve(kid, alg, &point).map_err(Skip::Unsound)
}

/// RFC 7517 sections 4.2 and 4.3. A key that says nothing may be used.
fn check_purpose(jwk: JsonRef<'_>) -> Result<(), Skip> {
    if optional_text(jwk, "use")?.is_some_and(|purpose| purpose != "sig") {
        return Err(Skip::NotForVerification);
    }
    let Some(operations) = jwk.member("key_ops") else { return Ok(()) };
    if operations.value() != Value::List {
        return Err(Skip::Malformed);
    }
    let verifies = operations.children().any(|(_, operation)| operation.text() == Some("verify"));
    if verifies { Ok(()) } else { Err(Skip::NotForVerification) }
}

/// The one algorithm of a key: what its `alg` says, else the only one of its kind that the provider accepts.
fn bind(jwk: JsonRef<'_>, rules: &SetRules, fits: impl Fn(Alg) -> bool) -> Result<Alg, Skip> {
    if let Some(name) = optional_text(jwk, "alg")? {
        let alg = Alg::parse(name).map_err(|_| Skip::Unknown)?;
        return match (fits(alg), rules.algorithms.contains(alg)) {
            (false, _) => Err(Skip::Unsound(KeyError::WrongFamily)),
            (true, false) => Err(Skip::NotAccepted),
            (true, true) => Ok(alg),
        };
    }
    let mut possible = Alg::ALL.into_iter().filter(|alg| fits(*alg) && rules.algorithms.contains(*alg));
    match (possible.next(), possible.next()) {
        (Some(alg), None) => Ok(alg),
        _ => Err(Skip::NoAlgorithm),
    }
}

fn optional_text<'j>(jwk: JsonRef<'j>, name: &str) -> Result<Option<&'j str>, Skip> {
    match jwk.member(name).map(JsonRef::value) {
        None => Ok(None),
        Some(Value::Text(text)) => Ok(Some(text)),
        Some(_) => Err(Skip::Malformed),
    }
}

fn required_text<'j>(jwk: JsonRef<'j>, name: &str) -> Result<&'j str, Skip> {
    optional_text(jwk, name)?.ok_or(Skip::Malformed)
}

fn bytes(jwk: JsonRef<'_>, name: &str) -> Result<Vec<u8>, Skip> {
    base64url::decode(required_text(jwk, name)?.as_bytes()).ok_or(Skip::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn skips(jwk: &str, fetched: bool) -> Option<Skip> {
        let algorithms = Alg::ALL.into_iter().collect();
        let rules = SetRules { algorithms, max_keys: 1, fetched, min_secret: None };
        let set = KeySet::read(format!(r#"{{"keys":[{jwk}]}}"#).as_bytes(), &rules).unwrap();
        set.skipped().first().map(|skipped| skipped.why)
    }

    fn rsa(e: &[u8]) -> Option<KeyError> {
        let mut n = [0xff; 256];
        n[0] = 0x80;
        Key::rsa(None, Alg::RS256, &n, e).err()
    }

    #[test]
    fn a_secret_that_is_served_is_no_secret() {
        let k = base64url::encode(&[7; 64]);
        let jwk = format!(r#"{{"kty":"oct","alg":"HS256","k":"{k}"}}"#);
        assert_eq!(skips(&jwk, false), None);
        assert_eq!(skips(&jwk, true), Some(Skip::PublishedSecret));
    }

    #[test]
    fn a_key_says_what_it_is_for_and_is_used_for_nothing_else() {
        let x = base64url::encode(&[
            0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
            0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
        ]);
        let of = |more: &str| skips(&format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"{more}}}"#), true);
        assert_eq!(of(""), None);
        assert_eq!(of(r#","use":"sig","key_ops":["sign","verify"],"alg":"EdDSA""#), None);
        assert_eq!(of(r#","use":"enc""#), Some(Skip::NotForVerification));
        assert_eq!(of(r#","use":"SIG""#), Some(Skip::NotForVerification));
        assert_eq!(of(r#","key_ops":["sign"]"#), Some(Skip::NotForVerification));
        assert_eq!(of(r#","key_ops":[]"#), Some(Skip::NotForVerification));
        assert_eq!(of(r#","key_ops":"verify""#), Some(Skip::Malformed));
        assert_eq!(of(r#","kid":1"#), Some(Skip::Malformed));
        assert_eq!(of(r#","alg":"HS256""#), Some(Skip::Unsound(KeyError::WrongFamily)));
        assert_eq!(of(r#","alg":"none""#), Some(Skip::Unknown));
        assert_eq!(of(r#","d":"AA""#), Some(Skip::Unsound(KeyError::PrivateKey)));
        assert_eq!(skips(r#"{"kty":"OKP","crv":"X25519","x":"AA"}"#, true), Some(Skip::Unknown));
        assert_eq!(
            skips(r#"{"kty":"OKP","crv":"Ed25519","x":"AA"}"#, true),
            Some(Skip::Unsound(KeyError::NotEd25519)),
            "the library would panic"
        );
    }

    #[test]
    fn an_rsa_exponent_is_odd_and_neither_1_nor_huge() {
        assert_eq!(rsa(&[1, 0, 1]), None);
        assert_eq!(rsa(&[3]), None);
        for e in [&[][..], &[0], &[1], &[2], &[4], &[1, 0, 0], &[0xff; 5]] {
            assert_eq!(rsa(e), Some(KeyError::RsaExponent), "{e:?}");
        }
    }

    #[test]
    fn coordinates_have_their_full_size_and_lie_on_the_curve() {
        let jwk =
            |x: &str, y: &str| skips(&format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}"#), true);
        let (x, y) =
            ("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
        assert_eq!(jwk(x, y), None);
        assert_eq!(jwk(x, x), Some(Skip::Unsound(KeyError::NotOnCurve)));
        assert_eq!(jwk(x, "AA"), Some(Skip::Malformed));
        assert_eq!(jwk(x, &format!("{y}==")), Some(Skip::Malformed));
    }
}
