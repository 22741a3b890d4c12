//! Keys that are keys by their form and none by their mathematics, and signatures that sloppy readers take: the kinds of Wycheproof's
//! vectors for JSON Web Keys and Signatures.

use crate::support::*;
use portcullis_edge_core::MemoryHost;
use portcullis_jwt::{Alg, Key, KeyError, KeySet, SetRules, TokenError};
use serde_json::{Value, json};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// The modulus of Wycheproof's `rejectsKeyWithRocaVulnerability` (`json_web_key_test`, case 7).
const ROCA: &str = "AanFpofbj7KjD4Lf-N2hVMKR7yewSyXhhbirIMTGpfYEhZ_lnt5UoK98DnKIgArXGTu3MaW_HhFw16HGaTDUHqPrId7fe4r11CqRw09yBFuW79V8sYIwHdzCaWflUI6auImYbVfoN9_nD5n8N8SY9DwXw7mwZM9wREPXoDPgOoIWl6q_MPsp7n0zs3Z5ZaiQWOOzl1S9OhwAfSiiOwz6efnXEaxuTEtPd7BjSx7NaFka8Dx9U7YqXy2RFj1O9PjyaDGuRh7YXsX3iMUSP_wSyHQg_c_qHRtKUsNSGCT7OZg0hzm2KphtjnayKJvC64vAbROBR4Ubg6Bxg9IQVZ-QYyE";

fn from_b64(text: &str) -> Vec<u8> {
    base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, text).unwrap()
}

fn read(keys: &[Value], fetched: bool) -> KeySet {
    let rules =
        SetRules { algorithms: Alg::ALL.into_iter().collect(), max_keys: 8, fetched, min_secret: None };
    KeySet::read(json!({"keys": keys}).to_string().as_bytes(), &rules).unwrap()
}

fn why(jwk: Value) -> Option<KeyError> {
    read(&[jwk], true).skipped().first().map(|skipped| skipped.why)
}

fn ed25519(x: &[u8]) -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "kid": "weak", "x": b64(x)})
}

fn good() -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "kid": "good", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
}

/// The eight points of small order, and other spellings of them (Chalkias et al., "Taming the many EdDSAs", table 6).
fn small_order() -> Vec<[u8; 32]> {
    let of = |first: u8, last: u8| {
        let mut point = [0; 32];
        (point[0], point[31]) = (first, last);
        point
    };
    let high = |first: u8, last: u8| {
        let mut point = [0xff; 32];
        (point[0], point[31]) = (first, last);
        point
    };
    let hex = |text: &str| {
        let byte = |at: usize| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap();
        core::array::from_fn(byte)
    };
    vec![
        of(0, 0),
        of(0, 0x80),
        of(1, 0),
        of(1, 0x80),
        high(0xec, 0x7f),
        high(0xec, 0xff),
        high(0xed, 0x7f),
        high(0xed, 0xff),
        high(0xee, 0x7f),
        high(0xee, 0xff),
        hex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        hex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"),
        hex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
        hex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"),
    ]
}

#[test]
fn a_key_of_small_order_or_in_another_spelling_is_skipped_and_the_others_serve() {
    for point in small_order() {
        let set = read(&[ed25519(&point), good()], true);
        let why = set.skipped().iter().map(|skipped| skipped.why).collect::<Vec<_>>();
        assert!(matches!(why[..], [KeyError::SmallOrder | KeyError::NotEd25519]), "{point:x?}: {why:?}");
        assert_eq!(set.skipped()[0].kid.as_deref(), Some("weak"));
        assert_eq!(set.keys().len(), 1);
    }
    // y = 3 and y = p + 3 are one point, if they are one at all.
    let mut other = [0xff; 32];
    (other[0], other[31]) = (0xf0, 0x7f);
    assert_eq!(why(ed25519(&other)), Some(KeyError::NotEd25519));
}

