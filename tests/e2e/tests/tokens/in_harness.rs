//! Waiting requests in the harness: the same crowds as on Envoy, in virtual time, where nothing is left to chance; and what only
//! a host that counts its calls can tell.

use crate::keys::{fetching, jwks, token};
use crate::lab::{claims, install, provider, route};
use crate::sides::{MODULE, line};
use portcullis_e2e::example_policy;
use portcullis_harness::{Builder, Plugin, Proxy, Reply, Request, Status, StreamHandle, Upstream};
use portcullis_token_lab::mint;
use serde_json::{Value, json};
use std::time::Duration;

const STREAMS: usize = 1000;
const WORKERS: usize = 2;
/// How long the fetch takes where it ends at all; its timeout is a minute.
const SLOW: Duration = Duration::from_secs(1);

/// The gateway with this section `jwt`; its clusters are declared, and exist if the test adds them.
fn builder(jwt: Value, clusters: &[&str]) -> Builder {
    let mut policy = example_policy();
    install(&mut policy, jwt, vec![route("/a", json!({}))]);
    let address = |name: &&str| ((*name).to_owned(), json!({"address": "127.0.0.1:1"}));
    policy["clusters"] = clusters.iter().map(address).collect::<serde_json::Map<_, _>>().into();
    let plugin = Plugin::loaded(&MODULE).config(policy.to_string());
    Proxy::builder().plugin(plugin).workers(WORKERS).upstream("web", Upstream::respond(200).body("ok"))
}

fn keys() -> Reply {
    Upstream::respond(200).body(jwks(&[("RS256", "a")]).to_string())
}

/// A gateway whose first fetch is under way.
fn fetches(from: Reply) -> Proxy {
    let mut jwt = fetching(json!({}));
    // The crowd is one client.
    jwt["max_waiting_per_client"] = STREAMS.into();
    let builder = builder(jwt, &["idp"]).peer("idp", from);
    let mut proxy = builder.build().expect("the gateway starts");
    proxy.advance(Duration::from_millis(10));
    assert_eq!(proxy.received("idp").len(), 1, "the fetch is under way");
    proxy
}

fn ask(token: &str) -> Request {
    Request::get("/api/v1/a").header("authorization", format!("Bearer {token}"))
}

/// Requests with a good token, all of which wait.
fn crowd(proxy: &mut Proxy) -> Vec<StreamHandle> {
    let token = token("RS256", "a");
    let streams: Vec<_> = (0..STREAMS).map(|_| proxy.start(ask(&token))).collect();
    proxy.run();
    assert!(statuses(proxy, &streams).iter().all(Option::is_none), "all wait");
    streams
}

fn statuses(proxy: &Proxy, streams: &[StreamHandle]) -> Vec<Option<u16>> {
    streams.iter().map(|stream| proxy.outcome(stream).client.status()).collect()
}

/// Every request of the crowd ends with this status, after one fetch and no trap; then keys come, and tokens are taken.
#[track_caller]
fn assert_all_end_with(status: u16, mut proxy: Proxy, streams: &[StreamHandle]) {
    for stream in streams {
        let outcome = proxy.finish(stream).expect("it ends");
        assert_eq!(outcome.client.status(), Some(status));
        assert_eq!(outcome.upstream.is_some(), status == 200, "only what is allowed goes on");
    }
    assert_eq!(proxy.received("idp").len(), 1, "one fetch");
    assert_recovers(proxy);
}

#[track_caller]
fn assert_recovers(mut proxy: Proxy) {
    proxy.set_upstream("idp", keys());
    proxy.advance(Duration::from_secs(61));
    for worker in 0..WORKERS {
        let outcome = proxy.send(ask(&token("RS256", "a")).on_worker(worker)).expect("it ends");
        assert_eq!(outcome.client.status(), Some(200));
    }
    assert!(proxy.failures().is_empty(), "{:?}", proxy.failures());
}

#[test]
fn a_thousand_wait_for_one_fetch_and_all_are_served() {
    let mut proxy = fetches(keys().delay(SLOW));
    let streams = crowd(&mut proxy);
    assert_all_end_with(200, proxy, &streams);
}

#[test]
fn a_thousand_wait_for_a_fetch_that_fails_and_all_are_refused() {
    let no_keys = || Upstream::respond(200).body("{}");
    for failure in [Upstream::respond(500), Reply::reset(), no_keys(), keys().reset_after()] {
        eprintln!("{failure:?}"); // shown if the test fails
        let mut proxy = fetches(failure.delay(SLOW));
        let streams = crowd(&mut proxy);
        assert_all_end_with(503, proxy, &streams);
    }
}

