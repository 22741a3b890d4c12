use crate::{SECRET, b64};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rsa::{pkcs8::DecodePublicKey as _, traits::PublicKeyParts as _};
use serde_json::{Value, json};

/// A key as a provider may have it: a JWK, with the algorithms that it may be bound to.
#[derive(Clone, Debug)]
pub struct KeyKind {
    /// How tests call it.
    pub name: &'static str,
    /// The public key (the secret, where it is one), without `alg`.
    pub jwk: Value,
    /// The algorithms that it may be for.
    pub fits: &'static [&'static str],
}

/// One key of every kind.
pub fn key_kinds() -> Vec<KeyKind> {
    const HMAC: &[&str] = &["HS256", "HS384", "HS512"];
    const RSA: &[&str] = &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
    let ed25519 = der(public_pem("Ed25519"));
    let kind = |name, jwk, fits| KeyKind { name, jwk, fits };
    vec![
        kind("oct", json!({"kty": "oct", "k": b64(SECRET)}), HMAC),
        kind("RSA", rsa_jwk(), RSA),
        kind("P-256", ec_jwk("P-256", 32), &["ES256"]),
        kind("P-384", ec_jwk("P-384", 48), &["ES384"]),
        kind("P-521", ec_jwk("P-521", 66), &["ES512"]),
        kind("Ed25519", json!({"kty": "OKP", "crv": "Ed25519", "x": b64(&ed25519[12..])}), &["EdDSA"]),
    ]
}

/// The JWK that verifies what [`crate::sign`] signs for `alg`, with `alg` and this `kid`.
///
/// # Panics
/// If there is no such algorithm.
pub fn public_jwk(alg: &str, kid: &str) -> Value {
    let kind = key_kinds().into_iter().find(|kind| kind.fits.contains(&alg)).expect("an algorithm");
    let mut jwk = kind.jwk;
    jwk["alg"] = alg.into();
    jwk["kid"] = kid.into();
    jwk
}

/// The public key of a kind in PEM; also `RSA PKCS#1`, and `RSA 1024`, which is too short to be trusted.
///
/// # Panics
/// If there is no such kind.
pub fn public_pem(kind: &str) -> &'static str {
    match kind {
        "RSA" => include_str!("keys/rsa.public.pem"),
        "RSA PKCS#1" => include_str!("keys/rsa.pkcs1.pem"),
        "RSA 1024" => include_str!("keys/rsa1024.public.pem"),
        "P-256" => include_str!("keys/p256.public.pem"),
        "P-384" => include_str!("keys/p384.public.pem"),
        "P-521" => include_str!("keys/p521.public.pem"),
        "Ed25519" => include_str!("keys/ed25519.public.pem"),
        other => panic!("no public key of the kind {other}"),
    }
}

/// What stands in a PEM block.
///
/// # Panics
/// If it is none.
pub fn der(pem: &str) -> Vec<u8> {
    let text: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(text).expect("a PEM block")
}

fn rsa_jwk() -> Value {
    let key = rsa::RsaPublicKey::from_public_key_pem(public_pem("RSA")).expect("a key");
    json!({"kty": "RSA", "n": b64(key.n().to_bytes_be()), "e": b64(key.e().to_bytes_be())})
}

fn ec_jwk(crv: &str, size: usize) -> Value {
    let der = der(public_pem(crv));
    let point = &der[der.len() - 2 * size..];
    json!({"kty": "EC", "crv": crv, "x": b64(&point[..size]), "y": b64(&point[size..])})
}

/// So many different P-384 keys without `kid`.
///
/// # Panics
/// Never: every small number is a private key.
pub fn curve_jwks(count: usize) -> Vec<Value> {
    let key = |number: usize| {
        let mut scalar = [0; 48];
        scalar[40..].copy_from_slice(&(number as u64 + 2).to_be_bytes());
        let secret = p384::SecretKey::from_slice(&scalar).expect("a number below the order");
        let point = p384::elliptic_curve::sec1::ToEncodedPoint::to_encoded_point(&secret.public_key(), false);
        let [x, y] = [point.x(), point.y()].map(|half| b64(half.expect("no point at infinity")));
        json!({"kty": "EC", "crv": "P-384", "x": x, "y": y})
    };
    (0..count).map(key).collect()
}

/// So many different RSA keys of `bytes` bytes without `kid`, which look sound; nobody has their private parts.
pub fn rsa_jwks(count: usize, bytes: usize) -> Vec<Value> {
    const SMALL: [u64; 38] = [
        3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101,
        103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
    ];
    let residue =
        |n: &[u8], prime: u64| n.iter().fold(0, |rest, byte| (rest * 256 + u64::from(*byte)) % prime);
    let is_sound = |n: &Vec<u8>| SMALL.iter().all(|prime| residue(n, *prime) != 0);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let modulus = move || {
        let mut n: Vec<u8> = (0..bytes).map(|_| next(&mut state)).collect();
        (n[0], n[bytes - 1]) = (n[0] | 0x80, n[bytes - 1] | 1);
        n
    };
    let sound = std::iter::repeat_with(modulus).filter(is_sound).take(count);
    sound.map(|n| json!({"kty": "RSA", "n": b64(&n), "e": "AQAB"})).collect()
}

/// A byte that looks random (xorshift).
fn next(state: &mut u64) -> u8 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 32) as u8
}