#[test]
fn a_pem_of_small_order_is_a_mistake_in_the_policy() {
    let der = [&from_hex("302a300506032b6570032100")[..], &[1], &[0; 31]].concat();
    let der = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n");
    assert_eq!(Key::pem(None, Alg::EdDSA, &pem).err(), Some(KeyError::SmallOrder));
    let errors = try_jwt(json!({"providers": {"a": {"pem": [{"alg": "EdDSA", "value": pem}]}}})).unwrap_err();
    assert!(errors[0].starts_with("jwt.providers.a.pem[0].value: "), "{errors:?}");
}

fn from_hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
}

#[test]
fn the_signature_that_is_good_for_every_payload_is_good_for_none() {
    let set = read(&[ed25519(&[&[1][..], &[0; 31]].concat()), good()], true);
    let forged = [&[1][..], &[0; 63]].concat();
    let host = MemoryHost::default();
    assert!(!set.keys().iter().any(|key| key.verifies(b"whatever", &forged, &host)));
}

#[test]
fn a_modulus_with_a_weakness_that_shows_is_skipped() {
    let rsa = |n: &[u8], e: &str| json!({"kty": "RSA", "alg": "RS256", "n": b64(n), "e": e});
    let roca = from_b64(ROCA);
    assert_eq!(why(rsa(&roca, "AQAB")), Some(KeyError::Roca));
    let mut even = roca.clone();
    *even.last_mut().unwrap() &= 0xfe;
    assert_eq!(why(rsa(&even, "AQAB")), Some(KeyError::RsaModulus));
    let mut short = vec![0xff; 128];
    short[127] = 9;
    assert_eq!(why(rsa(&short, "AQAB")), Some(KeyError::RsaSize));
    let mut sound = vec![0xff; 256];
    (sound[0], sound[255]) = (0x80, 9);
    assert_eq!(why(rsa(&sound, "AQAB")), None);
    for e in ["AQ", "Ag", "AA", ""] {
        assert_eq!(why(rsa(&sound, e)), Some(KeyError::RsaExponent), "{e}");
    }
}

#[test]
fn a_part_of_a_private_key_in_any_form_is_refused() {
    let with = |name: &str, value: Value| {
        let mut jwk = good();
        jwk[name] = value;
        why(jwk)
    };
    for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"] {
        for value in [json!("AA"), json!(1), json!([]), json!("")] {
            assert_eq!(with(name, value.clone()), Some(KeyError::PrivateKey), "{name}: {value}");
        }
        assert_eq!(with(name, Value::Null), None, "{name} is null: the key has none");
    }
}

#[test]
fn operations_are_texts_and_each_stands_once() {
    let with = |operations: Value| {
        let mut jwk = good();
        jwk["key_ops"] = operations;
        why(jwk)
    };
    assert_eq!(with(json!(["verify"])), None);
    assert_eq!(with(Value::Null), None);
    for bad in [json!(["verify", "verify"]), json!(["verify", 1]), json!({"verify": 1}), json!("verify")] {
        assert_eq!(with(bad.clone()), Some(KeyError::Malformed), "{bad}");
    }
    assert_eq!(with(json!(["encrypt"])), Some(KeyError::NotForVerification));
}

#[test]
fn a_key_of_another_kind_than_its_algorithm_is_skipped() {
    let p256 = json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"});
    let with = |changes: &[(&str, &str)]| {
        let mut jwk = p256.clone();
        for (name, value) in changes {
            jwk[*name] = json!(value);
        }
        why(jwk)
    };
    assert_eq!(with(&[]), None);
    assert_eq!(with(&[("alg", "ES512")]), Some(KeyError::WrongFamily));
    assert_eq!(with(&[("alg", "ES224")]), Some(KeyError::Unknown));
    assert_eq!(with(&[("crv", "P-384")]), Some(KeyError::NotOnCurve));
    assert_eq!(with(&[("kty", "RSA")]), Some(KeyError::Malformed));
    assert_eq!(with(&[("kty", "OKP")]), Some(KeyError::Unknown));
    assert_eq!(with(&[("use", "enc")]), Some(KeyError::NotForVerification));
    for alg in ["A256GCM", "A256KW"] {
        let rules = SetRules {
            algorithms: Alg::ALL.into_iter().collect(),
            max_keys: 1,
            fetched: false,
            min_secret: None,
        };
        let set = json!({"keys": [{"kty": "oct", "alg": alg, "k": b64([7; 32])}]}).to_string();
        assert_eq!(KeySet::read(set.as_bytes(), &rules).unwrap().skipped()[0].why, KeyError::Unknown);
    }
}