#[test]
fn a_thousand_wait_for_a_fetch_that_times_out_and_all_are_refused() {
    let mut proxy = fetches(Upstream::never());
    let streams = crowd(&mut proxy);
    assert_all_end_with(503, proxy, &streams);
}

#[test]
fn keys_may_come_when_everybody_has_left() {
    let mut proxy = fetches(keys().delay(SLOW));
    let streams = crowd(&mut proxy);
    streams.iter().for_each(|stream| proxy.client_leaves(stream));
    proxy.advance(SLOW);
    assert!(statuses(&proxy, &streams).iter().all(Option::is_none), "nobody is answered who has left");
    for worker in 0..WORKERS {
        let outcome = proxy.send(ask(&token("RS256", "a")).on_worker(worker)).expect("it ends");
        assert_eq!(outcome.client.status(), Some(200), "the keys are there");
    }
    assert_eq!(proxy.received("web").len(), WORKERS, "and nothing else was sent on");
    assert_eq!(proxy.received("idp").len(), 1, "one fetch");
    assert_recovers(proxy);
}

#[test]
fn a_known_token_ends_with_its_key() {
    let mut proxy = fetches(keys());
    let ask = |proxy: &mut Proxy, worker| {
        let outcome = proxy.send(ask(&token("RS256", "a")).on_worker(worker)).expect("it ends");
        outcome.client.status()
    };
    for worker in [0, 0, 1, 1] {
        assert_eq!(ask(&mut proxy, worker), Some(200));
    }
    proxy.set_upstream("idp", Upstream::respond(200).body(jwks(&[("ES256", "e")]).to_string()));
    proxy.advance(Duration::from_secs(602));
    assert_eq!(proxy.received("idp").len(), 2, "the keys were refreshed");
    for worker in [0, 0, 1, 1] {
        assert_eq!(ask(&mut proxy, worker), Some(401));
    }
}

#[test]
fn whoever_waits_while_the_policy_is_replaced_is_still_served() {
    let mut proxy = fetches(keys().delay(SLOW));
    let streams = crowd(&mut proxy);
    let mut policy = example_policy();
    install(&mut policy, fetching(json!({})), vec![route("/a", json!({})), route("/b", json!({}))]);
    policy["clusters"] = json!({"idp": {"address": "127.0.0.1:1"}});
    proxy.reload(policy.to_string()).expect("the policy is sound");
    for stream in &streams {
        assert_eq!(proxy.finish(stream).expect("it ends").client.status(), Some(200));
    }
    proxy.advance(Duration::from_secs(2));
    assert_eq!(told(&mut proxy, "auth_concurrent_requests"), "0", "nobody waits any more");
}

/// What the gateway's own endpoint says of a series.
fn told(proxy: &mut Proxy, series: &str) -> String {
    said(proxy, Request::get("/metrics"), series)
}

fn said(proxy: &mut Proxy, page: Request, series: &str) -> String {
    let text = proxy.send(page.on_worker(0)).expect("it ends").client.text();
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {series} in {text}")).to_owned()
}

#[test]
fn whoever_asks_for_the_metrics_is_told_how_many_wait_at_that_moment() {
    let mut proxy = fetches(keys().delay(SLOW));
    let token = token("RS256", "a");
    let streams: Vec<_> = (0..7).map(|_| proxy.start(ask(&token).on_worker(0))).collect();
    proxy.run();
    assert_eq!(told(&mut proxy, "auth_concurrent_requests"), "7");
    streams.iter().for_each(|stream| drop(proxy.finish(stream).expect("it ends")));
    assert_eq!(told(&mut proxy, "auth_concurrent_requests"), "0");
}

/// What is set at every flush: the age of the keys, the build, the policy, how many series there are and may be.
const GAUGES: u64 = 5;

#[test]
fn while_requests_wait_ticks_are_many_and_flushes_as_few_as_ever() {
    let builder = builder(fetching(json!({"timeout": "30s"})), &["idp"]).peer("idp", Upstream::never());
    let mut proxy = builder.workers(1).only_worker_vms().profiled().build().expect("the gateway starts");
    proxy.start(ask(&token("RS256", "a")));
    proxy.advance(Duration::from_millis(1500));
    proxy.reset_profile();
    proxy.advance(Duration::from_secs(5));
    let profile = proxy.profile();
    let tick = &profile["proxy_on_tick"];
    assert!(tick.count > 1000, "{} ticks", tick.count);
    assert_eq!(tick.host_calls["proxy_record_metric"].count, 5 * GAUGES, "flushes, one a second");
}

