//! What is measured of each objective, and what is recorded for dashboards.

use super::{Case, case};

const REQUESTS: &str = r#"gateway_requests_total{job="gateway",status_code="200",endpoint="/a"}"#;

pub fn cases() -> Vec<Case> {
    [promised(), events(), idle(), times(), invariants(), recorded(), ratios()]
        .into_iter()
        .flatten()
        .collect()
}

/// The share of good that is promised of each objective with a budget.
fn promised() -> Vec<Case> {
    let of = |(slo, share): (&str, f64)| {
        case(&format!("slo:{slo}"), &[]).value("10m", "slo:objective:ratio", share)
    };
    [
        ("availability", 0.999),
        ("latency", 0.95),
        ("errors", 0.99),
        ("routing", 0.999),
        ("breakers", 0.99),
        ("cpu", 0.99),
        ("memory", 0.99),
        ("authentication", 0.98),
        ("auth_calls", 0.99),
        ("orders", 0.99),
    ]
    .map(of)
    .into()
}

/// Ten minutes of steady events; those that are bad and all, a second.
fn steady(slo: &str, series: &[(&str, u32)], bad: f64, total: f64) -> Case {
    let series: Vec<(&str, String)> =
        series.iter().map(|(series, rate)| (*series, format!("0+{}x30", rate * 30))).collect();
    let series: Vec<(&str, &str)> = series.iter().map(|(name, values)| (*name, values.as_str())).collect();
    let of = |what: &str| format!(r#"slo:{what}:rate5m{{slo="{slo}"}}"#);
    case(&format!("slo:{slo}"), &series).value("10m", &of("bad"), bad).value("10m", &of("total"), total)
}

/// The same, and then a jump by 300 in each series at 5m30: for five minutes it is one more a second.
fn jump(slo: &str, series: &[&str], bad: f64, total: f64) -> Case {
    jump_beside(slo, series, &[], bad, total)
}

fn jump_beside(slo: &str, series: &[&str], still: &[&str], bad: f64, total: f64) -> Case {
    let jumps = series.iter().map(|name| (*name, "0x10 300x30"));
    let series: Vec<(&str, &str)> = jumps.chain(still.iter().map(|name| (*name, "0x40"))).collect();
    let of = |what: &str, to: f64| {
        format!(r#"abs(slo:{what}:rate5m{{slo="{slo}"}} - {to}) < {}"#, 0.15 * to + 0.01)
    };
    let seen = |case: Case, at: &str, bad: f64, total: f64| {
        let case = case.look(at, format!("count({}) or vector(0)", of("bad", bad)), 1.0);
        case.look(at, format!("count({}) or vector(0)", of("total", total)), 1.0)
    };
    let case = seen(case(&format!("slo:{slo}"), &series), "9m30s", bad, total);
    seen(case, "11m", 0.0, 0.0)
}

fn error(status: u16) -> String {
    format!(r#"gateway_errors_total{{job="gateway",status_code="{status}",endpoint="/a"}}"#)
}

fn events() -> Vec<Case> {
    let (e404, e500, e400) = (error(404), error(500), error(400));
    let took = |le: &str| {
        format!(r#"gateway_request_duration_seconds_bucket{{job="gateway",service="order",le="{le}"}}"#)
    };
    let (quick, slow) = (took("0.2"), took("0.25"));
    let all = r#"gateway_request_duration_seconds_count{job="gateway",service="order"}"#;
    let routing =
        |reason: &str| format!(r#"gateway_routing_errors_total{{job="gateway",reason="{reason}"}}"#);
    let (gone, late, unknown) =
        (routing("service_unavailable"), routing("service_timeout"), routing("invalid_endpoint"));
    let sent = r#"gateway_routes_total{job="gateway",target_service="order",endpoint="/a"}"#;
    let token = |status: &str, reason: &str| {
        format!(r#"auth_jwt_validation_total{{job="gateway",status="{status}",reason="{reason}"}}"#)
    };
    let (good, expired, missing, shadow) = (
        token("success", "none"),
        token("failure", "expired"),
        token("failure", "missing"),
        token("shadow_failure", "expired"),
    );
    let call =
        |le: &str| format!(r#"gateway_auth_service_response_time_seconds_bucket{{job="gateway",le="{le}"}}"#);
    let (call_quick, call_slow) = (call("0.1"), call("0.25"));
    let calls = r#"gateway_auth_service_response_time_seconds_count{job="gateway"}"#;
    let order = |event: &str| format!(r#"business_events_total{{job="gateway",event="{event}",value=""}}"#);
    let (created, refused, deposits) = (order("orders_created"), order("orders_refused"), order("deposits"));
    vec![
        steady("availability", &[(REQUESTS, 10), (&e500, 2), (&e404, 3)], 2.0, 10.0),
        steady("availability", &[(REQUESTS, 10)], 0.0, 10.0),
        jump("availability", &[REQUESTS, &e500], 1.0, 1.0),
        case("slo:availability", &[]).nothing("10m", "slo:bad:rate5m").nothing("10m", "slo:total:rate5m"),
        steady("errors", &[(REQUESTS, 10), (&e500, 2), (&e404, 3), (&e400, 1)], 3.0, 10.0),
        steady("errors", &[(REQUESTS, 10)], 0.0, 10.0),
        steady("errors", &[(REQUESTS, 10), (&error(401), 4)], 0.0, 10.0),
        jump("errors", &[REQUESTS, &e500], 1.0, 1.0),
        steady("latency", &[(all, 10), (&quick, 7), (&slow, 9)], 3.0, 10.0),
        jump_beside("latency", &[all], &[&quick], 1.0, 1.0),
        jump("latency", &[all, &quick], 0.0, 1.0),
        steady("routing", &[(sent, 9), (&gone, 1), (&late, 2), (&unknown, 5)], 3.0, 12.0),
        jump("routing", &[sent, &gone], 1.0, 2.0),
        steady("authentication", &[(&good, 9), (&expired, 1), (&missing, 5), (&shadow, 2)], 1.0, 12.0),
        jump("authentication", &[&good, &expired], 1.0, 2.0),
        steady("auth_calls", &[(calls, 10), (&call_quick, 8), (&call_slow, 9)], 2.0, 10.0),
        jump_beside("auth_calls", &[calls], &[&call_quick], 1.0, 1.0),
        jump("auth_calls", &[calls, &call_quick], 0.0, 1.0),
        steady("orders", &[(&created, 9), (&refused, 1), (&deposits, 5)], 1.0, 10.0),
        jump("orders", &[&created, &refused], 1.0, 2.0),
        // Nothing bad has ever happened: there is no series of it.
        steady("routing", &[(sent, 9), (&gone, 0)], 0.0, 9.0),
        steady("authentication", &[(&good, 9)], 0.0, 9.0),
        steady("orders", &[(&created, 9)], 0.0, 9.0),
        steady("latency", &[(all, 10)], 0.0, 10.0),
        steady("auth_calls", &[(calls, 10)], 0.0, 10.0),
    ]
}

/// Nothing happens, and nothing bad ever has: there are no events, which is not the same as nothing known.
fn idle() -> Vec<Case> {
    let of = |(slo, series): (&str, &str)| steady(slo, &[(series, 0)], 0.0, 0.0);
    [
        ("availability", REQUESTS),
        ("errors", REQUESTS),
        ("latency", r#"gateway_request_duration_seconds_count{job="gateway",service="order"}"#),
        ("authentication", r#"auth_jwt_validation_total{job="gateway",status="success",reason="none"}"#),
        ("auth_calls", r#"gateway_auth_service_response_time_seconds_count{job="gateway"}"#),
        ("orders", r#"business_events_total{job="gateway",event="orders_created",value=""}"#),
    ]
    .map(of)
    .into()
}

fn times() -> Vec<Case> {
    let breaker =
        |service: &str| format!(r#"gateway_circuit_breaker_state{{job="gateway",service="{service}"}}"#);
    let (order, user) = (breaker("order"), breaker("user"));
    let (bad, total) = ("slo:bad:rate5m", "slo:total:rate5m");
    let cpu = |instance: &str, mode: &str| {
        format!(
            r#"node_cpu_seconds_total{{job="node-exporter",instance="{instance}",cpu="0",mode="{mode}"}}"#
        )
    };
    let (idle_a, idle_b, user_a) = (cpu("a", "idle"), cpu("b", "idle"), cpu("a", "user"));
    let memory = |what: &str| format!(r#"node_memory_{what}_bytes{{job="node-exporter",instance="a"}}"#);
    let (free, all) = (memory("MemAvailable"), memory("MemTotal"));
    let of_memory = |available: &str| case("slo:memory", &[(&free, available), (&all, "100x30")]);
    vec![
        case("slo:breakers", &[(&order, "0x10 1x10 2x10"), (&user, "0x30")])
            .value("4m", bad, 0.0)
            .value("8m", bad, 1.0)
            .value("12m", bad, 1.0)
            .value("8m", total, 1.0)
            .value("4m", total, 1.0),
        case("slo:breakers", &[]).nothing("10m", bad).nothing("10m", total),
        // One machine of two uses three quarters, the other half.
        case("slo:cpu", &[(&idle_a, "0+7.5x30"), (&user_a, "0+22.5x30"), (&idle_b, "0+15x30")])
            .value("10m", bad, 0.5)
            .value("10m", total, 1.0),
        case("slo:cpu", &[(&idle_a, "0+10.5x30")]).value("10m", bad, 0.0).value("10m", total, 1.0),
        case("slo:cpu", &[(&idle_a, "0+30x10 300x16 300+30x20")])
            .value("9m30s", bad, 1.0)
            .value("14m30s", bad, 1.0)
            .value("15m30s", bad, 0.0),
        // For half of the five minutes it was all in use.
        case("slo:cpu", &[(&idle_a, "0+30x16 480x10")]).value("10m30s", bad, 0.0),
        of_memory("25x30").value("10m", bad, 1.0).value("10m", total, 1.0),
        of_memory("35x30").value("10m", bad, 0.0).value("10m", total, 1.0),
    ]
}

fn invariants() -> Vec<Case> {
    let sent = r#"gateway_security_headers_due_total{job="gateway",instance="a"}"#;
    let injected = r#"gateway_security_headers_injected_total{job="gateway",instance="a"}"#;
    let other = |series: &str| series.replace(r#""a""#, r#""b""#);
    let difference = "slo:invariant:difference";
    let line = |what: &str, label: &str| format!(r#"portcullis_log_lines_{what}{{job="x",{label}}}"#);
    let written = line("total", r#"kind="security""#);
    let dropped = line("dropped_total", r#"reason="refused""#);
    let stored = r#"gateway_log:lines_by_action:count1h{action="jwt_validation"}"#.to_owned();
    let requests = r#"gateway_log:lines_by_action:count1h{action="request"}"#.to_owned();
    let all = "gateway_log:lines:count1h".to_owned();
    let sampled = line("dropped_total", r#"reason="sampled""#);
    let audit = |was: [&str; 6], at: &str, value: f64| {
        let names = [&written, &dropped, &stored, &requests, &sampled, &all];
        let series: Vec<(&str, &str)> = names.iter().map(|name| name.as_str()).zip(was).collect();
        let near = format!("count(abs({difference} - {value}) < {}) or vector(0)", 0.1 * value.abs() + 0.1);
        case("slo:audit", &series).look(at, near, 1.0)
    };
    let critical = |state: &str, severity: &str| {
        format!(r#"ALERTS{{alertname="A",alertstate="{state}",severity="{severity}"}}"#)
    };
    let (firing, pending, warning) =
        (critical("firing", "critical"), critical("pending", "critical"), critical("firing", "warning"));
    vec![
        case("slo:header_injection", &[(sent, "0+5x30"), (injected, "0+5x30")]).value("10m", difference, 0.0),
        case("slo:header_injection", &[(sent, "0+5x30"), (injected, "0+4x30")])
            .value("10m", difference, 20.0),
        // What one gateway lacks, another does not make up for.
        case(
            "slo:header_injection",
            &[(sent, "5x30"), (injected, "4x30"), (&other(sent), "4x30"), (&other(injected), "5x30")],
        )
        .value("10m", difference, 1.0),
        audit(["0x8 20x200", "0x200", "20x200", "99x200", "0x200", "119x200"], "30m", 0.0),
        audit(["0x8 20x200", "0x200", "15x200", "99x200", "0x8 50x200", "114x200"], "50m", 5.0),
        audit(["0x8 20x200", "0x8 10x200", "20x200", "0x200", "0x200", "20x200"], "50m", 10.0),
        audit(["0x8 20x200", "0x8 10x200", "0x200", "0x200", "0x200", "0x200"], "1h20m", 0.0),
        audit(["0x8 20x200", "0x200", "0x200", "0x200", "0x200", "0x200"], "1h20m", 0.0),
        audit(["0x200", "0x200", "20x200", "0x200", "0x200", "20x200"], "50m", -20.0),
        // The store has other lines, and none of these: it has no series of the action.
        audit(["0x8 20x200", "0x200", "_x200", "99x200", "0x200", "99x200"], "30m", 20.0),
        // The store answers, and has no line at all.
        audit(["0x8 20x200", "0x200", "_x200", "_x200", "0x200", "0x200"], "30m", 20.0),
        case("slo:critical_incidents", &[(&firing, "1x30"), (&pending, "1x30"), (&warning, "1x30")])
            .value("10m", difference, 1.0),
        case("slo:critical_incidents", &[(&pending, "1x30")]).value("10m", difference, 0.0),
        case("slo:critical_incidents", &[(&warning, "1x30")]).value("10m", difference, 0.0),
        case("slo:critical_incidents", &[]).value("10m", difference, 0.0),
    ]
}

fn recorded() -> Vec<Case> {
    let bucket = |le: &str| {
        format!(r#"gateway_request_latency_seconds_bucket{{job="gateway",endpoint="/a",le="{le}"}}"#)
    };
    let (a, b, all) = (bucket("0.1"), bucket("0.5"), bucket("+Inf"));
    let latency = [(a.as_str(), "0x4 0+60x30"), (b.as_str(), "0x4 0+100x30"), (all.as_str(), "0x4 0+100x30")];
    let quantile = |key: &str, value: f64| {
        case(key, &latency).value("10m", key, value).nothing("1m", &format!("{key} >= 0"))
    };
    let routed = r#"gateway_routes_total{job="gateway",target_service="order",endpoint="/a"}"#;
    let failed = error(500);
    let unauthorized = r#"gateway_errors_total{job="gateway",status_code="401",endpoint="/login"}"#;
    let elsewhere = unauthorized.replace("/login", "/other");
    let bad_token = r#"auth_jwt_validation_total{job="gateway",status="failure",reason="expired"}"#;
    let no_token = bad_token.replace("expired", "missing");
    let good_token = bad_token.replace("failure", "success").replace("expired", "none");
    let rate = |key: &str, series: &str| {
        case(key, &[(series, "0x10 300x30")])
            .look("9m30s", format!("count(abs({key} - 1) < 0.15) or vector(0)"), 1.0)
            .value("11m", key, 0.0)
    };
    vec![
        rate("gateway:requests:rate5m", REQUESTS),
        rate("gateway_endpoint:requests:rate5m", REQUESTS),
        rate("gateway_service:requests:rate5m", routed),
        rate("gateway:failed_logins:rate5m", unauthorized),
        case(
            "gateway:failed_logins:rate5m",
            &[(unauthorized, "0+30x30"), (&elsewhere, "0+30x30"), (&failed, "0+30x30")],
        )
        .value("10m", "gateway:failed_logins:rate5m", 1.0),
        case(
            "gateway_endpoint:server_errors:ratio_rate5m",
            &[(REQUESTS, "0+9x40"), (&failed, "0+3x40"), (&error(404), "0+3x40")],
        )
        .look(
            "10m",
            "count(abs(gateway_endpoint:server_errors:ratio_rate5m - 0.3333) < 0.001) or vector(0)"
                .to_owned(),
            1.0,
        ),
        case("gateway_endpoint:server_errors:ratio_rate5m", &[(REQUESTS, "0+9x40")]).value(
            "10m",
            "gateway_endpoint:server_errors:ratio_rate5m",
            0.0,
        ),
        case(
            "gateway_endpoint:server_errors:ratio_rate5m",
            &[(REQUESTS, "0+100x90"), (&failed, "0x10 0+50x20 1000x50")],
        )
        .value("16m", "gateway_endpoint:server_errors:ratio_rate5m > bool 0.3", 1.0)
        .value("21m", "gateway_endpoint:server_errors:ratio_rate5m", 0.0),
        quantile("gateway:latency_seconds:p50_5m", 0.083_333),
        quantile("gateway:latency_seconds:p95_5m", 0.45),
        quantile("gateway:latency_seconds:p99_5m", 0.49),
        quantile("gateway_endpoint:latency_seconds:p95_5m", 0.45),
        case(
            "gateway:token_failures:ratio_rate5m",
            &[(bad_token, "0+3x40"), (&good_token, "0+9x40"), (&no_token, "0+30x40")],
        )
        .value("10m", "gateway:token_failures:ratio_rate5m", 0.25),
        case("gateway:token_failures:ratio_rate5m", &[(bad_token, "0x40"), (&good_token, "0x40")])
            .nothing("10m", "gateway:token_failures:ratio_rate5m"),
    ]
}

/// The ratios over each window and the budget that is left, of recorded events.
fn ratios() -> Vec<Case> {
    let of = |total: &str| {
        Case::new(
            "slo:error_budget:remaining_ratio30d",
            "6h",
            &[
                (r#"slo:bad:rate5m{job="gateway",slo="s"}"#, "9x75 0.004x63 0.008x60"),
                (r#"slo:total:rate5m{job="gateway",slo="s"}"#, total),
                (r#"slo:objective:ratio{slo="s",dashboard="d"}"#, "0.999x200"),
            ],
        )
    };
    let left = "slo:error_budget:remaining_ratio30d";
    vec![
        // Nineteen days, long ago; then fifteen days at 0.4 of the budget and fifteen at 0.8.
        of("90x75 10x124").look("1194h", format!("count(abs({left} - 0.4) < 0.02) or vector(0)"), 1.0),
        // An event in a thousand seconds is one, too.
        of("0.001x200").look("1194h", format!("count({left} < 0) or vector(0)"), 1.0),
        of("0x200").nothing("1194h", left),
    ]
}