/// Values of r and s outside 1 to n - 1, and their edges (`SpecialCaseEs256`, cases 386 to 401).
#[test]
fn an_ecdsa_signature_of_edge_values_is_none() {
    let n = from_hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    let mut below = n.clone();
    below[31] -= 1;
    let one = [&[0; 31][..], &[1]].concat();
    let values = [vec![0; 32], one, below, n];
    let key = Key::pem(None, Alg::ES256, public_pem("P-256")).unwrap();
    for (r, s) in values.iter().flat_map(|r| values.iter().map(move |s| (r, s))) {
        let signature = [r.as_slice(), s].concat();
        for host in [MemoryHost::default(), native()] {
            assert!(!key.verifies(b"foo", &signature, &host), "r {r:x?} s {s:x?}");
        }
    }
}

/// Another spelling of a signature is none: `SignatureTooLong`, `TrailingZeros`, DER, s + L of Ed25519.
#[test]
fn a_signature_has_one_spelling() {
    let key = |alg, name| Key::pem(None, alg, public_pem(name)).unwrap();
    let sign = |alg: &str| portcullis_token_lab::sign(alg, b"foo");
    let refuses = |key: &Key, signature: Vec<u8>| {
        [MemoryHost::default(), native()].iter().all(|host| !key.verifies(b"foo", &signature, host))
    };
    let (p256, signature) = (key(Alg::ES256, "P-256"), sign("ES256"));
    assert!(!refuses(&p256, signature.clone()), "as it is");
    let der = p256::ecdsa::Signature::from_slice(&signature).unwrap().to_der().as_bytes().to_vec();
    let longer = [&[0][..], &signature[..32], &[0], &signature[32..]].concat();
    for other in [der, longer, [&signature[..], &[0, 0]].concat(), signature[..63].to_vec(), Vec::new()] {
        assert!(refuses(&p256, other));
    }
    let (edwards, signature) = (key(Alg::EdDSA, "Ed25519"), sign("EdDSA"));
    assert!(!refuses(&edwards, signature.clone()), "as it is");
    assert!(refuses(&edwards, plus_order(&signature)), "s + L");
    assert!(refuses(&edwards, [&signature[..], &[0]].concat()));
}

/// The same scalar in another spelling: s plus the order of the group (RFC 8032 section 5.1.7 refuses it).
fn plus_order(signature: &[u8]) -> Vec<u8> {
    let order = from_hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let mut carry = 0;
    let s = signature[32..].iter().zip(&order).map(|(a, b)| {
        let sum = u16::from(*a) + u16::from(*b) + carry;
        carry = sum >> 8;
        sum.to_le_bytes()[0]
    });
    signature[..32].iter().copied().chain(s).collect()
}

#[test]
fn a_secret_that_others_may_know_is_a_mistake_and_is_not_shown() {
    let section = |value: &str, encoding: &str| json!({"providers": {"a": {"secrets": [{"alg": "HS256", "value": value, "encoding": encoding}]}}});
    let pem = public_pem("RSA");
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let jwk = r#"{"kty":"RSA","n":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","e":"AQAB"}"#;
    let ssh = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPnmHNJL7hJ5yx2cPEbTkTfZ0Wl0XcMdU9RYTwmXj8P root@host";
    for (value, encoding) in [(pem, "text"), (&body, "text"), (&body, "base64"), (jwk, "text"), (ssh, "text")]
    {
        let value = value.trim();
        let errors = try_jwt(section(value, encoding)).unwrap_err();
        assert!(errors[0].starts_with("jwt.providers.a.secrets[0]: "), "{errors:?}");
        assert!(errors[0].contains("random bytes"), "{errors:?}");
        assert!(!errors[0].contains(&value[10..30]), "{errors:?}");
    }
}

