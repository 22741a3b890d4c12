//! Algorithm confusion, generated: every algorithm name x every signature that somebody could make x every key, and only the
//! exact pairs pass.

use crate::support::*;
use portcullis_jwt::{Alg, TokenError};
use serde_json::{Value, json};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// A key as a provider may have it: a JWK, with the algorithms that it may be bound to.
struct KeyKind {
    name: &'static str,
    jwk: Value,
    fits: &'static [Alg],
}

fn kinds() -> Vec<KeyKind> {
    const HMAC: &[Alg] = &[Alg::HS256, Alg::HS384, Alg::HS512];
    const RSA: &[Alg] = &[Alg::RS256, Alg::RS384, Alg::RS512, Alg::PS256, Alg::PS384, Alg::PS512];
    let kind = |name, jwk, fits| KeyKind { name, jwk, fits };
    vec![
        kind("oct", json!({"kty": "oct", "k": b64(SECRET)}), HMAC),
        kind("RSA", rsa_jwk(), RSA),
        kind("P-256", ec_jwk("P-256", P256_PEM, 32), &[Alg::ES256]),
        kind("P-384", ec_jwk("P-384", P384_PEM, 48), &[Alg::ES384]),
        kind("P-521", ec_jwk("P-521", P521_PEM, 66), &[Alg::ES512]),
        kind(
            "Ed25519",
            json!({"kty": "OKP", "crv": "Ed25519", "x": b64(&der(ED25519_PEM)[12..])}),
            &[Alg::EdDSA],
        ),
    ]
}

fn der(pem: &str) -> Vec<u8> {
    let text: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text).unwrap()
}

fn rsa_jwk() -> Value {
    use rsa::{pkcs8::DecodePublicKey as _, traits::PublicKeyParts as _};
    let key = rsa::RsaPublicKey::from_public_key_pem(RSA_PEM).unwrap();
    json!({"kty": "RSA", "n": b64(key.n().to_bytes_be()), "e": b64(key.e().to_bytes_be())})
}

fn ec_jwk(crv: &str, pem: &str, size: usize) -> Value {
    let der = der(pem);
    let point = &der[der.len() - 2 * size..];
    json!({"kty": "EC", "crv": crv, "x": b64(&point[..size]), "y": b64(&point[size..])})
}

/// Everything that may stand in a token's `alg`.
fn names() -> Vec<String> {
    let none = [
        "none", "None", "NONE", "nOnE", "", "hs256", "HS256 ", "HS1", "RS1", "ES256K", "Ed25519", "A128KW",
        "dir",
    ];
    Alg::ALL.iter().map(|alg| alg.as_str()).chain(none).map(str::to_owned).collect()
}

/// Who made the signature, and how.
struct Forger {
    name: String,
    /// The algorithm whose private key made it, if one did.
    honest: Option<Alg>,
    sign: Box<dyn Fn(&[u8]) -> Vec<u8>>,
}

fn forgers() -> Vec<Forger> {
    let mut forgers: Vec<Forger> = Alg::ALL
        .into_iter()
        .map(|alg| Forger {
            name: alg.to_string(),
            honest: Some(alg),
            sign: Box::new(move |m| signature(alg, m)),
        })
        .collect();
    let mut with_secret = |name: String, secret: Vec<u8>| {
        for alg in [Alg::HS256, Alg::HS384, Alg::HS512] {
            let secret = secret.clone();
            let name = format!("{alg} with {name}");
            forgers.push(Forger { name, honest: None, sign: Box::new(move |m| mac(alg, &secret, m)) });
        }
    };
    for (name, pem) in [
        ("RSA", RSA_PEM),
        ("P-256", P256_PEM),
        ("P-384", P384_PEM),
        ("P-521", P521_PEM),
        ("Ed25519", ED25519_PEM),
    ] {
        with_secret(format!("{name}'s PEM"), pem.as_bytes().to_vec());
        with_secret(format!("{name}'s trimmed PEM"), pem.trim().as_bytes().to_vec());
        with_secret(format!("{name}'s DER"), der(pem));
    }
    with_secret("RSA's PKCS#1 PEM".to_owned(), RSA_PKCS1_PEM.as_bytes().to_vec());
    with_secret("an empty secret".to_owned(), Vec::new());
    with_secret("a zero".to_owned(), vec![0]);
    for size in [0, 1, 32, 48, 64, 96, 132, 256] {
        forgers.push(Forger {
            name: format!("{size} zeros"),
            honest: None,
            sign: Box::new(move |_| vec![0; size]),
        });
    }
    forgers
}

