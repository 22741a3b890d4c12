use super::*;
use crate::{RawLimits, Subject};
use portcullis_edge_core::{ConfigErrors, Headers, MemoryHost, Mono, Node, Wall};
use serde_json::{Value, json};
use std::net::IpAddr;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const ROUTES: [&str; 3] = ["/orders", "/auth/login", "/export"];

fn compile(limits: Value) -> Result<Limits, Vec<String>> {
    let raw: RawLimits = deserr::deserialize::<_, _, ConfigErrors>(limits).unwrap();
    raw.compile(&Node::top().key("limits"), &ROUTES, &["counter"])
        .map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

struct Bearer(&'static str, Vec<&'static str>);

impl Subject for Bearer {
    fn user(&self) -> Option<&str> {
        Some(self.0)
    }
    fn has_role(&self, role: &str) -> bool {
        self.1.contains(&role)
    }
    fn each_role(&self, tell: &mut dyn FnMut(&str)) {
        self.1.iter().for_each(|role| tell(role));
    }
    fn each_value(&self, path: &[String], tell: &mut dyn FnMut(&[u8])) -> bool {
        if path == ["tenant"] {
            tell(b"blue");
        }
        path == ["tenant"]
    }
}

/// A gateway of one worker.
struct Gateway {
    limits: Limits,
    state: LimitState,
    host: MemoryHost,
}

impl Gateway {
    fn new(rules: Value) -> Self {
        let limits = compile(json!({ "rules": rules })).unwrap();
        let now = Now { wall: Wall(1_000_000_000_000), mono: Mono(5_000_000_000) };
        Self { limits, state: LimitState::new(&Namespace::new("t")), host: MemoryHost::at(now) }
    }

    fn ask(&mut self, phase: Phase, caller: &Caller<'_>) -> (Checked, Option<Denial>) {
        let mut checked = Checked::default();
        let now = self.host.now();
        let verdict = self.limits.check(phase, caller, now, &mut checked, &mut self.state, &self.host);
        (checked, verdict.err())
    }

    fn admits(&mut self, caller: &Caller<'_>) -> bool {
        self.ask(Phase::BeforeToken, caller).1.is_none() && self.ask(Phase::AfterRules, caller).1.is_none()
    }

    fn admitted(&mut self, caller: &Caller<'_>, of: usize) -> usize {
        (0..of).filter(|_| self.admits(caller)).count()
    }
}

fn from<'a>(address: &str, route: usize, headers: &'a Headers) -> Caller<'a> {
    Caller {
        network: address.parse::<IpAddr>().ok(),
        route: Some(route),
        service: None,
        headers,
        subject: None,
    }
}

#[test]
fn each_client_has_a_quota_of_its_own_and_those_without_an_address_share_one() {
    let mut gateway = Gateway::new(json!({ "per_ip": { "key": ["ip"], "limit": 3, "window": "1m" } }));
    let none = Headers::default();
    for address in ["192.0.2.1", "192.0.2.2", "2001:db8::", "unknown"] {
        assert_eq!(gateway.admitted(&from(address, 0, &none), 5), 3, "{address}");
    }
    assert_eq!(gateway.admitted(&from("also unknown", 1, &none), 5), 0);
    gateway.host.advance(Duration::from_secs(20));
    assert_eq!(
        gateway.admitted(&from("192.0.2.1", 0, &none), 5),
        1,
        "one unit is back after a third of the window"
    );
}

