//! What happens, and which alert it should or should not raise.

use serde_json::{Value, json};

/// A situation for one alert.
pub struct Case {
    /// The alert.
    pub alert: &'static str,
    /// Whether it fires.
    pub fires: bool,
    /// Series and their values, every 30 s.
    series: Vec<(&'static str, String)>,
    /// When to look.
    at: &'static str,
    /// Labels that tell alerts of one name apart.
    labels: &'static str,
    /// The time between samples, and between evaluations.
    pub interval: &'static str,
}

impl Case {
    /// The alert, and the objective that it is about.
    pub fn key(&self) -> String {
        let slo = self.labels.split("slo=\"").nth(1).and_then(|rest| rest.split('"').next());
        format!("{}{}", self.alert, slo.unwrap_or_default())
    }

    pub fn to_json(&self) -> Value {
        let series: Vec<Value> = self
            .series
            .iter()
            .map(|(series, values)| json!({ "series": series, "values": values }))
            .collect();
        let name = format!(r#"alertname="{}",alertstate="firing"{}"#, self.alert, self.labels);
        let expr = format!("clamp_max(count(ALERTS{{{name}}}), 1) or vector(0)");
        json!({
            "interval": self.interval,
            "input_series": series,
            "promql_expr_test": [{
                "expr": expr,
                "eval_time": self.at,
                "exp_samples": [{ "labels": "{}", "value": u8::from(self.fires) }],
            }],
        })
    }
}

fn case(alert: &'static str, fires: bool, at: &'static str, series: &[(&'static str, &str)]) -> Case {
    let series = series.iter().map(|(series, values)| (*series, (*values).to_owned())).collect();
    Case { alert, fires, series, at, labels: "", interval: "30s" }
}

const OK: &str = r#"gateway_requests_total{job="gateway",status_code="200",endpoint="/a"}"#;
const FAILED: &str = r#"gateway_requests_total{job="gateway",status_code="500",endpoint="/a"}"#;
const ERRORS: &str = r#"gateway_errors_total{job="gateway",status_code="500",endpoint="/a"}"#;
const UP: &str = r#"up{job="gateway",instance="a"}"#;
const BUCKET: &str = r#"gateway_request_latency_seconds_bucket{job="gateway",endpoint="/a",le="0.25"}"#;
const BUCKET_1: &str = r#"gateway_request_latency_seconds_bucket{job="gateway",endpoint="/a",le="1"}"#;
const BUCKET_INF: &str = r#"gateway_request_latency_seconds_bucket{job="gateway",endpoint="/a",le="+Inf"}"#;
const REFUSED: &str =
    r#"gateway_proxy_errors_total{job="gateway",target_service="order",error_type="request_failed"}"#;
const FORGED: &str =
    r#"auth_jwt_validation_total{job="gateway",status="failure",reason="invalid_signature"}"#;
const BRUTE: &str = r#"auth_suspicious_activity_total{job="gateway",type="brute_force"}"#;
const ABUSE: &str = r#"auth_suspicious_activity_total{job="gateway",type="token_abuse"}"#;
const LIMITED: &str = r#"gateway_rate_limit_hits_total{job="gateway",type="per_ip",client_ip="other"}"#;
const BREAKER: &str = r#"gateway_circuit_breaker_state{job="gateway",service="order"}"#;
const KEY_AGE: &str = r#"gateway_jwt_document_age_seconds{job="gateway",provider="idp",document="keys"}"#;
const CALL_FAILED: &str = r#"gateway_auth_service_calls_total{job="gateway",status="failure"}"#;
const CALL_OK: &str = r#"gateway_auth_service_calls_total{job="gateway",status="success"}"#;
const WAITING: &str = r#"gateway_jwt_waiting_refused_total{job="gateway"}"#;
const OVERFLOW: &str = r#"portcullis_metric_series_overflow_total{job="gateway"}"#;
const TRAP: &str = r#"envoy_wasm_portcullis_vm_reload_success{job="gateway"}"#;

/// Requests as Envoy counts them, and as the filter does.
fn bypass() -> Vec<Case> {
    const ALL: &str = r#"envoy_http_downstream_rq_completed{job="gateway",instance="a",envoy_http_conn_manager_prefix="gateway"}"#;
    const ADMIN: &str = r#"envoy_http_downstream_rq_completed{job="gateway",instance="a",envoy_http_conn_manager_prefix="admin"}"#;
    const SEEN: &str =
        r#"gateway_requests_total{job="gateway",instance="a",status_code="200",endpoint="/a"}"#;
    const LEFT_OUT: &str = r#"gateway_uncounted_requests_total{job="gateway",instance="a"}"#;
    const OTHERS: &str =
        r#"gateway_requests_total{job="gateway",instance="b",status_code="200",endpoint="/a"}"#;
    let of = |fires, at, series: &[(&'static str, &str)]| case("FilterBypassed", fires, at, series);
    vec![
        of(true, "10m", &[(ALL, "0+100x40"), (SEEN, "0+92x40"), (LEFT_OUT, "0+1x40")]),
        of(false, "10m", &[(ALL, "0+100x40"), (SEEN, "0+97x40"), (LEFT_OUT, "0x40")]),
        // Nothing but a balancer's questions.
        of(false, "10m", &[(ALL, "0+10x40"), (SEEN, "0x40"), (LEFT_OUT, "0+10x40")]),
        of(true, "10m", &[(ALL, "0+10x40"), (SEEN, "0x40"), (LEFT_OUT, "0x40")]),
        // The proxy has started without the filter: there are no series of it.
        of(true, "10m", &[(ALL, "0+100x40"), (OTHERS, "0+100x40")]),
        of(false, "10m", &[(ALL, "0x40"), (SEEN, "0x40"), (LEFT_OUT, "0x40")]),
        of(false, "10m", &[(ADMIN, "0+100x40"), (SEEN, "0x40"), (LEFT_OUT, "0x40")]),
        of(false, "10m", &[(SEEN, "0+100x40"), (LEFT_OUT, "0x40")]),
        // Requests of half a minute alone.
        of(false, "6m30s", &[(ALL, "0+100x40"), (SEEN, "0+100x10 1000+100x29"), (LEFT_OUT, "0x40")]),
        of(false, "10m", &[]),
    ]
}

/// All situations.
pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        case("Watchdog", true, "1m", &[]),
        case("GatewayDown", true, "5m", &[(UP, "1x4 0x20")]),
        case("GatewayDown", false, "5m", &[(UP, "1x20")]),
        // Down for less than its `for`.
        case("GatewayDown", false, "5m", &[(UP, "1x9 0x20")]),
        case("GatewayAbsent", true, "10m", &[(r#"up{job="other"}"#, "1x40")]),
        case("GatewayAbsent", false, "10m", &[(UP, "0x40")]),
        case("GatewayAbsent", false, "1m", &[(r#"up{job="other"}"#, "1x40")]),
        case("GatewayErrors", true, "20m", &[(OK, "0+94x60"), (FAILED, "0+6x60"), (ERRORS, "0+6x60")]),
        case("GatewayErrors", false, "20m", &[(OK, "0+96x60"), (FAILED, "0+4x60"), (ERRORS, "0+4x60")]),
        case("GatewayErrors", false, "20m", &[]),
        case("GatewayErrors", false, "20m", &[(OK, "0x60")]),
        // Errors for two minutes only.
        case(
            "GatewayErrors",
            false,
            "4m",
            &[(OK, "0+50x60"), (FAILED, "0x4 0+50x60"), (ERRORS, "0x4 0+50x60")],
        ),
        // A restart sets all counters back, and is no error.
        case("GatewayErrors", false, "20m", &[(OK, "0+96x20 0+96x40"), (ERRORS, "0+4x20 0+4x40")]),
        case("ServiceErrors", true, "20m", &[(REFUSED, "0+4x60")]),
        case("ServiceErrors", false, "20m", &[(REFUSED, "0+2x60")]),
        case("ServiceErrors", false, "20m", &[(REFUSED, "0x60")]),
        case("ServiceErrors", false, "2m", &[(REFUSED, "0x2 0+9x60")]),
        case("TokensRefused", true, "6m", &[(FORGED, "0x8 30x20")]),
        case("TokensRefused", false, "6m", &[(FORGED, "0x8 15x20")]),
        case("TokensRefused", false, "6m", &[(FORGED, "0x20")]),
        // The first event counts, because the series exists at 0.
        case("FailedLogins", true, "6m", &[(BRUTE, "0x8 1x20")]),
        case("FailedLogins", false, "6m", &[(BRUTE, "0x20")]),
        case("FailedLogins", false, "6m", &[(ABUSE, "0x8 1x20")]),
        case("TokenAbuse", true, "6m", &[(ABUSE, "0x8 1x20")]),
        case("TokenAbuse", false, "6m", &[(ABUSE, "0x20")]),
        case("TokenAbuse", false, "6m", &[(BRUTE, "0x8 1x20")]),
        case("RateLimitStorm", true, "20m", &[(LIMITED, "0+400x60")]),
        case("RateLimitStorm", false, "20m", &[(LIMITED, "0+250x60")]),
        case("RateLimitStorm", false, "4m", &[(LIMITED, "0+900x60")]),
        case("BreakerOpen", true, "5m", &[(BREAKER, "0x2 1x20")]),
        case("BreakerOpen", false, "5m", &[(BREAKER, "0x20")]),
        case("BreakerOpen", false, "5m", &[(BREAKER, "2x20")]),
        case("BreakerOpen", false, "1m", &[(BREAKER, "0 1x20")]),
        case("KeysTooOld", true, "30m", &[(KEY_AGE, "12000x80")]),
        case("KeysTooOld", false, "30m", &[(KEY_AGE, "9000x80")]),
        case("KeysTooOld", false, "5m", &[(KEY_AGE, "12000x80")]),
        case("KeysMissing", true, "10m", &[(KEY_AGE, "-1x40")]),
        case("KeysMissing", false, "10m", &[(KEY_AGE, "0x40")]),
        case("KeysMissing", false, "1m", &[(KEY_AGE, "-1x40")]),
        case("AuthServiceFailing", true, "20m", &[(CALL_FAILED, "0+2x60"), (CALL_OK, "0+8x60")]),
        case("AuthServiceFailing", false, "20m", &[(CALL_FAILED, "0+1x60"), (CALL_OK, "0+19x60")]),
        case("AuthServiceFailing", false, "20m", &[(CALL_FAILED, "0x60"), (CALL_OK, "0x60")]),
        case("AuthServiceFailing", false, "1m30s", &[(CALL_FAILED, "0+2x60"), (CALL_OK, "0+8x60")]),
        case("RequestsRefusedWaiting", true, "6m", &[(WAITING, "0x8 3x20")]),
        case("RequestsRefusedWaiting", false, "6m", &[(WAITING, "0x20")]),
        case("SeriesCapReached", true, "6m", &[(OVERFLOW, "0x8 3x20")]),
        case("SeriesCapReached", false, "6m", &[(OVERFLOW, "0x20")]),
        case("FilterTrapped", true, "6m", &[(TRAP, "0x8 1x20")]),
        case("FilterTrapped", false, "6m", &[(TRAP, "0x20")]),
    ];
    cases.extend(bypass());
    cases.extend(latency());
    cases.extend(burn_rates());
    cases
}

/// A day of quick answers, then slow ones; a sample every two minutes.
fn latency() -> Vec<Case> {
    let slow = |requests: u32| {
        let all = format!("0+{requests}x920");
        let quick = format!("0+{requests}x840 {}x80", requests * 840);
        vec![(OK, all.clone()), (BUCKET, quick), (BUCKET_1, all.clone()), (BUCKET_INF, all)]
    };
    let usual = [OK, BUCKET, BUCKET_1, BUCKET_INF].map(|series| (series, "0+400x920".to_owned()));
    let of =
        |fires, at, series| Case { alert: "LatencyUnusual", fires, series, at, labels: "", interval: "2m" };
    vec![
        of(true, "30h", slow(400)),
        of(false, "30h", usual.into()),
        // Too little traffic to say anything.
        of(false, "30h", slow(40)),
        of(false, "28h8m", slow(400)),
    ]
}

/// For each objective: just above and just below its burn rates.
fn burn_rates() -> Vec<Case> {
    let errors = |good: &str, bad: &str| {
        vec![(OK, good.to_owned()), (FAILED, bad.to_owned()), (ERRORS, bad.to_owned())]
    };
    let of = |fires, labels, series| Case {
        alert: "ErrorBudgetBurn",
        fires,
        series,
        at: "2h",
        labels,
        interval: "30s",
    };
    let availability = r#",slo="availability",window="1h""#;
    let slow_answers = |good: u32| {
        vec![
            (BUCKET, format!("0+{good}x300")),
            (BUCKET_1, "0+100x300".to_owned()),
            (BUCKET_INF, "0+100x300".to_owned()),
            (r#"gateway_request_latency_seconds_count{job="gateway",endpoint="/a"}"#, "0+100x300".to_owned()),
        ]
    };
    let tokens = |good: u32, bad: u32| {
        vec![
            (
                r#"auth_jwt_validation_total{job="gateway",status="success",reason="none"}"#,
                format!("0+{good}x300"),
            ),
            (FORGED, format!("0+{bad}x300")),
        ]
    };
    let calls =
        |good: u32, bad: u32| vec![(CALL_OK, format!("0+{good}x300")), (CALL_FAILED, format!("0+{bad}x300"))];
    vec![
        // 14.4 times 0.1 %.
        of(true, availability, errors("0+980x300", "0+20x300")),
        of(false, availability, errors("0+990x300", "0+10x300")),
        of(false, availability, errors("0+1000x300", "0x300")),
        // Fewer than a hundred requests in the window.
        of(false, availability, errors("0+0.3x300", "0+0.3x300")),
        // The errors have stopped: the short window is clean.
        of(false, availability, errors("0+900x300", "0+100x200 20000x100")),
        of(true, r#",slo="availability",window="6h""#, errors("0+993x300", "0+7x300")),
        of(false, r#",slo="availability",window="6h""#, errors("0+995x300", "0+5x300")),
        of(true, r#",slo="availability",window="1d""#, errors("0+996x300", "0+4x300")),
        of(false, r#",slo="availability",window="1d""#, errors("0+998x300", "0+2x300")),
        of(true, r#",slo="availability",window="3d""#, errors("0+9980x300", "0+20x300")),
        of(false, r#",slo="availability",window="3d""#, errors("0+9992x300", "0+8x300")),
        of(true, r#",slo="latency",window="1h""#, slow_answers(20)),
        of(false, r#",slo="latency",window="1h""#, slow_answers(40)),
        of(true, r#",slo="latency",window="6h""#, slow_answers(60)),
        of(false, r#",slo="latency",window="6h""#, slow_answers(80)),
        of(true, r#",slo="latency",window="1d""#, slow_answers(80)),
        of(false, r#",slo="latency",window="1d""#, slow_answers(90)),
        of(true, r#",slo="latency",window="3d""#, slow_answers(90)),
        of(false, r#",slo="latency",window="3d""#, slow_answers(97)),
        of(true, r#",slo="authentication",window="1h""#, tokens(60, 40)),
        of(false, r#",slo="authentication",window="1h""#, tokens(80, 20)),
        of(true, r#",slo="authentication",window="6h""#, tokens(80, 20)),
        of(false, r#",slo="authentication",window="6h""#, tokens(90, 10)),
        of(true, r#",slo="authentication",window="1d""#, tokens(90, 10)),
        of(false, r#",slo="authentication",window="1d""#, tokens(95, 5)),
        of(true, r#",slo="authentication",window="3d""#, tokens(95, 5)),
        of(false, r#",slo="authentication",window="3d""#, tokens(99, 1)),
        of(true, r#",slo="auth_service",window="1h""#, calls(90, 10)),
        of(false, r#",slo="auth_service",window="1h""#, calls(95, 5)),
        of(true, r#",slo="auth_service",window="6h""#, calls(95, 5)),
        of(false, r#",slo="auth_service",window="6h""#, calls(98, 2)),
        of(true, r#",slo="auth_service",window="1d""#, calls(98, 2)),
        of(false, r#",slo="auth_service",window="1d""#, calls(99, 1)),
        of(true, r#",slo="auth_service",window="3d""#, calls(99, 1)),
        of(false, r#",slo="auth_service",window="3d""#, calls(997, 3)),
    ]
}
