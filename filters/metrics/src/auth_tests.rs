use super::*;
use crate::{Catalogue, Change, Endpoint, exposition};
use portcullis_edge_core::Node;
use std::collections::{BTreeSet, HashMap};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// The stats of the proxy, with which several workers are flushed.
#[derive(Default)]
struct Host(HashMap<usize, u64>);

impl Host {
    fn flush(&mut self, metrics: &mut GatewayMetrics) {
        metrics.flush(|stat, change| {
            let value = self.0.entry(stat.0).or_default();
            match change {
                Change::Add(by) => *value = value.wrapping_add_signed(by),
                Change::Set(level) => *value = level.cast_unsigned(),
            }
        });
    }

    fn text(&mut self, metrics: &mut GatewayMetrics) -> String {
        self.flush(metrics);
        exposition(metrics.registry(), |stat| self.0.get(&stat.0).copied().unwrap_or(0))
    }
}

fn auth() -> AuthCatalogue {
    AuthCatalogue {
        sources: vec!["header", "cookie"],
        reasons: vec!["missing", "expired"],
        rules: true,
        fetched: vec![("main".into(), "keys"), ("main".into(), "deny_list")],
        fetch_failures: vec!["timeout", "status"],
        auth_service: true,
        login: true,
    }
}

fn metrics(auth: Option<AuthCatalogue>) -> GatewayMetrics {
    let endpoints = vec![Endpoint { label: "unmatched".into(), services: vec![] }];
    let catalogue = Catalogue { endpoints, services: vec![], statuses: vec![200], auth, max_series: 1_000 };
    GatewayMetrics::build(&catalogue, &Node::top()).unwrap()
}

fn text(metrics: &mut GatewayMetrics) -> String {
    Host::default().text(metrics)
}

/// Every series of the families beginning with `auth_`, `gateway_jwt_` or `gateway_auth_` that is not 0, in order.
fn moved(metrics: &mut GatewayMetrics) -> Vec<String> {
    let ours = |l: &&str| ["auth_", "gateway_jwt_", "gateway_auth_"].iter().any(|p| l.starts_with(p));
    text(metrics).lines().filter(ours).filter(|l| !l.ends_with(" 0")).map(str::to_owned).collect()
}

fn assert_has(text: &str, line: &str) {
    assert!(text.lines().any(|l| l == line), "no line `{line}` in\n{text}");
}

#[test]
fn every_reason_status_and_source_is_there_at_zero_before_the_first_token() {
    let text = text(&mut metrics(Some(auth())));
    for series in [
        "gateway_jwt_validation_requests_total{source=\"header\"}",
        "gateway_jwt_validation_requests_total{source=\"cookie\"}",
        "gateway_jwt_validation_requests_total{source=\"none\"}",
        "auth_jwt_validation_total{status=\"success\",reason=\"none\"}",
        "auth_jwt_validation_total{status=\"failure\",reason=\"missing\"}",
        "auth_jwt_validation_total{status=\"failure\",reason=\"expired\"}",
        "auth_jwt_validation_total{status=\"shadow_failure\",reason=\"missing\"}",
        "auth_jwt_validation_total{status=\"shadow_failure\",reason=\"expired\"}",
        "auth_jwt_creation_total{status=\"success\"}",
        "auth_jwt_creation_total{status=\"failure\"}",
        "auth_user_context_extraction_total{status=\"success\"}",
        "auth_user_context_extraction_total{status=\"failure\"}",
        "auth_role_resolution_total{status=\"success\"}",
        "auth_role_resolution_total{status=\"failure\"}",
        "auth_permission_validation_total{status=\"success\"}",
        "auth_permission_validation_total{status=\"failure\"}",
        "auth_permission_validation_total{status=\"shadow_failure\"}",
        "auth_request_duration_seconds_bucket{operation=\"jwt_validation\",le=\"0.005\"}",
        "auth_request_duration_seconds_count{operation=\"user_context_extraction\"}",
        "auth_concurrent_requests",
        "gateway_auth_service_calls_total{status=\"success\"}",
        "gateway_auth_service_calls_total{status=\"failure\"}",
        "gateway_auth_service_response_time_seconds_count",
        "gateway_jwt_fetches_total{provider=\"main\",document=\"keys\",result=\"success\"}",
        "gateway_jwt_fetches_total{provider=\"main\",document=\"deny_list\",result=\"timeout\"}",
        "gateway_jwt_cache_requests_total{result=\"hit\"}",
        "gateway_jwt_cache_requests_total{result=\"miss\"}",
        "gateway_jwt_cache_evictions_total",
        "gateway_jwt_waiting_refused_total",
        "gateway_security_headers_injected_total",
    ] {
        assert_has(&text, &format!("{series} 0"));
    }
}