#[test]
fn a_refusal_says_what_is_left_and_when_to_come_back_and_a_429_costs_nothing() {
    let mut gateway = Gateway::new(json!({ "per_ip": { "key": ["ip"], "limit": 2, "window": "10s" } }));
    let none = Headers::default();
    let caller = from("192.0.2.1", 0, &none);
    assert_eq!(gateway.admitted(&caller, 9), 2);
    gateway.host.advance(Duration::from_secs(1));
    let (checked, denial) = gateway.ask(Phase::BeforeToken, &caller);
    let denial = denial.unwrap();
    assert_eq!((denial.reason, denial.retry_after), (RATE_LIMITED, Some(Duration::from_secs(4))));
    assert_eq!(denial.quota, Some(Quota { limit: 2, remaining: 0, reset: Wall(1_010_000_000_000) }));
    assert_eq!(checked.hits, [Hit { rule: 0, mode: Mode::Enforce }]);
    let headers = gateway.limits.headers(&checked.standing.unwrap(), true, gateway.host.now());
    let headers: Vec<_> =
        headers.iter().map(|(n, v)| format!("{n}: {}", String::from_utf8_lossy(v))).collect();
    assert_eq!(
        headers,
        [
            "ratelimit-policy: \"per_ip\";q=2;w=10",
            "ratelimit: \"per_ip\";r=0;t=9",
            "x-ratelimit-limit: 2",
            "x-ratelimit-remaining: 0",
            "x-ratelimit-reset: 1010"
        ]
    );
}

#[test]
fn the_nearest_limit_is_the_one_that_is_told() {
    let mut gateway = Gateway::new(json!({
        "all": { "key": [], "limit": 100, "window": "1s" },
        "login": { "key": ["ip"], "limit": 5, "window": "1m", "routes": ["/auth/login"] },
        "per_ip": { "key": ["ip"], "limit": 50, "window": "1m" } }));
    let none = Headers::default();
    let told = |gateway: &mut Gateway, route| {
        let standing = gateway.ask(Phase::BeforeToken, &from("192.0.2.1", route, &none)).0.standing.unwrap();
        (gateway.limits.names().nth(standing.rule).unwrap().to_owned(), standing.remaining)
    };
    assert_eq!(told(&mut gateway, 0), ("per_ip".to_owned(), 49));
    assert_eq!(told(&mut gateway, 1), ("login".to_owned(), 4));
}

#[test]
fn whoever_is_refused_alone_uses_nothing_of_what_all_share() {
    let mut gateway = Gateway::new(json!({
        "a_all": { "key": [], "limit": 10, "window": "1h" },
        "b_route": { "key": ["route"], "limit": 9, "window": "1h" },
        "c_ip": { "key": ["ip"], "limit": 2, "window": "1h" } }));
    let none = Headers::default();
    assert_eq!(gateway.admitted(&from("192.0.2.1", 0, &none), 50), 2);
    let others: usize = (2..20).map(|n| gateway.admitted(&from(&format!("192.0.2.{n}"), 0, &none), 1)).sum();
    assert_eq!(others, 7, "9 of the route's, of which the first client has used 2");
    assert_eq!(gateway.admitted(&from("192.0.2.99", 1, &none), 5), 1, "10 of all");
}

#[test]
fn users_roles_claims_and_headers_count_apart_and_who_has_none_is_not_counted() {
    let none = Headers::default();
    let keyed = Headers::from_pairs([("x-api-key", &b"k1"[..])]);
    let (ann, bob) = (Bearer("ann", vec!["a"]), Bearer("bob", vec!["a"]));
    let ask = |key: Value, first: Caller<'_>, second: Caller<'_>| {
        let mut gateway = Gateway::new(json!({ "l": { "key": key, "limit": 2, "window": "1m" } }));
        (gateway.admitted(&first, 5), gateway.admitted(&second, 5))
    };
    let caller = |subject: Option<&'static dyn Subject>| Caller { subject, ..from("192.0.2.1", 0, &none) };
    let ann: &'static Bearer = Box::leak(Box::new(ann));
    let bob: &'static Bearer = Box::leak(Box::new(bob));
    assert_eq!(ask(json!(["user"]), caller(Some(ann)), caller(Some(bob))), (2, 2));
    assert_eq!(ask(json!(["role"]), caller(Some(ann)), caller(Some(bob))), (2, 0));
    assert_eq!(ask(json!(["claim:tenant"]), caller(Some(ann)), caller(Some(bob))), (2, 0));
    assert_eq!(ask(json!(["claim:other"]), caller(Some(ann)), caller(None)), (5, 5));
    assert_eq!(ask(json!(["user"]), caller(None), caller(Some(ann))), (5, 2));
    assert_eq!(ask(json!(["role", "user"]), caller(Some(ann)), caller(Some(bob))), (2, 2));
    let with_key = from("192.0.2.1", 0, &keyed);
    assert_eq!(ask(json!(["header:X-API-Key"]), with_key, caller(None)), (2, 2));
    assert_eq!(ask(json!(["header:X-API-Key", "ip"]), with_key, from("192.0.2.2", 0, &keyed)), (2, 2));
    assert_eq!(ask(json!(["ip", "route"]), with_key, from("192.0.2.1", 1, &keyed)), (2, 2));
}

