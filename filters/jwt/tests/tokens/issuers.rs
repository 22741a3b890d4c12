//! Whose token it is: several providers, issuers with more than one name, tenants, keys of one issuer.

use crate::support::*;
use portcullis_edge_core::{ConfigErrors, Node};
use portcullis_jwt::{Alg, RawAuth, TokenError};
use serde_json::{Value, json};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const ENTRA: &str = "https://login.example/{tenantid}/v2.0";

fn provider(more: Value) -> Value {
    hs256_provider(more)
}

fn claims(iss: &str, more: Value) -> String {
    let mut claims = json!({"iss": iss, "sub": "alice", "role": "admin", "exp": NOW + 60});
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    token(Alg::HS256, &claims)
}

fn two() -> Value {
    let ours = provider(json!({"issuer": "https://ours"}));
    let theirs = provider(json!({"issuer": "https://theirs", "role_prefix": "partner:"}));
    json!({"providers": {"ours": ours, "theirs": theirs}, "issuer_header": "X-Token-Issuer"})
}

#[test]
fn with_several_providers_a_route_names_its_own() {
    let jwt = jwt(two());
    let compile = |auth: Value| {
        let raw: RawAuth = deserr::deserialize::<_, _, ConfigErrors>(auth).unwrap();
        raw.compile(Some(&jwt), &Node::top().key("auth")).map_err(|errors| errors[0].to_string())
    };
    let error = compile(json!({})).unwrap_err();
    assert!(error.starts_with("auth.providers: ") && error.contains("ours, theirs"), "{error}");
    assert!(compile(json!({"token": "optional"})).is_err());
    assert!(compile(json!({"providers": ["ours"]})).is_ok());
    assert!(compile(json!({"token": "none"})).is_ok() && compile(json!({"token": "refused"})).is_ok());
}

#[test]
fn a_role_of_another_provider_is_another_role_and_services_learn_the_issuer() {
    let mut worker = Worker::new(two());
    let both = worker.route(json!({"providers": ["ours", "theirs"]}));
    for (issuer, role) in [("https://ours", "admin"), ("https://theirs", "partner:admin")] {
        let authn = worker.request(&both, &[&format!("Bearer {}", claims(issuer, json!({})))], NOW);
        let portcullis_jwt::Authn::Bearer { identity, .. } = authn else { panic!("{authn:?}") };
        assert_eq!(identity.roles().collect::<Vec<_>>(), [role]);
        assert_eq!(identity.has_role("admin"), issuer == "https://ours");
        let headers: Vec<_> = worker.tokens.jwt().headers(&identity).collect();
        assert_eq!(headers, [("x-token-issuer", issuer.as_bytes())]);
    }
    assert!(worker.tokens.jwt().header_names().any(|name| name == "x-token-issuer"), "a client's copy goes");
}

#[test]
fn a_role_that_begins_as_another_providers_is_refused() {
    let mut worker = Worker::new(two());
    let both = worker.route(json!({"providers": ["ours", "theirs"]}));
    let mut refused = |issuer: &str, role: Value| {
        let token = claims(issuer, json!({"role": role}));
        match worker.request(&both, &[&format!("Bearer {token}")], NOW) {
            portcullis_jwt::Authn::Refused(refusal) => Some(refusal.error),
            _ => None,
        }
    };
    assert_eq!(refused("https://ours", json!("partner:admin")), Some(TokenError::InvalidClaim));
    assert_eq!(refused("https://ours", json!(["user", "partner:"])), Some(TokenError::InvalidClaim));
    assert_eq!(refused("https://ours", json!("partners")), None);
    assert_eq!(refused("https://theirs", json!("partner:admin")), None, "which is `partner:partner:admin`");
}

#[test]
fn an_issuer_that_nobody_vouches_for_is_told_by_the_providers_name() {
    let mut worker =
        Worker::new(json!({"providers": {"any": provider(json!({}))}, "issuer_header": "X-Token-Issuer"}));
    let route = worker.route(json!({}));
    let authn =
        worker.request(&route, &[&format!("Bearer {}", claims("made up\nby anybody", json!({})))], NOW);
    let portcullis_jwt::Authn::Bearer { identity, .. } = authn else { panic!("{authn:?}") };
    assert_eq!(worker.tokens.jwt().headers(&identity).collect::<Vec<_>>(), [("x-token-issuer", &b"any"[..])]);
}

fn verdict(more: Value, token: &str) -> Option<TokenError> {
    let jwt = jwt(json!({"providers": {"a": provider(more)}}));
    check_at(&jwt, token, at(NOW)).err().map(|refusal| refusal.error)
}

