//! Policies around one section `jwt`, and the tokens for them.

use portcullis_e2e::{Answer, Gateway, Request, Setup};
use portcullis_token_lab::{SECRET, mint, mint_with};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since the epoch, as the machine has it.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs()
}

/// A gateway with this section `jwt` and these routes.
pub fn setup(jwt: Value, routes: Vec<Value>) -> Setup {
    Gateway::setup().policy(|policy| install(policy, jwt, routes))
}

/// Puts them in their places in the example's policy.
pub fn install(policy: &mut Value, jwt: Value, routes: Vec<Value>) {
    policy["jwt"] = jwt;
    // Longer than any fetch or question in these tests may take: Envoy counts a request that waits as one that has not come whole.
    policy["gateway"]["request_timeout"] = "5m".into();
    policy["routes"] = routes.into();
    policy["trust_headers"]["reserve"] = json!([]);
    // Sections of the example that name its routes.
    for section in ["limits", "concurrency", "breakers", "abuse", "business"] {
        policy.as_object_mut().expect("a policy").remove(section);
    }
}

/// The same with servers of the test's own, by the names of their clusters.
pub fn setup_with(jwt: Value, routes: Vec<Value>, clusters: &[(&str, SocketAddr)]) -> Setup {
    let clusters = clusters.iter().map(|(name, at)| ((*name).to_owned(), json!({"address": at.to_string()})));
    let clusters: Value = clusters.collect::<serde_json::Map<_, _>>().into();
    setup(jwt, routes).policy(|policy| policy["clusters"] = clusters)
}

/// A route to what anybody may see, with this need of a token.
pub fn route(path: &str, auth: Value) -> Value {
    json!({"path": path, "methods": ["GET"], "service": "inventory", "upstream_path": "/inventory/assets", "auth": auth})
}

/// A provider with the lab's HS256 secret, and these further settings.
pub fn provider(more: Value) -> Value {
    let mut provider = json!({"secrets": [{"alg": "HS256", "value": SECRET}]});
    let more = more.as_object().expect("settings").clone();
    provider.as_object_mut().expect("settings").extend(more);
    provider
}

/// Claims of alice's, good for a minute, with these changes.
pub fn claims(changes: Value) -> Value {
    let mut claims = json!({"sub": "alice", "role": "customer", "exp": now() + 60});
    let changes = changes.as_object().expect("claims").clone();
    claims.as_object_mut().expect("claims").extend(changes);
    claims
}

/// A good HS256 token.
pub fn good() -> String {
    mint("HS256", &claims(json!({})))
}

/// A token with this key id.
pub fn with_kid(alg: &str, kid: &str, claims: &Value) -> String {
    mint_with(alg, &json!({"alg": alg, "kid": kid}).to_string(), &claims.to_string())
}

/// Asks with a token.
#[track_caller]
pub fn ask(gateway: &Gateway, path: &str, token: &str) -> Answer {
    gateway.send(&request(path, token))
}

/// A request with a token.
pub fn request(path: &str, token: &str) -> Request {
    Request::get(format!("/api/v1{path}")).bearer(token)
}

/// The reason in the log line of a refused request.
#[track_caller]
pub fn reason(gateway: &Gateway, answer: &Answer) -> String {
    gateway.log_line_of(answer)["extra"]["denied"].as_str().unwrap_or_default().to_owned()
}

/// The answer is the gateway's 401 for this reason, told as RFC 6750 has it.
#[track_caller]
pub fn assert_refused(gateway: &Gateway, answer: &Answer, expected: &str) {
    assert_eq!((answer.status, answer.json()["code"].as_str()), (401, Some("AUTH_001")), "{answer:?}");
    assert_eq!(reason(gateway, answer), expected, "{answer:?}");
    let challenge = answer.header("www-authenticate").unwrap_or_default();
    let begins = if expected == "missing" { "Bearer realm=" } else { "Bearer error=\"invalid_token\"" };
    assert!(challenge.starts_with(begins), "{challenge} for {expected}");
}