#[test]
fn tiers_costs_routes_and_exemptions_choose_what_is_charged() {
    let mut gateway = Gateway::new(json!({ "l": {
        "key": ["user"], "limit": 2, "window": "1m", "routes": ["/orders", "/export"],
        "costs": { "/export": 2 }, "tiers": [{ "roles": ["vip"], "limit": 6 }],
        "exempt": { "networks": ["10.0.0.0/8"], "roles": ["admin"] } } }));
    let none = Headers::default();
    let mut admitted = |address: &str, route, user, role| {
        let bearer = Bearer(user, vec![role]);
        let caller = Caller { subject: Some(&bearer), ..from(address, route, &none) };
        gateway.admitted(&caller, 10)
    };
    assert_eq!(admitted("192.0.2.1", 0, "ann", "customer"), 2);
    assert_eq!(admitted("192.0.2.1", 2, "bob", "customer"), 1);
    assert_eq!(admitted("192.0.2.1", 0, "eve", "vip"), 6);
    assert_eq!(admitted("192.0.2.1", 2, "fay", "vip"), 3);
    assert_eq!(admitted("192.0.2.1", 1, "ann", "customer"), 10, "another route");
    assert_eq!(admitted("10.1.2.3", 0, "ann", "customer"), 10);
    assert_eq!(admitted("192.0.2.1", 0, "gus", "admin"), 10);
}

#[test]
fn shadow_counts_and_changes_nothing_and_off_does_not_even_count() {
    let mut gateway = Gateway::new(json!({
        "shy": { "key": ["ip"], "limit": 1, "window": "1m", "mode": "shadow" },
        "off": { "key": [], "limit": 1, "window": "1m", "mode": "off" } }));
    let none = Headers::default();
    gateway.ask(Phase::BeforeToken, &from("192.0.2.1", 0, &none));
    let (checked, denial) = gateway.ask(Phase::BeforeToken, &from("192.0.2.1", 0, &none));
    let shy = gateway.limits.names().position(|name| name == "shy").unwrap();
    assert_eq!((checked.hits, denial), (vec![Hit { rule: shy, mode: Mode::Shadow }], None));
    assert_eq!(checked.standing, None, "a client is told nothing of it");
}

#[test]
fn what_cannot_be_counted_passes_or_not_as_the_policy_says_and_is_told() {
    for (says, expected) in [("allow", None), ("deny", Some(LIMIT_UNKNOWN))] {
        let rule = json!({ "key": ["ip"], "limit": 1, "window": "1m", "on_failure": says });
        let mut gateway = Gateway::new(json!({ "l": rule }));
        let none = Headers::default();
        let caller = from("192.0.2.1", 0, &none);
        assert!(gateway.admits(&caller));
        gateway.host.fail_shared(true);
        let (checked, denial) = gateway.ask(Phase::BeforeToken, &caller);
        assert_eq!((checked.failures, denial.map(|d| d.reason)), (vec![StoreError::Host], expected));
        gateway.host.fail_shared(false);
        gateway.host.conflict(u32::MAX);
        let fresh = from("192.0.2.2", 0, &none);
        assert_eq!(gateway.ask(Phase::BeforeToken, &fresh).0.failures, [StoreError::Contended]);
    }
}

