use crate::SECRET;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::EncodingKey;
use p521::ecdsa::signature::Signer as _;
use p521::pkcs8::DecodePrivateKey as _;
use serde_json::{Value, json};

/// base64url without padding (RFC 7515 section 2).
pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Signs with the lab's private key for `alg`.
///
/// # Panics
/// If there is no such algorithm.
pub fn sign(alg: &str, message: &[u8]) -> Vec<u8> {
    let key = match alg {
        "ES512" => return sign_p521(message),
        "HS256" | "HS384" | "HS512" => return mac(alg, SECRET.as_bytes(), message),
        "ES256" => EncodingKey::from_ec_der(include_bytes!("keys/p256.private.der")),
        "ES384" => EncodingKey::from_ec_der(include_bytes!("keys/p384.private.der")),
        "EdDSA" => EncodingKey::from_ed_der(include_bytes!("keys/ed25519.private.der")),
        _ => EncodingKey::from_rsa_der(include_bytes!("keys/rsa.private.der")),
    };
    library_sign(alg, &key, message)
}

fn sign_p521(message: &[u8]) -> Vec<u8> {
    let key = p521::SecretKey::from_pkcs8_der(include_bytes!("keys/p521.private.der")).expect("a key");
    let key = p521::ecdsa::SigningKey::from_slice(&key.to_bytes()).expect("a key");
    let signature: p521::ecdsa::Signature = key.sign(message);
    signature.to_vec()
}

/// An HMAC under any secret.
///
/// # Panics
/// If `alg` is no HMAC.
pub fn mac(alg: &str, secret: &[u8], message: &[u8]) -> Vec<u8> {
    library_sign(alg, &EncodingKey::from_secret(secret), message)
}

fn library_sign(alg: &str, key: &EncodingKey, message: &[u8]) -> Vec<u8> {
    let alg = alg.parse().expect("an algorithm");
    let factory = jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER.signer_factory;
    factory(&alg, key).expect("a key for it").try_sign(message).expect("a signature")
}

/// A token with these claims, and the header that goes with `alg`.
pub fn mint(alg: &str, claims: &Value) -> String {
    mint_with(alg, &json!({"alg": alg, "typ": "JWT"}).to_string(), &claims.to_string())
}

/// A token with this header and these claims, as texts, signed for `alg`.
pub fn mint_with(alg: &str, header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", b64(header), b64(claims));
    let signature = sign(alg, signed.as_bytes());
    format!("{signed}.{}", b64(signature))
}
