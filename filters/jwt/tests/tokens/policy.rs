//! Mistakes in the section `jwt`: all of them, with their places, and never a secret.

use crate::support::*;
use portcullis_edge_core::{ConfigErrors, Node};
use portcullis_jwt::RawAuth;
use serde_json::{Value, json};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn errors(provider: Value) -> Vec<String> {
    try_jwt(json!({"providers": {"p": provider}})).err().unwrap_or_default()
}

fn has(errors: &[String], part: &str) {
    assert!(errors.iter().any(|error| error.contains(part)), "{part:?} not in {errors:#?}");
}

#[test]
fn every_mistake_is_told_at_once_with_its_place() {
    let errors = errors(json!({
        "secrets": [
            {"alg": "HS256", "value": "short"},
            {"alg": "HS256", "value": "${ENV:MISSING}"},
            {"alg": "RS256", "value": "0123456789abcdef0123456789abcdef"}],
        "pem": [{"alg": "ES256", "value": public_pem("RSA")}, {"alg": "RS256", "value": public_pem("RSA 1024")}],
        "any_audience": true, "audiences": ["a"],
        "leeway": "1h",
        "claim_to_headers": [{"claim": "sub", "header": "X-A"}, {"claim": "sub", "header": "x_a"}, {"claim": "a", "header": "no name"}],
        "fetch": {"cluster": "idp", "refresh": "0s"},
    }));
    for place in [
        "jwt.providers.p.secrets[0]: found a secret of 5 bytes for HS256",
        "jwt.providers.p.secrets[1].value: found `${ENV:MISSING}`, which is not set",
        "jwt.providers.p.secrets[2]",
        "jwt.providers.p.pem[0].value",
        "jwt.providers.p.pem[1].value: found another key, expected an RSA key of 2048",
        "jwt.providers.p.any_audience",
        "jwt.providers.p.leeway",
        "jwt.providers.p.claim_to_headers[1].header",
        "jwt.providers.p.claim_to_headers[2].header",
        "jwt.providers.p.fetch: found none or both",
        "jwt.providers.p.fetch.refresh",
        "jwt.providers.p.algorithms",
    ] {
        has(&errors, place);
    }
    assert_eq!(errors.len(), 12, "{errors:#?}");
}

#[test]
fn no_error_shows_a_secret() {
    let secret = "hunter2-hunter2";
    for provider in [
        json!({"secrets": [{"alg": "HS256", "value": secret}]}),
        json!({"secrets": [{"alg": "HS256", "value": [secret]}]}),
        json!({"secrets": [{"alg": "HS256", "value": secret, "encoding": "base64"}]}),
        json!({"jwks": {"keys": [{"kty": "oct", "alg": "HS256", "k": secret}]}}),
        json!({"pem": [{"alg": "RS256", "value": secret}]}),
    ] {
        let errors = errors(provider);
        assert!(!errors.is_empty());
        assert!(!errors.concat().contains("hunter2"), "{errors:?}");
    }
}

#[test]
fn keys_in_all_their_forms_are_read() {
    for (alg, pem) in [
        ("RS256", public_pem("RSA")),
        ("PS512", public_pem("RSA")),
        ("RS384", public_pem("RSA PKCS#1")),
        ("ES256", public_pem("P-256")),
        ("ES384", public_pem("P-384")),
        ("ES512", public_pem("P-521")),
        ("EdDSA", public_pem("Ed25519")),
    ] {
        assert_eq!(errors(json!({"pem": [{"alg": alg, "value": pem}]})), [""; 0], "{alg}");
    }
    for (alg, pem) in [
        ("ES256", public_pem("P-384")),
        ("EdDSA", public_pem("P-256")),
        ("RS256", public_pem("Ed25519")),
        ("HS256", public_pem("RSA")),
    ] {
        has(&errors(json!({"pem": [{"alg": alg, "value": pem}]})), "pem[0]");
    }
    let private = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAAA\n-----END PRIVATE KEY-----";
    has(&errors(json!({"pem": [{"alg": "EdDSA", "value": private}]})), "a private one");
}

