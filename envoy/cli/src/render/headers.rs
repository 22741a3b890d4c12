//! Static headers as Envoy's own mutations.

use portcullis_policy::Policy;
use portcullis_security_headers::{Action, BrowserHeader, BrowserHeaders, TrustHeaders};
use serde_json::{Map, Value, json};

fn option(name: &str, value: &[u8], append_action: &str) -> Value {
    json!({
        "header": { "key": name, "value": escaped(value) },
        "append_action": append_action,
    })
}

/// `%` begins a substitution in Envoy's header values.
fn escaped(value: &[u8]) -> String {
    String::from_utf8_lossy(value).replace('%', "%%")
}

/// What every service is told: the same on every request, and who asks, if the filter has said so.
pub(super) fn trust(trust: &TrustHeaders) -> Vec<Value> {
    let fixed =
        trust.to_set().map(|(name, value)| option(name.as_str(), value, "OVERWRITE_IF_EXISTS_OR_ADD"));
    let identity = trust.identity().into_iter().flat_map(|names| {
        let states = ["portcullis_user", "portcullis_role", "portcullis_authenticated"];
        names.all().into_iter().zip(states).map(|(name, state)| from_state(name.as_str(), state))
    });
    fixed.chain(identity).collect()
}

/// A header with what the filter has put into the filter state; no header where it has put nothing there.
fn from_state(name: &str, state: &str) -> Value {
    json!({
        "header": { "key": name, "value": format!("%FILTER_STATE(wasm.{state}:PLAIN)%") },
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    })
}

/// Response header mutations for some rules. TLS-only rules are not among them: routes cannot tell how a client came.
pub(super) fn browser<'a>(rules: impl Iterator<Item = &'a BrowserHeader>) -> Map<String, Value> {
    let (mut add, mut remove) = (Vec::new(), Vec::new());
    for rule in rules.filter(|rule| !rule.tls_only) {
        match &rule.action {
            Action::Set(value) => add.push(option(rule.name.as_str(), value, "OVERWRITE_IF_EXISTS_OR_ADD")),
            Action::IfAbsent(value) => add.push(option(rule.name.as_str(), value, "ADD_IF_ABSENT")),
            Action::Remove => remove.push(Value::from(rule.name.as_str())),
        }
    }
    let lists = [("response_headers_to_add", add), ("response_headers_to_remove", remove)];
    lists
        .into_iter()
        .filter(|(_, l)| !l.is_empty())
        .map(|(name, l)| (name.to_owned(), Value::from(l)))
        .collect()
}

/// Names that some route has a rule of its own for. Their rules stand on every route; all others stand once, for all routes,
/// because Envoy could not undo there what it did here.
pub(super) fn contested(policy: &Policy) -> Vec<&str> {
    let differs = |rules: &BrowserHeaders, rule: &BrowserHeader| !rules.rules().contains(rule);
    let mut names: Vec<&str> = Vec::new();
    for route in policy.routes.iter().filter(|route| route.overrides_browser) {
        let own = route.browser.rules().iter().filter(|rule| differs(&policy.browser, rule));
        let dropped = policy.browser.rules().iter().filter(|rule| differs(&route.browser, rule));
        names.extend(own.chain(dropped).map(|rule| rule.name.as_str()));
    }
    names
}
