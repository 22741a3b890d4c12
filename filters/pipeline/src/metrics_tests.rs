use super::*;
use crate::LineCounts;
use portcullis_metrics::{Format, exposition};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn shop() -> Value {
    json!({
        "version": 1,
        "services": { "order": { "address": "127.0.0.1:8002" } },
        "routes": [{ "path": "/orders/{id}", "methods": ["GET"], "service": "order" }],
        "metrics": { "statuses": [200, 404, 503] },
    })
}

/// The same with everything that tokens can need.
fn guarded() -> Value {
    let mut policy = shop();
    policy["clusters"] = json!({ "issuer": { "address": "issuer:443", "tls": true } });
    policy["jwt"] = json!({
        "sources": [{ "header": "authorization" }, { "cookie": "token" }],
        "providers": { "main": {
            "issuer": "https://issuer",
            "algorithms": ["RS256"],
            "fetch": { "jwks_uri": "https://issuer/keys", "cluster": "issuer" },
            "revocation": { "url": "https://issuer/revoked", "cluster": "issuer" },
            "introspection": { "url": "https://issuer/introspect", "cluster": "issuer" },
        } },
    });
    policy["routes"] = json!([
        { "path": "/orders/{id}", "methods": ["GET"], "service": "order", "auth": {},
          "authz": { "allow": [{ "roles": { "any": ["admin"] } }] } },
        { "path": "/login", "methods": ["POST"], "service": "order", "auth": { "issues": true, "token": "none" } },
    ]);
    policy
}