#[test]
fn an_inline_set_tells_which_key_is_no_good() {
    let oct = json!({"kty": "oct", "alg": "HS256", "k": b64(SECRET)});
    let encryption = json!({"kty": "RSA", "use": "enc", "n": "AQAB", "e": "AQAB"});
    let unknown = json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "x"});
    assert_eq!(errors(json!({"jwks": {"keys": [oct, encryption, unknown]}})), [""; 0]);
    has(&errors(json!({"jwks": {"keys": [encryption]}})), "jwks.keys: found no key");
    has(&errors(json!({"jwks": {}})), "jwks: found not_a_key_set");
    let no_alg = json!({"kty": "oct", "k": b64(SECRET)});
    has(&errors(json!({"jwks": {"keys": [oct, no_alg]}})), "jwks.keys[1]: found another key, expected `alg`");
    let private = json!({"kty": "OKP", "crv": "Ed25519", "x": b64([0; 32]), "d": b64([0; 32])});
    has(&errors(json!({"jwks": {"keys": [private]}})), "a private one");
}

#[test]
fn a_provider_with_a_mistake_is_an_error_and_never_left_out() {
    let good = hs256_provider(json!({}));
    let errors =
        try_jwt(json!({"providers": {"a": good, "b": {"issuers": "x"}, "c": {"typ": 1}}})).err().unwrap();
    has(&errors, "providers.b.issuers");
    has(&errors, "providers.c.typ");
    assert_eq!(errors.len(), 2, "{errors:?}");
}

#[test]
fn a_provider_needs_a_key_and_a_section_a_provider() {
    has(&errors(json!({})), "jwt.providers.p: found no key");
    has(&try_jwt(json!({"providers": {}})).err().unwrap(), "jwt.providers");
    has(&errors(json!({"issuers": "x"})), "did you mean `issuer`");
}

#[test]
fn a_claim_never_becomes_a_header_that_means_something_already() {
    for header in ["Authorization", "host", "Content-Length", "Transfer-Encoding", ":path", "Cookie"] {
        let provider = hs256_provider(json!({"claim_to_headers": [{"claim": "sub", "header": header}]}));
        has(&errors(provider), "jwt.providers.p.claim_to_headers[0].header");
    }
}

#[test]
fn the_schema_knows_every_field_and_its_defaults() {
    let schema = schemars::schema_for!(portcullis_jwt::RawJwt).to_value();
    let provider = &schema["$defs"]["RawProvider"]["properties"];
    assert_eq!(provider["max_token_bytes"]["default"], 8192);
    assert_eq!(provider["leeway"]["default"], "0s");
    assert_eq!(provider["user_claim"]["default"], "sub");
    assert_eq!(schema["$defs"]["RawSecretEncoding"]["oneOf"][0]["const"], "text");
    assert_eq!(schema["$defs"]["RawStyle"]["oneOf"][1]["const"], "order_processor");
    assert_eq!(schema["properties"]["providers"]["type"], "object", "{schema}");
    assert_eq!(schema["properties"]["providers"]["additionalProperties"]["$ref"], "#/$defs/RawProvider");
}

#[test]
fn a_source_is_exactly_one_place() {
    let with = |sources: Value| {
        try_jwt(json!({"providers": {"p": hs256_provider(json!({}))}, "sources": sources}))
            .err()
            .unwrap_or_default()
    };
    has(&with(json!([{}])), "jwt.sources[0]: found another number of places");
    has(&with(json!([{"header": "A", "cookie": "b"}])), "jwt.sources[0]");
    has(&with(json!([{"header": "A"}, {"header": "a"}])), "jwt.sources[1]: found the same place");
    has(&with(json!([{"header": "no name"}])), "jwt.sources[0].header");
    has(&with(json!([{"cookie": "a b"}])), "jwt.sources[0].cookie");
    has(&with(json!([{"query": "q", "scheme": "Bearer"}])), "jwt.sources[0].scheme");
    has(&with(json!([{"query": ""}])), "jwt.sources[0]: found another number of places");
    has(&with(json!([{"websocket_protocol": "no name"}])), "jwt.sources[0].websocket_protocol");
    has(&with(json!([{"websocket_protocol": "a", "path": "/"}])), "jwt.sources[0].path");
    for key in ["header", "cookie", "query", "websocket_protocol"] {
        assert_eq!(with(json!([{key: "a"}, {key: "b"}])), [""; 0], "{key}");
        has(&with(json!([{key: "a"}, {key: "b"}, {key: "b"}])), "jwt.sources[2]: found the same place");
    }
    let all = json!([{"header": "A"}, {"cookie": "A"}, {"query": "A"}, {"websocket_protocol": "A"}]);
    assert_eq!(with(all), [""; 0]);
}

