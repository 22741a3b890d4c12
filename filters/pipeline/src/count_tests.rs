//! Counts that no request makes, and how many series there may be.

use crate::lab::{Gateway, StreamInfo, moved};
use crate::{GatewayMetrics, Pipeline};
use portcullis_metrics::{Change, Format, exposition};
use serde_json::{Value, json};
use std::collections::HashMap;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// The series whose name begins like this, as they stand after the next flush.
fn shown(metrics: &mut GatewayMetrics, name: &str) -> Vec<String> {
    let mut stats = HashMap::new();
    metrics.flush(|stat, change| {
        let (Change::Add(level) | Change::Set(level)) = change;
        stats.insert(stat.0, level.cast_unsigned());
    });
    let text = exposition(metrics.registry(), Format::Text, |stat| stats.get(&stat.0).copied().unwrap_or(0));
    text.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect()
}

#[test]
fn a_tick_that_came_late_is_counted() {
    let mut metrics = Gateway::new(json!({})).pipeline.metrics().ok().unwrap();
    metrics.late_tick();
    metrics.late_tick();
    assert_eq!(shown(&mut metrics, "portcullis_ticks_late"), ["portcullis_ticks_late_total 2"]);
}

#[test]
fn of_a_document_that_the_policy_does_not_have_nothing_is_said() {
    let fetch = json!({ "jwks_uri": "http://id/keys", "cluster": "order" });
    let mut metrics = Gateway::new(json!({
        "jwt": { "providers": { "id": { "algorithms": ["RS256"], "fetch": fetch } } },
        "routes": [{ "path": "/a", "methods": ["GET"], "service": "order", "auth": {} }] }))
    .pipeline
    .metrics()
    .ok()
    .unwrap();
    metrics.document_age(0, Some(7));
    metrics.document_age(1, Some(8));
    let age = "gateway_jwt_document_age_seconds{provider=\"id\",document=\"keys\"} 7";
    assert_eq!(shown(&mut metrics, "gateway_jwt_document_age_seconds"), [age]);
    assert_eq!(
        shown(&mut metrics, "portcullis_metric_series_overflow"),
        ["portcullis_metric_series_overflow_total 0"]
    );
}

fn compiled(max_series: usize) -> Result<Pipeline, String> {
    let policy: Value = json!({
        "version": 1, "services": { "order": { "address": "127.0.0.1:1" } },
        "routes": [{ "path": "/a", "methods": ["GET"], "service": "order" }],
        "metrics": { "max_series": max_series } });
    Pipeline::compile(policy.to_string().as_bytes()).map_err(|errors| errors[0].to_string())
}

#[test]
fn a_policy_may_have_exactly_as_many_series_as_it_allows() {
    let count = compiled(20_000).unwrap().metrics().ok().unwrap().registry().len();
    assert!(compiled(count).is_ok());
    let error = compiled(count - 1).err().unwrap();
    assert!(error.contains(&format!("at least {count}")), "{error}");
}

#[test]
fn each_route_is_counted_under_its_own_service_and_path() {
    for (method, path, service) in [("GET", "/orders", "order"), ("POST", "/login", "user")] {
        let mut gateway = Gateway::new(json!({}));
        let (mut facts, _) = gateway.ask(method, path, &[]);
        gateway.answer(&mut facts, 200, &mut StreamInfo::by_service());
        let record = gateway.done(&mut facts, &mut StreamInfo::by_service());
        let counted = moved(&gateway.pipeline, &record, "gateway_routes_total");
        assert_eq!(
            counted,
            [format!("gateway_routes_total{{target_service=\"{service}\",endpoint=\"{path}\"}} 1")]
        );
    }
}
