//! What two instances of the filter leave each other, without a host.

use crate::tests::{at, head};
use crate::{Facts, HeaderOps, Pipeline, Step};
use portcullis_edge_core::{Headers, MemoryHost, RequestHead, StreamFact};
use portcullis_token_lab::{SECRET, mint};
use serde_json::{Value, json};

fn pipeline(name: &str, findings: &Value, more: Value) -> Pipeline {
    let mut policy = json!({
        "version": 1,
        "gateway": { "instance": name },
        "services": { "order": { "address": "127.0.0.1:8002" } },
        "routes": [{ "path": "/a", "methods": ["GET"], "service": "order" }],
        "findings": findings,
        "proxy": { "appends_peer": true, "assigns_request_id": true },
    });
    policy.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Pipeline::compile(policy.to_string().as_bytes()).map_err(|errors| format!("{errors:?}")).unwrap()
}

/// An instance that checks tokens, behind a proxy at 10.0.0.1.
fn edge(more: Value) -> Pipeline {
    let mut sections = json!({
        "client_ip": { "trusted_proxies": ["10.0.0.1"] },
        "routes": [{ "path": "/a", "methods": ["GET"], "service": "order", "auth": { "token": "optional" } }],
        "jwt": { "issuer_header": "X-Issuer", "providers": { "main": {
            "issuer": "https://id.example",
            "secrets": [{ "alg": "HS256", "value": SECRET }], "user_claim": "sub", "role_claim": "role",
            "claim_to_headers": [{ "claim": "/org", "header": "X-Org" }] } } },
    });
    sections.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    pipeline("edge", &json!({ "secrets": [SECRET], "publish": true }), sections)
}

/// A later one.
fn later(more: Value) -> Pipeline {
    pipeline("limits", &json!({ "secrets": [SECRET], "from": "edge" }), more)
}

fn host() -> MemoryHost {
    MemoryHost::at(at(1)).with_stream(StreamFact::Began, &[7; 8])
}

fn request(from: &str, path: &str, more: &[(&str, &[u8])]) -> RequestHead {
    let all: Vec<_> = more.iter().copied().chain([("x-forwarded-for", from.as_bytes())]).collect();
    RequestHead { peer: Vec::new(), ..head("GET", path, &all) }
}

fn forwarded(step: Step) -> HeaderOps {
    match step {
        Step::Forward(ops) => ops,
        other => panic!("not forwarded: {other:?}"),
    }
}

/// The request as the next instance gets it: with the changes of this one, and its findings as filter state.
fn passed_on(ops: &HeaderOps, head: &RequestHead, host: &MemoryHost) -> RequestHead {
    ops.state.iter().for_each(|(name, value)| host.set_filter_state(name, value));
    let is_set = |name: &[u8]| ops.set.iter().any(|(set, _)| set.as_bytes() == name);
    let is_gone = |name: &[u8]| ops.remove.iter().any(|gone| gone == name);
    let text = |name: &[u8]| String::from_utf8(name.to_vec()).unwrap();
    let kept = head.headers.iter().filter(|(name, _)| !is_set(name) && !is_gone(name));
    let kept = kept.map(|(name, value)| (text(name), value.to_vec()));
    let all: Vec<_> = kept.chain(ops.set.iter().cloned()).collect();
    let headers = Headers::from_pairs(all.iter().map(|(name, value)| (name.as_str(), value.as_slice())));
    RequestHead { headers, peer: Vec::new() }
}

fn judge(pipeline: &Pipeline, head: RequestHead, host: &MemoryHost) -> (Facts, Step) {
    pipeline.on_request(head, host, &mut pipeline.worker(0))
}

/// A request through both.
fn through(first: &Pipeline, second: &Pipeline, head: RequestHead) -> (Facts, Step) {
    let host = host();
    let (facts, step) = judge(first, head, &host);
    judge(second, passed_on(&forwarded(step), &facts.head, &host), &host)
}

