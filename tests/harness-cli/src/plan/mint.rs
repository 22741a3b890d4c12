//! Keys and tokens. A key is made of its name, so that it is the same in every run.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use jsonwebtoken::{EncodingKey, crypto, jwk::Jwk};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use crate::model::{Algorithm, Key, Token};

/// The private RSA keys (PKCS#1 DER, 2048 bits) that RS256 keys take in turn: making one takes seconds.
const RSA: [&[u8]; 4] = [
    include_bytes!("keys/rsa-0.der"),
    include_bytes!("keys/rsa-1.der"),
    include_bytes!("keys/rsa-2.der"),
    include_bytes!("keys/rsa-3.der"),
];

/// What a scenario's keys have made.
#[derive(Clone, Debug, Default)]
pub struct Minted {
    /// Tokens, by name.
    pub tokens: BTreeMap<String, String>,
    /// The public halves of keys as JWK, by name; whole for HMAC keys.
    pub jwks: BTreeMap<String, Value>,
}

struct Signer {
    key: EncodingKey,
    alg: Algorithm,
    /// What the key is made of.
    material: Vec<u8>,
}

/// So many results are kept.
const MOST_KNOWN: usize = 4096;

/// What was made in this run is not made again: signing with RSA takes milliseconds, and scenarios share their tokens.
/// A key and a text have one signature: every algorithm here is deterministic.
fn once(
    signer: &Signer,
    text: &str,
    make: impl FnOnce() -> Result<String, String>,
) -> Result<String, String> {
    type Known = HashMap<(&'static str, Vec<u8>, String), String>;
    static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let place = (signer.alg.name(), signer.material.clone(), text.to_owned());
    if let Some(made) = known().get(&place) {
        return Ok(made.clone());
    }
    let made = make()?;
    let mut known = known();
    if known.len() >= MOST_KNOWN {
        known.clear();
    }
    known.insert(place, made.clone());
    Ok(made)
}

/// Mints everything.
///
/// # Errors
/// What the library says of a key that cannot be made; the names of keys and tokens that exist are no reason.
pub fn mint(
    keys: &BTreeMap<String, Key>,
    tokens: &BTreeMap<String, Token>,
    start: Duration,
) -> Result<Minted, String> {
    let mut minted = Minted::default();
    let mut signers = BTreeMap::new();
    for (name, key) in keys {
        let rsa = keys.iter().take_while(|(other, _)| *other != name);
        let number = rsa.filter(|(_, other)| other.alg == Algorithm::RS256).count();
        let signer = signer(name, key, number)?;
        minted.jwks.insert(name.clone(), jwk(name, &signer, key)?);
        signers.insert(name.clone(), signer);
    }
    for (name, token) in tokens {
        let Some(signer) = signers.get(&token.key) else { continue };
        minted.tokens.insert(name.clone(), sign(token, signer, start)?);
    }
    Ok(minted)
}

fn signer(name: &str, key: &Key, number: usize) -> Result<Signer, String> {
    let alg = key.alg;
    let (key, material) = match alg {
        Algorithm::RS256 => {
            let der = *RSA.get(number).ok_or_else(|| format!("more than {} RS256 keys", RSA.len()))?;
            (EncodingKey::from_rsa_der(der), der.to_vec())
        }
        Algorithm::ES256 => (EncodingKey::from_ec_der(&p256_pkcs8(&seed(name))?), seed(name).to_vec()),
        Algorithm::EdDSA => (EncodingKey::from_ed_der(&ed25519_pkcs8(&seed(name))), seed(name).to_vec()),
        _ => (EncodingKey::from_secret(secret(name, key).as_bytes()), secret(name, key).into_bytes()),
    };
    Ok(Signer { key, alg, material })
}

fn secret(name: &str, key: &Key) -> String {
    let made =
        || format!("{name}: a secret of the scenario's, long enough for every HMAC algorithm there is");
    key.secret.clone().unwrap_or_else(made)
}

/// 32 bytes of a name.
fn seed(name: &str) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(name.as_bytes()).into()
}

fn p256_pkcs8(seed: &[u8; 32]) -> Result<Vec<u8>, String> {
    use p256::pkcs8::EncodePrivateKey as _;
    let key = p256::SecretKey::from_slice(seed).map_err(|error| error.to_string())?;
    key.to_pkcs8_der().map(|der| der.as_bytes().to_vec()).map_err(|error| error.to_string())
}

