//! Checks of how a service is reached: every mistake with its place.

use crate::raw::{
    BalancingPolicy, CircuitLimits, Dns, HashOn, HealthCheck, KeepAlive, LoadBalancing, METHODS,
    OutlierDetection, Protocol, RawService, Retry, RetryBudget, ServiceTls,
};
use core::ops::RangeInclusive;
use portcullis_edge_core::{ConfigError, HeaderName, Node, PolicyDuration};
use portcullis_route::Template;

const MILLISECOND: PolicyDuration = PolicyDuration::millis(1);
const SECOND: PolicyDuration = PolicyDuration::secs(1);
const HOUR: PolicyDuration = PolicyDuration::secs(3600);
const DAY: PolicyDuration = PolicyDuration::secs(24 * 3600);
const TENTH: PolicyDuration = PolicyDuration::millis(100);

/// Every mistake in how `raw`, which stands at `at`, is to be reached.
pub(crate) fn check(raw: &RawService, at: &Node) -> Vec<ConfigError> {
    let mut errors = check_times(raw, at);
    errors.extend(check_balancing(&raw.load_balancing, &at.key("load_balancing")));
    errors.extend(check_dns(&raw.dns, &at.key("dns")));
    errors.extend(check_keep_alive(&raw.keep_alive, &at.key("keep_alive")));
    errors.extend(raw.tls.iter().flat_map(|tls| check_tls(tls, &at.key("tls"))));
    let health = raw.health_check.iter();
    errors.extend(health.flat_map(|check| check_health(check, raw.protocol, &at.key("health_check"))));
    errors.extend(raw.outlier_detection.iter().flat_map(|o| check_outlier(o, &at.key("outlier_detection"))));
    errors.extend(raw.circuit_limits.iter().flat_map(|c| check_circuit(c, &at.key("circuit_limits"))));
    errors.extend(raw.retry.iter().flat_map(|retry| check_retry(retry, &at.key("retry"))));
    errors
}

fn check_times(raw: &RawService, at: &Node) -> Vec<ConfigError> {
    let idle = raw.idle_timeout.and_then(|idle| endless(idle, &at.key("idle_timeout")));
    let all = [
        endless(raw.timeout, &at.key("timeout")),
        idle,
        raw.connect_timeout.outside(MILLISECOND, HOUR, &at.key("connect_timeout")),
    ];
    all.into_iter().flatten().collect()
}

/// The mistake in a time-out that may also be none at all.
pub(crate) fn endless(timeout: PolicyDuration, at: &Node) -> Option<ConfigError> {
    if timeout.0.is_zero() {
        return None;
    }
    let error = timeout.outside(MILLISECOND, DAY, at)?;
    Some(ConfigError { expected: format!("{}, or `0s` for no end", error.expected), ..error })
}

fn outside(number: u32, range: RangeInclusive<u32>, at: &Node) -> Option<ConfigError> {
    let expected = || format!("a whole number from {} to {}", range.start(), range.end());
    (!range.contains(&number)).then(|| at.error(format!("`{number}`"), expected()))
}

fn check_balancing(raw: &LoadBalancing, at: &Node) -> Vec<ConfigError> {
    let hashes = matches!(raw.policy, BalancingPolicy::RingHash | BalancingPolicy::Maglev);
    let at_hash = at.key("hash_on");
    let mut errors: Vec<_> =
        outside(raw.panic_threshold, 0..=100, &at.key("panic_threshold")).into_iter().collect();
    match &raw.hash_on {
        Some(hash) if hashes => errors.extend(check_hash(hash, &at_hash)),
        Some(_) => errors.push(at_hash.error("`hash_on`", "`policy: ring_hash` or `maglev` beside it")),
        None if hashes => errors.push(at_hash.error("nothing", "what makes requests belong together")),
        None => {}
    }
    errors
}

fn check_hash(raw: &HashOn, at: &Node) -> Vec<ConfigError> {
    let given = [raw.header.is_some(), raw.cookie.is_some(), raw.client_ip];
    let mut errors = Vec::new();
    let count = given.into_iter().filter(|given| *given).count();
    if count != 1 {
        errors.push(at.error(format!("{count} fields"), "exactly one of `header`, `cookie`, `client_ip`"));
    }
    for (key, name) in [("header", &raw.header), ("cookie", &raw.cookie)] {
        let Some(name) = name else { continue };
        let wrong = HeaderName::parse(name).err();
        errors.extend(wrong.map(|expected| at.key(key).error(quoted(name), expected)));
    }
    errors
}

fn check_dns(raw: &Dns, at: &Node) -> Option<ConfigError> {
    raw.refresh.outside(SECOND, HOUR, &at.key("refresh"))
}

fn check_keep_alive(raw: &KeepAlive, at: &Node) -> Vec<ConfigError> {
    let idle = raw.idle_timeout.and_then(|t| t.outside(TENTH, DAY, &at.key("idle_timeout")));
    let probe = raw.probe_interval.and_then(|t| t.outside(SECOND, HOUR, &at.key("probe_interval")));
    let most = raw.max_requests.and_then(|n| outside(n, 1..=u32::MAX, &at.key("max_requests")));
    [idle, probe, most].into_iter().flatten().collect()
}

