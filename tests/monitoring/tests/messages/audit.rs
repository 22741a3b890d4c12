//! Every security event has its line, and every line arrives.

use crate::world::{MARK, Watchers, brute_force, policy, send, token, token_abuse};
use portcullis_demo_services::{Fault, Service};
use portcullis_e2e::{Gateway, Line, Request, eventually_within};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// A second of the wall is ten of the scenario: half a minute for what must hold for five.
const PACE: u32 = 10;
const LONG: Duration = Duration::from_secs(120);

/// Actions of lines that are security events.
const ACTIONS: [&str; 6] = [
    "jwt_validation",
    "access_control",
    "rate_limit_violation",
    "circuit_breaker_change",
    "suspicious_activity",
    "security_header_validation",
];

/// One security event or more of every action but that of breakers.
fn events(gateway: &Gateway, client: &str) {
    let get = |path: &str| Request::get(format!("/api/v1{path}"));
    let unmarked = get("/inventory/assets").header("x-forwarded-for", client);
    assert_eq!(gateway.send(&unmarked).status, 200);
    assert_eq!(send(gateway, client, get("/orders").bearer("no.token.at-all")).status, 401);
    let insights = get("/insights/portfolio").bearer(&token("eve", "public"));
    assert_eq!(send(gateway, client, insights).status, 403);
    let balance = get("/balance").bearer(&token("carol", "customer"));
    let statuses: Vec<u16> = (0..4).map(|_| send(gateway, client, balance.clone()).status).collect();
    assert_eq!(statuses, [200, 200, 200, 429]);
    brute_force(gateway, client);
}

fn open_a_breaker(gateway: &Gateway) {
    gateway.knobs().set(Fault::everywhere(Service::Order).status(503)).expect("a sound fault");
    for _ in 0..5 {
        let orders = Request::get("/api/v1/orders").bearer(&token("dave", "customer"));
        assert_eq!(send(gateway, "198.51.100.7", orders).status, 503);
    }
}

fn action(line: &Line) -> Option<String> {
    let action = line.json()?["action"].as_str()?.to_owned();
    ACTIONS.contains(&&*action).then_some(action)
}

/// Lines of security events that the gateway has written, by action.
fn written(gateway: &Gateway) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    gateway
        .envoy
        .stdout()
        .all()
        .iter()
        .filter_map(action)
        .for_each(|action| *counts.entry(action).or_default() += 1);
    counts
}

/// Lines of security events that the store has, by action.
fn stored(watchers: &Watchers) -> BTreeMap<String, usize> {
    let found = watchers.logs.ask(r#"_time:1h service:="gateway" | stats by (action) count() lines"#);
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let all = found.iter().map(|row| (text(&row["action"]), text(&row["lines"]).parse().expect("a number")));
    all.filter(|(action, _)| ACTIONS.contains(&&**action)).collect()
}

fn counted(gateway: &Gateway) -> usize {
    let counted = gateway.metrics().sum("portcullis_log_lines_total", &[("kind", "security")]);
    format!("{counted:.0}").parse().expect("a whole number")
}

/// How many results a query has.
fn results(watchers: &Watchers, query: &str) -> usize {
    watchers.prometheus.now(query).expect("a sound query").len()
}

const GAP: &str = r#"slo:invariant:difference{slo="audit"}"#;
const FIRING: &str = r#"ALERTS{alertname="AuditGap",alertstate="firing"}"#;

#[test]
fn what_is_counted_is_written_and_stored_whatever_becomes_of_shipper_store_and_file() {
    let shadow = json!({ "require": { "header": MARK, "mode": "shadow" } });
    let gateway = Gateway::shipped()
        .policy(|old| *old = policy())
        .policy(|policy| policy["source"] = shadow)
        .envoy(|config| config.workers(1))
        .start();
    let mut watchers = Watchers::start(&[&gateway], &[], PACE, |rules| rules);
    eventually_within(LONG, "all is scraped, and the store's counts arrive", || {
        watchers.value(r#"portcullis_log_lines_total{kind="security"}"#) == Some(0.0)
            && watchers.value("gateway_log:lines:count1h").is_some()
    });
    // What was said of so many security events, all of them, is written to the file, but for the line that `lost` names.
    let take = |watchers: &mut Watchers, events: usize, lost: &mut dyn FnMut(&Line) -> bool| {
        let said = || written(&gateway).values().sum::<usize>();
        eventually_within(LONG, &format!("{events} lines"), || said() >= events);
        watchers.file.take(gateway.envoy.stdout(), lost);
    };

    events(&gateway, "203.0.113.1");
    take(&mut watchers, 5, &mut |_| false);
    eventually_within(LONG, "lines arrive", || watchers.logs.count("_time:1h") > 0);
    // The shipper dies in the midst of it, the file is rotated while nobody reads it, and the store is away when the shipper is back.
    token_abuse(&gateway);
    take(&mut watchers, 6, &mut |_| false);
    watchers.logs.kill_collector();
    events(&gateway, "203.0.114.1");
    take(&mut watchers, 11, &mut |_| false);
    watchers.file.rotate();
    open_a_breaker(&gateway);
    take(&mut watchers, 12, &mut |_| false);
    watchers.logs.end_store();
    let Watchers { logs, file, .. } = &mut watchers;
    logs.start_collector(file);
    events(&gateway, "203.0.116.1");
    take(&mut watchers, 17, &mut |_| false);
    watchers.logs.start_store();

    let written = written(&gateway);
    assert_eq!(written.keys().map(String::as_str).collect::<Vec<_>>(), {
        let mut all = ACTIONS;
        all.sort_unstable();
        all
    });
    let total: usize = written.values().sum();
    eventually_within(LONG, &format!("{written:?} are stored"), || stored(&watchers) == written);
    eventually_within(LONG, "all are counted", || counted(&gateway) == total);
    println!("security events: {total} counted, written and stored: {written:?}");
    eventually_within(LONG, "Prometheus finds no gap", || {
        watchers.value(r#"portcullis_log_lines_total{kind="security"}"#)
            == u32::try_from(total).ok().map(f64::from)
            && watchers.value(GAP).is_some_and(|gap| gap.abs() < 0.5)
    });
    assert_eq!(results(&watchers, FIRING), 0);

    // One line is lost on the way.
    let mut lost = 0;
    send(&gateway, "203.0.117.1", Request::get("/api/v1/orders").bearer("no.token.at-all"));
    take(&mut watchers, total + 1, &mut |line| {
        let is_it = lost == 0 && action(line).as_deref() == Some("jwt_validation");
        lost += usize::from(is_it);
        is_it
    });
    assert_eq!(lost, 1);
    eventually_within(LONG * 3, "the gap is an alert", || results(&watchers, FIRING) == 1);
    let gap = watchers.value(GAP).expect("there is one");
    println!("one line lost: a gap of {gap:.2}, and AuditGap fires");
    assert_eq!(stored(&watchers).values().sum::<usize>(), total, "one less than written");
    // `increase` extrapolates what was counted.
    assert!((0.5..2.0).contains(&gap), "{gap}");
}