#[test]
fn a_route_names_providers_that_exist_and_that_a_token_can_tell_apart() {
    let jwt = jwt(json!({"providers": {
        "a": hs256_provider(json!({"issuer": "a"})),
        "b": hs256_provider(json!({"issuer": "a"})),
        "any": hs256_provider(json!({})),
    }}));
    let errors = |auth: Value| {
        let raw: RawAuth = deserr::deserialize::<_, _, ConfigErrors>(auth).unwrap();
        let errors = raw.compile(Some(&jwt), &Node::top().key("auth")).err().unwrap_or_default();
        errors.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(errors(json!({"providers": ["a", "any"]})), [""; 0]);
    has(&errors(json!({})), "both for the same issuer");
    has(&errors(json!({"providers": ["a", "b"]})), "both for the same issuer");
    has(&errors(json!({"providers": ["a", "a"]})), "auth.providers[1]: found `a` a second time");
    has(&errors(json!({"providers": ["anyy"]})), "did you mean `any`");
    has(&errors(json!({"token": "none", "providers": ["a"]})), "auth.providers");
    let raw = RawAuth::default();
    assert!(raw.compile(None, &Node::top()).is_err());
}

#[test]
fn keys_without_ids_of_which_some_would_never_be_tried_are_a_mistake() {
    let pem = |alg: &str, kind: &str, kid: bool, count: usize| {
        let one = |n: usize| match kid {
            true => json!({"alg": alg, "value": public_pem(kind), "kid": n.to_string()}),
            false => json!({"alg": alg, "value": public_pem(kind)}),
        };
        errors(json!({"pem": (0..count).map(one).collect::<Vec<_>>()}))
    };
    let most = [("ES512", "P-521", 1), ("PS256", "RSA", 2), ("ES384", "P-384", 7), ("EdDSA", "Ed25519", 83)];
    for (alg, kind, most) in most {
        assert_eq!(pem(alg, kind, false, most), [""; 0], "{alg}");
        let told = format!("jwt.providers.p: found {} keys for {alg} without `kid`, which take", most + 1);
        has(&pem(alg, kind, false, most + 1), &told);
        assert_eq!(pem(alg, kind, true, most + 1), [""; 0], "{alg}");
    }
}

#[test]
fn an_auth_service_is_given_time_and_believed_within_bounds() {
    let asking = |more: Value| {
        let mut service = json!({"url": "http://auth/ask", "cluster": "auth"});
        service.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        errors(json!({"introspection": service}))
    };
    for fine in [json!({"cache": "0s", "timeout": "1ms"}), json!({"cache": "1h", "timeout": "60s"})] {
        assert_eq!(asking(fine.clone()), [""; 0], "{fine}");
    }
    let at = "jwt.providers.p.introspection";
    has(&asking(json!({"cache": "61m"})), &format!("{at}.cache: found"));
    has(&asking(json!({"timeout": "0s"})), &format!("{at}.timeout: found"));
    has(&asking(json!({"timeout": "61s"})), &format!("{at}.timeout: found"));
    assert_eq!(asking(json!({"cache": "10000h", "timeout": "10000h"})).len(), 2);
}

#[test]
fn a_client_may_take_a_quarter_of_the_places_to_wait_unless_the_policy_says_otherwise() {
    let places = |more: Value| {
        let mut section = json!({"providers": {"p": hs256_provider(json!({}))}});
        section.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        try_jwt(section).map(|jwt| (jwt.max_waiting(), jwt.max_waiting_per_client()))
    };
    assert_eq!(places(json!({})), Ok((1024, 256)));
    assert_eq!(places(json!({"max_waiting": 10})), Ok((10, 3)));
    assert_eq!(places(json!({"max_waiting": 1})), Ok((1, 1)));
    assert_eq!(places(json!({"max_waiting": 10, "max_waiting_per_client": 7})), Ok((10, 7)));
    has(&places(json!({"max_waiting": 0})).unwrap_err(), "jwt.max_waiting: found `0`");
    has(&places(json!({"max_waiting_per_client": 0})).unwrap_err(), "jwt.max_waiting_per_client: found `0`");
}

#[test]
fn leeway_is_for_clocks_that_differ_and_reaches_ten_minutes() {
    assert_eq!(errors(hs256_provider(json!({"leeway": "10m"}))), [""; 0]);
    has(&errors(hs256_provider(json!({"leeway": "601s"}))), "jwt.providers.p.leeway: found");
}

#[test]
fn a_required_claim_is_compared_with_texts_numbers_and_booleans_only() {
    let with = |values: Value| {
        let rules = json!([{"claim": "a"}, {"claim": "b", "one_of": values}]);
        errors(hs256_provider(json!({"required_claims": rules})))
    };
    assert_eq!(with(json!(["a", 1, -1, 1.5, true])), [""; 0]);
    for other in [json!(null), json!(["a"]), json!({"a": 1})] {
        has(&with(json!(["a", other])), "jwt.providers.p.required_claims[1].one_of: found");
    }
}

#[test]
fn keys_without_ids_may_cost_together_what_the_policy_allows_and_one_alone_more() {
    let with = |alg: &str, kind: &str, count: usize, micros: u32| {
        let pem = vec![json!({"alg": alg, "value": public_pem(kind)}); count];
        errors(json!({"pem": pem, "max_check_micros": micros}))
    };
    assert_eq!(with("EdDSA", "Ed25519", 2, 120), [""; 0]);
    has(&with("EdDSA", "Ed25519", 2, 119), "found 2 keys for EdDSA without `kid`, which take 120 us to try");
    assert_eq!(with("ES512", "P-521", 1, 100), [""; 0], "one is tried whatever it costs");
}

fn fetching(more: Value) -> Vec<String> {
    let mut fetch = json!({"cluster": "idp", "jwks_uri": "https://idp/keys"});
    fetch.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    errors(json!({"algorithms": ["ES256"], "fetch": fetch}))
}

fn revoking(more: Value) -> Vec<String> {
    let mut revocation = json!({"cluster": "idp", "url": "https://idp/revoked"});
    revocation.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    errors(hs256_provider(json!({"revocation": revocation})))
}

#[test]
fn a_document_is_fetched_neither_too_often_nor_more_rarely_than_it_may_be_old() {
    let shortest =
        json!({"refresh": "1s", "timeout": "1ms", "retry": "100ms", "cooldown": "1s", "max_age": "1s"});
    assert_eq!(fetching(shortest), [""; 0]);
    for (name, value) in [
        ("refresh", "999ms"),
        ("timeout", "0s"),
        ("retry", "99ms"),
        ("cooldown", "999ms"),
        ("max_age", "599s"),
    ] {
        let errors = fetching(json!({name: value}));
        has(&errors, &format!("jwt.providers.p.fetch.{name}: found"));
        assert_eq!(errors.len(), 1, "{name}: {errors:?}");
    }
    assert_eq!(revoking(json!({"refresh": "1s", "timeout": "1ms", "max_age": "1s"})), [""; 0]);
    assert_eq!(revoking(json!({"refresh": "2m", "max_age": "10m"})), [""; 0]);
    for (name, value) in [("refresh", "999ms"), ("timeout", "0s"), ("max_age", "59s")] {
        has(&revoking(json!({name: value})), &format!("jwt.providers.p.revocation.{name}: found"));
    }
}

#[test]
fn keys_are_found_at_their_address_or_through_the_issuer() {
    let discovering = |issuer: Value, more: Value| {
        let mut fetch = json!({"cluster": "idp", "discovery": true});
        fetch.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        errors(json!({"algorithms": ["ES256"], "issuer": issuer, "fetch": fetch}))
    };
    let elsewhere = json!({"discovery_uri": "https://idp/configuration"});
    assert_eq!(discovering(json!("https://idp"), json!({})), [""; 0]);
    assert_eq!(discovering(json!("no URL"), elsewhere.clone()), [""; 0]);
    let at = "jwt.providers.p";
    has(&discovering(json!("no URL"), json!({})), &format!("{at}.issuer: found another text"));
    has(&discovering(json!(null), json!({})), &format!("{at}.issuer: found nothing"));
    has(&discovering(json!(null), elsewhere.clone()), &format!("{at}.issuer: found nothing"));
    let both = json!({"jwks_uri": "https://idp/keys"});
    has(&discovering(json!("https://idp"), both), &format!("{at}.fetch: found none or both"));
    has(&fetching(elsewhere), &format!("{at}.fetch.discovery_uri: found a URI"));
    has(&fetching(json!({"jwks_uri": "keys"})), &format!("{at}.fetch.jwks_uri: found `keys`"));
}

#[test]
fn whatever_is_elsewhere_has_a_cluster_that_leads_there() {
    has(&fetching(json!({"cluster": ""})), "jwt.providers.p.fetch.cluster: found an empty text");
    has(&revoking(json!({"cluster": ""})), "jwt.providers.p.revocation.cluster: found an empty text");
    let asking = errors(json!({"introspection": {"url": "http://auth/ask", "cluster": ""}}));
    has(&asking, "jwt.providers.p.introspection.cluster: found an empty text");
}
