//! Gateways, services, errors, latency, breakers.

use super::{Case, case};

const UP: &str = r#"up{job="gateway",instance="a"}"#;
const OK: &str = r#"gateway_requests_total{job="gateway",status_code="200",endpoint="/a"}"#;
const FAILED: &str = r#"gateway_requests_total{job="gateway",status_code="500",endpoint="/a"}"#;
const ERRORS: &str = r#"gateway_errors_total{job="gateway",status_code="500",endpoint="/a"}"#;
const REFUSED: &str =
    r#"gateway_proxy_errors_total{job="gateway",target_service="order",error_type="request_failed"}"#;
const SENT: &str = r#"gateway_routes_total{job="gateway",target_service="order",endpoint="/a"}"#;
const BREAKER: &str = r#"gateway_circuit_breaker_state{job="gateway",service="order"}"#;

pub fn cases() -> Vec<Case> {
    [gateways(), services(), errors(), latency(), breakers()].into_iter().flatten().collect()
}

fn gateways() -> Vec<Case> {
    let other = r#"up{job="other",instance="a"}"#;
    vec![
        case("GatewayDown", &[(UP, "1x4 0x20")]).silent("3m").fires("3m30s").fires("8m"),
        case("GatewayDown", &[(UP, "1x20"), (other, "0x20")]).silent("8m"),
        // One scrape that failed is no gateway that is down.
        case("GatewayDown", &[(UP, "1x4 0 1x20")]).silent("2m30s").silent("3m30s"),
        case("GatewayAbsent", &[(other, "1x40")]).silent("1m30s").fires("2m").fires("10m"),
        case("GatewayAbsent", &[(UP, "0x40")]).silent("10m"),
        case("Watchdog", &[]).fires("0m").fires("10m"),
        case("MetricsMissing", &[(UP, "1x40")]).silent("4m30s").fires("5m"),
        case("MetricsMissing", &[(UP, "1x40"), (&OK.replace("{", r#"{instance="b","#), "1x40")]).fires("5m"),
        case("MetricsMissing", &[(UP, "1x40"), (&OK.replace("{", r#"{instance="a","#), "0x40")]).silent("9m"),
        case("MetricsMissing", &[(UP, "0x40")]).silent("9m"),
        case("MetricsMissing", &[(other, "1x40")]).silent("9m"),
        case("ShipperDown", &[(r#"up{job="collector",instance="c"}"#, "1x4 0x20")])
            .silent("4m")
            .fires("4m30s"),
        case("ShipperDown", &[(r#"up{job="collector",instance="c"}"#, "1x20"), (UP, "0x20")]).silent("8m"),
        case("ShipperDown", &[]).silent("8m"),
    ]
}

fn services() -> Vec<Case> {
    let key = "ServiceDown";
    let busy = r#"gateway_routes_total{job="gateway",target_service="user",endpoint="/b"}"#;
    vec![
        case(key, &[(REFUSED, "0+4x60"), (SENT, "0+6x60")]).fires("10m"),
        case(key, &[(REFUSED, "0+4x60"), (SENT, "0+10x60")]).silent("10m"),
        // Its breaker is open: nothing is sent, and others are busy.
        case(key, &[(REFUSED, "0+4x60"), (SENT, "0x60"), (busy, "0+900x60")]).fires("10m"),
        case(key, &[(REFUSED, "0x8 3x60"), (SENT, "0x8 3x60")])
            .silent("6m")
            .fires("6m30s")
            .fires("8m30s")
            .silent("10m"),
        // One failure is no service that is down.
        case(key, &[(REFUSED, "0x8 1x60"), (SENT, "0x8 1x60")]).silent("7m").silent("8m"),
        // Nor is one every few minutes, though nothing else is sent.
        case(key, &[(REFUSED, "0+0.15x60"), (SENT, "0+0.15x60")]).silent("20m"),
        case(key, &[(&REFUSED.replace("request_failed", "503"), "0+4x60"), (SENT, "0+4x60")]).silent("10m"),
        case(key, &[(REFUSED, "0x60"), (SENT, "0x60")]).silent("10m"),
        case(key, &[(REFUSED, "900x9 0x60"), (SENT, "900x9 0x60")]).silent("7m"),
        case(key, &[]).silent("10m"),
        // Busy until it failed: what it was sent in these five minutes counts, and no more.
        case(key, &[(REFUSED, "0x20 0+40x40"), (SENT, "0+200x20 4000x40")]).silent("12m").fires("16m"),
        case(key, &[(REFUSED, "0x30 0+4x40"), (SENT, "0+9x22 198x40")]).fires("18m30s"),
    ]
}

fn errors() -> Vec<Case> {
    let key = "GatewayErrors";
    let missing = r#"gateway_errors_total{job="gateway",status_code="404",endpoint="/a"}"#;
    vec![
        case(key, &[(OK, "0+93x60"), (FAILED, "0+7x60"), (ERRORS, "0+7x60")])
            .silent("5m")
            .fires("5m30s")
            .fires("20m"),
        case(key, &[(OK, "0+96x60"), (FAILED, "0+4x60"), (ERRORS, "0+4x60")]).silent("20m"),
        case(key, &[(OK, "0+9x60"), (FAILED, "0+1x60"), (ERRORS, "0+1x60")]).fires("20m"),
        case(key, &[(OK, "0+100x60"), (missing, "0+50x60")]).silent("20m"),
        case(key, &[(OK, "0+100x60")]).silent("20m").value("20m", "gateway:server_errors:ratio_rate5m", 0.0),
        case(key, &[(OK, "0x60"), (ERRORS, "0x60")]).silent("20m"),
        case(key, &[]).silent("20m"),
        // Half of all fail for ten minutes; five minutes later nothing of it is left.
        case(key, &[(OK, "0+100x80"), (ERRORS, "0x10 0+50x20 1000x50")]).fires("18m").silent("21m"),
        case(key, &[(OK, "0+1000x36 36000x40"), (ERRORS, "0x36 0+50x40")]).silent("19m"),
        // A restart sets all counters back, and is no error.
        case(key, &[(OK, "0+96x20 0+96x40"), (ERRORS, "0+4x20 0+4x40")]).silent("20m"),
        // A scrape was missed.
        case(key, &[(OK, "0+93x20 _x2 2139+93x40"), (ERRORS, "0+7x20 _x2 161+7x40")]).fires("15m"),
    ]
}

/// Recorded series every ten minutes; a day of quick answers, then slow ones.
fn latency() -> Vec<Case> {
    let of = |now: &str, usual: &str, requests: &str| {
        Case::new(
            "LatencyUnusual",
            "10m",
            &[
                (r#"gateway:latency_seconds:p95_5m{job="gateway"}"#, now),
                (r#"anomaly:signal:clean{job="gateway",signal="latency"}"#, usual),
                (r#"anomaly:signal:clean{job="gateway",signal="requests"}"#, "0x400"),
                (r#"gateway:requests:rate5m{job="gateway"}"#, requests),
            ],
        )
    };
    vec![
        of("0.15x144 0.4x10", "0.15x160", "2x160").silent("24h10m").fires("24h20m"),
        of("0.15x144 0.25x10", "0.15x160", "2x160").silent("25h"),
        of("0.03x144 0.09x10", "0.03x160", "2x160").silent("25h"),
        of("0.05x144 0.15x10", "0.05x160", "2x160").fires("25h"),
        of("0.15x144 0.4x10", "0.15x160", "0.8x160").silent("25h"),
        of("0.15x144 0.4x10", "0.15x160", "1.5x160").fires("25h"),
        // Most of the day was quick, the last hours were not; most of the day before was slow.
        of("0.1x144 0.3x10", "0.1x90 0.3x70", "2x160").fires("24h50m"),
        of("0.1x290 0.3x10", "0.3x150 0.1x160", "2x310").fires("49h"),
        of("0.1x144 0.35x10", "0.3x100 0.1x60", "2x160").silent("24h50m"),
        of("0.15x144 0.4x10", "_x160", "2x160").silent("25h"),
    ]
}

fn breakers() -> Vec<Case> {
    let key = "BreakerOpen";
    vec![
        case(key, &[(BREAKER, "0x2 1x20")]).silent("2m").fires("2m30s").fires("8m"),
        case(key, &[(BREAKER, "0x20")]).silent("8m"),
        case(key, &[(BREAKER, "2x20")]).silent("8m"),
        // Another one, half-open, does not hide it.
        case(key, &[(BREAKER, "1x20"), (&BREAKER.replace("order", "user"), "2x20")]).fires("5m"),
        case(key, &[]).silent("8m"),
    ]
}
