//! Static headers as Envoy's own mutations.

use portcullis_policy::{Policy, Route};
use portcullis_security_headers::{Action, BrowserHeader, BrowserHeaders, CORS_ANSWERS, TrustHeaders};
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
    set(name, &format!("%FILTER_STATE(wasm.{state}:PLAIN)%"))
}

/// Changes to response headers.
#[derive(Default)]
struct Changes {
    add: Vec<Value>,
    remove: Vec<Value>,
}

impl Changes {
    fn into_fields(self) -> Map<String, Value> {
        let lists = [("response_headers_to_add", self.add), ("response_headers_to_remove", self.remove)];
        let given = lists.into_iter().filter(|(_, list)| !list.is_empty());
        given.map(|(name, list)| (name.to_owned(), Value::from(list))).collect()
    }

    fn browser<'a>(&mut self, rules: impl Iterator<Item = &'a BrowserHeader>, over_tls: bool) {
        for rule in rules.filter(|rule| over_tls || !rule.tls_only) {
            let name = rule.name.as_str();
            match &rule.action {
                Action::Set(value) => self.add.push(option(name, value, "OVERWRITE_IF_EXISTS_OR_ADD")),
                Action::IfAbsent(value) => self.add.push(option(name, value, "ADD_IF_ABSENT")),
                Action::Remove => self.remove.push(Value::from(name)),
            }
        }
    }

    /// What services say of who may read their answers is removed; what the policy says, Envoy's CORS filter adds afterwards. It does
    /// not say that the answer depends on the origin.
    fn cors(&mut self, policy: &Policy) {
        self.remove.extend(CORS_ANSWERS.map(Value::from));
        if policy.cors.is_some() {
            self.add.push(option("vary", b"Origin", "APPEND_IF_EXISTS_OR_ADD"));
        }
    }
}

/// What some rules add to an answer.
pub(super) fn to_add<'a>(rules: impl Iterator<Item = &'a BrowserHeader>, over_tls: bool) -> Vec<Value> {
    let mut changes = Changes::default();
    changes.browser(rules, over_tls);
    changes.add
}

/// Gives a header this value, in which `%` begins a substitution.
pub(super) fn set(name: &str, value: &str) -> Value {
    json!({
        "header": { "key": name, "value": value },
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    })
}

/// What is changed in the answers of all services.
pub(super) fn on_all_routes(policy: &Policy) -> Map<String, Value> {
    let mut changes = Changes::default();
    let contested = contested(policy);
    // TLS-only rules are the filter's: routes cannot tell how a client came.
    let common = policy.browser.rules().iter().filter(|rule| !contested.contains(&rule.name.as_str()));
    changes.browser(common, false);
    // Not Envoy's own switch for it, which would return to a client whose request it refuses what that client wrote.
    changes.add.push(set("x-request-id", "%REQ(X-REQUEST-ID)%"));
    if !cors_differs(policy) {
        changes.cors(policy);
    }
    changes.into_fields()
}

/// What is changed in the answers of one route's service besides.
pub(super) fn on_route(policy: &Policy, route: &Route) -> Map<String, Value> {
    let mut changes = Changes::default();
    let contested = contested(policy);
    let own = route.browser.rules().iter().filter(|rule| contested.contains(&rule.name.as_str()));
    changes.browser(own, false);
    if cors_differs(policy) && !route.cors_by_service {
        changes.cors(policy);
    }
    changes.into_fields()
}

fn cors_differs(policy: &Policy) -> bool {
    policy.routes.iter().any(|route| route.cors_by_service)
}

/// Names that some route has a rule of its own for. Their rules stand on every route; all others stand once, for all routes,
/// because Envoy could not undo there what it did here.
fn contested(policy: &Policy) -> Vec<&str> {
    let differs = |rules: &BrowserHeaders, rule: &BrowserHeader| !rules.rules().contains(rule);
    let mut names: Vec<&str> = Vec::new();
    for route in policy.routes.iter().filter(|route| route.overrides_browser) {
        let own = route.browser.rules().iter().filter(|rule| differs(&policy.browser, rule));
        let dropped = policy.browser.rules().iter().filter(|rule| differs(&route.browser, rule));
        names.extend(own.chain(dropped).map(|rule| rule.name.as_str()));
    }
    names
}