fn set<'o>(ops: &'o HeaderOps, name: &str) -> Option<&'o str> {
    let found = ops.set.iter().find(|(own, _)| own == name)?;
    core::str::from_utf8(&found.1).ok()
}

fn bearer() -> Vec<u8> {
    let claims = json!({"iss": "https://id.example", "sub": "alice", "role": "admin", "tier": "gold", "org": "sales", "exp": 60});
    format!("Bearer {}", mint("HS256", &claims)).into_bytes()
}

#[test]
fn the_client_and_what_its_proxy_said_are_taken() {
    let said: [(&str, &[u8]); 3] =
        [("x-forwarded-proto", b"https"), ("x-request-id", b"chosen"), ("x-forwarded-for", b"192.0.2.1")];
    let (facts, step) = through(&edge(json!({})), &later(json!({})), request("10.0.0.1", "/a", &said));
    assert_eq!(facts.client.masked(), "192.0.2.0");
    assert_eq!((facts.request_id(), facts.over_tls, facts.by_proxy), ("chosen", true, true));
    let ops = forwarded(step);
    assert_eq!(
        (set(&ops, "x-forwarded-for"), set(&ops, "x-forwarded-proto")),
        (None, None),
        "they stand already"
    );
}

/// What a client says of itself is no more believed by the later instance than by the earlier one.
#[test]
fn a_client_that_no_proxy_sent_is_the_peer() {
    let said: [(&str, &[u8]); 2] = [("x-forwarded-proto", b"https"), ("x-request-id", b"chosen")];
    let later = later(json!({"client_ip": {"trusted_proxies": ["0.0.0.0/0"], "trusted_hops": 1}}));
    let (facts, step) = through(&edge(json!({})), &later, request("198.51.100.7", "/a", &said));
    assert_eq!(facts.client.masked(), "198.51.100.0");
    assert!(!facts.over_tls && !facts.by_proxy && facts.request_id() != "chosen");
    assert_eq!(set(&forwarded(step), "x-forwarded-proto"), None);
}

#[test]
fn the_connection_says_whether_a_client_came_over_tls() {
    let first = edge(json!({"client_ip": {}, "proxy": {"appends_peer": false}}));
    let https = request("192.0.2.1", "/a", &[("x-forwarded-proto", b"https")]);
    assert!(!through(&first, &later(json!({})), https).0.over_tls);
}

#[test]
fn limits_and_rules_go_by_the_bearer_of_the_earlier_instance() {
    let rules = json!({"routes": [{"path": "/a", "methods": ["GET"], "service": "order",
        "authz": {"allow": [{"roles": {"any": ["admin"]}, "claims": [{"claim": "/tier", "one_of": ["gold"]}]}]}}]});
    let later = later(rules);
    let token = bearer();
    let (facts, step) =
        through(&edge(json!({})), &later, request("10.0.0.1", "/a", &[("authorization", &token)]));
    assert_eq!(facts.token.user(), Some("alice"));
    forwarded(step);
    let (_, step) = through(&edge(json!({})), &later, request("10.0.0.1", "/a", &[]));
    let Step::Reply(reply) = step else { panic!("passes without a role") };
    assert_eq!(reply.status, 401);
}

#[test]
fn what_the_earlier_instance_made_of_claims_stays_and_a_clients_goes() {
    let reserve =
        json!({"trust_headers": {"reserve": ["X-Org", "X-Issuer", "X-Tier", "X-User-ID", "X-User-Role"]}});
    let forged: [(&str, &[u8]); 3] = [("authorization", &bearer()), ("x-tier", b"gold"), ("x_org", b"all")];
    let (_, step) = through(&edge(json!({})), &later(reserve), request("10.0.0.1", "/a", &forged));
    let ops = forwarded(step);
    assert_eq!(ops.remove, [b"x-tier".to_vec()]);
    assert!(ops.set.is_empty(), "they stand already");
}

