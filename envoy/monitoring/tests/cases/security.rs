//! Logins, tokens, keys, the auth service, limits, trust headers, the audit.

use super::{Case, case, event, event_held};

const BRUTE: &str = r#"auth_suspicious_activity_total{job="gateway",type="brute_force"}"#;
const ABUSE: &str = r#"auth_suspicious_activity_total{job="gateway",type="token_abuse"}"#;
const LIMITED: &str = r#"gateway_rate_limit_hits_total{job="gateway",type="per_ip",client_ip="other"}"#;
const FORGED: &str =
    r#"auth_jwt_validation_total{job="gateway",status="failure",reason="invalid_signature"}"#;
const KEYS: &str = r#"gateway_jwt_document_age_seconds{job="gateway",provider="idp",document="keys"}"#;
const CALL_FAILED: &str = r#"gateway_auth_service_calls_total{job="gateway",status="failure"}"#;
const CALL_OK: &str = r#"gateway_auth_service_calls_total{job="gateway",status="success"}"#;
const CALL_TOOK: &str = r#"gateway_auth_service_response_time_seconds_bucket{job="gateway",le="LE"}"#;
const WAITING: &str = r#"gateway_jwt_waiting_refused_total{job="gateway"}"#;
const INJECTED: &str = r#"slo:invariant:difference{job="gateway",slo="header_injection"}"#;
const GAP: &str = r#"slo:invariant:difference{slo="audit"}"#;
const LINES: &str = r#"portcullis_log_lines_total{job="gateway",kind="security"}"#;

