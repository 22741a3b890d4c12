//! Gateways that tests share, and what must be true of every answer.

use portcullis_e2e::{Answer, Gateway, Setup};
use serde_json::{Value, json};
use std::ops::Deref;
use std::sync::LazyLock;

/// The example's gateway, as rendered and with the filter alone.
static AS_RENDERED: LazyLock<Gateway> = LazyLock::new(|| shared(Gateway::setup()));
static ALONE: LazyLock<Gateway> = LazyLock::new(|| shared(Gateway::setup().alone()));
/// The same behind one proxy that is trusted, with routes that override browser headers.
static TRUSTING_AS_RENDERED: LazyLock<Gateway> = LazyLock::new(|| shared(trusting()));
static TRUSTING_ALONE: LazyLock<Gateway> = LazyLock::new(|| shared(trusting().alone()));

/// Values in statics are never dropped: what would be left behind is removed at once. A running Envoy needs no file any more.
fn shared(setup: Setup) -> Gateway {
    let gateway = setup.start();
    std::fs::remove_dir_all(gateway.envoy.folder()).expect("its folder can be removed");
    gateway
}

fn trusting() -> Setup {
    Gateway::setup().policy(|policy| {
        // Nobody else reaches its port.
        policy["client_ip"] = json!({"trusted_hops": 1, "trusted_proxies": ["0.0.0.0/0", "::/0"]});
        let routes = policy["routes"].as_array_mut().expect("the example has routes");
        let route = routes.iter_mut().find(|route| route["path"] == "/inventory/assets/{id}");
        route.expect("the example has this route")["browser_headers"] = json!([
            {"name": "X-Frame-Options", "remove": true},
            {"name": "Content-Security-Policy", "set": "default-src 'self'"},
            {"name": "X-Robots-Tag", "if_absent": "noindex"},
        ]);
    })
}

/// A shared gateway in the hands of one test; tells of its last words if that test fails.
pub struct Loan {
    gateway: &'static Gateway,
    way: &'static str,
}

impl Deref for Loan {
    type Target = Gateway;

    fn deref(&self) -> &Gateway {
        self.gateway
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let envoy = &self.gateway.envoy;
            eprintln!("It failed {}; its Envoy's last words:", self.way);
            eprintln!("{}{}", envoy.stderr().tail(10), envoy.stdout().tail(10));
        }
    }
}

/// The shared gateway as rendered.
pub fn as_rendered() -> Loan {
    Loan { gateway: &AS_RENDERED, way: "as rendered" }
}

/// Runs a test on the shared gateways: as rendered, and with the filter alone.
pub fn both_ways(test: impl Fn(&Gateway)) {
    test(&as_rendered());
    test(&Loan { gateway: &ALONE, way: "with the filter alone" });
}

/// The same behind a proxy that the policy trusts.
pub fn both_ways_behind_a_proxy(test: impl Fn(&Gateway)) {
    test(&Loan { gateway: &TRUSTING_AS_RENDERED, way: "as rendered, behind a proxy" });
    test(&Loan { gateway: &TRUSTING_ALONE, way: "with the filter alone, behind a proxy" });
}

/// Runs a test on gateways of its own: as rendered, and with the filter alone.
pub fn both_ways_of(setup: impl Fn() -> Setup, test: impl Fn(&Gateway)) {
    for offload in [true, false] {
        eprintln!("as rendered: {offload}"); // shown if the test fails
        test(&setup().offload(offload).start());
    }
}

/// The answer is an error of the gateway's, told as requirements section 5 has it: these fields and no other.
#[track_caller]
pub fn assert_error(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("content-type").as_deref(), Some("application/json"), "{answer:?}");
    let body = answer.json();
    let keys: Vec<_> = body.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(keys, ["error", "message", "code", "timestamp", "request_id"], "{body}");
    assert_eq!((&body["error"], &body["code"]), (&code.into(), &code.into()), "{body}");
    assert!(body["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
    assert_timestamp(&body["timestamp"]);
    assert_eq!(body["request_id"].as_str(), answer.header("x-request-id").as_deref(), "{answer:?}");
}

/// RFC 3339 in UTC with milliseconds: `2026-11-24T16:59:56.109Z`.
#[track_caller]
pub fn assert_timestamp(value: &Value) {
    let text = value.as_str().unwrap_or_default();
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z", "{value}");
}

/// What the example's policy has every browser told, over plain HTTP.
pub const BROWSER_HEADERS: [(&str, &str); 7] = [
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("x-frame-options", "DENY"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// The answer has the example's browser headers, once each, and no server's banner.
#[track_caller]
pub fn assert_dressed(answer: &Answer) {
    for (name, value) in BROWSER_HEADERS {
        assert_eq!(answer.header(name).as_deref(), Some(value), "{name} of {answer:?}");
    }
    for name in ["strict-transport-security", "server", "x-powered-by", "x-envoy-upstream-service-time"] {
        assert!(!answer.headers.has(name), "{name} in {answer:?}");
    }
}