#[test]
fn without_the_section_there_is_no_family_of_it_and_nothing_moves() {
    let mut without = metrics(None);
    without.observe_auth(&AuthObservation { token: Some(TokenResult::Good), ..Default::default() });
    without.auth_service_call(true, 1);
    without.fetched(0, None);
    without.document_age(0, Some(1));
    without.cache(1, 1, 1);
    without.waiting(1);
    without.waiting_refused();
    let text = text(&mut without);
    assert!(!text.contains("auth_") && !text.contains("jwt"), "{text}");
}

#[test]
fn what_a_policy_has_no_use_for_has_no_family() {
    let bare = AuthCatalogue { sources: vec!["header"], reasons: vec!["missing"], ..Default::default() };
    let text = text(&mut metrics(Some(bare)));
    for family in
        ["auth_permission", "auth_jwt_creation", "gateway_auth_service", "gateway_jwt_fetches", "_age_"]
    {
        assert!(!text.contains(family), "{family} in\n{text}");
    }
}

#[test]
fn a_good_token_moves_its_source_its_outcome_and_its_times() {
    let mut metrics = metrics(Some(auth()));
    metrics.observe_auth(&AuthObservation {
        looked: true,
        source: Some(1),
        token: Some(TokenResult::Good),
        user: Some(true),
        role: Some(false),
        permission: Some(true),
        validation_micros: Some(20_000_000),
        context_micros: Some(30_000_000),
        ..Default::default()
    });
    let ages = ["keys", "deny_list"]
        .map(|d| format!("gateway_jwt_document_age_seconds{{provider=\"main\",document=\"{d}\"}} -1"));
    let mut expected: Vec<String> = [
        "gateway_jwt_validation_requests_total{source=\"cookie\"} 1",
        "auth_jwt_validation_total{status=\"success\",reason=\"none\"} 1",
        "auth_user_context_extraction_total{status=\"success\"} 1",
        "auth_role_resolution_total{status=\"failure\"} 1",
        "auth_permission_validation_total{status=\"success\"} 1",
        "auth_request_duration_seconds_bucket{operation=\"jwt_validation\",le=\"+Inf\"} 1",
        "auth_request_duration_seconds_sum{operation=\"jwt_validation\"} 20",
        "auth_request_duration_seconds_count{operation=\"jwt_validation\"} 1",
        "auth_request_duration_seconds_bucket{operation=\"user_context_extraction\",le=\"+Inf\"} 1",
        "auth_request_duration_seconds_sum{operation=\"user_context_extraction\"} 30",
        "auth_request_duration_seconds_count{operation=\"user_context_extraction\"} 1",
    ]
    .map(str::to_owned)
    .into();
    expected.extend(ages);
    assert_eq!(moved(&mut metrics), expected);
}

#[test]
fn a_refusal_in_shadow_mode_is_no_failure() {
    let mut metrics = metrics(Some(auth()));
    let refused = AuthObservation {
        looked: true,
        token: Some(TokenResult::Refused(1)),
        permission: Some(false),
        ..Default::default()
    };
    metrics.observe_auth(&refused);
    metrics.observe_auth(&AuthObservation { shadow: true, ..refused });
    metrics.observe_auth(&AuthObservation { shadow_permission: true, ..refused });
    metrics.observe_auth(&AuthObservation { shadow_permission: true, ..refused });
    let text = text(&mut metrics);
    for line in [
        "gateway_jwt_validation_requests_total{source=\"none\"} 4",
        "auth_jwt_validation_total{status=\"failure\",reason=\"expired\"} 3",
        "auth_jwt_validation_total{status=\"shadow_failure\",reason=\"expired\"} 1",
        "auth_permission_validation_total{status=\"failure\"} 2",
        "auth_permission_validation_total{status=\"shadow_failure\"} 2",
    ] {
        assert_has(&text, line);
    }
}

#[test]
fn what_succeeds_in_shadow_mode_is_a_success() {
    let mut metrics = metrics(Some(auth()));
    metrics.observe_auth(&AuthObservation {
        token: Some(TokenResult::Good),
        permission: Some(true),
        created: Some(false),
        shadow: true,
        shadow_permission: true,
        ..Default::default()
    });
    let text = text(&mut metrics);
    assert_has(&text, "auth_jwt_validation_total{status=\"success\",reason=\"none\"} 1");
    assert_has(&text, "auth_permission_validation_total{status=\"success\"} 1");
    assert_has(&text, "auth_jwt_creation_total{status=\"failure\"} 1");
}