#[test]
fn a_line_break_at_the_end_of_a_secret_is_a_mistake() {
    let section = |value: &str| json!({"providers": {"a": {"secrets": [{"alg": "HS256", "value": value}]}}});
    let secret = "a secret of just thirty-two bytes";
    assert!(try_jwt(section(secret)).is_ok());
    for bad in [format!("{secret}\n"), format!("{secret}\r\n"), format!(" {secret}")] {
        let errors = try_jwt(section(&bad)).unwrap_err();
        assert!(errors[0].contains("white space at an end") && !errors[0].contains("thirty"), "{errors:?}");
    }
    let client = |secret: &str| {
        let service =
            json!({"url": "http://auth/i", "cluster": "auth", "client_id": "a", "client_secret": secret});
        json!({"providers": {"a": {"introspection": service}}})
    };
    assert!(try_jwt(client("s3cret")).is_ok());
    let errors = try_jwt(client("s3cret\n")).unwrap_err();
    assert!(errors[0].starts_with("jwt.providers.a.introspection.client_secret: "), "{errors:?}");
}

/// Anybody can send tokens without `kid`: what trying keys costs is bounded, and that the bound was reached is a reason of its own.
#[test]
fn the_keys_that_a_token_is_tried_against_cost_no_more_than_allowed() {
    let key = |n: usize| json!({"kty": "EC", "crv": "P-384", "kid": format!("k{n}"), "x": x(n), "y": y(n)});
    let pem = Key::pem(None, Alg::ES384, public_pem("P-384")).unwrap();
    assert_eq!(pem.cost_micros(), 650);
    let keys: Vec<Value> = (0..16).map(key).collect();
    let section = |more: Value| {
        let mut provider = json!({"jwks": {"keys": keys}});
        provider.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        jwt(json!({"providers": {"a": provider}}))
    };
    let token = token(Alg::ES384, &json!({"sub": "a", "exp": NOW + 60}));
    let verdict = |more: Value| check_at(&section(more), &token, at(NOW)).map(drop).map_err(|r| r.error);
    assert_eq!(verdict(json!({})), Err(TokenError::TooManyKeys));
    assert_eq!(verdict(json!({"max_check_micros": 20_000})), Err(TokenError::InvalidSignature));
    assert_eq!(
        verdict(json!({"max_check_micros": 100})),
        Err(TokenError::TooManyKeys),
        "one is tried all the same"
    );
}

#[test]
fn one_key_is_tried_whatever_it_costs() {
    let pem = json!([{"alg": "ES512", "value": public_pem("P-521")}]);
    let jwt = jwt(json!({"providers": {"a": {"pem": pem, "max_check_micros": 100}}}));
    let good = token(Alg::ES512, &json!({"sub": "a", "exp": NOW + 60}));
    assert_eq!(check(&jwt, &good).unwrap().user(), Some("a"));
}

/// Sixteen different points of P-384: the base point times 1 to 16.
fn point(n: usize) -> Vec<u8> {
    use p384::elliptic_curve::sec1::ToEncodedPoint as _;
    let scalar = p384::Scalar::from(u64::try_from(n + 1).unwrap());
    (p384::ProjectivePoint::GENERATOR * scalar).to_affine().to_encoded_point(false).as_bytes().to_vec()
}

fn x(n: usize) -> String {
    b64(&point(n)[1..49])
}

fn y(n: usize) -> String {
    b64(&point(n)[49..])
}
