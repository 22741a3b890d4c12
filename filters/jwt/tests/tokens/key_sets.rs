//! Key sets as real issuers write them.

use crate::support::*;
use portcullis_jwt::{Alg, KeyError, KeySet, SetRules, TokenError};
use serde_json::{Value, json};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";

fn rules(algorithms: &[Alg]) -> SetRules {
    SetRules {
        algorithms: algorithms.iter().copied().collect(),
        max_keys: 8,
        fetched: true,
        min_secret: None,
    }
}

fn read(text: &str) -> KeySet {
    KeySet::read(text.as_bytes(), &rules(&Alg::ALL)).unwrap()
}

fn kids(set: &KeySet) -> Vec<&str> {
    set.keys().iter().filter_map(|key| key.kid()).collect()
}

fn skipped(set: &KeySet) -> Vec<(usize, KeyError)> {
    set.skipped().iter().map(|skipped| (skipped.index, skipped.why)).collect()
}

fn p256(kid: &str) -> Value {
    json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": X, "y": Y})
}

fn rsa(more: Value) -> Value {
    let mut modulus = vec![0xff; 256];
    (modulus[0], modulus[255]) = (0x80, 9);
    let mut jwk = json!({"kty": "RSA", "use": "sig", "kid": "r", "n": b64(&modulus), "e": "AQAB"});
    jwk.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    jwk
}

#[test]
fn what_can_be_read_in_one_way_only_is_taken() {
    let mut padded = p256("padded");
    (padded["x"], padded["y"]) = (json!(format!("{X}=")), json!(format!("{Y}==")));
    let mut nulls = p256("nulls");
    for name in ["d", "use", "key_ops", "alg", "issuer"] {
        nulls[name] = Value::Null;
    }
    let set = json!({"keys": [padded, nulls], "x": null}).to_string();
    for text in [set.clone(), format!("\u{feff}{set}")] {
        assert_eq!(kids(&read(&text)), ["padded", "nulls"]);
    }
}

#[test]
fn a_coordinate_without_its_leading_zero_is_the_same_coordinate() {
    use p256::elliptic_curve::sec1::ToEncodedPoint as _;
    let points = (1_u64..5_000).map(|n| p256::ProjectivePoint::GENERATOR * p256::Scalar::from(n));
    let mut encoded = points.map(|point| point.to_affine().to_encoded_point(false).as_bytes().to_vec());
    let point = encoded.find(|bytes| bytes[1] == 0).expect("one in 256");
    let jwk =
        |x: &[u8]| json!({"kty": "EC", "crv": "P-256", "kid": "z", "x": b64(x), "y": b64(&point[33..])});
    for x in [&point[1..33], &point[2..33]] {
        assert_eq!(kids(&read(&json!({"keys": [jwk(x)]}).to_string())), ["z"], "{} bytes", x.len());
    }
}