#[test]
fn flushes_keep_their_time_when_the_waiting_has_ended() {
    let builder = builder(fetching(json!({})), &["idp"]).peer("idp", keys().delay(SLOW));
    let mut proxy = builder.workers(1).only_worker_vms().profiled().build().expect("the gateway starts");
    let stream = proxy.start(ask(&token("RS256", "a")));
    proxy.finish(&stream).expect("it ends");
    proxy.reset_profile();
    proxy.advance(Duration::from_secs(10));
    let profile = proxy.profile();
    assert_eq!(profile["proxy_on_tick"].host_calls["proxy_record_metric"].count, 10 * GAUGES);
    assert!(profile["proxy_on_tick"].count <= 12, "{} ticks", profile["proxy_on_tick"].count);
}

#[test]
fn a_question_that_cannot_be_sent_is_counted_as_a_failure() {
    let service = json!({"url": "http://auth.example/introspect", "cluster": "as", "retries": 1,
        "client_id": "gateway", "client_secret": "a secret of ours"});
    let jwt = json!({"providers": {"as": {"introspection": service}}});
    // The policy declares the cluster, and the proxy has none.
    let mut proxy = builder(jwt, &["as"]).build().expect("the gateway starts");
    let outcome = proxy.send(ask("opaque-token").on_worker(0)).expect("it ends");
    assert_eq!(outcome.client.status(), Some(503), "{outcome:?}");
    // A cluster that is not there is a mistake in the proxy's configuration, which a second try does not mend.
    assert_eq!(told(&mut proxy, "gateway_auth_service_calls_total{status=\"failure\"}"), "1");
    assert_eq!(told(&mut proxy, "gateway_auth_service_response_time_seconds_count"), "1");
}

#[test]
fn a_request_that_the_proxy_will_not_change_is_refused_and_booked_as_refused() {
    let mut proxy = builder(fetching(json!({})), &["idp"]).peer("idp", keys()).build().expect("it starts");
    proxy.advance(Duration::from_secs(2));
    proxy.faults(|faults| {
        faults.status("proxy_replace_header_map_value", Status::BadArgument, 1);
    });
    let outcome = proxy.send(ask(&token("RS256", "a")).on_worker(0)).expect("it ends");
    assert_eq!((outcome.client.status(), outcome.upstream.is_some()), (Some(503), false));
    let line = line(&outcome);
    assert_eq!(line["extra"]["denied"], "service_unavailable", "{line}");
    assert_eq!(line["extra"]["target_service"], "gateway", "{line}");
    assert_eq!(told(&mut proxy, "gateway_security_headers_injected_total"), "0");
}

fn asking(more: Value) -> Value {
    let mut jwt = json!({"providers": {"as": {"introspection": {"url": "http://auth.example/introspect",
        "cluster": "as", "retries": 0, "client_id": "gateway", "client_secret": "a secret of ours"}}}});
    jwt.as_object_mut().expect("a section").extend(more.as_object().expect("settings").clone());
    jwt
}

