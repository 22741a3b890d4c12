//! Keys, deny lists and verdicts that come from elsewhere.

use crate::support::*;
use portcullis_edge_core::{CallError, HttpCall};
use portcullis_jwt::{Alg, Authn, CallId, FetchFailure, Polled, TokenError};
use serde_json::{Value, json};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

pub fn ed25519_set(kid: &str) -> Vec<u8> {
    let der = public_pem("Ed25519").lines().nth(1).unwrap();
    let der = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, der).unwrap();
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": b64(&der[12..])});
    json!({"keys": [jwk]}).to_string().into_bytes()
}

fn ed25519_token(kid: &str) -> String {
    let header = json!({"alg": "EdDSA", "kid": kid}).to_string();
    token_of(Alg::EdDSA, &header, &json!({"sub": "alice", "exp": NOW + 100_000}).to_string())
}

fn fetching() -> Worker {
    let fetch = json!({"cluster": "idp", "jwks_uri": "https://idp/keys"});
    Worker::new(json!({"providers": {"main": {"algorithms": ["EdDSA"], "fetch": fetch}}}))
}

pub fn only_call(worker: &mut Worker, now: u64) -> CallId {
    let mut calls = worker.poll(now).calls;
    assert_eq!(calls.len(), 1);
    calls.remove(0).0
}

pub fn respond(worker: &mut Worker, call: CallId, status: u16, body: &[u8], now: u64) -> Polled {
    worker.host.set_now(moment(now));
    worker.tokens.on_response(call, status, body, &worker.host)
}

#[test]
fn requests_wait_for_the_first_keys_and_then_pass() {
    let mut worker = fetching();
    let (route, token) = (worker.route(json!({})), ed25519_token("a"));
    for _ in 0..1000 {
        assert_eq!(worker.token(&route, &token, NOW), Outcome::Wait);
    }
    let call = only_call(&mut worker, NOW);
    assert_eq!(worker.poll(NOW).calls, []);
    assert!(respond(&mut worker, call, 200, &ed25519_set("a"), NOW).wakes);
    assert_eq!(worker.token(&route, &token, NOW), user("alice"));
}

#[test]
fn when_the_fetch_fails_requests_get_503_at_once_until_a_later_one_succeeds() {
    let mut worker = fetching();
    let (route, token) = (worker.route(json!({})), ed25519_token("a"));
    for (round, error) in [CallError::Reset, CallError::Timeout, CallError::NotSent].into_iter().enumerate() {
        let now = NOW + 100 * u64::try_from(round).unwrap();
        assert_eq!(worker.token(&route, &token, now), Outcome::Wait);
        let call = only_call(&mut worker, now);
        worker.host.set_now(moment(now));
        let polled = worker.tokens.on_failure(call, error, &worker.host);
        assert!(polled.wakes);
        assert_eq!(polled.ended[0].1, Some(FetchFailure::from(error)));
        assert_eq!(worker.tokens.fetched_at(polled.ended[0].0).unwrap().provider, "main");
        assert_eq!(worker.token(&route, &token, now), Outcome::Refused(TokenError::KeysPending));
    }
    assert!(TokenError::KeysPending.is_ours());
    let call = only_call(&mut worker, NOW + 1000);
    respond(&mut worker, call, 200, &ed25519_set("a"), NOW + 1000);
    assert_eq!(worker.token(&route, &token, NOW + 1000), user("alice"));
}

#[test]
fn a_rotated_key_is_fetched_once_and_a_made_up_one_is_not_fetched_again() {
    let mut worker = fetching();
    let route = worker.route(json!({}));
    let call = only_call(&mut worker, NOW);
    respond(&mut worker, call, 200, &ed25519_set("a"), NOW);
    let later = NOW + 60;
    assert_eq!(worker.token(&route, &ed25519_token("b"), later), Outcome::Wait);
    let call = only_call(&mut worker, later);
    assert_eq!(worker.token(&route, &ed25519_token("a"), later), user("alice"), "known keys go on working");
    respond(&mut worker, call, 200, &ed25519_set("b"), later);
    assert_eq!(worker.token(&route, &ed25519_token("b"), later), user("alice"));
    for i in 0..1000 {
        let token = ed25519_token(&format!("made-up-{i}"));
        assert_eq!(worker.token(&route, &token, later + 1), Outcome::Refused(TokenError::UnknownKey));
    }
    assert_eq!(worker.poll(later + 1).calls, []);
}