#[test]
fn a_new_policy_keeps_what_is_used_of_limits_that_did_not_change() {
    let rules = |limit: u64| {
        json!({
        "a": { "key": ["ip"], "limit": limit, "window": "1m" },
        "b": { "key": [], "limit": 4, "window": "1m" } })
    };
    let none = Headers::default();
    let caller = from("192.0.2.1", 0, &none);
    let mut gateway = Gateway::new(rules(2));
    assert_eq!(gateway.admitted(&caller, 9), 2);
    let Gateway { host, .. } = gateway;
    let keys = host.shared_sizes().len();
    let mut same = Gateway { host, ..Gateway::new(rules(2)) };
    assert_eq!(same.admitted(&caller, 9), 0);
    let mut changed = Gateway { host: same.host, ..Gateway::new(rules(7)) };
    assert_eq!(changed.admitted(&caller, 9), 2, "the changed one begins anew, the other has 2 of 4 left");
    assert!(changed.host.shared_sizes().len() <= keys + 1);
}

#[test]
fn rules_that_mean_nothing_are_mistakes_all_told_at_once() {
    let errors = compile(json!({
        "service": { "cluster": "countr" },
        "rules": {
            "Per-IP": { "key": ["ip"], "limit": 0, "window": "1ms" },
            "b": { "key": [], "limit": 5, "window": "1m", "routes": ["/order"], "costs": { "/orders": 6 } },
            "c": { "key": [], "limit": 1, "window": "1m", "tiers": [{ "roles": [], "limit": 1 }] } } }))
    .unwrap_err();
    assert_eq!(
        errors,
        [
            "limits.service.cluster: found `countr`, expected the name of a cluster of the policy; did you mean `counter`?",
            "limits.rules.Per-IP: found the name `Per-IP`, expected a name of lower-case letters, digits and `_` that begins with a letter",
            "limits.rules.Per-IP.window: found `1ms`, expected a duration from `1s` to `1day`",
            "limits.rules.Per-IP.limit: found `0`, expected a whole number from 1 to 1000000",
            "limits.rules.b.routes[0]: found `/order`, expected the path of a route, as it stands there; did you mean `/orders`?",
            "limits.rules.b.costs./orders: found `6`, expected no more than the burst, which is 5: it would never pass",
            "limits.rules.c.tiers[0].roles: found an empty list, expected one role or more",
        ]
    );
    let fleet =
        compile(json!({ "rules": { "a": { "key": [], "limit": 1, "window": "1s", "scope": "fleet" } } }));
    assert!(fleet.unwrap_err()[0].starts_with("limits.rules.a.scope: found `fleet`"));
    let many: serde_json::Map<_, _> =
        (0..32).map(|n| (format!("r{n}"), json!({ "key": ["ip"], "limit": 1, "window": "1s" }))).collect();
    assert!(compile(json!({ "rules": many })).unwrap_err()[0].starts_with("limits.rules: found 32 limits"));
}

#[test]
fn what_is_left_can_be_looked_at_without_being_used() {
    let mut gateway = Gateway::new(json!({
        "l": { "key": ["ip"], "limit": 3, "window": "1m" },
        "users": { "key": ["user"], "limit": 3, "window": "1m" } }));
    let none = Headers::default();
    let caller = from("192.0.2.1", 0, &none);
    gateway.admits(&caller);
    for _ in 0..3 {
        let now = gateway.host.now();
        let told = gateway.limits.explain(&caller, now, &mut gateway.state, &gateway.host);
        let Explained::Says { limit: 3, left, .. } = told[0].2 else { panic!("{told:?}") };
        assert_eq!((left, told[1].2), (2, Explained::DoesNotConcern));
    }
}

#[test]
fn narrow_limits_are_asked_before_wide_ones_and_short_windows_before_long_ones() {
    let tiers = json!([{ "roles": ["vip"], "limit": 9 }]);
    let mut gateway = Gateway::new(json!({
        "a_all": { "key": [], "limit": 1, "window": "1s" },
        "b_route": { "key": ["route"], "limit": 1, "window": "1s" },
        "c_ip": { "key": ["ip"], "limit": 1, "window": "1m" },
        "d_ip": { "key": ["ip"], "limit": 1, "window": "1s" },
        "e_ip": { "key": ["ip", "route"], "limit": 1, "window": "1m" },
        "f_all": { "key": [], "limit": 1, "window": "1s", "tiers": tiers },
        "g_route": { "key": ["route", "service"], "limit": 1, "window": "1s", "tiers": tiers },
        "h_role": { "key": ["role"], "limit": 1, "window": "1s" },
        "i_role": { "key": ["role", "route"], "limit": 1, "window": "1s" },
        "j_user": { "key": ["user"], "limit": 1, "window": "1s" } }));
    let none = Headers::default();
    let now = gateway.host.now();
    let told = gateway.limits.explain(&from("192.0.2.1", 0, &none), now, &mut gateway.state, &gateway.host);
    let order: Vec<_> = told.iter().map(|(name, ..)| *name).collect();
    let before_token = ["e_ip", "d_ip", "c_ip", "b_route", "a_all"];
    let after_rules = ["j_user", "i_role", "h_role", "g_route", "f_all"];
    assert_eq!(order, [before_token, after_rules].concat());
}

