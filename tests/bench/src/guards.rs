//! What limits, breakers, metrics and the log line cost.

use crate::bootstrap::Bootstrap;
use crate::contenders::{Bench, GATEWAY, NATIVE};
use crate::tokens::{self, Sight};
use anyhow::{Context, Result};
use portcullis_e2e::workspace;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Envoy's own filters, with tokens and a limit by address.
pub const LIMITED: &str = "native chain with jwt_authn and local_ratelimit";
/// The gateway without the guards that are added.
pub const UNGUARDED: &str = "no guard";
/// The gateway without what it does at a request's end.
pub const SILENT: &str = "neither metrics nor line";

/// More than a measurement sends.
const ENOUGH: u32 = 1_000_000;

fn rule(key: &[&str]) -> Value {
    json!({ "key": key, "limit": ENOUGH, "window": "1m" })
}

fn limits(rules: &[(&str, &[&str])]) -> Value {
    let rules: serde_json::Map<_, _> =
        rules.iter().map(|(name, key)| ((*name).to_owned(), rule(key))).collect();
    json!({ "rules": rules })
}

/// The same, and answers do not say what is left.
fn untold(mut limits: Value) -> Value {
    limits["headers"] = json!({ "ratelimit": false, "x_ratelimit": false });
    limits
}

/// Envoy's filter with a bucket of so many tokens for each address; it says what is left in the older triple of headers.
pub fn local_ratelimit(tokens: u32) -> Value {
    let bucket = json!({ "max_tokens": tokens, "tokens_per_fill": tokens, "fill_interval": "60s" });
    let always = json!({ "default_value": { "numerator": 100, "denominator": "HUNDRED" } });
    json!({
        "name": "envoy.filters.http.local_ratelimit",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
            "stat_prefix": "local",
            "token_bucket": { "max_tokens": 1_000_000_000, "tokens_per_fill": 1_000_000_000, "fill_interval": "1s" },
            "filter_enabled": always,
            "filter_enforced": always,
            "rate_limits": [{ "actions": [{ "remote_address": {} }] }],
            // Any address: each gets a bucket of its own.
            "descriptors": [{ "entries": [{ "key": "remote_address" }], "token_bucket": bucket }],
            "max_dynamic_descriptors": 10_000,
            "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
        },
    })
}

/// Tokens on both sides; a limit by address on Envoy's, by address, route and user on ours.
///
/// # Errors
/// If the policy has a mistake.
pub fn limited(bench: &Bench) -> Result<Vec<(String, Bootstrap)>> {
    let sight = Sight::Repeated;
    let document = tokens::policy(bench.document(), "HS256", sight);
    let rules = [("per_ip", &["ip"][..]), ("per_route", &["route"]), ("per_user", &["user"])];
    let limits = limits(&rules);
    let ours = |limits| bench.rendered(&document.with_section("limits", limits));
    let native = bench.rendered(&document)?.native_with(tokens::jwt_authn("HS256", sight));
    Ok(vec![
        (LIMITED.to_owned(), native.with_filter_behind(local_ratelimit(ENOUGH))),
        (GATEWAY.to_owned(), ours(limits.clone())?),
        (format!("{GATEWAY}, answers do not say what is left"), ours(untold(limits))?),
    ])
}

/// The gateway with one guard more each.
///
/// # Errors
/// If the policy has a mistake.
pub fn one_by_one(bench: &Bench) -> Result<Vec<(String, Bootstrap)>> {
    let plain = bench.document();
    let by_address = limits(&[("per_ip", &["ip"])]);
    let three = [("per_ip", &["ip"][..]), ("per_route", &["route"]), ("per_agent", &["header:user-agent"])];
    let chains = [
        (UNGUARDED, plain.clone()),
        (
            "a limit by address, of which answers do not tell",
            plain.with_section("limits", untold(by_address.clone())),
        ),
        ("a limit by address", plain.with_section("limits", by_address)),
        ("limits by address, route and header", plain.with_section("limits", limits(&three))),
        ("a breaker", plain.with_section("breakers", json!({ "order": { "consecutive_failures": 5 } }))),
    ];
    chains.into_iter().map(|(name, document)| Ok((name.to_owned(), bench.rendered(&document)?))).collect()
}

/// What a request's end costs: metrics and the line, ours and Envoy's.
///
/// # Errors
/// If the policy has a mistake, or a module cannot be written.
pub fn ends(bench: &Bench) -> Result<Vec<(String, Bootstrap)>> {
    let whole = bench.rendered(bench.document())?;
    let silent = bench.rendered_with(&without_end(bench.gateway())?)?;
    let native = whole.clone().native();
    Ok(vec![
        (SILENT.to_owned(), silent.without_log()),
        (GATEWAY.to_owned(), whole),
        (format!("{NATIVE}, no line"), native.clone().without_log()),
        (NATIVE.to_owned(), native),
    ])
}

/// A module of which Envoy does not know that it wants to hear of a request's end.
fn without_end(module: &Path) -> Result<PathBuf> {
    let wasm = std::fs::read(module).with_context(|| module.display().to_string())?;
    let silent = workspace().join("target/tmp/without-end.wasm");
    std::fs::create_dir_all(silent.parent().context("a folder")?)?;
    std::fs::write(&silent, renamed(&wasm).context("the module has no callback for a request's end")?)?;
    Ok(silent)
}

/// The callback under a name that nobody asks for.
fn renamed(wasm: &[u8]) -> Option<Vec<u8>> {
    const CALLBACK: &[u8] = b"proxy_on_log";
    let at = wasm.windows(CALLBACK.len()).position(|window| window == CALLBACK)?;
    let mut renamed = wasm.to_vec();
    renamed[at..at + CALLBACK.len()].copy_from_slice(b"proxy_no_log");
    Some(renamed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_e2e::{Envoy, EnvoyConfig};

    #[test]
    fn envoys_filter_limits_an_address() {
        let bench = Bench::of_defaults();
        let bootstrap = bench.rendered(bench.document()).expect("a policy").native();
        let bootstrap = bootstrap.with_filter_behind(local_ratelimit(2)).direct().into_value();
        let envoy = Envoy::start(EnvoyConfig::json(bootstrap).workers(1));
        let seen = [(); 3].map(|()| envoy.get("/api/v1/orders/12345").status);
        assert_eq!(seen, [200, 200, 429]);
    }

    #[test]
    fn a_module_without_its_end_counts_nothing() {
        let bench = Bench::of_defaults();
        let chains = ends(&bench).expect("a policy");
        for (name, counted) in [(SILENT, 0.0), (GATEWAY, 2.0)] {
            let (_, bootstrap) = chains.iter().find(|(own, _)| own == name).expect("there is such a chain");
            let envoy = Envoy::start(EnvoyConfig::json(bootstrap.clone().direct().into_value()).workers(1));
            (0..2).for_each(|_| assert_eq!(envoy.get("/api/v1/orders/12345").status, 200));
            let samples = portcullis_e2e::Samples::parse(envoy.get("/metrics").text()).expect("metrics");
            let own = [("endpoint", "/api/v1/orders/{id}")];
            assert_eq!(samples.sum("gateway_requests_total", &own), counted, "{name}");
        }
    }
}
