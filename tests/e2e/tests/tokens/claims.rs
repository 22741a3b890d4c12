//! Claims and header fields that others forgot to read.

use crate::lab::{claims, now, provider, route};
use crate::sides::Side;
use portcullis_token_lab::mint_with;
use serde_json::{Value, json};

const HEADER: &str = r#"{"alg":"HS256"}"#;

/// What may be wrong with a token that is signed well: reason, header, claims.
fn wrong() -> Vec<(&'static str, String, String)> {
    let now = now();
    let with_header =
        |reason, header: &str| (reason, header.to_owned(), claims(json!({"aud": "us"})).to_string());
    let with_claims = |reason, changes: Value| {
        let mut all = claims(json!({"aud": "us"}));
        all.as_object_mut().expect("claims").extend(changes.as_object().expect("claims").clone());
        (reason, HEADER.to_owned(), all.to_string())
    };
    let raw = |reason, claims: &str| (reason, HEADER.to_owned(), claims.to_owned());
    vec![
        with_header("critical_header", r#"{"alg":"HS256","crit":["exp"]}"#),
        with_header("critical_header", r#"{"alg":"HS256","crit":[]}"#),
        with_header("critical_header", r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#),
        with_header("malformed", r#"{"alg":"HS256","alg":"none"}"#),
        with_header("malformed", r#"{"alg":["HS256"]}"#),
        with_header("invalid_type", r#"{"alg":"HS256","typ":"dpop+jwt"}"#),
        with_claims("confirmation_required", json!({"cnf": {"jkt": "x"}})),
        with_claims("expired", json!({"exp": now})),
        with_claims("expired", json!({"exp": now - 1})),
        with_claims("not_yet_valid", json!({"nbf": now + 30})),
        with_claims("lifetime_too_long", json!({"exp": now + 1_000_000})),
        with_claims("invalid_audience", json!({"aud": "them"})),
        with_claims("invalid_audience", json!({"aud": ["them", "they"]})),
        with_claims("malformed", json!({"exp": (now + 60).to_string()})),
        with_claims("malformed", json!({"exp": true})),
        with_claims("malformed", json!({"exp": null})),
        with_claims("malformed", json!({"exp": -1})),
        with_claims("malformed", json!({"nbf": "0"})),
        with_claims("malformed", json!({"aud": 7})),
        with_claims("malformed", json!({"sub": {}})),
        raw("malformed", r#"{"aud":"us","exp":1e400}"#),
        raw("malformed", r#"{"aud":"us","exp":1,"exp":4000000000}"#),
        raw("malformed", r#"{"aud":"us","sub":"a","sub":"b","exp":4000000000}"#),
        raw("malformed", "[]"),
        raw("malformed", "{"),
        with_claims("invalid_claim", json!({"type": "refresh_token"})),
        with_claims("unmappable_claim", json!({"sub": "alice\r\nx-user-role: admin"})),
        with_claims("unmappable_claim", json!({"role": "customer,admin"})),
    ]
}

#[test]
fn what_is_wrong_with_a_well_signed_token_is_found() {
    let settings = json!({
        "audiences": ["us"], "typ": ["JWT", "at+jwt"], "max_lifetime": "1d",
        "required_claims": [{"claim": "type", "one_of": ["access_token"]}],
    });
    let jwt = json!({"providers": {"main": provider(settings)}});
    let typed = |claims: &str| claims.replacen('{', r#"{"type":"access_token","#, 1);
    for mut side in Side::both(&jwt, &[route("/a", json!({}))]) {
        let fine = claims(json!({"aud": "us"})).to_string();
        let header = r#"{"alg":"HS256","typ":"JWT"}"#;
        assert_eq!(side.ask("/a", &mint_with("HS256", header, &typed(&fine))).status, 200);
        for (expected, header, claims) in wrong() {
            let untouched = claims.contains("\"type\"") || !claims.starts_with("{\"");
            let claims = if untouched { claims } else { typed(&claims) };
            let header =
                if header.contains("typ") { header } else { header.replacen('{', r#"{"typ":"JWT","#, 1) };
            eprintln!("{header} {claims}"); // shown if the test fails
            side.ask("/a", &mint_with("HS256", &header, &claims)).assert_refused(side.name(), expected);
        }
    }
}
