//! What claims may be, and when a token is good.

use crate::support::*;
use portcullis_jwt::{Alg, TokenError};
use serde_json::{Value, json};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// The verdict on claims given as text, so that they need not be JSON that a library would write.
fn verdict_on(provider: Value, claims: &str) -> Option<TokenError> {
    check(&hs256_jwt(provider), &token_of(Alg::HS256, r#"{"alg":"HS256"}"#, claims)).err()
}

fn verdict(provider: Value, claims: Value) -> Option<TokenError> {
    verdict_on(provider, &claims.to_string())
}

#[test]
fn the_order_processors_token_gives_user_and_role() {
    let claims =
        json!({"sub": "alice", "role": "customer", "exp": NOW + 60, "iat": NOW, "type": "access_token"});
    let provider = json!({"required_claims": [{"claim": "type", "one_of": ["access_token"]}]});
    let identity = check(&hs256_jwt(provider), &token(Alg::HS256, &claims)).unwrap();
    assert_eq!(identity.user(), Some("alice"));
    assert_eq!(identity.roles().collect::<Vec<_>>(), ["customer"]);
    assert_eq!(identity.expires(), Some(at(NOW + 60)));
}

#[test]
fn every_registered_claim_has_its_type_and_no_wrong_one_is_skipped() {
    let wrong = ["null", "true", "\"soon\"", "-1", "-0.5", "1e400", "[1]", "{}", "99999999999999", "\"1\""];
    let mut count = 0;
    for claim in ["exp", "nbf", "iat"] {
        for value in wrong {
            let exp = if claim == "exp" { String::new() } else { format!(r#""exp":{},"#, NOW + 60) };
            let claims = format!("{{{exp}\"{claim}\":{value}}}");
            assert_eq!(verdict_on(json!({}), &claims), Some(TokenError::Malformed), "{claims}");
            count += 1;
        }
    }
    for claim in ["iss", "sub", "jti"] {
        for value in ["null", "true", "1", "[\"x\"]", "{}"] {
            let claims = format!(r#"{{"exp":{},"{claim}":{value}}}"#, NOW + 60);
            assert_eq!(verdict_on(json!({}), &claims), Some(TokenError::Malformed), "{claims}");
            count += 1;
        }
    }
    for value in ["null", "true", "1", "[1]", "[\"a\",null]", "{}"] {
        let claims = format!(r#"{{"exp":{},"aud":{value}}}"#, NOW + 60);
        assert_eq!(
            verdict_on(json!({"any_audience": true}), &claims),
            Some(TokenError::Malformed),
            "{claims}"
        );
        count += 1;
    }
    assert_eq!(count, 51);
}

#[test]
fn a_member_twice_is_malformed_in_claims_and_header() {
    let exp = NOW + 60;
    for claims in [
        format!(r#"{{"exp":{exp},"exp":{exp}}}"#),
        format!(r#"{{"exp":{exp},"role":"user","role":"admin"}}"#),
        format!(r#"{{"exp":{exp},"realm":{{"roles":["a"],"roles":["b"]}}}}"#),
        format!(r#"{{"exp":{exp},"ro\u006ce":"user","role":"admin"}}"#),
    ] {
        assert_eq!(verdict_on(json!({}), &claims), Some(TokenError::Malformed), "{claims}");
    }
    let token = token_of(Alg::HS256, r#"{"alg":"HS256","alg":"HS256"}"#, &format!(r#"{{"exp":{exp}}}"#));
    assert_eq!(check(&hs256_jwt(json!({})), &token).err(), Some(TokenError::Malformed));
}

#[test]
fn claims_that_are_no_object_are_malformed() {
    for claims in ["", "[]", "\"x\"", "null", "1", "{} ", "{}{}", "\u{feff}{}"] {
        let expected = if claims == "{} " { TokenError::InvalidClaim } else { TokenError::Malformed };
        assert_eq!(verdict_on(json!({}), claims), Some(expected), "{claims:?}");
    }
}

#[test]
fn leeway_is_zero_unless_set_and_counts_both_ways() {
    assert_eq!(verdict(json!({}), json!({"exp": NOW + 1})), None);
    assert_eq!(verdict(json!({}), json!({"exp": NOW})), Some(TokenError::Expired));
    assert_eq!(verdict(json!({}), json!({"exp": NOW as f64 + 0.5})), None);
    assert_eq!(verdict(json!({}), json!({"exp": NOW + 9, "nbf": NOW})), None);
    assert_eq!(verdict(json!({}), json!({"exp": NOW + 9, "nbf": NOW + 1})), Some(TokenError::NotYetValid));
    let lenient = json!({"leeway": "30s"});
    assert_eq!(verdict(lenient.clone(), json!({"exp": NOW - 29})), None);
    assert_eq!(verdict(lenient.clone(), json!({"exp": NOW - 30})), Some(TokenError::Expired));
    assert_eq!(verdict(lenient.clone(), json!({"exp": NOW + 99, "nbf": NOW + 30})), None);
    assert_eq!(verdict(lenient, json!({"exp": NOW + 99, "nbf": NOW + 31})), Some(TokenError::NotYetValid));
}

#[test]
fn exp_is_required_unless_a_provider_says_otherwise() {
    assert_eq!(verdict(json!({}), json!({"sub": "a"})), Some(TokenError::InvalidClaim));
    assert_eq!(verdict(json!({"require_exp": false}), json!({"sub": "a"})), None);
    assert_eq!(verdict(json!({"require_exp": false}), json!({"exp": NOW - 1})), Some(TokenError::Expired));
}

#[test]
fn the_issuer_is_compared_exactly() {
    let provider = json!({"issuer": "https://idp"});
    assert_eq!(verdict(provider.clone(), json!({"exp": NOW + 9, "iss": "https://idp"})), None);
    for iss in ["https://idp/", "https://IDP", "", "https://idp.evil"] {
        let claims = json!({"exp": NOW + 9, "iss": iss});
        assert_eq!(verdict(provider.clone(), claims), Some(TokenError::InvalidIssuer), "{iss}");
    }
    assert_eq!(verdict(provider, json!({"exp": NOW + 9})), Some(TokenError::InvalidIssuer));
    assert_eq!(verdict(json!({}), json!({"exp": NOW + 9, "iss": "anybody"})), None);
}

#[test]
fn the_audience_must_name_us_and_an_unasked_one_is_not_ignored() {
    let ours = json!({"audiences": ["api", "web"]});
    assert_eq!(verdict(ours.clone(), json!({"exp": NOW + 9, "aud": ["x", "web"]})), None);
    assert_eq!(verdict(ours.clone(), json!({"exp": NOW + 9, "aud": "api"})), None);
    assert_eq!(
        verdict(ours.clone(), json!({"exp": NOW + 9, "aud": "ap"})),
        Some(TokenError::InvalidAudience)
    );
    assert_eq!(verdict(ours.clone(), json!({"exp": NOW + 9, "aud": []})), Some(TokenError::InvalidAudience));
    assert_eq!(verdict(ours, json!({"exp": NOW + 9})), Some(TokenError::InvalidAudience));
    let claims = json!({"exp": NOW + 9, "aud": "somebody-else"});
    assert_eq!(verdict(json!({}), claims.clone()), Some(TokenError::InvalidAudience));
    assert_eq!(verdict(json!({"any_audience": true}), claims), None);
}

#[test]
fn a_long_life_is_refused_whatever_iat_says() {
    let hour = json!({"max_lifetime": "1h"});
    assert_eq!(verdict(hour.clone(), json!({"iat": NOW, "exp": NOW + 3600})), None);
    assert_eq!(verdict(hour.clone(), json!({"exp": NOW + 3600})), None);
    for claims in [
        json!({"iat": NOW, "exp": NOW + 3601}),
        json!({"iat": NOW - 3600, "exp": NOW + 1}),
        json!({"iat": NOW + 86_400, "exp": NOW + 86_400 + 60}),
        json!({"exp": NOW + 3601}),
    ] {
        assert_eq!(verdict(hour.clone(), claims.clone()), Some(TokenError::LifetimeTooLong), "{claims}");
    }
}

#[test]
fn a_holder_bound_token_is_no_bearer_token_unless_told() {
    let claims = json!({"exp": NOW + 9, "cnf": {"jkt": "x"}});
    assert_eq!(verdict(json!({}), claims.clone()), Some(TokenError::ConfirmationRequired));
    assert_eq!(
        verdict(json!({}), json!({"exp": NOW + 9, "cnf": null})),
        Some(TokenError::ConfirmationRequired)
    );
    assert_eq!(verdict(json!({"confirmation": "bearer"}), claims), None);
}

#[test]
fn the_type_must_be_the_providers() {
    let verdict = |typ: &str| {
        let header = format!(r#"{{"alg":"HS256"{typ}}}"#);
        let token = token_of(Alg::HS256, &header, &json!({"exp": NOW + 9}).to_string());
        check(&hs256_jwt(json!({"typ": ["at+jwt"]})), &token).err()
    };
    assert_eq!(verdict(r#","typ":"at+jwt""#), None);
    assert_eq!(verdict(r#","typ":"application/AT+JWT""#), None);
    assert_eq!(verdict(r#","typ":"JWT""#), Some(TokenError::InvalidType));
    assert_eq!(verdict(""), Some(TokenError::InvalidType));
}

#[test]
fn required_claims_are_compared_by_type_and_value() {
    let need = |rule: Value| json!({"required_claims": [rule]});
    let claims = json!({"exp": NOW + 9, "type": "access_token", "ok": true, "n": 1, "list": ["a", 2], "null": null,
            "below": -5, "half": 2.5});
    let fits = [
        json!({"claim": "type"}),
        json!({"claim": "type", "one_of": ["x", "access_token"]}),
        json!({"claim": "ok", "one_of": [true]}),
        json!({"claim": "n", "one_of": [1]}),
        json!({"claim": "below", "one_of": [5, -5]}),
        json!({"claim": "half", "one_of": [2, 2.5]}),
        json!({"claim": "/list", "one_of": [2]}),
        json!({"claim": "/list/0", "one_of": ["a"]}),
    ];
    for rule in fits {
        assert_eq!(verdict(need(rule.clone()), claims.clone()), None, "{rule}");
    }
    let misses = [
        json!({"claim": "absent"}),
        json!({"claim": "null"}),
        json!({"claim": "type", "one_of": ["refresh_token"]}),
        json!({"claim": "ok", "one_of": ["true"]}),
        json!({"claim": "n", "one_of": ["1", true]}),
        json!({"claim": "below", "one_of": [5, -6, "-5"]}),
        json!({"claim": "half", "one_of": [2, 3.5, "2.5"]}),
        json!({"claim": "/list", "one_of": ["b"]}),
    ];
    for rule in misses {
        assert_eq!(verdict(need(rule.clone()), claims.clone()), Some(TokenError::InvalidClaim), "{rule}");
    }
}

#[test]
fn a_large_token_is_refused_before_it_is_read() {
    let limit = 1000;
    let jwt = hs256_jwt(json!({"max_token_bytes": limit}));
    let of_size = |pad: usize| token(Alg::HS256, &json!({"exp": NOW + 9, "pad": "x".repeat(pad)}));
    let fits = (0..limit).rev().map(of_size).find(|token| token.len() <= limit).unwrap();
    assert!(fits.len() > limit - 4);
    assert!(check(&jwt, &fits).is_ok());
    assert_eq!(check(&jwt, &of_size(limit)).err(), Some(TokenError::TooLarge));
    assert_eq!(check(&jwt, &"\u{fffd}".repeat(limit)).err(), Some(TokenError::TooLarge));
}

#[test]
fn nested_claims_become_identity_and_headers() {
    let jwt = hs256_jwt(json!({
        "user_claim": "/user/id", "role_claim": "/realm_access/roles", "scope_claim": "scp",
        "claim_to_headers": [
            {"claim": "/user/id", "header": "X-User-ID"},
            {"claim": "/realm_access/roles", "header": "X-User-Role"},
            {"claim": "/realm_access", "header": "X-Realm", "encoding": "base64url"},
            {"claim": "absent", "header": "X-Absent"}],
    }));
    let claims =
        json!({"exp": NOW + 9, "user": {"id": 42}, "realm_access": {"roles": ["a", "b"]}, "scp": "r  w"});
    let identity = check(&jwt, &token(Alg::HS256, &claims)).unwrap();
    assert_eq!(identity.user(), Some("42"));
    assert_eq!(identity.roles().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(identity.scopes().collect::<Vec<_>>(), ["r", "w"]);
    assert!(identity.has_role("b") && !identity.has_role("B"));
    assert!(identity.has_scope("w") && !identity.has_scope("r  w"));
    let path = |steps: &[&str]| steps.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert!(identity.any_claim(&path(&["realm_access", "roles"]), |v| v == portcullis_jwt::Value::Text("b")));
    assert!(
        identity.any_claim(&path(&["realm_access", "roles", "0"]), |v| v == portcullis_jwt::Value::Text("a"))
    );
    assert!(!identity.any_claim(&path(&["realm_access", "roles", "2"]), |_| true));
    let headers: Vec<_> = jwt.headers(&identity).collect();
    let realm = b64(r#"{"roles":["a","b"]}"#);
    assert_eq!(headers, [("x-user-id", &b"42"[..]), ("x-user-role", b"a,b"), ("x-realm", realm.as_bytes())]);
}

#[test]
fn identity_claims_of_a_wrong_kind_are_refused() {
    for claims in [
        json!({"sub": ""}),
        json!({"role": 1}),
        json!({"role": {"a": 1}}),
        json!({"role": ["a", 1]}),
        json!({"scope": true}),
    ] {
        let mut claims = claims;
        claims["exp"] = json!(NOW + 9);
        assert_eq!(verdict(json!({}), claims.clone()), Some(TokenError::InvalidClaim), "{claims}");
    }
    let claims = json!({"exp": NOW + 9, "sub": "a\r\nX-User-Role: admin"});
    assert_eq!(verdict(json!({}), claims), Some(TokenError::UnmappableClaim));
}

#[test]
fn an_identity_claim_that_is_null_is_absent() {
    let claims = json!({"exp": NOW + 9, "name": null, "role": null, "scope": null});
    let jwt = hs256_jwt(json!({"user_claim": "name"}));
    let identity = check(&jwt, &token(Alg::HS256, &claims)).unwrap();
    assert_eq!(identity.user(), None);
    assert_eq!((identity.roles().count(), identity.scopes().count()), (0, 0));
}

#[test]
fn each_token_is_as_large_as_its_own_provider_accepts() {
    let provider =
        |issuer: &str, bytes: usize| hs256_provider(json!({"issuer": issuer, "max_token_bytes": bytes}));
    let mut worker = Worker::new(json!({"providers": {"a": provider("a", 400), "b": provider("b", 800)}}));
    let both = worker.route(json!({"providers": ["a", "b"]}));
    let of = |issuer: &str, pad: usize| {
        token(Alg::HS256, &json!({"iss": issuer, "sub": "alice", "exp": NOW + 9, "pad": "x".repeat(pad)}))
    };
    for (issuer, pad, expected) in [
        ("a", 100, user("alice")),
        ("a", 300, Outcome::Refused(TokenError::TooLarge)),
        ("b", 300, user("alice")),
        ("b", 600, Outcome::Refused(TokenError::TooLarge)),
    ] {
        assert_eq!(worker.token(&both, &of(issuer, pad), NOW), expected, "{issuer} {pad}");
    }
}

#[test]
fn a_user_or_role_that_would_not_arrive_as_it_is_refuses_the_token() {
    for claims in [
        json!({"sub": " alice"}),
        json!({"sub": "alice "}),
        json!({"role": "admin "}),
        json!({"role": "user,admin"}),
        json!({"role": ["user", "a,b"]}),
        json!({"role": ["user", "a\u{2028}b"]}),
        json!({"scope": "a b\u{7}"}),
    ] {
        let mut claims = claims;
        claims["exp"] = json!(NOW + 9);
        assert_eq!(verdict(json!({}), claims.clone()), Some(TokenError::UnmappableClaim), "{claims}");
    }
    let claims = json!({"exp": NOW + 9, "sub": "Doe, J", "role": ["", "a b"], "scope": ["x,y"]});
    let identity = check_at(&hs256_jwt(json!({})), &token(Alg::HS256, &claims), at(NOW)).unwrap();
    assert_eq!((identity.user(), identity.roles().collect::<Vec<_>>()), (Some("Doe, J"), vec!["a b"]));
}

#[test]
fn a_token_is_told_from_others_by_its_id_or_by_what_was_signed() {
    let jwt = hs256_jwt(json!({}));
    let id = |claims: Value| {
        let token = token(Alg::HS256, &claims);
        check(&jwt, &token).unwrap().token_id(token.as_bytes())
    };
    let one = id(json!({"iss": "us", "jti": "x", "exp": NOW + 9}));
    assert_eq!(one, id(json!({"iss": "us", "jti": "x", "exp": NOW + 10, "sub": "other"})));
    assert_ne!(one, id(json!({"iss": "them", "jti": "x", "exp": NOW + 9})));
    assert_ne!(one, id(json!({"iss": "us", "jti": "y", "exp": NOW + 9})));
    assert_eq!(id(json!({"exp": NOW + 9})), id(json!({"exp": NOW + 9})));
    assert_ne!(id(json!({"exp": NOW + 9})), id(json!({"exp": NOW + 10})));
}