/// RFC 8410, section 7: a fixed frame around the seed.
fn ed25519_pkcs8(seed: &[u8; 32]) -> Vec<u8> {
    const FRAME: [u8; 16] =
        [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    [FRAME.as_slice(), seed].concat()
}

fn algorithm(alg: Algorithm) -> jsonwebtoken::Algorithm {
    match alg {
        Algorithm::HS256 => jsonwebtoken::Algorithm::HS256,
        Algorithm::HS384 => jsonwebtoken::Algorithm::HS384,
        Algorithm::HS512 => jsonwebtoken::Algorithm::HS512,
        Algorithm::RS256 => jsonwebtoken::Algorithm::RS256,
        Algorithm::ES256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::EdDSA => jsonwebtoken::Algorithm::EdDSA,
    }
}

fn jwk(name: &str, signer: &Signer, key: &Key) -> Result<Value, String> {
    if key.alg.is_symmetric() {
        let k = BASE64URL.encode(secret(name, key));
        return Ok(json!({ "kty": "oct", "kid": name, "alg": key.alg.name(), "k": k }));
    }
    let text = once(signer, "its JWK", || {
        let jwk = Jwk::from_encoding_key(&signer.key, algorithm(signer.alg));
        jwk.map_err(|error| error.to_string())
            .and_then(|jwk| serde_json::to_string(&jwk).map_err(|error| error.to_string()))
    })?;
    let mut jwk: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    jwk["kid"] = name.into();
    jwk["alg"] = key.alg.name().into();
    jwk["use"] = "sig".into();
    Ok(jwk)
}

fn sign(token: &Token, signer: &Signer, start: Duration) -> Result<String, String> {
    let mut header = Map::new();
    header.insert("alg".into(), signer.alg.name().into());
    header.insert("typ".into(), "JWT".into());
    header.insert("kid".into(), token.key.as_str().into());
    for (name, value) in token.header.at(start) {
        header.insert(name, value);
    }
    header.retain(|_, value| !value.is_null());
    let part = |fields: Map<String, Value>| BASE64URL.encode(Value::Object(fields).to_string());
    let signed = format!("{}.{}", part(header), part(token.claims.at(start)));
    let signature = match &token.signature {
        Some(signature) => signature.clone(),
        None => once(signer, &signed, || {
            crypto::sign(signed.as_bytes(), &signer.key, algorithm(signer.alg))
                .map_err(|error| error.to_string())
        })?,
    };
    Ok(format!("{signed}.{signature}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Claims;
    use jsonwebtoken::{DecodingKey, Validation};

    fn minted(alg: Algorithm) -> Minted {
        let keys = BTreeMap::from([("k".to_owned(), Key { alg, secret: None })]);
        let claims = Claims(json!({"sub": "alice", "exp": {"in": "1h"}}).as_object().cloned().unwrap());
        let token = Token { key: "k".into(), header: Claims::default(), claims, signature: None };
        let start = Duration::from_secs(4_000_000_000);
        mint(&keys, &BTreeMap::from([("t".to_owned(), token)]), start).expect("it is minted")
    }

    #[test]
    fn every_algorithm_verifies_with_the_key_that_its_set_publishes() {
        for alg in [
            Algorithm::HS256,
            Algorithm::HS384,
            Algorithm::HS512,
            Algorithm::RS256,
            Algorithm::ES256,
            Algorithm::EdDSA,
        ] {
            let minted = minted(alg);
            let jwk: Jwk = serde_json::from_value(minted.jwks["k"].clone()).expect("it is a JWK");
            let key = DecodingKey::from_jwk(&jwk).expect("it is a key");
            let validation = Validation::new(algorithm(alg));
            let token = jsonwebtoken::decode::<Value>(&minted.tokens["t"], &key, &validation);
            assert_eq!(token.expect("it verifies").claims["exp"], 4_000_003_600_u64, "{alg:?}");
        }
    }

    #[test]
    fn a_header_of_ones_own_replaces_and_null_leaves_out() {
        let keys = BTreeMap::from([("k".to_owned(), Key { alg: Algorithm::HS256, secret: None })]);
        let header = Claims(json!({"alg": "none", "kid": null}).as_object().cloned().unwrap());
        let token = Token { key: "k".into(), header, claims: Claims::default(), signature: Some("".into()) };
        let minted = mint(&keys, &BTreeMap::from([("t".into(), token)]), Duration::ZERO).unwrap();
        let header = BASE64URL.decode(minted.tokens["t"].split('.').next().unwrap()).unwrap();
        assert_eq!(String::from_utf8(header).unwrap(), r#"{"alg":"none","typ":"JWT"}"#);
        assert!(minted.tokens["t"].ends_with('.'));
    }
}