#[test]
fn a_malformed_or_doubled_entry_costs_that_key_and_no_other() {
    let good = p256("good").to_string();
    let twice = format!(r#"{{"kty":"EC","kid":"a","kid":"b","crv":"P-256","x":"{X}","y":"{Y}"}}"#);
    let nested =
        format!(r#"{{"kty":"EC","kid":"n","crv":"P-256","x":"{X}","y":"{Y}","z":[{{"a":1,"a":2}}]}}"#);
    let set = read(&format!(r#"{{"keys":[null,{twice},"text",{nested},{good},{good},{{"kty":7}}]}}"#));
    assert_eq!(kids(&set), ["good"]);
    let malformed = |index| (index, KeyError::Malformed);
    let expected =
        [malformed(0), malformed(1), malformed(2), malformed(3), (5, KeyError::Duplicate), malformed(6)];
    assert_eq!(skipped(&set), expected);
    assert!(
        KeySet::read(br#"{"keys":[],"keys":[]}"#, &rules(&Alg::ALL)).is_err(),
        "the set's own member twice"
    );
}

#[test]
fn keys_without_alg_serve_each_rsa_algorithm_of_the_provider() {
    let set = json!({"keys": [rsa(json!({}))]}).to_string();
    let algs = |algorithms: &[Alg]| {
        let set = KeySet::read(set.as_bytes(), &rules(algorithms)).unwrap();
        set.keys().iter().map(portcullis_jwt::Key::alg).collect::<Vec<_>>()
    };
    assert_eq!(algs(&[Alg::RS256, Alg::PS256]), [Alg::RS256, Alg::PS256]);
    assert_eq!(algs(&[Alg::RS256, Alg::ES256]), [Alg::RS256]);
    assert_eq!(algs(&[Alg::ES256]), []);
    let named = json!({"keys": [rsa(json!({"alg": "PS256"}))]}).to_string();
    let set = KeySet::read(named.as_bytes(), &rules(&[Alg::RS256, Alg::PS256])).unwrap();
    assert_eq!(
        set.keys().iter().map(portcullis_jwt::Key::alg).collect::<Vec<_>>(),
        [Alg::PS256],
        "its own word"
    );
}

#[test]
fn a_secret_without_alg_serves_one_algorithm_or_none() {
    let rules = |algorithms: &[Alg]| SetRules { fetched: false, ..rules(algorithms) };
    let set = json!({"keys": [{"kty": "oct", "k": b64(std::array::from_fn::<u8, 64, _>(|at| at as u8))}]})
        .to_string();
    let why = |algorithms: &[Alg]| {
        KeySet::read(set.as_bytes(), &rules(algorithms)).unwrap().skipped().first().map(|skipped| skipped.why)
    };
    assert_eq!(why(&[Alg::HS256]), None);
    assert_eq!(why(&[Alg::HS256, Alg::HS512]), Some(KeyError::NoAlgorithm));
}

#[test]
fn fully_specified_names_mean_what_they_say_in_keys_and_in_tokens() {
    let der = public_pem("Ed25519").lines().nth(1).unwrap().to_owned();
    let der = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, der).unwrap();
    let claims = json!({"sub": "a", "exp": NOW + 60}).to_string();
    for of_key in ["Ed25519", "EdDSA"] {
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "alg": of_key, "x": b64(&der[12..])});
        let jwt = jwt(json!({"providers": {"a": {"jwks": {"keys": [jwk]}}}}));
        for of_token in ["Ed25519", "EdDSA"] {
            let header = json!({"alg": of_token}).to_string();
            assert!(
                check_at(&jwt, &token_of(Alg::EdDSA, &header, &claims), at(NOW)).is_ok(),
                "{of_key} {of_token}"
            );
        }
        let token = token_of(Alg::EdDSA, r#"{"alg":"Ed448"}"#, &claims);
        assert_eq!(check_at(&jwt, &token, at(NOW)).unwrap_err().error, TokenError::UnsupportedAlgorithm);
    }
}

/// The SPIFFE Trust Domain and Bundle, section 4: `use` tells keys for JWT-SVIDs from those for X.509-SVIDs.
#[test]
fn a_spiffe_bundle_is_a_key_set() {
    let (mut jwt, mut x509) = (p256("jwt"), p256("x509"));
    (jwt["use"], x509["use"]) = (json!("jwt-svid"), json!("x509-svid"));
    let bundle = json!({"keys": [x509, jwt], "spiffe_sequence": 12, "spiffe_refresh_hint": 300});
    let set = read(&bundle.to_string());
    assert_eq!(kids(&set), ["jwt"]);
    assert_eq!(skipped(&set), [(0, KeyError::NotForVerification)]);
}

#[test]
fn a_set_is_asked_for_by_its_own_media_type_and_with_a_credential_where_one_is_given() {
    let fetch = json!({"cluster": "kube", "jwks_uri": "https://kube/openid/v1/jwks", "authorization": "${ENV:JWT_SECRET}"});
    let mut worker = Worker::new(json!({"providers": {"kube": {"algorithms": ["RS256"], "fetch": fetch}}}));
    let call = worker.poll(NOW).calls.remove(0).1;
    let header = |name: &str| call.headers.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str());
    assert_eq!(header("accept"), Some("application/jwk-set+json, application/json"));
    assert_eq!(header("authorization").map(str::as_bytes), Some(SECRET));
    assert!(!format!("{call:?}").contains(std::str::from_utf8(SECRET).unwrap()));
}

#[test]
fn a_credential_does_not_follow_where_discovery_leads() {
    let fetch = json!({"cluster": "idp", "discovery": true, "authorization": "Bearer s3cret"});
    let mut worker = Worker::new(
        json!({"providers": {"a": {"issuer": "https://idp", "algorithms": ["RS256"], "fetch": fetch}}}),
    );
    let (id, call) = worker.poll(NOW).calls.remove(0);
    assert!(call.headers.contains(&("authorization", "Bearer s3cret".to_owned())));
    for (uri, goes) in [("https://elsewhere/keys", false), ("https://idp/keys", true)] {
        let mut worker =
            Worker::new(json!({"providers": {"a": {"issuer": "https://idp", "algorithms": ["RS256"],
            "fetch": {"cluster": "idp", "discovery": true, "authorization": "Bearer s3cret"}}}}));
        drop(worker.poll(NOW));
        let document = json!({"issuer": "https://idp", "jwks_uri": uri}).to_string();
        let polled = worker.tokens.on_response(id, 200, document.as_bytes(), &worker.host);
        let has = polled.calls[0].1.headers.iter().any(|(name, _)| *name == "authorization");
        assert_eq!(has, goes, "{uri}");
    }
}

#[test]
fn the_worker_that_fetched_a_set_tells_which_keys_it_does_not_use() {
    let fetch = json!({"cluster": "idp", "jwks_uri": "https://idp/keys"});
    let mut worker = Worker::new(json!({"providers": {"a": {"algorithms": ["ES256"], "fetch": fetch}}}));
    let (id, _) = worker.poll(NOW).calls.remove(0);
    let set = json!({"keys": [p256("good"), rsa(json!({})), {"kty": "OKP", "crv": "X25519", "x": "AA"}]})
        .to_string();
    let polled = worker.tokens.on_response(id, 200, set.as_bytes(), &worker.host);
    let told: Vec<_> = polled.skipped.iter().map(|(at, s)| (*at, s.index, s.kid.as_deref(), s.why)).collect();
    assert_eq!(told, [(0, 1, Some("r"), KeyError::NoAlgorithm), (0, 2, None, KeyError::Unknown)]);
    let mut other = Worker {
        host: std::mem::take(&mut worker.host),
        ..Worker::new(json!({"providers": {"a":
        {"algorithms": ["ES256"], "fetch": {"cluster": "idp", "jwks_uri": "https://idp/keys"}}}}))
    };
    assert_eq!(other.poll(NOW + 1).skipped, [], "one worker tells it");
}

#[test]
fn a_set_without_one_usable_key_says_why_of_each() {
    let fetch = json!({"cluster": "idp", "jwks_uri": "https://idp/keys"});
    let mut worker = Worker::new(json!({"providers": {"a": {"algorithms": ["ES256"], "fetch": fetch}}}));
    let (id, _) = worker.poll(NOW).calls.remove(0);
    let set = json!({"keys": [rsa(json!({})), rsa(json!({"kid": "s", "alg": "PS256"}))]}).to_string();
    let polled = worker.tokens.on_response(id, 200, set.as_bytes(), &worker.host);
    let told: Vec<_> = polled.skipped.iter().map(|(at, skipped)| (*at, skipped.index, skipped.why)).collect();
    assert_eq!(told, [(0, 0, KeyError::NoAlgorithm), (0, 1, KeyError::NotAccepted)]);
}

#[test]
fn a_public_key_in_pem_is_a_key_of_its_algorithms_kind_and_no_certificate() {
    let error = |alg: Alg, pem: &str| portcullis_jwt::Key::pem(None, alg, pem).err();
    let certificate = public_pem("RSA").replace("PUBLIC KEY", "CERTIFICATE");
    let other = public_pem("RSA").replace("PUBLIC KEY", "X509 CRL");
    for alg in [Alg::RS256, Alg::ES256, Alg::EdDSA, Alg::HS256] {
        assert_eq!(error(alg, &certificate), Some(KeyError::Certificate), "{alg}");
        assert_eq!(error(alg, &other), Some(KeyError::NotPem), "{alg}");
    }
    for (alg, kind) in [
        (Alg::HS256, "RSA"),
        (Alg::HS256, "RSA PKCS#1"),
        (Alg::ES256, "RSA"),
        (Alg::ES256, "RSA PKCS#1"),
        (Alg::EdDSA, "RSA PKCS#1"),
        (Alg::EdDSA, "P-256"),
        (Alg::RS256, "P-256"),
    ] {
        assert_eq!(error(alg, public_pem(kind)), Some(KeyError::WrongFamily), "{alg} {kind}");
    }
}

#[test]
fn an_algorithm_that_is_listed_twice_is_listed() {
    let jwt = hs256_jwt(json!({"algorithms": ["HS256", "HS512", "HS256"]}));
    assert!(check(&jwt, &token(Alg::HS256, &json!({"sub": "a", "exp": NOW + 60}))).is_ok());
}