#[test]
fn the_own_check_of_a_token_goes_before_findings() {
    let own = json!({
        "routes": [{ "path": "/a", "methods": ["GET"], "service": "order", "auth": { "token": "optional" } }],
        "jwt": { "providers": { "own": { "secrets": [{ "alg": "HS256", "value": SECRET }] } },
            "sources": [{ "header": "X-Own-Token" }] } });
    let token = bearer();
    let (facts, step) =
        through(&edge(json!({})), &later(own), request("10.0.0.1", "/a", &[("authorization", &token)]));
    let ops = forwarded(step);
    assert_eq!((facts.token.user(), set(&ops, "x-user-id")), (None, None));
    for name in ["x-user-id", "x-user-role", "x-authenticated", "x-org", "x-issuer"] {
        assert!(
            ops.remove.contains(&name.as_bytes().to_vec()),
            "{name}: the service is told nothing of another's bearer"
        );
    }
}

#[test]
fn only_headers_that_a_request_has_are_taken_out_of_it() {
    let own = json!({
        "routes": [{ "path": "/a", "methods": ["GET"], "service": "order", "auth": { "token": "optional" } }],
        "jwt": { "providers": { "own": { "secrets": [{ "alg": "HS256", "value": SECRET }] } },
            "sources": [{ "header": "X-Own-Token" }] } });
    let (host, first, token) = (host(), edge(json!({})), bearer());
    let (facts, step) = judge(&first, request("10.0.0.1", "/a", &[("authorization", &token)]), &host);
    let mut ops = forwarded(step);
    ops.set.retain(|(name, _)| name != "x-org");
    let next = passed_on(&ops, &facts.head, &host);
    let ops = forwarded(judge(&later(own), next, &host).1);
    let removes = |name: &[u8]| ops.remove.iter().any(|removed| removed == name);
    assert!(removes(b"x-issuer") && !removes(b"x-org"), "{ops:?}");
}

/// Another filter between the two can write headers, and no findings.
#[test]
fn a_header_that_says_something_else_than_the_earlier_instance_is_removed() {
    let reserve = json!({"trust_headers": {"reserve": ["X-Org", "X-User-ID", "X-User-Role"]}});
    for (name, value) in [("x-user-id", "ceo"), ("x-user-role", "root"), ("x-org", "all")] {
        let (host, first) = (host(), edge(json!({})));
        let (facts, step) = judge(&first, request("10.0.0.1", "/a", &[("authorization", &bearer())]), &host);
        let mut next = passed_on(&forwarded(step), &facts.head, &host);
        let changed: Vec<_> = next
            .headers
            .iter()
            .map(|(own, old)| {
                let own = core::str::from_utf8(own).unwrap();
                (own, if own == name { value.as_bytes() } else { old })
            })
            .collect();
        next.headers = Headers::from_pairs(changed);
        let ops = forwarded(judge(&later(reserve.clone()), next, &host).1);
        assert_eq!(ops.remove, [name.as_bytes().to_vec()]);
    }
}

#[test]
fn findings_of_a_request_with_another_id_are_refused() {
    let (host, first) = (host(), edge(json!({})));
    let (facts, step) = judge(&first, request("10.0.0.1", "/a", &[]), &host);
    let mut next = passed_on(&forwarded(step), &facts.head, &host);
    next.headers =
        Headers::from_pairs([(":method", &b"GET"[..]), (":path", b"/a"), ("x-request-id", b"another")]);
    assert!(matches!(judge(&later(json!({})), next, &host).1, Step::Reply(reply) if reply.status == 503));
}

#[test]
fn pages_need_no_findings_and_count_none() {
    let host = host();
    let later = later(json!({}));
    for (path, counted) in [("/health", false), ("/a", true)] {
        let (facts, _) = judge(&later, request("192.0.2.1", path, &[]), &host);
        assert_eq!(
            (later.without_findings(&facts).is_some(), later.findings_result(&facts).is_some()),
            (counted, counted)
        );
    }
}

