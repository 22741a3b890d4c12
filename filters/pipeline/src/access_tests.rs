//! Who may: tokens and rules, without a host.

use crate::tests::{head, host};
use crate::{Event, Facts, LocalReply, Pipeline, Stage, Step, Worker};
use portcullis_edge_core::{Answered, Call, Class};
use portcullis_token_lab::{SECRET, mint};
use serde_json::{Value, json};

fn policy(jwt: Value, routes: Value) -> Pipeline {
    let policy = json!({
        "version": 1,
        "services": { "order": { "address": "127.0.0.1:8002" } },
        "routes": routes,
        "jwt": jwt,
        "cors": { "origins": ["https://shop.example"] }
    });
    Pipeline::compile(policy.to_string().as_bytes()).map_err(|errors| format!("{errors:?}")).unwrap()
}

fn provider() -> Value {
    json!({"secrets": [{"alg": "HS256", "value": SECRET}], "claim_to_headers": [{"claim": "/org", "header": "X-Org"}]})
}

fn route(path: &str, auth: Value) -> Value {
    json!({"path": path, "methods": ["GET"], "service": "order", "auth": auth})
}

fn example(mode: &str) -> Pipeline {
    let mut admin = route("/admin", json!({}));
    admin["authz"] = json!({"allow": [{"roles": {"any": ["admin"]}}]});
    let routes = [route("/a", json!({})), route("/open", json!({"token": "none"})), admin];
    policy(json!({"mode": mode, "providers": {"main": provider()}}), json!(routes))
}

fn alice() -> String {
    mint("HS256", &json!({"sub": "alice", "role": "customer", "exp": 60, "org": "sales"}))
}

struct Desk {
    pipeline: Pipeline,
    worker: Worker,
}

impl Desk {
    fn new(pipeline: Pipeline) -> Self {
        let worker = pipeline.worker(0);
        Self { pipeline, worker }
    }

    fn judge(&mut self, method: &str, path: &str, more: &[(&str, &[u8])]) -> (Facts, Step) {
        self.pipeline.on_request(head(method, path, more), &host(1), &mut self.worker)
    }

    fn resume(&mut self, facts: &mut Facts, event: Event<'_>) -> Step {
        self.pipeline.resume(facts, event, &host(1), &mut self.worker)
    }

    fn get(&mut self, path: &str, token: &str) -> (Facts, Step) {
        self.judge("GET", path, &[("authorization", format!("Bearer {token}").as_bytes())])
    }
}

fn header<'s>(set: &'s [(String, Vec<u8>)], name: &str) -> Option<&'s str> {
    let found = set.iter().find(|(own, _)| own == name)?;
    core::str::from_utf8(&found.1).ok()
}