fn check_tls(raw: &ServiceTls, at: &Node) -> Vec<ConfigError> {
    let fields = [
        ("sni", &raw.sni),
        ("ca_file", &raw.ca_file),
        ("certificate_file", &raw.certificate_file),
        ("key_file", &raw.key_file),
    ];
    let texts = fields.into_iter().filter_map(|(key, text)| check_text(text.as_deref()?, &at.key(key)));
    let mut errors: Vec<_> = texts.collect();
    errors.extend(check_pair(raw.certificate_file.is_some(), raw.key_file.is_some(), at));
    errors
}

/// A certificate is of no use without its key, nor the other way round.
pub(crate) fn check_pair(certificate: bool, key: bool, at: &Node) -> Option<ConfigError> {
    let missing = |name, other| at.key(name).error("nothing", format!("a file, because there is `{other}`"));
    match (certificate, key) {
        (true, false) => Some(missing("key_file", "certificate_file")),
        (false, true) => Some(missing("certificate_file", "key_file")),
        _ => None,
    }
}

/// The mistake in a file's or a host's name.
pub(crate) fn check_text(text: &str, at: &Node) -> Option<ConfigError> {
    let is_bad = text.is_empty() || text.chars().any(char::is_control);
    is_bad.then(|| at.error(quoted(text), "a text without control characters, not empty"))
}

fn check_health(raw: &HealthCheck, protocol: Protocol, at: &Node) -> Vec<ConfigError> {
    let mut errors: Vec<_> = [
        raw.interval.outside(TENTH, HOUR, &at.key("interval")),
        raw.timeout.outside(PolicyDuration::millis(10), PolicyDuration::secs(60), &at.key("timeout")),
        outside(raw.unhealthy_threshold, 1..=100, &at.key("unhealthy_threshold")),
        outside(raw.healthy_threshold, 1..=100, &at.key("healthy_threshold")),
    ]
    .into_iter()
    .flatten()
    .collect();
    errors.extend(check_asked(raw, protocol, at));
    errors
}

fn check_asked(raw: &HealthCheck, protocol: Protocol, at: &Node) -> Option<ConfigError> {
    match (&raw.path, &raw.grpc_service) {
        (Some(path), None) => {
            let is_plain = Template::parse(path).is_ok_and(|t| t.is_literal());
            (!is_plain).then(|| at.key("path").error(quoted(path), "a plain path in normal form"))
        }
        (None, Some(_)) if protocol == Protocol::Http2 => None,
        (None, Some(_)) => Some(
            at.key("grpc_service").error("`grpc_service`", "`protocol: http2`, which gRPC is spoken over"),
        ),
        (Some(_), Some(_)) => Some(at.error("both `path` and `grpc_service`", "one of them")),
        (None, None) => Some(at.error("neither `path` nor `grpc_service`", "one of them")),
    }
}

fn check_outlier(raw: &OutlierDetection, at: &Node) -> Vec<ConfigError> {
    let all = [
        outside(raw.consecutive_5xx, 1..=1000, &at.key("consecutive_5xx")),
        raw.interval.outside(TENTH, HOUR, &at.key("interval")),
        raw.base_ejection_time.outside(TENTH, HOUR, &at.key("base_ejection_time")),
        outside(raw.max_ejection_percent, 0..=100, &at.key("max_ejection_percent")),
    ];
    all.into_iter().flatten().collect()
}

fn check_circuit(raw: &CircuitLimits, at: &Node) -> Vec<ConfigError> {
    let fields = [
        ("max_connections", raw.max_connections),
        ("max_pending_requests", raw.max_pending_requests),
        ("max_requests", raw.max_requests),
        ("max_retries", raw.max_retries),
    ];
    fields.into_iter().filter_map(|(key, number)| outside(number, 1..=1_000_000, &at.key(key))).collect()
}

fn check_retry(raw: &Retry, at: &Node) -> Vec<ConfigError> {
    let mut errors: Vec<_> = [
        outside(raw.attempts, 1..=10, &at.key("attempts")),
        raw.on.is_empty().then(|| at.key("on").error("an empty list", "one reason or more")),
        raw.methods.is_empty().then(|| at.key("methods").error("an empty list", "one method or more")),
        raw.per_try_timeout.and_then(|t| t.outside(MILLISECOND, DAY, &at.key("per_try_timeout"))),
    ]
    .into_iter()
    .flatten()
    .collect();
    errors.extend(unknown_methods(&raw.methods, &at.key("methods")));
    errors.extend(raw.budget.iter().flat_map(|budget| check_budget(budget, &at.key("budget"))));
    errors
}

/// Every text of the list at `at` that is no method.
pub(crate) fn unknown_methods(methods: &[String], at: &Node) -> Vec<ConfigError> {
    let unknown = methods.iter().enumerate().filter(|(_, m)| !METHODS.contains(&m.as_str()));
    let expected = format!("one of {}", METHODS.join(", "));
    unknown
        .map(|(index, method)| {
            at.index(index).error(quoted(method), expected.as_str()).near(&method.to_uppercase(), METHODS)
        })
        .collect()
}

fn check_budget(raw: &RetryBudget, at: &Node) -> Vec<ConfigError> {
    let all = [
        outside(raw.percent, 1..=100, &at.key("percent")),
        outside(raw.min_concurrency, 0..=1000, &at.key("min_concurrency")),
    ];
    all.into_iter().flatten().collect()
}

fn quoted(text: &str) -> String {
    format!("`{}`", text.escape_debug())
}