#[test]
fn a_route_that_is_free_is_neither_charged_nor_told_of_the_limit() {
    let rule = json!({ "key": ["ip"], "limit": 1, "window": "1m", "costs": { "/export": 0 } });
    let mut gateway = Gateway::new(json!({ "l": rule }));
    let none = Headers::default();
    let (free, priced) = (from("192.0.2.1", 2, &none), from("192.0.2.1", 0, &none));
    assert_eq!(gateway.ask(Phase::BeforeToken, &free), (Checked::default(), None));
    assert_eq!(gateway.admitted(&priced, 3), 1);
    assert_eq!(gateway.ask(Phase::BeforeToken, &free), (Checked::default(), None));
}

#[test]
fn what_a_limit_counts_by_is_told_by_the_narrowest_part_of_its_key() {
    let kind = |key: Value| {
        let rules = json!({ "l": { "key": key, "limit": 1, "window": "1m" } });
        compile(json!({ "rules": rules })).unwrap().kind(0)
    };
    for (key, expected) in [
        (json!(["ip"]), LimitKind::PerIp),
        (json!(["user", "header:x-api-key", "ip"]), LimitKind::PerIp),
        (json!(["user"]), LimitKind::PerUser),
        (json!(["header:x-api-key", "claim:tenant"]), LimitKind::PerUser),
        (json!(["route", "role"]), LimitKind::PerUser),
        (json!(["route", "header:x-api-key"]), LimitKind::PerKey),
        (json!(["route", "service"]), LimitKind::Global),
        (json!([]), LimitKind::Global),
    ] {
        assert_eq!(kind(key.clone()), expected, "{key}");
    }
}

#[test]
fn headers_are_those_that_the_policy_wants_on_the_answers_that_it_wants() {
    let told = |headers: Value, refused| {
        let rules = json!({ "l": { "key": ["ip"], "limit": 5, "window": "1m" } });
        let limits = compile(json!({ "headers": headers, "rules": rules })).unwrap();
        let standing = Standing { rule: 0, limit: 5, remaining: 4, reset: Duration::from_secs(12) };
        let headers = limits.headers(&standing, refused, Now::default());
        headers.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    let (new, old) = (
        ["ratelimit-policy", "ratelimit"],
        ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"],
    );
    let both: Vec<_> = new.into_iter().chain(old).collect();
    assert_eq!((told(json!({}), false), told(json!({}), true)), (both.clone(), both.clone()));
    let refused = json!({ "on": "refused" });
    assert_eq!((told(refused.clone(), false), told(refused, true)), (vec![], both));
    assert_eq!(told(json!({ "x_ratelimit": false }), false), new);
    assert_eq!(told(json!({ "ratelimit": false }), false), old);
}

#[test]
fn whoever_comes_back_after_the_seconds_that_are_told_does_not_come_too_early() {
    let rules = json!({ "l": { "key": ["ip"], "limit": 5, "window": "1m" } });
    let limits = compile(json!({ "rules": rules })).unwrap();
    for (millis, expected) in [(0, ";t=0"), (1, ";t=1"), (11_000, ";t=11"), (11_001, ";t=12")] {
        let standing = Standing { rule: 0, limit: 5, remaining: 4, reset: Duration::from_millis(millis) };
        let headers = limits.headers(&standing, false, Now::default());
        let told = String::from_utf8_lossy(&headers[1].1).into_owned();
        assert!(told.ends_with(expected), "{millis}: {told}");
    }
}