#[test]
fn rules_on_a_bearer_are_as_serious_as_the_findings_that_name_it() {
    let findings = json!({ "secrets": [SECRET], "from": "edge", "mode": "shadow" });
    let rules = json!({"routes": [{"path": "/a", "methods": ["GET"], "service": "order",
        "authz": {"allow": [{"roles": {"any": ["admin"]}}]}}]});
    let (_, step) = judge(&pipeline("limits", &findings, rules), request("192.0.2.1", "/a", &[]), &host());
    forwarded(step);
}

fn mistakes(name: &str, findings: Value, more: Value) -> Vec<String> {
    let mut policy = json!({
        "version": 1, "gateway": { "instance": name }, "services": { "order": { "address": "127.0.0.1:8002" } },
        "routes": [{ "path": "/a", "methods": ["GET"], "service": "order" }], "findings": findings });
    policy.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let errors = Pipeline::compile(policy.to_string().as_bytes()).err().unwrap();
    errors.iter().map(|error| error.to_string().split(", expected").next().unwrap().to_owned()).collect()
}

#[test]
fn what_findings_would_make_void_is_a_mistake() {
    let taken = json!({ "secrets": [SECRET], "from": "edge" });
    let provider = |more: Value| {
        let mut provider = json!({ "secrets": [{ "alg": "HS256", "value": SECRET }], "role_claim": "role" });
        provider.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        provider
    };
    let jwt = |mode: &str| {
        json!({
        "proxy": { "sets_trust_headers": mode == "enforce" },
        "routes": [{ "path": "/a", "methods": ["GET"], "service": "order", "auth": { "mode": mode } }],
        "jwt": { "providers": { "own": provider(json!({})) } } })
    };
    assert_eq!(
        mistakes("limits", taken.clone(), jwt("shadow")),
        ["routes[0].auth: found a check in mode `shadow` beside `findings.from`"]
    );
    assert_eq!(
        mistakes("limits", taken.clone(), jwt("enforce")),
        ["proxy.sets_trust_headers: found `true` beside `findings.from` and `jwt`"]
    );
    assert_eq!(
        mistakes("limits", taken, json!({"abuse": {"tokens": {"networks": 2, "within": "1h"}}})),
        ["abuse.tokens: found a rule on tokens"]
    );
    let two = json!({
        "routes": [{ "path": "/a", "methods": ["GET"], "service": "order", "auth": { "providers": ["one", "two"] } }],
        "jwt": { "providers": { "one": provider(json!({"issuer": "1"})), "two": provider(json!({"issuer": "2"})) } } });
    assert_eq!(
        mistakes("edge", json!({ "secrets": [SECRET], "publish": true }), two),
        ["routes[0].auth: found tokens of `one` and `two`, whose roles `findings` publishes"]
    );
}

#[test]
fn a_later_instance_with_tokens_of_its_own_tells_of_the_bearer_where_it_checks_none() {
    let own = json!({
        "routes": [{ "path": "/a", "methods": ["GET"], "service": "order", "auth": { "token": "none" } }],
        "jwt": { "issuer_header": "X-Issuer", "providers": {
            "own": { "issuer": "me", "secrets": [{ "alg": "HS256", "value": SECRET }] } } } });
    let token = bearer();
    let (_, step) =
        through(&edge(json!({})), &later(own), request("10.0.0.1", "/a", &[("authorization", &token)]));
    let ops = forwarded(step);
    assert_eq!((set(&ops, "x-user-id"), set(&ops, "x-user-role")), (Some("alice"), Some("admin")));
    assert_eq!(set(&ops, "x-issuer"), None, "no provider of this instance vouches for the bearer");
}