#[test]
fn a_question_whose_client_has_left_has_its_place_until_its_answer_comes() {
    let slow = || Upstream::respond(200).body(r#"{"active":true,"sub":"a"}"#).delay(SLOW);
    let builder = builder(asking(json!({"max_waiting": 1})), &["as"]).peer("as", slow());
    let mut proxy = builder.workers(1).build().expect("the gateway starts");
    let leaves = proxy.start(ask("one"));
    proxy.run();
    proxy.client_leaves(&leaves);
    assert_eq!(proxy.send(ask("two")).expect("it ends").client.status(), Some(503));
    assert_eq!(told(&mut proxy, "auth_concurrent_requests"), "1");
    assert_eq!(told(&mut proxy, "gateway_jwt_waiting_refused_total"), "1");
    assert_eq!(proxy.received("as").len(), 1);
    proxy.advance(SLOW);
    assert_eq!(told(&mut proxy, "auth_concurrent_requests"), "0");
    let third = proxy.start(ask("three"));
    assert_eq!(proxy.finish(&third).expect("it ends").client.status(), Some(200));
    assert_eq!(told(&mut proxy, "gateway_auth_service_calls_total{status=\"success\"}"), "2");
    assert!(proxy.failures().is_empty(), "{:?}", proxy.failures());
}

#[test]
fn questions_are_asked_and_answered_while_the_policy_is_replaced() {
    let slow = || Upstream::respond(200).body(r#"{"active":true,"sub":"a"}"#).delay(SLOW);
    let builder = builder(asking(json!({})), &["as"]).peer("as", slow());
    let mut proxy = builder.workers(1).build().expect("the gateway starts");
    let stream = proxy.start(ask("one"));
    proxy.run();
    let mut policy = example_policy();
    install(&mut policy, asking(json!({"max_waiting": 2})), vec![route("/a", json!({}))]);
    policy["clusters"] = json!({"as": {"address": "127.0.0.1:1"}});
    proxy.reload(policy.to_string()).expect("the policy is sound");
    assert_eq!(proxy.finish(&stream).expect("it ends").client.status(), Some(200));
    let next = proxy.start(ask("two"));
    assert_eq!(proxy.finish(&next).expect("it ends").client.status(), Some(200));
    assert_eq!(proxy.received("as").len(), 2);
    assert!(proxy.failures().is_empty(), "{:?}", proxy.failures());
}

/// A host begins to count anew when it is told a time between ticks.
#[test]
fn a_dense_row_of_requests_that_begin_to_wait_does_not_put_off_the_fetch() {
    let builder = builder(fetching(json!({"timeout": "30s"})), &["idp"]).peer("idp", Upstream::never());
    let mut proxy = builder.workers(1).only_worker_vms().build().expect("the gateway starts");
    let token = token("RS256", "a");
    for _ in 0..50 {
        let stream = proxy.start(ask(&token));
        proxy.advance(Duration::from_millis(1));
        proxy.client_leaves(&stream);
    }
    assert_eq!(proxy.received("idp").len(), 1);
}

#[test]
fn only_an_answer_that_is_believed_counts_as_a_success() {
    let told_of = |answer: Reply| {
        let mut proxy =
            builder(asking(json!({})), &["as"]).peer("as", answer).build().expect("the gateway starts");
        proxy.send(ask("opaque-token").on_worker(0)).expect("it ends");
        ["success", "failure"].map(|status| {
            told(&mut proxy, &format!("gateway_auth_service_calls_total{{status=\"{status}\"}}"))
        })
    };
    let answer = |body: &str| Upstream::respond(200).body(body);
    assert_eq!(told_of(answer(r#"{"active":true,"sub":"a"}"#)), ["1", "0"]);
    assert_eq!(told_of(answer(r#"{"active":false}"#)), ["1", "0"]);
    assert_eq!(told_of(answer("<html>")), ["0", "1"]);
    assert_eq!(told_of(Upstream::respond(204)), ["0", "1"]);
    assert_eq!(told_of(Upstream::respond(500)), ["0", "1"]);
}

#[test]
fn a_full_cache_of_known_tokens_gives_one_up_for_another() {
    let jwt = json!({"cache_bytes": 1_500, "providers": {"main": provider(json!({}))}});
    let mut proxy = builder(jwt, &[]).workers(1).build().expect("the gateway starts");
    let of = |user: usize| mint("HS256", &claims(json!({"sub": format!("user-{user}")})));
    for user in 0..8 {
        assert_eq!(proxy.send(ask(&of(user))).expect("it ends").client.status(), Some(200));
    }
    let count = |proxy: &mut Proxy, name: &str| told(proxy, name).parse::<u32>().expect("a number");
    let evicted = count(&mut proxy, "gateway_jwt_cache_evictions_total");
    assert!((1..8).contains(&evicted), "{evicted} of eight tokens given up");
    // The one used last is known still; the one used longest ago is checked anew.
    let hits = |proxy: &mut Proxy| count(proxy, "gateway_jwt_cache_requests_total{result=\"hit\"}");
    for (user, known) in [(7, 1), (0, 1)] {
        proxy.send(ask(&of(user))).expect("it ends");
        assert_eq!(hits(&mut proxy), known, "user {user}");
    }
}

#[test]
fn one_inactive_token_more_than_are_remembered_pushes_out_the_oldest() {
    const REMEMBERED: usize = 4_096;
    let inactive = Upstream::respond(200).body(r#"{"active":false}"#);
    let mut proxy =
        builder(asking(json!({})), &["as"]).peer("as", inactive).workers(1).build().expect("it starts");
    for token in 0..=REMEMBERED {
        assert_eq!(proxy.send(ask(&format!("opaque-{token}"))).expect("it ends").client.status(), Some(401));
    }
    assert_eq!(told(&mut proxy, "gateway_jwt_negative_cache_evictions_total"), "1");
    assert_eq!(told(&mut proxy, "gateway_jwt_negative_cache_hits_total"), "0");
    let asked = proxy.received("as").len();
    for (token, asks) in [(REMEMBERED, 0), (0, 1)] {
        proxy.send(ask(&format!("opaque-{token}"))).expect("it ends");
        assert_eq!(proxy.received("as").len(), asked + asks, "opaque-{token}");
    }
}

/// A gateway behind a trusted proxy; `change` changes its policy, and its service answers with `status`.
fn behind_a_proxy(status: u16, change: impl FnOnce(&mut Value)) -> Proxy {
    let mut policy = example_policy();
    policy["client_ip"] = json!({"trusted_hops": 1, "trusted_proxies": ["0.0.0.0/0", "::/0"]});
    policy["jwt"] = json!({"providers": {"main": provider(json!({}))}});
    policy["metrics"]["networks"] = json!(["0.0.0.0/0"]);
    change(&mut policy);
    let plugin = Plugin::loaded(&MODULE).config(policy.to_string());
    let proxy = Proxy::builder().plugin(plugin).workers(1).upstream("web", Upstream::respond(status));
    proxy.build().expect("the gateway starts")
}

/// A request of each of so many clients, in networks of their own; each is answered with `status`.
fn each_of(proxy: &mut Proxy, clients: u32, request: &dyn Fn() -> Request, status: u16) {
    for number in 0..clients {
        let client = format!("{}.{}.{}.1", 10 + number / 65_536, number / 256 % 256, number % 256);
        let request = request().header("x-forwarded-for", client);
        assert_eq!(proxy.send(request).expect("it ends").client.status(), Some(status));
    }
}

fn counted(proxy: &mut Proxy, series: &str) -> u32 {
    let page = Request::get("/metrics").header("x-forwarded-for", "127.0.0.1");
    said(proxy, page, series).parse().expect("a number")
}

/// Failed logins are counted in a table of 4,096 networks.
#[test]
fn more_networks_that_fail_to_log_in_than_there_is_room_for_push_out_others_and_are_counted() {
    let mut proxy = behind_a_proxy(401, |_| ());
    each_of(&mut proxy, 6_000, &|| Request::post("/api/v1/auth/login"), 401);
    let evicted = counted(&mut proxy, "portcullis_cells_evicted_total{table=\"failed_logins\"}");
    assert!((6_000 - 4_096..6_000).contains(&evicted), "{evicted}");
    assert_eq!(counted(&mut proxy, "portcullis_cells_refused_total{table=\"failed_logins\"}"), 0);
}

#[test]
fn more_networks_that_are_blocked_than_there_is_room_for_are_counted_as_refused_a_cell() {
    let mut proxy = behind_a_proxy(401, |policy| policy["abuse"]["failed_logins"]["failures"] = 1.into());
    each_of(&mut proxy, 6_000, &|| Request::post("/api/v1/auth/login"), 401);
    let refused = counted(&mut proxy, "portcullis_cells_refused_total{table=\"failed_logins\"}");
    assert!((6_000 - 4_096..6_000).contains(&refused), "{refused}");
    assert_eq!(counted(&mut proxy, "portcullis_cells_evicted_total{table=\"failed_logins\"}"), 0);
}

/// Limits stand in 4,096 blocks of 32 places: with 20 clients to a block on average, some blocks have more than 32.
#[test]
fn clients_that_find_their_block_full_begin_with_what_others_used_and_are_counted() {
    let rules = json!({"rules": {"per_ip": {"key": ["ip"], "limit": 5, "window": "1d"}}});
    let mut proxy = behind_a_proxy(200, |policy| policy["limits"] = rules);
    each_of(&mut proxy, 20 * 4_096, &|| Request::get("/api/v1/inventory/assets"), 200);
    let crowded = counted(&mut proxy, "gateway_rate_limit_crowded_total");
    assert!((1..4_096).contains(&crowded), "{crowded}");
}