fn reply(step: Step) -> LocalReply {
    match step {
        Step::Reply(reply) => reply,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn the_service_is_told_who_asks() {
    let (_, step) = Desk::new(example("enforce")).get("/a", &alice());
    let Step::Forward(ops) = step else { panic!("not forwarded: {step:?}") };
    let told = ["x-user-id", "x-user-role", "x-authenticated", "x-org"].map(|name| header(&ops.set, name));
    assert_eq!(told, [Some("alice"), Some("customer"), Some("true"), Some("sales")]);
}

#[test]
fn a_request_that_needs_no_token_is_told_of_nobody() {
    let (facts, step) = Desk::new(example("enforce")).get("/open", &alice());
    let Step::Forward(ops) = step else { panic!("not forwarded: {step:?}") };
    assert_eq!((header(&ops.set, "x-user-id"), facts.token.user()), (None, None));
}

#[test]
fn a_refusal_names_its_class_in_body_and_challenge() {
    let mut desk = Desk::new(example("enforce"));
    for (token, status, challenge) in [
        (None, 401, "Bearer realm=\"gateway\""),
        (Some("x"), 401, "Bearer error=\"invalid_token\", error_description=\"The token is malformed\""),
    ] {
        let bearer = token.map(|token| format!("Bearer {token}").into_bytes());
        let headers: Vec<_> = bearer.iter().map(|value| ("authorization", value.as_slice())).collect();
        let (_, step) = desk.judge("GET", "/a", &headers);
        let reply = reply(step);
        assert_eq!((reply.status, header(&reply.headers, "www-authenticate")), (status, Some(challenge)));
    }
    let refused = reply(desk.get("/admin", &alice()).1);
    assert_eq!(
        (refused.status, header(&refused.headers, "www-authenticate")),
        (403, Some("Bearer error=\"insufficient_scope\""))
    );
}

#[test]
fn where_only_a_bearer_may_pass_nobody_is_told_that_a_token_would_help() {
    let mut admin = route("/admin", json!({"token": "optional"}));
    admin["authz"] = json!({"allow": [{"roles": {"any": ["admin"]}}]});
    let mut desk = Desk::new(policy(json!({"providers": {"main": provider()}}), json!([admin])));
    assert_eq!(reply(desk.judge("GET", "/admin", &[]).1).status, 401);
}

#[test]
fn rules_about_networks_hold_without_any_token() {
    for (network, passes) in [("203.0.113.0/24", true), ("10.0.0.0/8", false)] {
        let mut inside = route("/inside", json!({"token": "none"}));
        inside["authz"] = json!({"allow": [{"networks": [network]}]});
        let mut desk = Desk::new(policy(json!({"providers": {"main": provider()}}), json!([inside])));
        let (_, step) = desk.judge("GET", "/inside", &[]);
        assert_eq!(matches!(step, Step::Forward(_)), passes, "{network}: {step:?}");
    }
}

#[test]
fn shadow_passes_and_remembers_and_tells_the_service_nothing() {
    let mut desk = Desk::new(example("shadow"));
    for token in ["garbage", &alice()] {
        for path in ["/a", "/admin"] {
            let (facts, step) = desk.get(path, token);
            let Step::Forward(ops) = step else { panic!("not forwarded: {step:?}") };
            assert!(header(&ops.set, "x-user-id").is_none() && facts.denial.is_none());
        }
    }
    let (facts, _) = desk.get("/a", "garbage");
    assert!(matches!(facts.token.verdict, Some(Err(_))));
    let (facts, _) = desk.get("/admin", &alice());
    assert!(matches!(facts.rules.verdict, Some((Err(_), _))));
}

#[test]
fn a_denied_network_is_denied_though_the_token_is_in_shadow_mode() {
    let mut admin = route("/admin", json!({"mode": "shadow"}));
    admin["authz"] =
        json!({"deny": [{"networks": ["203.0.113.0/24"]}], "allow": [{"roles": {"any": ["admin"]}}]});
    let jwt = json!({"providers": {"main": provider()}});
    let mut desk = Desk::new(policy(jwt, json!([admin])));
    for token in ["garbage", &alice()] {
        let refused = reply(desk.get("/admin", token).1);
        assert_eq!(refused.status, 403, "{token}");
    }
}

#[test]
fn a_token_is_taken_out_only_where_its_check_is_meant() {
    for (mode, removed) in [("enforce", 1), ("shadow", 0)] {
        let jwt = json!({"mode": mode, "providers": {"main": provider()},
            "sources": [{"header": "Authorization", "strip": true}]});
        let (_, step) = Desk::new(policy(jwt, json!([route("/a", json!({}))]))).get("/a", &alice());
        let Step::Forward(ops) = step else { panic!("not forwarded: {step:?}") };
        assert_eq!(ops.remove.len(), removed, "{mode}");
    }
}

#[test]
fn preflights_have_no_token_and_go_no_further() {
    let asks: &[(&str, &[u8])] =
        &[("origin", b"https://shop.example"), ("access-control-request-method", b"GET")];
    let (facts, step) = Desk::new(example("enforce")).judge("OPTIONS", "/a", asks);
    assert!(matches!(&step, Step::Reply(reply) if reply.status == 200) && facts.denial.is_none(), "{step:?}");
}

#[test]
fn while_keys_are_fetched_requests_wait_and_too_many_are_refused() {
    let fetch = json!({"jwks_uri": "http://idp/keys", "cluster": "order"});
    let jwt = json!({"providers": {"idp": {"algorithms": ["HS256"], "fetch": fetch}}});
    let mut desk = Desk::new(policy(jwt, json!([route("/a", json!({}))])));
    let (mut facts, step) = desk.get("/a", &alice());
    assert_eq!(step, Step::Wait);
    let refused = reply(desk.resume(&mut facts, Event::NoRoom));
    assert_eq!(refused.status, 503);
    let reason = facts.denial.unwrap().reason;
    assert_eq!((reason.class, reason.name), (Class::Unavailable, "keys_pending"));
}

#[test]
fn in_shadow_nobody_waits_for_keys_and_it_is_counted_all_the_same() {
    let fetch = json!({"jwks_uri": "http://idp/keys", "cluster": "order"});
    let jwt = json!({"mode": "shadow", "providers": {"idp": {"algorithms": ["HS256"], "fetch": fetch}}});
    let (facts, step) = Desk::new(policy(jwt, json!([route("/a", json!({}))]))).get("/a", &alice());
    assert!(matches!(step, Step::Forward(_)), "{step:?}");
    let error = facts.token.verdict.and_then(|token| token.err()).map(|refusal| refusal.error.as_str());
    assert_eq!(error, Some("keys_pending"));
}

#[test]
fn an_auth_service_is_asked_and_its_answer_decides() {
    let ask =
        json!({"url": "http://as/introspect", "cluster": "order", "retries": 0, "negative_cache": "0s"});
    let jwt = json!({"providers": {"as": {"introspection": ask}}});
    let mut desk = Desk::new(policy(jwt, json!([route("/a", json!({}))])));
    for (answer, passes) in
        [(&br#"{"active":true,"sub":"carol"}"#[..], true), (br#"{"active":false}"#, false), (b"?", false)]
    {
        let (mut facts, step) = desk.get("/a", if passes { "opaque" } else { "other" });
        assert!(matches!(step, Step::Call(Call::Http(_))), "{step:?}");
        let step = desk.resume(&mut facts, Event::Answer(Ok(Answered::Http(200, answer))));
        assert_eq!(matches!(step, Step::Forward(_)), passes, "{step:?}");
    }
}

#[test]
fn a_request_that_waited_goes_on_at_the_stage_at_which_it_stopped() {
    let ask = json!({"url": "http://as/introspect", "cluster": "order", "retries": 0});
    let mut desk = Desk::new(policy(
        json!({"providers": {"as": {"introspection": ask}}}),
        json!([route("/a", json!({}))]),
    ));
    let request = head("GET", "/a", &[("authorization", b"Bearer opaque")]);
    let (mut facts, _) = desk.pipeline.on_request_traced(request, &host(1), &mut desk.worker);
    assert_eq!(facts.at, Stage::Token);
    desk.resume(&mut facts, Event::Answer(Ok(Answered::Http(200, br#"{"active":true}"#))));
    let trace: Vec<_> = facts.trace.unwrap().0.iter().map(|entry| (entry.stage, entry.verdict)).collect();
    let mut before = trace.iter().take_while(|(stage, _)| *stage != Stage::Token);
    assert!(before.all(|(_, verdict)| *verdict == "continue"));
    let rest: Vec<_> = trace.iter().skip_while(|(stage, _)| *stage != Stage::Token).copied().collect();
    let expected = [
        (Stage::Token, "call"),
        (Stage::Token, "continue"),
        (Stage::TokenUse, "continue"),
        (Stage::Rules, "continue"),
        (Stage::LateLimits, "continue"),
        (Stage::FleetLimits, "continue"),
        (Stage::Breaker, "continue"),
    ];
    assert_eq!(rest, expected);
}

#[test]
fn an_event_that_no_stage_waits_for_lets_nothing_pass() {
    let mut desk = Desk::new(example("enforce"));
    let (mut facts, _) = desk.judge("GET", "/nowhere", &[]);
    assert_eq!(reply(desk.resume(&mut facts, Event::Ready)).status, 503);
    assert_eq!(facts.forwarded_route(), None);
}

#[test]
fn a_token_that_was_looked_for_in_vain_is_counted_and_one_that_was_not_looked_for_is_not() {
    let routes = [route("/maybe", json!({"token": "optional"})), route("/open", json!({"token": "none"}))];
    let mut desk = Desk::new(policy(json!({"providers": {"main": provider()}}), json!(routes)));
    let mut seen = |path| {
        let (facts, _) = desk.judge("GET", path, &[]);
        desk.pipeline.auth_observation(&facts, 200).map(|seen| (seen.looked, seen.source, seen.token))
    };
    assert_eq!(seen("/maybe"), Some((true, None, None)));
    assert_eq!(seen("/open"), None);
}