/// How the key is bound to its one algorithm: by its own `alg`, or by the provider's list.
fn policy(jwk: &Value, bound: Alg, by_jwk: bool) -> Value {
    let mut jwk = jwk.clone();
    let algorithms = if by_jwk { json!([]) } else { json!([bound.as_str()]) };
    if by_jwk {
        jwk["alg"] = json!(bound.as_str());
    }
    json!({"providers": {"p": {"algorithms": algorithms, "jwks": {"keys": [jwk]}}}})
}

#[test]
fn only_exact_pairs_of_key_and_algorithm_pass() {
    let claims = b64(json!({"sub": "a", "exp": NOW + 60}).to_string());
    let (mut cases, mut passed, mut wrong) = (0, 0, Vec::new());
    let forgers = forgers();
    // One signature for each name and forger; the keys differ only in who checks it.
    for name in names() {
        let signed = format!("{}.{claims}", b64(json!({"alg": name}).to_string()));
        for forger in &forgers {
            let token = format!("{signed}.{}", b64((forger.sign)(signed.as_bytes())));
            for kind in kinds() {
                for bound in kind.fits {
                    for by_jwk in [true, false] {
                        let verdict = check(&jwt(policy(&kind.jwk, *bound, by_jwk)), &token);
                        let exact = name == bound.as_str() && forger.honest == Some(*bound);
                        cases += 1;
                        passed += usize::from(verdict.is_ok());
                        if verdict.is_ok() != exact {
                            wrong.push(format!(
                                "{name} by {} against {} as {bound}: {verdict:?}",
                                forger.name, kind.name
                            ));
                        }
                    }
                }
            }
        }
    }
    println!("algorithm matrix: {cases} cases, {passed} passed, {} wrong", wrong.len());
    assert_eq!(wrong, [""; 0]);
    assert_eq!(passed, 2 * Alg::ALL.len());
}

#[test]
fn a_token_never_chooses_its_key() {
    let claims = json!({"exp": NOW + 60}).to_string();
    let evil = json!({"kty": "oct", "k": b64(SECRET)});
    let jwt = jwt(json!({"providers": {"p": {"pem": [{"alg": "RS256", "value": RSA_PEM}]}}}));
    for header in [
        json!({"alg": "HS256", "jwk": evil}),
        json!({"alg": "HS256", "jku": "https://evil/keys"}),
        json!({"alg": "HS256", "x5c": ["MII"], "x5u": "https://evil"}),
    ] {
        let token = token_of(Alg::HS256, &header.to_string(), &claims);
        assert_eq!(check(&jwt, &token).err(), Some(TokenError::UnknownKey), "{header}");
    }
}

#[test]
fn a_key_id_narrows_and_never_widens() {
    let [a, b] = [("a", "HS256"), ("b", "HS512")]
        .map(|(kid, alg)| json!({"alg": alg, "kid": kid, "value": "${ENV:JWT_SECRET}"}));
    let jwt = jwt(json!({"providers": {"p": {"secrets": [a, b]}}}));
    let verdict = |alg: Alg, header: Value| {
        check(&jwt, &token_of(alg, &header.to_string(), &json!({"exp": NOW + 60}).to_string())).err()
    };
    assert_eq!(verdict(Alg::HS256, json!({"alg": "HS256", "kid": "a"})), None);
    assert_eq!(verdict(Alg::HS256, json!({"alg": "HS256"})), None);
    assert_eq!(
        verdict(Alg::HS256, json!({"alg": "HS256", "kid": "b"})),
        Some(TokenError::UnsupportedAlgorithm)
    );
    assert_eq!(verdict(Alg::HS256, json!({"alg": "HS256", "kid": "c"})), Some(TokenError::UnknownKey));
    assert_eq!(verdict(Alg::HS512, json!({"alg": "HS256", "kid": "a"})), Some(TokenError::InvalidSignature));
}

#[test]
fn old_and_new_secret_are_accepted_together() {
    let old = "an-old-secret-of-thirty-two-bytes";
    let jwt = jwt(json!({"providers": {"p": {"secrets": [
        {"alg": "HS256", "value": "${ENV:JWT_SECRET}"}, {"alg": "HS256", "value": old}]}}}));
    let signed = format!("{}.{}", b64(r#"{"alg":"HS256"}"#), b64(json!({"exp": NOW + 60}).to_string()));
    for (secret, fine) in [(SECRET, true), (old.as_bytes(), true), (b"another", false)] {
        let token = format!("{signed}.{}", b64(mac(Alg::HS256, secret, signed.as_bytes())));
        assert_eq!(check(&jwt, &token).is_ok(), fine);
    }
}