#[test]
fn a_key_that_is_taken_away_ends_its_cached_tokens() {
    let mut worker = fetching();
    let (route, token) = (worker.route(json!({})), ed25519_token("a"));
    let call = only_call(&mut worker, NOW);
    respond(&mut worker, call, 200, &ed25519_set("a"), NOW);
    assert_eq!(worker.token(&route, &token, NOW), user("alice"));
    assert_eq!(worker.tokens.cache().len(), 1);
    let call = only_call(&mut worker, NOW + 600);
    respond(&mut worker, call, 200, &ed25519_set("b"), NOW + 600);
    assert_eq!(worker.token(&route, &token, NOW + 600), Outcome::Refused(TokenError::UnknownKey));
}

#[test]
fn an_algorithm_that_the_provider_does_not_have_is_refused_without_waiting_for_keys() {
    let mut worker = fetching();
    let route = worker.route(json!({}));
    let unsupported = Outcome::Refused(TokenError::UnsupportedAlgorithm);
    for alg in [Alg::HS256, Alg::RS256, Alg::ES256] {
        let token = token(alg, &json!({"sub": "alice", "exp": NOW + 60}));
        assert_eq!(worker.token(&route, &token, NOW), unsupported, "{alg}");
    }
}

#[test]
fn keys_that_are_too_old_verify_nothing() {
    let mut worker = fetching();
    let (route, token) = (worker.route(json!({})), ed25519_token("a"));
    let call = only_call(&mut worker, NOW);
    respond(&mut worker, call, 200, &ed25519_set("a"), NOW);
    let mut now = NOW;
    while now < NOW + 86_400 {
        now += 600;
        for (call, _) in worker.poll(now).calls {
            respond(&mut worker, call, 500, b"", now);
        }
        assert_eq!(worker.token(&route, &token, now), user("alice"), "after {}", now - NOW);
    }
    let (_, facts) = worker.tokens.facts(moment(now).mono).next().unwrap();
    assert_eq!(facts.age.unwrap().as_secs(), 86_400);
    for (call, _) in worker.poll(now + 601).calls {
        respond(&mut worker, call, 500, b"", now + 601);
    }
    assert_eq!(worker.token(&route, &token, now + 601), Outcome::Refused(TokenError::KeysPending));
}

fn revoking(more: Value) -> Worker {
    let mut revocation = json!({"url": "https://idp/revoked", "cluster": "idp"});
    revocation.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Worker::new(json!({"providers": {"main": hs256_provider(json!({"revocation": revocation}))}}))
}