#[test]
fn without_findings_a_request_is_refused_or_in_shadow_mode_judged_by_itself() {
    let (facts, step) = judge(&later(json!({})), request("192.0.2.1", "/a", &[]), &host());
    let Step::Reply(reply) = step else { panic!("passes") };
    assert_eq!((reply.status, facts.denial.map(|d| d.reason.name)), (503, Some("findings_unusable")));
    let findings = json!({ "secrets": [SECRET], "from": "edge", "mode": "shadow" });
    let shadow = pipeline("limits", &findings, json!({}));
    let (facts, step) = judge(&shadow, request("192.0.2.1", "/a", &[]), &host());
    forwarded(step);
    assert_eq!(facts.client.masked(), "192.0.2.0");
}

/// The health page is for whoever watches, and comes before.
#[test]
fn the_health_page_needs_no_findings() {
    let (_, step) = judge(&later(json!({})), request("192.0.2.1", "/health", &[]), &host());
    assert!(matches!(step, Step::Reply(reply) if reply.status == 200));
}

#[test]
fn findings_of_another_stream_are_refused() {
    let host = host();
    let (facts, step) = judge(&edge(json!({})), request("10.0.0.1", "/a", &[]), &host);
    let next = passed_on(&forwarded(step), &facts.head, &host);
    host.set_stream(StreamFact::Began, &[8; 8]);
    assert!(matches!(judge(&later(json!({})), next, &host).1, Step::Reply(reply) if reply.status == 503));
}

/// Behind a balancer that nobody named every client has the balancer's private address.
#[test]
fn metrics_are_not_for_who_comes_by_a_proxy_that_the_earlier_instance_does_not_know() {
    let open = later(json!({"metrics": {"networks": ["10.0.0.0/8"]}}));
    let first =
        edge(json!({"client_ip": {}, "routes": [{"path": "/metrics", "methods": ["GET"], "service": "order",
        "auth": {"token": "none"}}], "metrics": {"path": "/own-metrics"}}));
    let by_balancer = request("10.0.0.9", "/metrics", &[("x-forwarded-for", b"203.0.113.1")]);
    assert!(!matches!(through(&first, &open, by_balancer).1, Step::ServeMetrics));
    let direct = request("10.0.0.9", "/metrics", &[]);
    assert!(matches!(through(&first, &open, direct).1, Step::ServeMetrics));
}

/// An address that is exempt from the check of where requests come from is a peer's, never one that somebody tells of.
#[test]
fn a_client_that_a_proxy_tells_of_is_not_exempt_from_the_check_of_its_source() {
    let backend = later(json!({"source": {"require": {"exempt_networks": ["192.0.2.0/24"]}}}));
    let by_proxy = request("10.0.0.1", "/a", &[("x-forwarded-for", b"192.0.2.1")]);
    let (_, step) = through(&edge(json!({})), &backend, by_proxy);
    assert!(matches!(step, Step::Reply(reply) if reply.status == 403));
    forwarded(through(&edge(json!({})), &backend, request("192.0.2.1", "/a", &[])).1);
}

#[test]
fn a_third_instance_takes_them_from_the_second() {
    let second =
        pipeline("second", &json!({ "secrets": [SECRET], "from": "edge", "publish": true }), json!({}));
    let third = pipeline(
        "third",
        &json!({ "secrets": [SECRET], "from": "second" }),
        json!({"trust_headers": {"reserve": ["X-Org"]}}),
    );
    let host = host();
    let token = bearer();
    let said: [(&str, &[u8]); 2] = [("authorization", &token), ("x-forwarded-for", b"192.0.2.1")];
    let mut head = request("10.0.0.1", "/a", &said);
    for instance in [&edge(json!({})), &second] {
        let (facts, step) = judge(instance, head, &host);
        head = passed_on(&forwarded(step), &facts.head, &host);
    }
    let (facts, step) = judge(&third, head, &host);
    assert_eq!((facts.token.user(), facts.client.masked().as_str()), (Some("alice"), "192.0.2.0"));
    assert!(forwarded(step).remove.is_empty());
}
