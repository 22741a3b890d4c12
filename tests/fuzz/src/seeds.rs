//! Writes the committed seeds: `cargo run --bin seeds`.

mod seed;

use portcullis_token_lab::{ALGORITHMS, public_jwk, public_pem};
use seed::NOW;
use serde_json::json;
use std::fs;
use std::path::Path;

fn main() -> std::io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    write(&corpus.join("tokens"), &tokens())?;
    write(&corpus.join("keys"), &keys())
}

fn write(folder: &Path, seeds: &[Vec<u8>]) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    seeds.iter().enumerate().try_for_each(|(i, seed)| fs::write(folder.join(format!("{i:02}")), seed))
}

/// The first byte says what the rest is: see `tokens.rs`.
fn tokens() -> Vec<Vec<u8>> {
    let with = |kind: u8, rest: &str| [&[kind], rest.as_bytes()].concat();
    let mut seeds = Vec::new();
    // ECDSA signatures differ from run to run elsewhere; these are deterministic (RFC 6979).
    for token in seed::tokens() {
        seeds.push(with(0, &token));
        seeds.push(with(1, &format!("Bearer {token}")));
        seeds.push(with(2, &format!("a=b; t={token}; c=d")));
        seeds.push(with(3, &format!("/a?x=1&t={token}&y=%20")));
    }
    let header = r#"{"alg":"HS256","typ":"at+jwt","kid":"k"}"#;
    let partner = json!({"iss": "https://idp.example", "aud": ["shop", "x"], "sub": 7, "exp": NOW as f64 + 0.5, "nbf": NOW,
        "scope": "a b", "jti": "1"});
    let odd = json!({"exp": NOW + 9, "type": ["access_token"], "role": ["a", "b"], "a": {"b": [1, true, "x"]}, "c": {"d": null}});
    for claims in [seed::claims(), partner, odd] {
        seeds.push(with(4, &format!("{header}\0{claims}")));
    }
    seeds.push(with(4, "{\"alg\":\"HS256\",\"crit\":[\"exp\"]}\0{\"exp\":1e400,\"exp\":1}"));
    seeds.push(with(0, "a.b.c.d.e"));
    seeds
}

fn keys() -> Vec<Vec<u8>> {
    let all: Vec<_> = ALGORITHMS.iter().map(|alg| public_jwk(alg, alg)).collect();
    let mut seeds = vec![seed::key_set().to_string().into_bytes()];
    seeds.extend(all.iter().map(|jwk| json!({"keys": [jwk]}).to_string().into_bytes()));
    seeds.push(
        json!({"keys": [{"kty": "oct", "k": "AAAA", "use": "enc", "key_ops": ["verify"]}]})
            .to_string()
            .into_bytes(),
    );
    seeds.push(
        json!({"revoked": [{"jti": "1"}, {"sub": "a", "issued_before": NOW}]}).to_string().into_bytes(),
    );
    seeds.extend(
        ["RSA", "RSA PKCS#1", "P-256", "P-384", "P-521", "Ed25519"].map(|kind| public_pem(kind).into()),
    );
    seeds
}
