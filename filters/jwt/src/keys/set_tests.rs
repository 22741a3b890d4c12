use super::*;
use crate::token::{Alg, base64url};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn skips(jwk: &str, fetched: bool) -> Option<KeyError> {
    let algorithms = Alg::ALL.into_iter().collect();
    let rules = SetRules { algorithms, max_keys: 1, fetched, min_secret: None };
    let set = KeySet::read(format!(r#"{{"keys":[{jwk}]}}"#).as_bytes(), &rules).unwrap();
    set.skipped().first().map(|skipped| skipped.why)
}

fn rsa(e: &[u8]) -> Option<KeyError> {
    let mut n = [0xff; 256];
    n[0] = 0x80;
    // Without a small factor.
    n[255] = 9;
    Key::rsa(None, Alg::RS256, &n, e).err()
}

#[test]
fn a_secret_that_is_served_is_no_secret() {
    let k = base64url::encode(&core::array::from_fn::<u8, 64, _>(|at| at as u8));
    let jwk = format!(r#"{{"kty":"oct","alg":"HS256","k":"{k}"}}"#);
    assert_eq!(skips(&jwk, false), None);
    assert_eq!(skips(&jwk, true), Some(KeyError::PublishedSecret));
}

#[test]
fn a_key_says_what_it_is_for_and_is_used_for_nothing_else() {
    let x = base64url::encode(&[
        0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e,
        0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
    ]);
    let of = |more: &str| skips(&format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"{more}}}"#), true);
    assert_eq!(of(""), None);
    assert_eq!(of(r#","use":"sig","key_ops":["sign","verify"],"alg":"EdDSA""#), None);
    assert_eq!(of(r#","use":"enc""#), Some(KeyError::NotForVerification));
    assert_eq!(of(r#","use":"SIG""#), Some(KeyError::NotForVerification));
    assert_eq!(of(r#","key_ops":["sign"]"#), Some(KeyError::NotForVerification));
    assert_eq!(of(r#","key_ops":[]"#), Some(KeyError::NotForVerification));
    assert_eq!(of(r#","key_ops":"verify""#), Some(KeyError::Malformed));
    assert_eq!(of(r#","kid":1"#), Some(KeyError::Malformed));
    assert_eq!(of(r#","alg":"HS256""#), Some(KeyError::WrongFamily));
    assert_eq!(of(r#","alg":"none""#), Some(KeyError::Unknown));
    assert_eq!(of(r#","d":"AA""#), Some(KeyError::PrivateKey));
    assert_eq!(skips(r#"{"kty":"OKP","crv":"X25519","x":"AA"}"#, true), Some(KeyError::Unknown));
    assert_eq!(
        skips(r#"{"kty":"OKP","crv":"Ed25519","x":"AA"}"#, true),
        Some(KeyError::NotEd25519),
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
    let jwk = |x: &str, y: &str| skips(&format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}"#), true);
    let (x, y) =
        ("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
    assert_eq!(jwk(x, y), None);
    assert_eq!(jwk(x, x), Some(KeyError::NotOnCurve));
    assert_eq!(jwk(x, "AA"), Some(KeyError::NotOnCurve));
    assert_eq!(jwk(x, &format!("AAAA{y}")), None, "more zeros than needed");
    assert_eq!(jwk(x, &format!("AQEB{y}")), Some(KeyError::NotOnCurve), "too long a number");
}