#[test]
fn an_issuer_may_have_other_names() {
    let aliases = || json!({"issuer": "https://v2", "issuer_aliases": ["https://v1/"]});
    assert_eq!(verdict(aliases(), &claims("https://v2", json!({}))), None);
    assert_eq!(verdict(aliases(), &claims("https://v1/", json!({}))), None);
    assert_eq!(verdict(aliases(), &claims("https://v1", json!({}))), Some(TokenError::InvalidIssuer));
}

#[test]
fn a_tenant_in_the_issuer_is_the_tokens_own_and_one_that_is_listed() {
    let listed = || json!({"issuer": ENTRA, "tenants": ["t-1"]});
    let of = |iss: &str, tid: &str| claims(iss, json!({"tid": tid}));
    assert_eq!(verdict(listed(), &of("https://login.example/t-1/v2.0", "t-1")), None);
    for token in [
        of("https://login.example/t-2/v2.0", "t-2"),
        of("https://login.example/t-2/v2.0", "t-1"),
        of("https://login.example/t-1/v2.0", "t-2"),
        of(ENTRA, "{tenantid}"),
        claims("https://login.example/t-1/v2.0", json!({})),
    ] {
        assert_eq!(verdict(listed(), &token), Some(TokenError::InvalidIssuer));
    }
    let any = json!({"issuer": ENTRA, "any_tenant": true});
    assert_eq!(verdict(any, &of("https://login.example/t-2/v2.0", "t-2")), None);
}

#[test]
fn rules_on_tenants_that_say_nothing_or_are_forgotten_are_mistakes() {
    let mistake = |more: Value| {
        try_jwt(json!({"providers": {"a": provider(more)}}))
            .err()
            .map(|errors| errors.join("; "))
            .unwrap_or_default()
    };
    assert!(mistake(json!({"issuer": ENTRA})).starts_with("jwt.providers.a.tenants: "));
    assert!(
        mistake(json!({"issuer": "https://a", "tenants": ["t"]})).starts_with("jwt.providers.a.tenants: ")
    );
    assert!(
        mistake(json!({"issuer": "https://a", "any_tenant": true}))
            .starts_with("jwt.providers.a.any_tenant: ")
    );
    assert!(
        mistake(json!({"issuer_aliases": ["https://a"]})).starts_with("jwt.providers.a.issuer_aliases: ")
    );
    assert!(mistake(json!({"role_prefix": "a,"})).starts_with("jwt.providers.a.role_prefix: "));
}

#[test]
fn two_providers_of_a_route_whose_issuers_overlap_are_a_mistake() {
    let one = provider(json!({"issuer": ENTRA, "any_tenant": true}));
    let other =
        provider(json!({"issuer": "https://x", "issuer_aliases": ["https://login.example/t-1/v2.0"]}));
    let jwt = jwt(json!({"providers": {"one": one, "other": other}}));
    let raw: RawAuth =
        deserr::deserialize::<_, _, ConfigErrors>(json!({"providers": ["one", "other"]})).unwrap();
    assert!(raw.compile(Some(&jwt), &Node::top().key("auth")).is_err());
}

/// Entra's shared set: a key names the issuer whose tokens it verifies.
#[test]
fn a_key_of_one_issuer_verifies_no_tokens_of_another() {
    let der = public_pem("Ed25519").lines().nth(1).unwrap().to_owned();
    let der = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, der).unwrap();
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": b64(&der[12..]), "issuer": ENTRA});
    let section = |issuer: &str, more: Value| {
        let mut provider = json!({"issuer": issuer, "jwks": {"keys": [jwk]}});
        provider.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        jwt(json!({"providers": {"a": provider}}))
    };
    let token = |iss: &str, tid: &str| {
        let claims = json!({"iss": iss, "tid": tid, "sub": "a", "exp": NOW + 60}).to_string();
        token_of(Alg::EdDSA, r#"{"alg":"EdDSA","kid":"k"}"#, &claims)
    };
    let tenant = section(ENTRA, json!({"any_tenant": true}));
    assert!(check_at(&tenant, &token("https://login.example/t/v2.0", "t"), at(NOW)).is_ok());
    let elsewhere = section("https://sts.example/t/", json!({}));
    let refused = check_at(&elsewhere, &token("https://sts.example/t/", "t"), at(NOW)).unwrap_err();
    assert_eq!(refused.error, TokenError::UnknownKey);
}