#[test]
fn a_revoked_token_is_refused_even_when_it_is_cached() {
    let mut worker = revoking(json!({}));
    let route = worker.route(json!({}));
    let token = token(Alg::HS256, &json!({"sub": "alice", "jti": "x", "exp": NOW + 600}));
    assert_eq!(worker.token(&route, &token, NOW), Outcome::Wait);
    let call = only_call(&mut worker, NOW);
    respond(&mut worker, call, 200, br#"{"revoked":[]}"#, NOW);
    assert_eq!(worker.token(&route, &token, NOW), user("alice"));
    let call = only_call(&mut worker, NOW + 60);
    respond(&mut worker, call, 200, br#"{"revoked":[{"jti":"x"}]}"#, NOW + 60);
    assert_eq!(worker.token(&route, &token, NOW + 60), Outcome::Refused(TokenError::Revoked));
}

#[test]
fn a_token_without_an_id_is_revoked_by_what_was_signed_and_not_by_its_signature() {
    let mut worker = revoking(json!({}));
    let route = worker.route(json!({}));
    let token = token(Alg::HS256, &json!({"sub": "alice", "exp": NOW + 600}));
    let call = only_call(&mut worker, NOW);
    respond(&mut worker, call, 200, list_with(&token).as_bytes(), NOW);
    assert_eq!(worker.token(&route, &token, NOW), Outcome::Refused(TokenError::Revoked));
}

#[test]
fn without_a_list_the_policy_decides() {
    for (mode, expected) in
        [("refuse", Outcome::Refused(TokenError::RevocationUnknown)), ("allow", user("alice"))]
    {
        let mut worker = revoking(json!({"when_unknown": mode}));
        let route = worker.route(json!({}));
        let token = token(Alg::HS256, &json!({"sub": "alice", "exp": NOW + 600}));
        let call = only_call(&mut worker, NOW);
        respond(&mut worker, call, 503, b"", NOW);
        assert_eq!(worker.token(&route, &token, NOW), expected, "{mode}");
    }
}

pub fn asking(provider: Value, more: Value) -> Worker {
    let mut service = json!({"url": "http://auth:8003/internal/auth/validate", "cluster": "auth"});
    service.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let mut provider = provider;
    provider["introspection"] = service;
    Worker::new(json!({"providers": {"main": provider}}))
}

/// The question that a token leads to.
pub fn ask(worker: &mut Worker, token: &str, now: u64) -> (Box<portcullis_jwt::Pending>, HttpCall) {
    let route = worker.route(json!({}));
    match worker.request(&route, &[&format!("Bearer {token}")], now) {
        Authn::Ask(pending) => {
            let call = worker.tokens.question(&pending).unwrap();
            (pending, call)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_opaque_token_is_what_the_auth_service_says() {
    let mut worker = asking(json!({"user_claim": "user"}), json!({"style": "order_processor"}));
    let route = worker.route(json!({}));
    let (pending, call) = ask(&mut worker, "opaque-token", NOW);
    assert_eq!(call.body, br#"{"token":"opaque-token"}"#);
    assert_eq!(call.cluster, "auth");
    let body: &[u8] = br#"{"valid":true,"user":"alice","role":"vip"}"#;
    let authn = worker.tokens.on_answer(*pending, Ok((200, body)), moment(NOW), &worker.host);
    let Authn::Bearer { identity, .. } = authn else { panic!("{authn:?}") };
    assert_eq!(identity.user(), Some("alice"));
    assert_eq!(identity.roles().collect::<Vec<_>>(), ["vip"]);
    assert_eq!(worker.token(&route, "opaque-token", NOW + 29), user("alice"), "believed for 30 s");
    assert_eq!(
        worker.token(&route, "opaque-token", NOW - 1),
        Outcome::Ask,
        "a clock set back proves nothing"
    );
    assert_eq!(worker.token(&route, "not a token", NOW), Outcome::Refused(TokenError::Malformed));
}

#[test]
fn an_answer_is_believed_for_its_time_and_not_longer() {
    let mut worker = asking(json!({}), json!({}));
    let route = worker.route(json!({}));
    let (pending, _) = ask(&mut worker, "opaque-token", NOW);
    worker.tokens.on_answer(*pending, Ok((200, br#"{"active":true,"sub":"a"}"#)), moment(NOW), &worker.host);
    assert_eq!(worker.token(&route, "opaque-token", NOW + 29), user("a"));
    assert_eq!(worker.token(&route, "opaque-token", NOW + 30), Outcome::Ask);
}

#[test]
fn an_inactive_token_is_revoked_and_an_answer_is_checked_like_claims() {
    let verdict = |body: &str| {
        let mut worker = asking(json!({"audiences": ["api"]}), json!({"cache": "0s"}));
        let (pending, _) = ask(&mut worker, "opaque", NOW);
        outcome(&worker.tokens.on_answer(*pending, Ok((200, body.as_bytes())), moment(NOW), &worker.host))
    };
    assert_eq!(verdict(r#"{"active":true,"sub":"a","aud":"api"}"#), user("a"));
    for (body, error) in [
        (json!({"active": false}), TokenError::Revoked),
        (json!({"active": true, "aud": "other"}), TokenError::InvalidAudience),
        (json!({"active": true, "aud": "api", "exp": NOW}), TokenError::Expired),
        (json!({"active": true, "aud": "api", "exp": "soon"}), TokenError::Malformed),
        (json!({"active": true, "aud": "api", "cnf": {}}), TokenError::ConfirmationRequired),
    ] {
        assert_eq!(verdict(&body.to_string()), Outcome::Refused(error), "{body}");
    }
}

#[test]
fn a_service_that_does_not_answer_is_asked_again_and_then_the_policy_decides() {
    let run = |provider: Value, mode: &str| {
        let mut worker = asking(provider, json!({"retries": 2, "when_unavailable": mode}));
        let token = token(Alg::HS256, &json!({"sub": "alice", "exp": NOW + 600}));
        let (mut pending, _) = ask(&mut worker, &token, NOW);
        let answers: [Result<(u16, &[u8]), CallError>; 2] = [Err(CallError::Timeout), Ok((500, b""))];
        for answer in answers {
            match worker.tokens.on_answer(*pending, answer, moment(NOW), &worker.host) {
                Authn::Ask(again) => pending = again,
                other => panic!("{other:?}"),
            }
        }
        let last = worker.tokens.on_answer(*pending, Ok((503, b"")), moment(NOW), &worker.host);
        assert!(worker.tokens.cache().is_empty(), "what nobody confirmed is not kept");
        outcome(&last)
    };
    let unknown = Outcome::Refused(TokenError::RevocationUnknown);
    assert_eq!(run(hs256_provider(json!({})), "allow"), user("alice"));
    assert_eq!(run(hs256_provider(json!({})), "refuse"), unknown);
    assert_eq!(run(json!({}), "refuse"), unknown);
}

#[test]
fn a_token_that_is_bad_by_itself_is_not_asked_about() {
    let mut worker = asking(hs256_provider(json!({})), json!({}));
    let route = worker.route(json!({}));
    let expired = token(Alg::HS256, &json!({"exp": NOW - 1}));
    assert_eq!(worker.token(&route, &expired, NOW), Outcome::Refused(TokenError::Expired));
    assert_eq!(worker.token(&route, "opaque", NOW), Outcome::Refused(TokenError::Malformed));
}

#[test]
fn an_opaque_verdict_does_not_pass_on_a_route_that_asks_somebody_else() {
    let service = |cluster: &str| json!({"introspection": {"url": "http://auth/i", "cluster": cluster}});
    let mut worker = Worker::new(json!({"providers": {"a": service("a"), "b": service("b")}}));
    let [a, b] = ["a", "b"].map(|name| worker.route(json!({"providers": [name]})));
    for token in ["opaque".to_owned(), token(Alg::RS256, &json!({"iss": "x", "exp": NOW + 9}))] {
        let Authn::Ask(pending) = worker.request(&a, &[&format!("Bearer {token}")], NOW) else { panic!() };
        let yes: &[u8] = br#"{"active":true,"sub":"alice","iss":"whatever"}"#;
        worker.tokens.on_answer(*pending, Ok((200, yes)), moment(NOW), &worker.host);
        assert_eq!(worker.token(&a, &token, NOW), user("alice"));
        assert_eq!(worker.token(&b, &token, NOW), Outcome::Ask);
    }
}

/// A provider whose keys are fetched and whose tokens an auth service has the last word on, with the keys of `a` at hand.
fn asking_with_fetched_keys() -> Worker {
    let fetch = json!({"cluster": "idp", "jwks_uri": "https://idp/keys"});
    let mut worker = asking(json!({"algorithms": ["EdDSA"], "fetch": fetch}), json!({}));
    let call = only_call(&mut worker, NOW);
    respond(&mut worker, call, 200, &ed25519_set("a"), NOW);
    worker
}

const ACTIVE: &[u8] = br#"{"active":true}"#;

#[test]
fn a_key_that_is_taken_away_while_the_auth_service_thinks_ends_its_token_too() {
    let mut worker = asking_with_fetched_keys();
    let (pending, _) = ask(&mut worker, &ed25519_token("a"), NOW + 600);
    let call = only_call(&mut worker, NOW + 600);
    respond(&mut worker, call, 200, &ed25519_set("b"), NOW + 600);
    let authn = worker.tokens.on_answer(*pending, Ok((200, ACTIVE)), moment(NOW + 600), &worker.host);
    assert_eq!(outcome(&authn), Outcome::Refused(TokenError::UnknownKey));
    assert!(worker.tokens.cache().is_empty());
}

#[test]
fn other_keys_that_still_have_the_tokens_own_change_nothing_while_the_auth_service_thinks() {
    let mut worker = asking_with_fetched_keys();
    let (pending, _) = ask(&mut worker, &ed25519_token("a"), NOW + 600);
    let call = only_call(&mut worker, NOW + 600);
    let both = [ed25519_set("b"), ed25519_set("a")].map(|set| serde_json::from_slice::<Value>(&set).unwrap());
    let both = json!({"keys": both.map(|set| set["keys"][0].clone())});
    respond(&mut worker, call, 200, both.to_string().as_bytes(), NOW + 600);
    let authn = worker.tokens.on_answer(*pending, Ok((200, ACTIVE)), moment(NOW + 600), &worker.host);
    assert_eq!(outcome(&authn), user("alice"));
    let route = worker.route(json!({}));
    assert_eq!(worker.token(&route, &ed25519_token("a"), NOW + 601), user("alice"), "it is known");
}

#[test]
fn a_token_that_expires_while_the_auth_service_thinks_is_refused_whatever_that_says() {
    let no_answer: Result<(u16, &[u8]), CallError> = Err(CallError::Timeout);
    for answer in [Ok((200, ACTIVE)), no_answer] {
        let more = json!({"when_unavailable": "allow", "retries": 0});
        let mut worker = asking(hs256_provider(json!({})), more);
        let token = token(Alg::HS256, &json!({"sub": "alice", "exp": NOW + 2}));
        let (pending, _) = ask(&mut worker, &token, NOW + 1);
        let authn = worker.tokens.on_answer(*pending, answer, moment(NOW + 2), &worker.host);
        assert_eq!(outcome(&authn), Outcome::Refused(TokenError::Expired), "{answer:?}");
        assert!(worker.tokens.cache().is_empty());
    }
}

pub fn list_with(token: &str) -> String {
    use rsa::sha2::{Digest as _, Sha256};
    let (signed, _) = token.rsplit_once('.').unwrap();
    json!({"revoked": [{"signed": b64(Sha256::digest(signed))}]}).to_string()
}

#[test]
fn a_token_with_an_id_may_be_revoked_by_what_was_signed_too() {
    let mut worker = revoking(json!({}));
    let route = worker.route(json!({}));
    let token = token(Alg::HS256, &json!({"sub": "alice", "jti": "x", "exp": NOW + 600}));
    let call = only_call(&mut worker, NOW);
    respond(&mut worker, call, 200, list_with(&token).as_bytes(), NOW);
    assert_eq!(worker.token(&route, &token, NOW), Outcome::Refused(TokenError::Revoked));
}

#[test]
fn a_jwt_that_only_the_auth_service_can_read_may_be_revoked_by_what_was_signed() {
    let revocation = json!({"url": "http://idp/revoked", "cluster": "idp"});
    let mut worker = asking(json!({"revocation": revocation}), json!({}));
    let token = token(Alg::RS256, &json!({"sub": "alice", "exp": NOW + 600}));
    let call = only_call(&mut worker, NOW);
    respond(&mut worker, call, 200, list_with(&token).as_bytes(), NOW);
    let (pending, _) = ask(&mut worker, &token, NOW);
    let authn = worker.tokens.on_answer(
        *pending,
        Ok((200, br#"{"active":true,"sub":"a"}"#)),
        moment(NOW),
        &worker.host,
    );
    assert_eq!(outcome(&authn), Outcome::Refused(TokenError::Revoked));
}

#[test]
fn an_unknown_key_id_empties_no_cache_where_the_fetch_brings_what_is_known() {
    let mut worker = fetching();
    let route = worker.route(json!({}));
    let call = only_call(&mut worker, NOW);
    respond(&mut worker, call, 200, &ed25519_set("a"), NOW);
    assert_eq!(worker.token(&route, &ed25519_token("a"), NOW), user("alice"));
    let (hits, generation) = (worker.tokens.cache_counts().hits, worker.tokens.keys().generation());
    assert_eq!(worker.token(&route, &ed25519_token("junk"), NOW + 60), Outcome::Wait);
    let call = only_call(&mut worker, NOW + 60);
    assert!(respond(&mut worker, call, 200, &ed25519_set("a"), NOW + 60).wakes);
    assert_eq!(
        worker.token(&route, &ed25519_token("junk"), NOW + 60),
        Outcome::Refused(TokenError::UnknownKey)
    );
    assert_eq!(worker.token(&route, &ed25519_token("a"), NOW + 60), user("alice"));
    assert_eq!(worker.tokens.cache_counts().hits, hits + 1, "it was still known");
    assert_eq!(worker.tokens.keys().generation(), generation);
}

/// A set of other people's keys and ours, with these ids, ours last.
fn crowded_set(kids: &[Option<&str>]) -> Vec<u8> {
    // RFC 8032 section 7.1, tests 1 to 3.
    const OTHERS: [&str; 3] = [
        "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw",
        "_FHNjmIYoaONpH7QAjDwWAgW7RO6MwOsXeuRFUiQgCU",
    ];
    let ours: Value = serde_json::from_slice(&ed25519_set("x")).unwrap();
    let ours = ours["keys"][0]["x"].clone();
    let others = OTHERS.iter().map(|x| json!(x)).take(kids.len() - 1);
    let key = |(x, kid): (Value, &Option<&str>)| match kid {
        Some(kid) => json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid}),
        None => json!({"kty": "OKP", "crv": "Ed25519", "x": x}),
    };
    let keys: Vec<_> = others.chain([ours]).zip(kids).map(key).collect();
    json!({ "keys": keys }).to_string().into_bytes()
}

/// Anybody can make the gateway try keys: 120 us are two keys of Ed25519.
#[test]
fn as_many_keys_are_tried_as_may_be_and_the_named_one_first() {
    let verdict = |kids: &[Option<&str>], token: &str| {
        let fetch = json!({"cluster": "idp", "jwks_uri": "https://idp/keys"});
        let provider = json!({"algorithms": ["EdDSA"], "fetch": fetch, "max_check_micros": 120});
        let mut worker = Worker::new(json!({"providers": {"main": provider}}));
        let call = only_call(&mut worker, NOW);
        respond(&mut worker, call, 200, &crowded_set(kids), NOW);
        let route = worker.route(json!({}));
        worker.token(&route, token, NOW)
    };
    let nameless = token(Alg::EdDSA, &json!({"sub": "alice", "exp": NOW + 60}));
    let invalid = Outcome::Refused(TokenError::TooManyKeys);
    assert_eq!(verdict(&[None, None], &nameless), user("alice"));
    assert_eq!(verdict(&[None, None, None], &nameless), invalid);
    assert_eq!(verdict(&[Some("a"), Some("b"), Some("c")], &nameless), invalid, "it should name its key");
    assert_eq!(verdict(&[None, None, None, Some("c")], &ed25519_token("c")), user("alice"));
    assert_eq!(verdict(&[None, None, None, Some("c")], &ed25519_token("d")), invalid);
}

#[test]
fn an_answer_that_a_client_can_provoke_is_no_outage() {
    let run = |answer: Result<(u16, &[u8]), CallError>| {
        let mut worker =
            asking(hs256_provider(json!({})), json!({"retries": 0, "when_unavailable": "allow"}));
        let token = token(Alg::HS256, &json!({"sub": "alice", "exp": NOW + 600}));
        let (pending, _) = ask(&mut worker, &token, NOW);
        outcome(&worker.tokens.on_answer(*pending, answer, moment(NOW), &worker.host))
    };
    let unknown = Outcome::Refused(TokenError::RevocationUnknown);
    for status in [400, 401, 403, 404, 429, 302, 204] {
        assert_eq!(run(Ok((status, b""))), unknown, "{status}");
    }
    assert_eq!(run(Ok((200, b"nonsense"))), unknown);
    assert_eq!(run(Err(CallError::NotSent)), unknown);
    for outage in [Ok((500, &b""[..])), Ok((503, b"")), Err(CallError::Timeout), Err(CallError::Reset)] {
        assert_eq!(run(outage), user("alice"), "{outage:?}");
    }
}

#[test]
fn requests_with_one_token_ask_once_and_all_have_the_answer() {
    for cache in ["30s", "0s"] {
        let mut worker = asking(json!({}), json!({"cache": cache}));
        let route = worker.route(json!({}));
        let (pending, _) = ask(&mut worker, "opaque", NOW);
        for _ in 0..49 {
            assert_eq!(worker.token(&route, "opaque", NOW), Outcome::Wait, "cache {cache}");
        }
        assert_eq!(worker.token(&route, "another", NOW), Outcome::Ask);
        assert!(
            worker.tokens.fetches(),
            "whoever only asks is polled too: else those who wait never hear of it"
        );
        assert!(!worker.poll(NOW).wakes);
        worker.tokens.on_answer(
            *pending,
            Ok((200, br#"{"active":true,"sub":"a"}"#)),
            moment(NOW),
            &worker.host,
        );
        assert!(worker.poll(NOW).wakes);
        for _ in 0..49 {
            assert_eq!(worker.token(&route, "opaque", NOW), user("a"), "cache {cache}");
        }
        let later = if cache == "0s" { Outcome::Ask } else { user("a") };
        assert_eq!(worker.token(&route, "opaque", NOW), later, "cache {cache}");
    }
}

#[test]
fn when_the_request_that_asked_leaves_another_asks() {
    let mut worker = asking(json!({}), json!({}));
    let route = worker.route(json!({}));
    let (pending, _) = ask(&mut worker, "opaque", NOW);
    assert_eq!(worker.token(&route, "opaque", NOW), Outcome::Wait);
    drop(pending);
    assert!(worker.poll(NOW).wakes);
    assert_eq!(worker.token(&route, "opaque", NOW), Outcome::Ask);
}

#[test]
fn an_inactive_token_is_remembered_for_a_moment_and_an_outage_is_not() {
    let mut worker = asking(json!({}), json!({"retries": 0}));
    let route = worker.route(json!({}));
    let (pending, _) = ask(&mut worker, "opaque", NOW);
    worker.tokens.on_answer(*pending, Ok((200, br#"{"active":false}"#)), moment(NOW), &worker.host);
    assert_eq!(worker.token(&route, "opaque", NOW + 4), Outcome::Refused(TokenError::Revoked));
    assert_eq!(worker.tokens.cache_counts().inactive_hits, 1);
    assert_eq!(worker.token(&route, "opaque", NOW + 5), Outcome::Ask);
    let (pending, _) = ask(&mut worker, "other", NOW);
    worker.tokens.on_answer(*pending, Err(CallError::Timeout), moment(NOW), &worker.host);
    assert_eq!(worker.token(&route, "other", NOW), Outcome::Ask, "it may be good");
}