pub fn cases() -> Vec<Case> {
    [
        held("FailedLogins", BRUTE, ABUSE),
        held("TokenAbuse", ABUSE, BRUTE),
        event("RequestsRefusedWaiting", WAITING, ABUSE, 5),
        limits(),
        tokens(),
        calls(),
        headers(),
        audit(),
        unusual(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A minute after the event, and not before.
fn held(key: &str, series: &str, other: &str) -> Vec<Case> {
    let later = case(key, &[(series, "0x8 1x90")]).silent("5m").fires("5m30s");
    [vec![later], event_held(key, series, other, 5)].concat()
}

fn limits() -> Vec<Case> {
    let key = "RateLimitStorm";
    vec![
        case(key, &[(LIMITED, "0x20 0+400x60")]).silent("14m").fires("16m").fires("25m"),
        case(key, &[(LIMITED, "0x20 0+600x60")]).silent("13m").fires("14m30s"),
        case(key, &[(LIMITED, "0x20 0+600x60")]).silent("13m30s"),
        case(key, &[(LIMITED, "0+240x60")]).silent("20m"),
        case(key, &[(LIMITED, "0x10 0+1800x20 36000x40")]).fires("18m").silent("21m"),
        case(key, &[(LIMITED, "90000x10 0+240x40")]).silent("15m"),
        case(key, &[(LIMITED, "0x60")]).silent("20m"),
        case(key, &[]).silent("20m"),
    ]
}

fn tokens() -> Vec<Case> {
    let (bad, old, none) = ("TokensRefused", "KeysTooOld", "KeysMissing");
    let denied = KEYS.replace("keys", "deny_list");
    vec![
        case(bad, &[(FORGED, "0x8 30x60")]).silent("4m").fires("4m30s").fires("8m30s").silent("10m"),
        case(bad, &[(FORGED, "0x8 15x60")]).silent("5m"),
        case(bad, &[(&FORGED.replace("invalid_signature", "expired"), "0x8 30x60")]).silent("5m"),
        case(bad, &[(&FORGED.replace("failure", "shadow_failure"), "0x8 30x60")]).silent("5m"),
        case(bad, &[(FORGED, "90x8 0x60")]).silent("5m"),
        case(bad, &[]).silent("5m"),
        case(old, &[(KEYS, "12000x80")]).silent("9m30s").fires("10m"),
        case(old, &[(KEYS, "9000x80"), (&denied, "90000x80")]).silent("30m"),
        case(old, &[(KEYS, "-1x80")]).silent("30m"),
        case(old, &[]).silent("30m"),
        case(none, &[(KEYS, "-1x40")]).silent("1m30s").fires("2m"),
        case(none, &[(KEYS, "0x40"), (&denied, "-1x40")]).silent("10m"),
        case(none, &[]).silent("10m"),
    ]
}

/// The auth service: its failures, and how long it takes.
fn calls() -> Vec<Case> {
    let (fails, slow) = ("AuthServiceFailing", "AuthServiceSlow");
    let failing = |bad: &str, good: &str| case(fails, &[(CALL_FAILED, bad), (CALL_OK, good)]);
    let took = |calls: u32, within: [u32; 3]| {
        let bucket = |le: &str| {
            format!(r#"gateway_auth_service_response_time_seconds_bucket{{job="gateway",le="{le}"}}"#)
        };
        let rising = |n: u32| format!("0+{n}x60");
        let names = ["0.05", "0.1", "0.25"].map(bucket);
        let mut series: Vec<(&str, String)> =
            names.iter().map(String::as_str).zip(within.map(rising)).collect();
        let all = bucket("+Inf");
        series.extend([(all.as_str(), rising(calls)), (CALL_OK, rising(calls))]);
        let series: Vec<(&str, &str)> =
            series.iter().map(|(name, values)| (*name, values.as_str())).collect();
        case(slow, &series)
    };
    vec![
        failing("0+15x60", "0+85x60").silent("2m").fires("2m30s").fires("20m"),
        failing("0+7x60", "0+93x60").silent("20m"),
        failing("0x60", "0x60").silent("20m"),
        failing("0x10 0+100x20 2000x40", "0+100x70").fires("18m").silent("21m"),
        failing("0+20x36 720x40", "0+9x36 0+900x40").silent("22m"),
        failing("0x30 0+12x40", "0+300x24 7200x40").fires("22m"),
        // Busy until it failed: what was asked before these five minutes does not hide it.
        failing("0x30 0+12x40", "0+900x24 21600x40").fires("20m"),
        case(fails, &[]).silent("20m"),
        took(100, [85, 90, 100]).silent("5m").fires("5m30s").fires("10m"),
        took(100, [90, 100, 100]).silent("10m"),
        took(4, [0, 0, 4]).fires("10m"),
        took(2, [0, 0, 2]).silent("10m"),
        // Slow for ten minutes; three minutes later that is still seen, after five it is not.
        case(
            slow,
            &[
                (&CALL_TOOK.replace("LE", "0.1"), "0x70"),
                (&CALL_TOOK.replace("LE", "0.25"), "0x10 0+100x20 2000x40"),
                (&CALL_TOOK.replace("LE", "+Inf"), "0x10 0+100x20 2000x40"),
                (CALL_OK, "0x10 0+100x20 2000x40"),
            ],
        )
        .fires("18m")
        .silent("21m"),
        // Slow for five minutes, then quick: after five more that is over.
        case(
            slow,
            &[
                (&CALL_TOOK.replace("LE", "0.1"), "0x30 0+100x50"),
                (&CALL_TOOK.replace("LE", "0.25"), "0x10 0+100x70"),
                (&CALL_TOOK.replace("LE", "+Inf"), "0x10 0+100x70"),
                (CALL_OK, "0x10 0+100x70"),
            ],
        )
        .fires("14m")
        .silent("21m"),
        case(slow, &[]).silent("10m"),
    ]
}

fn headers() -> Vec<Case> {
    let key = "HeadersNotInjected";
    vec![
        case(key, &[(INJECTED, "0x8 3x200")]).silent("5m").fires("5m30s").fires("50m").silent("1h10m"),
        case(key, &[(INJECTED, "0x200")]).silent("5m30s"),
        case(key, &[(INJECTED, "5x8 0x200")]).silent("5m30s"),
        // Two scrapes that fell between two counters.
        case(key, &[(INJECTED, "0x8 1 0x200")]).silent("5m").silent("6m"),
        case(key, &[(&INJECTED.replace("header_injection", "critical_incidents"), "0x8 3x200")]).silent("6m"),
        case(key, &[]).silent("6m"),
    ]
}

/// An hour of lines, and how many are missing.
fn audit() -> Vec<Case> {
    let of = |gap: &str, lines: &str| case("AuditGap", &[(GAP, gap), (LINES, lines)]);
    vec![
        // What a gateway has counted is known the better the longer it has been scraped.
        of("1x200", "0 10x200").silent("15m").fires("18m"),
        of("-3x200", "0 10x200").silent("5m").fires("9m"),
        of("1x200", "0x200").silent("5m").fires("5m30s"),
        of("0.4x200", "0x200").silent("10m"),
        of("1x200", "0+1x200").silent("1h5m"),
        of("1.3x200", "0+0.5x200").fires("1h10m"),
        of("1x300", "0+0.67x300").silent("1h10m").silent("2h"),
        // What was written more than an hour ago says nothing of what is missing now; what was half an hour ago does.
        of("1x400", "0+10x60 600x400").silent("1h20m").fires("1h40m"),
        case(
            "AuditGap",
            &[(GAP, "1x200"), (LINES, "0x200"), (&LINES.replace("security", "request"), "0+10x200")],
        )
        .fires("1h"),
        case("AuditGap", &[(&GAP.replace("audit", "other"), "9x200"), (LINES, "0x200")]).silent("10m"),
        case("AuditGap", &[]).silent("10m"),
        case("AuditUnknown", &[(LINES, "0+1x60")]).silent("9m30s").fires("10m"),
        case("AuditUnknown", &[("gateway_log:lines:count1h", "0x60")]).silent("20m"),
    ]
}

fn unusual() -> Vec<Case> {
    let key = "SignalUnusual";
    let out = r#"anomaly:signal:out{job="gateway",signal="requests"}"#;
    vec![
        case(key, &[(out, "0x4 1x40")]).silent("12m").fires("12m30s"),
        case(key, &[(out, "0x60")]).silent("20m"),
        case(key, &[]).silent("20m"),
    ]
}
