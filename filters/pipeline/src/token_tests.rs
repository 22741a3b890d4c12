//! What becomes of tokens: the times that they take, the questions about them, what services and browsers get to see.

use crate::lab::{Gateway, StreamInfo, forwarded, lines, refused, set};
use crate::{Asker, Event, Facts, Stage, Step};
use core::time::Duration;
use portcullis_edge_core::{Answered, CallError, Mode, Mono, Wall};
use portcullis_jwt::{Refusal, TokenError};
use portcullis_token_lab::{SECRET, mint};
use serde_json::{Value, json};

/// A gateway whose route `/a` has this need for a token, and whose section `jwt` says this besides its provider.
fn gateway(auth: Value, jwt: Value, more: Value) -> Gateway {
    let provider = json!({ "secrets": [{ "alg": "HS256", "value": SECRET }], "role_claim": "role" });
    let mut section = json!({ "providers": { "main": provider } });
    section.as_object_mut().unwrap().extend(jwt.as_object().unwrap().clone());
    let route = json!({ "path": "/a", "methods": ["GET", "POST"], "service": "order", "auth": auth });
    let mut sections = json!({ "jwt": section, "routes": [route] });
    sections.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Gateway::new(sections)
}

/// One whose tokens an auth service knows, which has a breaker.
fn asking() -> Gateway {
    let ask =
        json!({ "url": "http://user/introspect", "cluster": "user", "retries": 0, "negative_cache": "0s" });
    let breaker = json!({ "consecutive_failures": 1, "jitter_percent": 0 });
    let providers = json!({ "providers": { "as": { "introspection": ask } } });
    gateway(json!({}), providers, json!({ "breakers": { "user": breaker } }))
}

fn ann(more: Value) -> String {
    let mut claims = json!({ "sub": "ann", "role": "customer", "exp": 60 });
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    mint("HS256", &claims)
}

impl Gateway {
    fn bring(&mut self, token: &str) -> (Facts, Step) {
        self.ask("GET", "/a", &[("authorization", format!("Bearer {token}").as_bytes())])
    }

    fn resume(&mut self, facts: &mut Facts, event: Event<'_>) -> Step {
        self.pipeline.resume(facts, event, &self.host, &mut self.worker)
    }
}

const ACTIVE: Result<Answered<'_>, CallError> = Ok(Answered::Http(200, br#"{"active":true,"sub":"carol"}"#));

#[test]
fn what_is_open_when_its_token_expires_is_ended_where_the_route_says_so() {
    for (auth, expected) in [
        (json!({ "end_at_expiry": true }), true),
        (json!({}), false),
        (json!({ "end_at_expiry": true, "mode": "shadow" }), false),
    ] {
        let mut gateway = gateway(auth.clone(), json!({}), json!({}));
        let (facts, step) = gateway.bring(&ann(json!({})));
        forwarded(step);
        let end = gateway.pipeline.ends_at(&facts);
        assert_eq!(end.is_some(), expected, "{auth}");
        assert!(end.is_none_or(|end| end >= Wall(60_000_000_000)));
        let mode = if auth["mode"] == "shadow" { Mode::Shadow } else { Mode::Enforce };
        assert_eq!(facts.token.mode(), mode);
    }
}

#[test]
fn an_auth_service_that_fails_is_asked_no_more_for_a_while() {
    for (answer, is_asked_again) in [
        (ACTIVE, true),
        (Ok(Answered::Http(404, b"")), true),
        (Ok(Answered::Http(499, b"")), true),
        (Ok(Answered::Http(500, b"")), false),
        (Ok(Answered::Http(503, b"")), false),
        (Err(CallError::Timeout), false),
        (Err(CallError::Reset), false),
        // The proxy has no such cluster: a mistake of ours.
        (Err(CallError::NotSent), true),
    ] {
        let mut gateway = asking();
        let (mut facts, step) = gateway.bring("one");
        assert!(matches!(step, Step::Call(_)));
        gateway.resume(&mut facts, Event::Answer(answer));
        let (_, step) = gateway.bring("another");
        assert_eq!(matches!(step, Step::Call(_)), is_asked_again, "{answer:?}");
        if !is_asked_again {
            let reply = refused(step);
            assert_eq!((reply.status, set(&reply.headers, "www-authenticate")), (503, None));
        }
    }
}

#[test]
fn a_question_whose_client_has_left_keeps_nobody_else_from_asking() {
    let mut gateway = asking();
    let (mut facts, _) = gateway.bring("one");
    gateway.resume(&mut facts, Event::Answer(Err(CallError::Timeout)));
    gateway.host.advance(Duration::from_secs(60));
    let (mut trial, step) = gateway.bring("two");
    assert!(matches!(step, Step::Call(_)));
    assert_eq!(refused(gateway.bring("three").1).status, 503, "one trial at a time");
    gateway.done(&mut trial, &mut StreamInfo::default());
    assert!(matches!(gateway.bring("four").1, Step::Call(_)));
}

