//! What an auth service's answer is worth: when it comes, what it is about, and who waits for it.

use crate::remote::*;
use crate::support::*;
use portcullis_edge_core::CallError;
use portcullis_jwt::{Alg, TokenError};
use serde_json::{Value, json};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const ACTIVE: &[u8] = br#"{"active":true,"sub":"alice"}"#;

#[test]
fn a_clock_that_is_set_back_while_the_auth_service_thinks_makes_a_token_too_early_again() {
    let early = Outcome::Refused(TokenError::NotYetValid);
    for (now, expected) in [(NOW - 1, early.clone()), (NOW - 100, early), (NOW, user("alice"))] {
        let mut worker = asking(hs256_provider(json!({})), json!({}));
        let token = token(Alg::HS256, &json!({"sub": "alice", "nbf": NOW, "exp": NOW + 600}));
        let (pending, _) = ask(&mut worker, &token, NOW + 1);
        let authn = worker.tokens.on_answer(*pending, Ok((200, ACTIVE)), moment(now), &worker.host);
        assert_eq!(outcome(&authn), expected, "answered at {now}");
        assert_eq!(worker.tokens.cache().is_empty(), now < NOW, "answered at {now}");
    }
}

#[test]
fn answers_count_as_believed_where_they_say_whether_the_token_is_active() {
    let mut worker = asking(json!({}), json!({"retries": 0}));
    let answers: [(Result<(u16, &[u8]), CallError>, u64); 6] = [
        (Err(CallError::Timeout), 0),
        (Ok((200, ACTIVE)), 1),
        (Ok((500, ACTIVE)), 1),
        (Ok((200, br#"{"active":false}"#)), 2),
        (Ok((200, b"{}")), 2),
        (Ok((200, br#"{"active":true,"exp":1}"#)), 3),
    ];
    for (place, (answer, believed)) in answers.into_iter().enumerate() {
        let (pending, _) = ask(&mut worker, &format!("opaque-{place}"), NOW);
        worker.tokens.on_answer(*pending, answer, moment(NOW), &worker.host);
        assert_eq!(worker.tokens.answers_believed(), believed, "after {answer:?}");
    }
}

#[test]
fn a_request_in_shadow_mode_asks_by_itself_instead_of_waiting_for_another() {
    let mut worker = asking(json!({}), json!({}));
    let (enforced, shadow) = (worker.route(json!({})), worker.route(json!({"mode": "shadow"})));
    let (_pending, _) = ask(&mut worker, "opaque", NOW);
    assert_eq!(worker.token(&enforced, "opaque", NOW), Outcome::Wait);
    assert_eq!(worker.token(&shadow, "opaque", NOW), Outcome::Ask);
}

#[test]
fn an_opaque_token_that_was_found_good_is_known_whether_the_answer_names_its_issuer_or_not() {
    for answer in [r#"{"active":true,"sub":"a"}"#, r#"{"active":true,"sub":"a","iss":"https://us"}"#] {
        let mut worker = asking(json!({"issuer": "https://us"}), json!({}));
        let route = worker.route(json!({}));
        let (pending, _) = ask(&mut worker, "opaque", NOW);
        worker.tokens.on_answer(*pending, Ok((200, answer.as_bytes())), moment(NOW), &worker.host);
        assert_eq!(worker.token(&route, "opaque", NOW + 1), user("a"), "{answer}");
    }
}

#[test]
fn an_opaque_token_has_nothing_signed_that_a_deny_list_could_name() {
    let revocation = json!({"url": "http://idp/revoked", "cluster": "idp"});
    let mut worker = asking(json!({"revocation": revocation}), json!({}));
    let token = "looks.signed";
    let call = only_call(&mut worker, NOW);
    respond(&mut worker, call, 200, list_with(token).as_bytes(), NOW);
    let (pending, _) = ask(&mut worker, token, NOW);
    let authn = worker.tokens.on_answer(*pending, Ok((200, ACTIVE)), moment(NOW), &worker.host);
    assert_eq!(outcome(&authn), user("alice"));
}

#[test]
fn an_opaque_token_is_the_providers_unless_the_answer_names_another_issuer() {
    let answered = |provider: Value, answer: &str| {
        let mut worker = asking(provider, json!({}));
        let (pending, _) = ask(&mut worker, "opaque", NOW);
        outcome(&worker.tokens.on_answer(*pending, Ok((200, answer.as_bytes())), moment(NOW), &worker.host))
    };
    let ours = json!({"issuer": "https://us", "issuer_aliases": ["us"]});
    for iss in ["https://us", "us"] {
        assert_eq!(
            answered(ours.clone(), &format!(r#"{{"active":true,"sub":"a","iss":"{iss}"}}"#)),
            user("a")
        );
    }
    let of_others = r#"{"active":true,"sub":"a","iss":"https://others"}"#;
    assert_eq!(answered(ours, of_others), Outcome::Refused(TokenError::InvalidIssuer));
    assert_eq!(answered(json!({}), of_others), user("a"), "a provider of all issuers");
}