fn policy(document: &Value) -> Policy {
    let policy = Policy::from_value(document);
    policy.unwrap_or_else(|errors| {
        panic!("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })
}

fn metrics(document: &Value) -> GatewayMetrics {
    GatewayMetrics::build(&policy(document)).unwrap()
}

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
        exposition(metrics.registry(), Format::Text, |stat| self.0.get(&stat.0).copied().unwrap_or(0))
    }

    /// The series that are not 0, without the buckets that a time is not the first to fall into.
    fn moved(&mut self, metrics: &mut GatewayMetrics) -> BTreeSet<String> {
        let text = self.text(metrics);
        let moved = text.lines().filter(|line| !line.starts_with('#') && !line.ends_with(" 0"));
        moved.filter(|line| !line.contains("_bucket") && !line.contains("_age_")).map(str::to_owned).collect()
    }
}

fn moved(metrics: &mut GatewayMetrics) -> BTreeSet<String> {
    Host::default().moved(metrics)
}

fn lines<const N: usize>(lines: [&str; N]) -> BTreeSet<String> {
    lines.map(str::to_owned).into()
}

fn forwarded(status: u16) -> Observation {
    let service = Some((Service(0), Served(0)));
    Observation {
        endpoint: Endpoint(0),
        status,
        micros: 7_000,
        upstream_micros: None,
        exemplar: None,
        service,
        proxy_error: None,
        routing_error: None,
    }
}

#[test]
fn a_forwarded_request_moves_the_gateways_and_its_services_series() {
    let mut metrics = metrics(&shop());
    metrics.observe(&forwarded(404));
    let expected = lines([
        "gateway_requests_total{status_code=\"404\",endpoint=\"/orders/{id}\"} 1",
        "gateway_errors_total{status_code=\"404\",endpoint=\"/orders/{id}\"} 1",
        "gateway_request_latency_seconds_count{endpoint=\"/orders/{id}\"} 1",
        "gateway_request_latency_seconds_sum{endpoint=\"/orders/{id}\"} 0.007",
        "gateway_request_duration_seconds_count{service=\"order\"} 1",
        "gateway_request_duration_seconds_sum{service=\"order\"} 0.007",
        "gateway_routes_total{target_service=\"order\",endpoint=\"/orders/{id}\"} 1",
        "order_requests_total{status_code=\"404\",endpoint=\"/orders/{id}\"} 1",
        "order_errors_total{status_code=\"404\",endpoint=\"/orders/{id}\"} 1",
        "order_request_latency_seconds_count{endpoint=\"/orders/{id}\"} 1",
        "order_request_latency_seconds_sum{endpoint=\"/orders/{id}\"} 0.007",
    ]);
    assert_eq!(moved(&mut metrics), expected);
}

#[test]
fn what_the_service_took_and_what_the_gateway_added_are_two_times() {
    let mut metrics = metrics(&shop());
    metrics.observe(&Observation { upstream_micros: Some(6_200), ..forwarded(200) });
    // Two clocks: the service's time can be a little longer than all of it.
    metrics.observe(&Observation { upstream_micros: Some(7_001), ..forwarded(200) });
    metrics.observe(&forwarded(503));
    let moved = moved(&mut metrics);
    let of =
        |name: &str| moved.iter().filter(|line| line.starts_with(name)).cloned().collect::<BTreeSet<_>>();
    assert_eq!(
        of("gateway_upstream_latency_seconds"),
        lines([
            "gateway_upstream_latency_seconds_count{service=\"order\"} 2",
            "gateway_upstream_latency_seconds_sum{service=\"order\"} 0.013201",
        ])
    );
    assert_eq!(
        of("gateway_own_latency_seconds"),
        lines([
            "gateway_own_latency_seconds_count{service=\"order\"} 2",
            "gateway_own_latency_seconds_sum{service=\"order\"} 0.0008",
        ])
    );
}

#[test]
fn lines_are_counted_by_kind_and_by_what_became_of_them() {
    let mut metrics = metrics(&shop());
    let lines_of = |request, security, sampled| LineCounts { request, security, sampled };
    metrics.lines(lines_of(1, 2, 0), true);
    metrics.lines(lines_of(0, 0, 1), true);
    metrics.lines(lines_of(1, 1, 0), false);
    let expected = lines([
        "portcullis_log_lines_total{kind=\"request\"} 1",
        "portcullis_log_lines_total{kind=\"security\"} 2",
        "portcullis_log_lines_dropped_total{reason=\"sampled\"} 1",
        "portcullis_log_lines_dropped_total{reason=\"refused\"} 2",
    ]);
    assert_eq!(moved(&mut metrics), expected);
}

#[test]
fn a_worker_says_what_runs_until_it_ends_and_another_says_it_again() {
    let (mut one, mut two) = (metrics(&shop()), metrics(&shop()));
    let mut host = Host::default();
    let says = |host: &mut Host, of: &mut GatewayMetrics| {
        let text = host.text(of);
        let line = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        (line("portcullis_build_info{"), line("portcullis_policy_info{"))
    };
    one.alive();
    let hash = policy(&shop()).hash;
    let build = format!("portcullis_build_info{{version=\"{VERSION}\"}} 1");
    let in_force = |level: i64| format!("portcullis_policy_info{{policy=\"{hash}\"}} {level}");
    assert_eq!(says(&mut host, &mut one), (build.clone(), in_force(1)));
    one.ends();
    assert_eq!(says(&mut host, &mut one).1, in_force(0));
    two.alive();
    two.size();
    assert_eq!(says(&mut host, &mut two).1, in_force(1));
    let text = host.text(&mut two);
    let count = two.registry().len();
    assert!(text.contains(&format!("\nportcullis_metric_series {count}\n")), "{text}");
    assert!(text.contains("\nportcullis_metric_series_limit 20000\n"), "{text}");
}

#[test]
fn what_tables_gave_up_is_told_once() {
    let mut document = shop();
    document["limits"] = json!({ "rules": { "all": { "key": [], "limit": 1, "window": "1m" } } });
    let mut metrics = metrics(&document);
    metrics.cells(CellTable::Logins, Cells { evicted: 3, refused: 1 });
    metrics.cells(CellTable::Logins, Cells { evicted: 5, refused: 1 });
    metrics.cells(CellTable::Limits, Cells { evicted: 1, refused: 0 });
    metrics.observe_guards(&GuardObservation { crowded: 2, ..GuardObservation::default() });
    let expected = lines([
        "gateway_rate_limit_crowded_total 2",
        "portcullis_cells_evicted_total{table=\"failed_logins\"} 5",
        "portcullis_cells_evicted_total{table=\"limits\"} 1",
        "portcullis_cells_refused_total{table=\"failed_logins\"} 1",
    ]);
    assert_eq!(moved(&mut metrics), expected);
}

#[test]
fn a_rejected_policy_is_counted_where_its_instance_counts() {
    let stat = |policy: &str| crate::rejections_stat(&crate::instance_of(policy.as_bytes()));
    let mut edge = shop();
    edge["gateway"] = json!({ "instance": "edge" });
    let names = |document: &Value| {
        metrics(document).registry().stats_from(0).map(|stat| stat.name).collect::<BTreeSet<_>>()
    };
    assert!(names(&edge).contains(&stat(r#"{"gateway": {"instance": "edge"}, "wrong": 1}"#)));
    for plain in [
        "",
        "nonsense",
        "{}",
        r#"{"gateway": {"instance": "default"}}"#,
        r#"{"gateway": {"instance": ";.;"}}"#,
    ] {
        assert!(names(&shop()).contains(&stat(plain)), "{plain}");
    }
}

#[test]
fn what_the_gateway_answers_itself_moves_no_service() {
    let mut metrics = metrics(&shop());
    metrics.observe(&Observation { service: None, endpoint: Endpoint(1), ..forwarded(200) });
    let expected = lines([
        "gateway_requests_total{status_code=\"200\",endpoint=\"unmatched\"} 1",
        "gateway_request_latency_seconds_count{endpoint=\"unmatched\"} 1",
        "gateway_request_latency_seconds_sum{endpoint=\"unmatched\"} 0.007",
    ]);
    assert_eq!(moved(&mut metrics), expected);
}

#[test]
fn a_transport_failure_is_not_a_service_that_answers_503() {
    let mut metrics = metrics(&shop());
    metrics.observe(&Observation {
        proxy_error: Some((Service(0), ProxyError::RequestFailed)),
        ..forwarded(503)
    });
    metrics
        .observe(&Observation { proxy_error: Some((Service(0), ProxyError::Status(503))), ..forwarded(503) });
    metrics
        .observe(&Observation { proxy_error: Some((Service(0), ProxyError::Status(507))), ..forwarded(507) });
    let moved = moved(&mut metrics);
    let failed: Vec<_> = moved.iter().filter(|line| line.starts_with("gateway_proxy_errors_total")).collect();
    let expected = ["503", "507", "request_failed"].map(|error_type| {
        format!("gateway_proxy_errors_total{{target_service=\"order\",error_type=\"{error_type}\"}} 1")
    });
    assert_eq!(failed, expected.iter().collect::<Vec<_>>());
}

#[test]
fn every_worker_has_metrics_of_its_own_and_all_are_alike() {
    let pipeline = crate::Pipeline::compile(guarded().to_string().as_bytes()).ok().unwrap();
    let names = || {
        let metrics = pipeline.metrics().unwrap();
        metrics.registry().stats_from(0).map(|stat| stat.name).collect::<Vec<_>>()
    };
    let first = names();
    assert!(first.len() > 100);
    assert_eq!(names(), first);
}

#[test]
fn a_policy_with_more_series_than_it_allows_is_wrong() {
    let mut document = shop();
    document["metrics"]["max_series"] = json!(10);
    let errors = crate::Pipeline::compile(document.to_string().as_bytes()).err().unwrap();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(
        errors[0].to_string().starts_with("metrics.max_series: found 10, expected at least "),
        "{errors:?}"
    );
}

#[test]
fn no_two_stages_declare_one_family_and_each_says_what_it_is() {
    let mut names: Vec<_> = families().map(|(_, family)| family.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    for (_, family) in families() {
        let name = family.name;
        assert!(family.help.ends_with('.') && !family.help.contains('\n'), "{name}: {}", family.help);
        assert!(!family.promql.is_empty(), "{name}");
        assert_eq!(name.ends_with("_total"), family.kind == portcullis_metrics::Kind::Counter, "{name}");
        assert_eq!(
            matches!(family.kind, portcullis_metrics::Kind::Histogram(_)),
            name.ends_with("_seconds") && !name.ends_with("_age_seconds"),
            "{name}"
        );
    }
}

#[test]
fn without_the_sections_there_is_no_family_of_theirs_and_nothing_moves() {
    let mut without = metrics(&shop());
    without.observe_auth(&AuthObservation {
        token: Some(Ok(())),
        permission: Some(true),
        ..Default::default()
    });
    without.auth_service_call(true, 1);
    without.fetched(0, None);
    without.document_age(0, Some(1));
    without.cache(CacheCounts { hits: 1, inactive_hits: 1, ..Default::default() });
    without.key_skipped(0, KeyError::Roca);
    without.waiting(1);
    without.waiting_refused();
    let text = Host::default().text(&mut without);
    assert!(!text.contains("auth_") && !text.contains("jwt"), "{text}");
}

#[test]
fn a_good_token_moves_its_source_its_outcome_and_its_times() {
    let mut metrics = metrics(&guarded());
    metrics.observe_auth(&AuthObservation {
        looked: true,
        source: Some(1),
        token: Some(Ok(())),
        user: Some(true),
        role: Some(false),
        permission: Some(true),
        validation_micros: Some(20_000_000),
        context_micros: Some(30_000_000),
        ..Default::default()
    });
    let expected = lines([
        "gateway_jwt_validation_requests_total{source=\"cookie\"} 1",
        "auth_jwt_validation_total{status=\"success\",reason=\"none\"} 1",
        "auth_user_context_extraction_total{status=\"success\"} 1",
        "auth_role_resolution_total{status=\"failure\"} 1",
        "auth_permission_validation_total{status=\"success\"} 1",
        "auth_request_duration_seconds_sum{operation=\"jwt_validation\"} 20",
        "auth_request_duration_seconds_count{operation=\"jwt_validation\"} 1",
        "auth_request_duration_seconds_sum{operation=\"user_context_extraction\"} 30",
        "auth_request_duration_seconds_count{operation=\"user_context_extraction\"} 1",
    ]);
    assert_eq!(moved(&mut metrics), expected);
}

#[test]
fn a_token_whose_keys_were_too_dear_to_try_moves_its_providers_counter() {
    let mut metrics = metrics(&guarded());
    let token = Some(Err(TokenError::TooManyKeys));
    metrics.observe_auth(&AuthObservation { token, budget_exhausted: Some(0), ..Default::default() });
    let expected = lines([
        "auth_jwt_validation_total{status=\"failure\",reason=\"too_many_keys\"} 1",
        "gateway_jwt_check_budget_exhausted_total{provider=\"main\"} 1",
    ]);
    assert_eq!(moved(&mut metrics), expected);
}

#[test]
fn a_refusal_in_shadow_mode_is_no_failure_and_a_success_in_it_is_one() {
    let mut metrics = metrics(&guarded());
    let refused = AuthObservation {
        looked: true,
        token: Some(Err(TokenError::Expired)),
        permission: Some(false),
        ..Default::default()
    };
    metrics.observe_auth(&refused);
    metrics.observe_auth(&AuthObservation { shadow: true, ..refused });
    metrics.observe_auth(&AuthObservation { shadow_permission: true, ..refused });
    let good = AuthObservation { token: Some(Ok(())), permission: Some(true), ..Default::default() };
    metrics.observe_auth(&AuthObservation {
        shadow: true,
        shadow_permission: true,
        created: Some(false),
        ..good
    });
    let expected = lines([
        "gateway_jwt_validation_requests_total{source=\"none\"} 3",
        "auth_jwt_validation_total{status=\"failure\",reason=\"expired\"} 2",
        "auth_jwt_validation_total{status=\"shadow_failure\",reason=\"expired\"} 1",
        "auth_jwt_validation_total{status=\"success\",reason=\"none\"} 1",
        "auth_permission_validation_total{status=\"failure\"} 2",
        "auth_permission_validation_total{status=\"shadow_failure\"} 1",
        "auth_permission_validation_total{status=\"success\"} 1",
        "auth_jwt_creation_total{status=\"failure\"} 1",
    ]);
    assert_eq!(moved(&mut metrics), expected);
}

#[test]
fn waiting_requests_are_the_sum_over_workers_and_fall_back_to_zero() {
    let (mut one, mut two) = (metrics(&guarded()), metrics(&guarded()));
    let mut host = Host::default();
    one.waiting(5);
    two.waiting(3);
    host.flush(&mut one);
    assert!(host.text(&mut two).contains("\nauth_concurrent_requests 8\n"));
    one.waiting(1);
    host.flush(&mut one);
    assert!(host.text(&mut two).contains("\nauth_concurrent_requests 4\n"));
    one.waiting(0);
    two.waiting(0);
    host.flush(&mut one);
    assert!(host.text(&mut two).contains("\nauth_concurrent_requests 0\n"));
}

#[test]
fn a_documents_age_is_one_level_whoever_says_it_and_below_zero_while_there_is_none() {
    let (mut one, mut two) = (metrics(&guarded()), metrics(&guarded()));
    let mut host = Host::default();
    let line =
        |age: i64| format!("gateway_jwt_document_age_seconds{{provider=\"main\",document=\"keys\"}} {age}\n");
    assert!(host.text(&mut one).contains(&line(-1)));
    one.document_age(0, Some(7));
    two.document_age(0, Some(7));
    host.flush(&mut one);
    assert!(host.text(&mut two).contains(&line(7)));
    one.document_age(0, None);
    assert!(host.text(&mut one).contains(&line(-1)));
}

#[test]
fn fetches_calls_look_ups_and_full_queues_are_counted() {
    let mut metrics = metrics(&guarded());
    metrics.fetched(1, None);
    metrics.fetched(1, Some(FetchFailure::Status));
    metrics.fetched(9, None);
    metrics.auth_service_call(true, 7_000);
    metrics.auth_service_call(false, 1_000);
    metrics.cache(CacheCounts { hits: 3, misses: 2, evictions: 1, inactive_hits: 4, inactive_evictions: 5 });
    metrics.key_skipped(0, KeyError::Roca);
    metrics.key_skipped(1, KeyError::Roca);
    metrics.waiting_refused();
    metrics.trust_headers(true);
    metrics.trust_headers(false);
    let expected = lines([
        "gateway_jwt_fetches_total{provider=\"main\",document=\"deny_list\",result=\"success\"} 1",
        "gateway_jwt_fetches_total{provider=\"main\",document=\"deny_list\",result=\"status\"} 1",
        "gateway_auth_service_calls_total{status=\"success\"} 1",
        "gateway_auth_service_calls_total{status=\"failure\"} 1",
        "gateway_auth_service_response_time_seconds_sum 0.008",
        "gateway_auth_service_response_time_seconds_count 2",
        "gateway_jwt_cache_requests_total{result=\"hit\"} 3",
        "gateway_jwt_cache_requests_total{result=\"miss\"} 2",
        "gateway_jwt_cache_evictions_total 1",
        "gateway_jwt_negative_cache_hits_total 4",
        "gateway_jwt_negative_cache_evictions_total 5",
        "gateway_jwt_keys_skipped_total{provider=\"main\",reason=\"roca\"} 1",
        "gateway_jwt_waiting_refused_total 1",
        "gateway_security_headers_due_total 2",
        "gateway_security_headers_injected_total 1",
    ]);
    assert_eq!(moved(&mut metrics), expected);
}

#[test]
fn what_is_left_out_of_all_other_counts_has_one_of_its_own() {
    let mut metrics = metrics(&shop());
    let record = crate::Record {
        observation: None,
        injected: None,
        auth: None,
        findings: None,
        guards: None,
        events: Vec::new(),
        lines: Vec::new(),
        line_counts: Default::default(),
        state: Default::default(),
    };
    record.count(&mut metrics, true);
    assert_eq!(moved(&mut metrics), lines(["gateway_uncounted_requests_total 1"]));
}

#[test]
fn an_event_without_room_for_its_name_is_counted_and_said_so() {
    let mut metrics = metrics(&shop());
    let full = metrics.registry().len();
    metrics.registry_mut().limit(full);
    metrics.observe(&Observation { service: None, ..forwarded(418) });
    let moved = moved(&mut metrics);
    assert!(moved.contains("portcullis_metric_series_overflow_total 2"), "{moved:?}");
    assert!(
        moved.contains("gateway_requests_total{status_code=\"other\",endpoint=\"/orders/{id}\"} 1"),
        "{moved:?}"
    );
}

#[test]
fn a_named_instance_counts_in_series_of_its_own() {
    let mut document = shop();
    document["gateway"] = json!({ "instance": "edge" });
    let mut edge = metrics(&document);
    edge.trust_headers(false);
    let expected = "gateway_security_headers_due_total{portcullis_instance=\"edge\"} 1";
    assert_eq!(moved(&mut edge), lines([expected]));
    document["gateway"] = json!({ "instance": "default" });
    let stats = metrics(&document).registry().stats_from(0).map(|stat| stat.name).collect::<Vec<_>>();
    assert!(stats.iter().all(|name| !name.contains("instance")));
}
