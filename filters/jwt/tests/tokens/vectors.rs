//! The examples of the RFCs.

use crate::support::*;
use portcullis_edge_core::{Host, MemoryHost};
use portcullis_jwt::{Alg, KeySet, SetRules, TokenError};
use serde_json::{Value, json};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// RFC 7515 appendix A.1 and RFC 7519 section 3.1: `{"iss":"joe", "exp":1300819380, "http://example.com/is_root":true}`.
const CLAIMS: &str =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
const A1_HEADER: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9";
const A1_SIGNATURE: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const A1_SECRET: &str =
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
const A2_SIGNATURE: &str = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
const A2_MODULUS: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
const A3_SIGNATURE: &str =
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
const A4_SIGNATURE: &str = "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn";
const RFC8037_SIGNATURE: &str =
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
/// A moment at which the example's `exp` lies ahead.
const THEN: u64 = 1_300_819_000;

fn oct() -> Value {
    json!({"kty": "oct", "k": A1_SECRET})
}

fn rsa() -> Value {
    json!({"kty": "RSA", "n": A2_MODULUS, "e": "AQAB"})
}

fn p256() -> Value {
    json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})
}

fn p521() -> Value {
    json!({"kty": "EC", "crv": "P-521",
        "x": "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk",
        "y": "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"})
}

fn ed25519() -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
}

fn verdict(jwk: Value, algorithms: &[&str], token: &str, now: u64) -> Result<bool, TokenError> {
    let section =
        json!({"providers": {"rfc": {"issuer": "joe", "algorithms": algorithms, "jwks": {"keys": [jwk]}}}});
    let identity = check_at(&jwt(section), token, at(now)).map_err(|refusal| refusal.error)?;
    Ok(identity.claims().member("http://example.com/is_root").is_some())
}

/// Whether the one key in a set verifies a payload that is no JWT.
fn signature_holds(jwk: Value, alg: Alg, signed: &str, signature: &str) -> bool {
    let rules =
        SetRules { algorithms: [alg].into_iter().collect(), max_keys: 1, fetched: false, min_secret: None };
    let set = KeySet::read(json!({"keys": [jwk]}).to_string().as_bytes(), &rules).unwrap();
    let signature =
        base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, signature).unwrap();
    let by = |host: &dyn Host| set.keys()[0].verifies(signed.as_bytes(), &signature, host);
    let pure = by(&MemoryHost::default());
    assert_eq!(pure, by(&native()), "pure Rust and the host disagree");
    pure
}

#[test]
fn rfc7515_a1_hs256_holds_until_its_exp() {
    let token = format!("{A1_HEADER}.{CLAIMS}.{A1_SIGNATURE}");
    assert_eq!(verdict(oct(), &["HS256"], &token, THEN), Ok(true));
    assert_eq!(verdict(oct(), &["HS256"], &token, 1_300_819_379), Ok(true));
    assert_eq!(verdict(oct(), &["HS256"], &token, 1_300_819_380), Err(TokenError::Expired));
}

#[test]
fn rfc7515_a2_rs256_holds() {
    let token = format!("eyJhbGciOiJSUzI1NiJ9.{CLAIMS}.{A2_SIGNATURE}");
    assert_eq!(verdict(rsa(), &["RS256"], &token, THEN), Ok(true));
    assert!(signature_holds(rsa(), Alg::RS256, &format!("eyJhbGciOiJSUzI1NiJ9.{CLAIMS}"), A2_SIGNATURE));
}

#[test]
fn rfc7515_a3_es256_holds() {
    let token = format!("eyJhbGciOiJFUzI1NiJ9.{CLAIMS}.{A3_SIGNATURE}");
    assert_eq!(verdict(p256(), &["ES256"], &token, THEN), Ok(true));
    assert!(signature_holds(p256(), Alg::ES256, &format!("eyJhbGciOiJFUzI1NiJ9.{CLAIMS}"), A3_SIGNATURE));
}

#[test]
fn rfc7515_a4_es512_holds_and_its_payload_is_no_claims() {
    assert!(signature_holds(p521(), Alg::ES512, "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA", A4_SIGNATURE));
    assert!(!signature_holds(p521(), Alg::ES512, "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZB", A4_SIGNATURE));
    let token = format!("eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.{A4_SIGNATURE}");
    assert_eq!(verdict(p521(), &["ES512"], &token, THEN), Err(TokenError::Malformed));
}

#[test]
fn rfc7515_a5_and_rfc7519_6_1_unsecured_is_refused() {
    let token = format!("eyJhbGciOiJub25lIn0.{CLAIMS}.");
    for jwk in [oct(), rsa(), p256(), ed25519()] {
        let algorithms = ["HS256", "RS256", "ES256", "EdDSA"];
        assert_eq!(verdict(jwk, &algorithms, &token, THEN), Err(TokenError::UnsupportedAlgorithm));
    }
}

#[test]
fn rfc8037_a_ed25519_holds() {
    let signed = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    assert!(signature_holds(ed25519(), Alg::EdDSA, signed, RFC8037_SIGNATURE));
    assert!(!signature_holds(ed25519(), Alg::EdDSA, &signed[1..], RFC8037_SIGNATURE));
}

#[test]
fn rfc7519_a1_encrypted_is_named_as_such() {
    let token = "eyJhbGciOiJSU0ExXzUiLCJlbmMiOiJBMTI4Q0JDLUhTMjU2In0.QR1Owv2ug2WyPBnbQrRARTeEk9kDO2w8.AxY8DCtDaGlsbGljb3RoZQ.MKOle7UQrG6nSxTLX6Mqwt0orbHvAKeWnDYvpIAeZ72deHxz3roJDXQyhxx0wKaM.fiK51VwhsxJ-siBMR-YFiA";
    assert_eq!(verdict(rsa(), &["RS256"], token, THEN), Err(TokenError::Encrypted));
}