#[test]
fn an_answer_that_says_whether_a_token_is_active_is_of_use() {
    for (answer, expected) in [
        (ACTIVE, true),
        (Ok(Answered::Http(200, br#"{"active":false}"#)), true),
        (Ok(Answered::Http(200, b"?")), false),
        (Ok(Answered::Http(500, b"")), false),
        (Err(CallError::Timeout), false),
    ] {
        let mut gateway = asking();
        let (mut facts, _) = gateway.bring("opaque");
        let (host, worker) = (&gateway.host, &mut gateway.worker);
        let taken = gateway.pipeline.on_answer(Some(&mut facts), answer, host, worker);
        assert_eq!((taken.usable, taken.step.is_some()), (expected, true), "{answer:?}");
    }
    let mut gateway = asking();
    for (answer, expected) in [
        (ACTIVE, true),
        (Ok(Answered::Grpc(0, b"")), true),
        (Ok(Answered::Http(500, b"")), false),
        (Ok(Answered::Grpc(14, b"")), false),
    ] {
        let taken = gateway.pipeline.on_answer(None, answer, &gateway.host, &mut gateway.worker);
        assert_eq!((taken.usable, taken.step.is_some()), (expected, false), "{answer:?}");
    }
}

#[test]
fn calls_to_the_auth_service_are_counted_with_the_time_that_they_took() {
    let gateway = asking();
    for (stage, count) in [(Stage::Token, 1), (Stage::FleetLimits, 0)] {
        let mut metrics = gateway.pipeline.metrics().ok().unwrap();
        let asker = Asker { stage, since: Mono(1_000_000) };
        gateway.pipeline.count_call(asker, true, Mono(8_000_000), &mut metrics);
        let mut changes = Vec::new();
        metrics.flush(|stat, change| changes.push((metrics_name(&gateway, stat), change)));
        let calls = changes.iter().filter(|(name, _)| name.contains("auth_service_calls"));
        assert_eq!(calls.count(), count, "{changes:?}");
        let micros = portcullis_metrics::Change::Add(7_000);
        assert_eq!(changes.iter().filter(|(_, change)| *change == micros).count(), count, "{changes:?}");
    }
}

fn metrics_name(gateway: &Gateway, stat: portcullis_metrics::StatId) -> String {
    let metrics = gateway.pipeline.metrics().ok().unwrap();
    let found = metrics.registry().stats_from(0).nth(stat.0);
    found.map(|stat| stat.name).unwrap_or_default()
}

const COOKIE: &str = "session";

fn by_cookie(auth: Value) -> Gateway {
    gateway(auth, json!({ "sources": [{ "cookie": COOKIE }] }), json!({}))
}

/// What a request with this cookie becomes, and the cookie that its answer sets.
fn cleared(gateway: &mut Gateway, cookie: &str) -> (Step, Option<String>) {
    let (mut facts, step) = gateway.ask("GET", "/a", &[("cookie", cookie.as_bytes())]);
    let answer = gateway.answer(&mut facts, 200, &mut StreamInfo::by_service());
    let cookie = answer.ops.add.into_iter().find(|(name, _)| name == "set-cookie");
    (step, cookie.map(|(_, value)| String::from_utf8(value).unwrap()))
}

#[test]
fn a_bad_token_is_taken_out_of_the_browser_where_the_route_says_so() {
    let good = format!("{COOKIE}={}", ann(json!({})));
    let bad = format!("{COOKIE}=bad");
    for (auth, cookie, is_cleared) in [
        (json!({ "clear_cookie": true }), &bad, true),
        (json!({ "clear_cookie": true }), &good, false),
        (json!({}), &bad, false),
        (json!({ "clear_cookie": true, "mode": "shadow" }), &bad, false),
    ] {
        let (_, cookie) = cleared(&mut by_cookie(auth.clone()), cookie);
        assert_eq!(cookie.is_some(), is_cleared, "{auth}");
        assert!(cookie.is_none_or(|cookie| cookie.starts_with("session=;")));
    }
}

#[test]
fn a_bad_token_that_counts_as_none_is_not_sent_on_either() {
    let ignores = json!({ "token": "optional", "bad_token": "ignore", "clear_cookie": true });
    let mut gateway = by_cookie(ignores);
    let (step, cookie) = cleared(&mut gateway, "a=b; session=bad");
    let ops = forwarded(step);
    assert_eq!(set(&ops.set, "cookie"), Some("a=b"), "{ops:?}");
    assert!(cookie.is_some());
    let (step, cookie) = cleared(&mut gateway, &format!("session={}", ann(json!({}))));
    assert_eq!((set(&forwarded(step).set, "cookie"), cookie), (None, None));
}

#[test]
fn a_token_in_the_query_does_not_go_on_where_its_source_says_so() {
    let token = ann(json!({}));
    for (strip, expected) in [(true, Some("/a?page=2")), (false, None)] {
        let sources = json!({ "sources": [{ "query": "token", "strip": strip }] });
        let mut gateway = gateway(json!({}), sources, json!({}));
        let ops = forwarded(gateway.ask("GET", &format!("/a?token={token}&page=2"), &[]).1);
        assert_eq!(set(&ops.set, ":path"), expected);
        let written = format!("/b/../a?token={token}&page=2");
        let ops = forwarded(gateway.ask("GET", &written, &[]).1);
        let normal = format!("/a?token={token}&page=2");
        assert_eq!(set(&ops.set, ":path"), Some(expected.unwrap_or(&normal)), "the path that was judged");
    }
    let sources = json!({ "sources": [{ "cookie": COOKIE, "strip": true }] });
    let mut gateway = gateway(json!({}), sources, json!({}));
    let cookie = format!("a=b; session={token}");
    let ops = forwarded(gateway.ask("GET", "/a?page=2", &[("cookie", cookie.as_bytes())]).1);
    assert_eq!((set(&ops.set, "cookie"), set(&ops.set, ":path")), (Some("a=b"), None));
}

#[test]
fn the_check_of_a_token_takes_what_it_takes_without_the_wait_for_keys() {
    let fetch = json!({ "jwks_uri": "http://user/keys", "cluster": "user" });
    let providers = json!({ "providers": { "id": { "algorithms": ["HS256"], "fetch": fetch } } });
    let mut waiting = gateway(json!({}), providers, json!({}));
    let (mut facts, step) = waiting.bring(&ann(json!({})));
    assert_eq!(step, Step::Wait);
    waiting.host.advance(Duration::from_secs(5));
    assert_eq!(waiting.resume(&mut facts, Event::Ready), Step::Wait);
    waiting.host.advance(Duration::from_micros(30));
    refused(waiting.resume(&mut facts, Event::NoRoom));
    assert_eq!(facts.token.validation_micros, Some(30));
}

#[test]
fn the_check_of_a_token_takes_as_long_as_its_auth_service_thinks() {
    let mut gateway = asking();
    let (mut facts, _) = gateway.bring("opaque");
    gateway.host.advance(Duration::from_millis(2));
    forwarded(gateway.resume(&mut facts, Event::Answer(ACTIVE)));
    assert_eq!((facts.token.validation_micros, facts.token.context_micros), (Some(2_000), Some(0)));
}

#[test]
fn rules_on_scopes_and_claims_go_by_what_the_token_says() {
    for (rule, claims, passes) in [
        (json!({ "scopes": { "any": ["write"] } }), json!({ "scope": "read write" }), true),
        (json!({ "scopes": { "any": ["write"] } }), json!({ "scope": "read" }), false),
        (json!({ "claims": [{ "claim": "tier", "one_of": ["gold", 3] }] }), json!({ "tier": "gold" }), true),
        (json!({ "claims": [{ "claim": "tier", "one_of": ["gold", 3] }] }), json!({ "tier": 3 }), true),
        (json!({ "claims": [{ "claim": "tier", "one_of": ["gold", 3] }] }), json!({ "tier": "tin" }), false),
        (json!({ "claims": [{ "claim": "tier", "one_of": ["gold", 3] }] }), json!({}), false),
    ] {
        let route = json!({ "path": "/a", "methods": ["GET"], "service": "order", "auth": {},
            "authz": { "allow": [rule] } });
        let mut gateway = gateway(json!({}), json!({}), json!({ "routes": [route] }));
        let (_, step) = gateway.bring(&ann(claims.clone()));
        assert_eq!(matches!(step, Step::Forward(_)), passes, "{rule} {claims}");
    }
}

#[test]
fn answers_of_a_route_that_makes_tokens_are_counted_by_whether_they_made_one() {
    for (issues, status, expected) in [(true, 200, Some(true)), (true, 401, Some(false)), (false, 200, None)]
    {
        let mut gateway = gateway(json!({ "token": "none", "issues": issues }), json!({}), json!({}));
        let (mut facts, _) = gateway.ask("POST", "/a", &[]);
        gateway.answer(&mut facts, status, &mut StreamInfo::by_service());
        let auth = gateway.done(&mut facts, &mut StreamInfo::by_service()).auth;
        assert_eq!(auth.and_then(|seen| seen.created), expected, "{issues} {status}");
    }
}

#[test]
fn a_provider_whose_keys_were_too_dear_to_try_is_named_for_that_alone() {
    let mut gateway = gateway(json!({}), json!({}), json!({}));
    for (error, expected) in [(TokenError::TooManyKeys, Some(0)), (TokenError::Expired, None)] {
        let (mut facts, _) = gateway.bring("bad");
        facts.token.verdict = Some(Err(Refusal { error, detail: "", provider: Some(0) }));
        let seen = gateway.pipeline.auth_observation(&facts, 401).unwrap();
        assert_eq!(seen.budget_exhausted, expected);
    }
}

#[test]
fn a_backend_believes_what_the_gateway_in_front_of_it_has_signed() {
    let sections = json!({ "source": { "sign": { "secret": SECRET } }, "trust_headers": {
        "set": { "X-Tier": "edge", "X-Source": "gateway" } } });
    let mut gateway = gateway(json!({}), json!({}), sections);
    let sent = forwarded(gateway.bring(&ann(json!({}))).1);
    let backend = |secret: &str| {
        let signature = json!({ "secrets": [secret] });
        Gateway::new(json!({ "source": { "require": { "signature": signature } },
            "proxy": { "assigns_request_id": true } }))
    };
    let status = |mut backend: Gateway, left_out: &str| {
        let headers = sent.set.iter().filter(|(name, _)| name != left_out);
        let headers: Vec<_> = headers.map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        match backend.ask("GET", "/orders", &headers).1 {
            Step::Reply(reply) => reply.status,
            _ => 200,
        }
    };
    assert_eq!(status(backend(SECRET), ""), 200);
    assert_eq!(status(backend("another-secret-of-thirty-two-bytes"), ""), 403);
    for vouched in ["x-source", "x-request-id", "x-user-id", "x-user-role", "x-source-signature"] {
        assert_eq!(status(backend(SECRET), vouched), 403, "{vouched}");
    }
}

/// A browser ends a connection whose server takes none of the subprotocols that it offered.
#[test]
fn a_web_socket_whose_token_stood_among_its_subprotocols_is_opened_with_one() {
    let route = json!({ "path": "/a", "methods": ["GET"], "service": "order", "auth": {}, "upgrades": ["websocket"] });
    let sources = json!({ "sources": [{ "websocket_protocol": "bearer" }] });
    let offered = format!("bearer, {}", ann(json!({})));
    for (status, chosen, expected) in
        [(101, None, Some("bearer")), (101, Some(&b"chat"[..]), None), (400, None, None)]
    {
        let mut gateway = gateway(json!({}), sources.clone(), json!({ "routes": [route] }));
        let upgrade = [("upgrade", &b"websocket"[..]), ("sec-websocket-protocol", offered.as_bytes())];
        let (mut facts, step) = gateway.ask("GET", "/a", &upgrade);
        forwarded(step);
        let headers = chosen.map(|chosen| ("sec-websocket-protocol", chosen)).into_iter().collect();
        let answer =
            gateway.answer(&mut facts, status, &mut StreamInfo { headers, ..StreamInfo::by_service() });
        assert_eq!(set(&answer.ops.set, "sec-websocket-protocol"), expected, "{status}");
    }
}

#[test]
fn a_refused_token_has_a_line_of_its_own_and_every_line_says_how_its_bearer_is_known() {
    let good = ann(json!({}));
    for (mode, token, refused, flow) in [
        ("enforce", good.as_str(), false, "jwt"),
        ("enforce", "bad", true, "none"),
        ("shadow", "bad", true, "none"),
    ] {
        let mut gateway = gateway(json!({ "mode": mode }), json!({}), json!({}));
        let (mut facts, _) = gateway.bring(token);
        assert_eq!(facts.token.verdict().map(|verdict| verdict.is_err()), Some(refused));
        let record = gateway.done(&mut facts, &mut StreamInfo::default());
        let lines = lines(&record);
        assert_eq!(lines[0]["action"] == "jwt_validation", refused, "{mode} {token}");
        assert_eq!(lines.last().unwrap()["extra"]["auth_flow"], flow);
        let auth = record.auth.unwrap();
        assert_eq!((auth.shadow, auth.user, auth.role), (mode == "shadow", known(!refused), known(!refused)));
    }
    let mut asking = asking();
    let (mut facts, _) = asking.bring("opaque");
    asking.resume(&mut facts, Event::Answer(ACTIVE));
    let record = asking.done(&mut facts, &mut StreamInfo::default());
    assert_eq!(lines(&record)[0]["extra"]["auth_flow"], "introspection");
}

fn known(is_known: bool) -> Option<bool> {
    is_known.then_some(true)
}