#[test]
fn waiting_requests_are_the_sum_over_workers_and_fall_back_to_zero() {
    let (mut one, mut two) = (metrics(Some(auth())), metrics(Some(auth())));
    let mut host = Host::default();
    one.waiting(5);
    two.waiting(3);
    host.flush(&mut one);
    assert_has(&host.text(&mut two), "auth_concurrent_requests 8");
    one.waiting(1);
    host.flush(&mut one);
    assert_has(&host.text(&mut two), "auth_concurrent_requests 4");
    one.waiting(0);
    two.waiting(0);
    host.flush(&mut one);
    assert_has(&host.text(&mut two), "auth_concurrent_requests 0");
}

#[test]
fn a_documents_age_is_one_level_whoever_tells_it_and_below_zero_while_there_is_none() {
    let (mut one, mut two) = (metrics(Some(auth())), metrics(Some(auth())));
    let mut host = Host::default();
    let line =
        |age: i64| format!("gateway_jwt_document_age_seconds{{provider=\"main\",document=\"keys\"}} {age}");
    assert_has(&host.text(&mut one), &line(-1));
    one.document_age(0, Some(7));
    two.document_age(0, Some(7));
    host.flush(&mut one);
    assert_has(&host.text(&mut two), &line(7));
    one.document_age(0, None);
    assert_has(&host.text(&mut one), &line(-1));
}

#[test]
fn fetches_calls_look_ups_and_full_queues_are_counted() {
    let mut metrics = metrics(Some(auth()));
    metrics.fetched(1, None);
    metrics.fetched(1, Some(1));
    metrics.auth_service_call(true, 7_000);
    metrics.auth_service_call(false, 1_000);
    metrics.cache(3, 2, 1);
    metrics.waiting_refused();
    metrics.headers_injected();
    let text = text(&mut metrics);
    for line in [
        "gateway_jwt_fetches_total{provider=\"main\",document=\"deny_list\",result=\"success\"} 1",
        "gateway_jwt_fetches_total{provider=\"main\",document=\"deny_list\",result=\"status\"} 1",
        "gateway_jwt_fetches_total{provider=\"main\",document=\"keys\",result=\"success\"} 0",
        "gateway_auth_service_calls_total{status=\"success\"} 1",
        "gateway_auth_service_calls_total{status=\"failure\"} 1",
        "gateway_auth_service_response_time_seconds_bucket{le=\"0.005\"} 1",
        "gateway_auth_service_response_time_seconds_sum 0.008",
        "gateway_jwt_cache_requests_total{result=\"hit\"} 3",
        "gateway_jwt_cache_requests_total{result=\"miss\"} 2",
        "gateway_jwt_cache_evictions_total 1",
        "gateway_jwt_waiting_refused_total 1",
        "gateway_security_headers_injected_total 1",
    ] {
        assert_has(&text, line);
    }
}

#[test]
fn an_index_that_no_policy_has_moves_nothing() {
    let (mut metrics, mut host) = (metrics(Some(auth())), Host::default());
    let before = host.text(&mut metrics);
    metrics.observe_auth(&AuthObservation {
        source: Some(9),
        token: Some(TokenResult::Refused(9)),
        ..Default::default()
    });
    metrics.fetched(9, None);
    metrics.fetched(0, Some(9));
    metrics.document_age(9, Some(1));
    assert!(host.text(&mut metrics) == before);
}

#[test]
fn a_route_that_looks_for_no_token_is_no_request_for_its_check() {
    let mut metrics = metrics(Some(auth()));
    let seen = AuthObservation { created: Some(true), permission: Some(true), ..Default::default() };
    metrics.observe_auth(&seen);
    let text = text(&mut metrics);
    assert_has(&text, "auth_jwt_creation_total{status=\"success\"} 1");
    assert_has(&text, "gateway_jwt_validation_requests_total{source=\"none\"} 0");
}

#[test]
fn hosts_are_told_every_label_and_no_other() {
    let metrics = metrics(Some(auth()));
    let stats = metrics.registry().stats_from(0).map(|(_, stat)| stat.name).collect::<Vec<_>>();
    let tags = stats.iter().flat_map(|name| name.split(";.;").filter_map(|tag| tag.split_once("=.=")));
    let used: BTreeSet<&str> = tags.map(|(label, _)| label).collect();
    assert_eq!(used.into_iter().collect::<Vec<_>>(), crate::LABELS);
}
