//! Envoy's configuration dump.

use super::Finding;
use portcullis_metrics::METRICS_ROUTE;
use serde_json::Value;

/// Ports of a proxy's own: health and metrics of Istio's and of Envoy Gateway's proxies.
const OWN_PORTS: [u64; 7] = [15020, 15021, 15090, 19001, 19002, 19003, 19005];

/// Istio's listener for all that is redirected to a sidecar.
const VIRTUAL_INBOUND: &str = "virtualInbound";

pub(super) struct Dump<'a> {
    configs: Vec<&'a Value>,
}

/// A listener that serves HTTP to clients.
pub(super) struct Listener<'a> {
    /// Its name, or its address.
    pub name: String,
    /// The HTTP connection manager of one of its filter chains.
    pub manager: &'a Value,
}

impl<'a> Dump<'a> {
    pub fn of(dump: &'a Value) -> Self {
        Self { configs: dump["configs"].as_array().into_iter().flatten().collect() }
    }

    fn part(&self, name: &str) -> impl Iterator<Item = &'a Value> {
        let suffix = format!(".{name}");
        let is_it =
            move |config: &&Value| config["@type"].as_str().is_some_and(|kind| kind.ends_with(&suffix));
        self.configs.iter().copied().filter(is_it)
    }

    /// A list in a part of the dump.
    fn list(&self, part: &str, key: &'static str) -> impl Iterator<Item = &'a Value> {
        self.part(part).flat_map(move |part| list(&part[key]))
    }

    pub fn bootstrap(&self) -> &'a Value {
        self.part("BootstrapConfigDump").next().map_or(&Value::Null, |part| &part["bootstrap"])
    }

    pub fn listeners(&self) -> impl Iterator<Item = Listener<'a>> {
        let fixed = self.list("ListenersConfigDump", "static_listeners").map(|entry| &entry["listener"]);
        let sent = self
            .list("ListenersConfigDump", "dynamic_listeners")
            .map(|entry| &entry["active_state"]["listener"]);
        let is_sidecar = self.is_sidecar();
        let serves = move |listener: &&Value| !is_sidecar || listener["traffic_direction"] == "INBOUND";
        let ours =
            fixed.chain(sent).filter(|listener| !listener.is_null() && !is_own(listener)).filter(serves);
        let all = ours.flat_map(move |listener| {
            let chains = chains(listener).filter(move |chain| !is_sidecar || !is_passed_on(listener, chain));
            chains.flat_map(managers).map(|manager| Listener { name: name(listener), manager })
        });
        all.filter(|listener| {
            let routes = self.routes(listener.manager);
            !is_for_metrics(routes) && !only_redirects(routes)
        })
    }

    /// Whether it is Istio's beside an application: its other listeners are for what the application asks of others.
    fn is_sidecar(&self) -> bool {
        self.bootstrap()["node"]["id"].as_str().is_some_and(|id| id.starts_with("sidecar~"))
    }

    /// Filters that were sent apart from their listener.
    pub fn extensions(&self) -> impl Iterator<Item = &'a Value> {
        self.list("EcdsConfigDump", "ecds_filters")
    }

    /// The filter that was sent under `name`.
    pub fn extension(&self, wanted: &str) -> Option<&'a Value> {
        self.extensions()
            .map(|entry| &entry["ecds_filter"])
            .find(|filter| filter["name"] == wanted)
            .map(|filter| &filter["typed_config"])
    }

    /// The routes of a connection manager: its own, or those that were sent to it.
    pub fn routes(&self, manager: &'a Value) -> &'a Value {
        if !manager["route_config"].is_null() {
            return &manager["route_config"];
        }
        let wanted = &manager["rds"]["route_config_name"];
        let all = self.list("RoutesConfigDump", "dynamic_route_configs").map(|entry| &entry["route_config"]);
        all.into_iter().find(|routes| routes["name"] == *wanted).unwrap_or(&Value::Null)
    }

    /// What Envoy was sent and has refused; whatever it had before serves on.
    pub fn refusals(&self) -> Vec<Finding> {
        let parts = [
            ("ListenersConfigDump", "dynamic_listeners", "listener"),
            ("RoutesConfigDump", "dynamic_route_configs", "routes"),
            ("ClustersConfigDump", "dynamic_active_clusters", "cluster"),
        ];
        let refused = parts.into_iter().flat_map(|(part, key, what)| {
            self.list(part, key)
                .filter(|entry| !entry["error_state"].is_null())
                .map(move |entry| (what, entry))
        });
        // What has no name sums up an update; its parts are listed beside it, if Envoy got as far as to know them.
        let (named, summed): (Vec<_>, Vec<_>) = refused.partition(|(_, entry)| name_of(entry).is_some());
        let told = if named.is_empty() { summed } else { named };
        told.into_iter().map(|(what, entry)| refusal(what, entry)).collect()
    }
}

fn refusal(what: &str, entry: &Value) -> Finding {
    let error = &entry["error_state"];
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let at = format!("{what} {}", name_of(entry).unwrap_or("?"));
    let found =
        format!("an update of {} refused: {}", text(&error["last_update_attempt"]), text(&error["details"]));
    Finding::wrong(at, found, "no refused update: what served before it serves on")
}

fn name_of(entry: &Value) -> Option<&str> {
    let names = [&entry["name"], &entry["cluster"]["name"], &entry["route_config"]["name"]];
    names.into_iter().find_map(|name| name.as_str())
}

pub(super) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn name(listener: &Value) -> String {
    let address = &listener["address"]["socket_address"];
    let place = format!("{}:{}", address["address"].as_str().unwrap_or("?"), address["port_value"]);
    listener["name"].as_str().map_or(place, str::to_owned)
}

/// Whether the only route is that of the metrics: nothing is forwarded from there.
fn is_for_metrics(routes: &Value) -> bool {
    let hosts = list(&routes["virtual_hosts"]);
    let mut names = hosts.flat_map(|host| list(&host["routes"])).map(|route| &route["name"]);
    names.next().is_some_and(|name| name == METRICS_ROUTE) && names.next().is_none()
}

/// Whether every answer is a redirect: there is nothing to guard.
fn only_redirects(routes: &Value) -> bool {
    let mut all = list(&routes["virtual_hosts"]).flat_map(|host| list(&host["routes"])).peekable();
    all.peek().is_some() && all.all(|route| !route["redirect"].is_null())
}

fn is_own(listener: &Value) -> bool {
    let port = listener["address"]["socket_address"]["port_value"].as_u64();
    port.is_some_and(|port| OWN_PORTS.contains(&port))
}

fn chains(listener: &Value) -> impl Iterator<Item = &Value> {
    list(&listener["filter_chains"]).chain(std::iter::once(&listener["default_filter_chain"]))
}

/// Whether a chain of a sidecar's is for ports that no service has, of which Istio knows nothing.
fn is_passed_on(listener: &Value, chain: &Value) -> bool {
    listener["name"] == VIRTUAL_INBOUND && chain["filter_chain_match"]["destination_port"].is_null()
}

fn managers(chain: &Value) -> impl Iterator<Item = &Value> {
    let configs = list(&chain["filters"]).map(|filter| &filter["typed_config"]);
    configs.filter(|config| {
        config["@type"].as_str().is_some_and(|kind| kind.ends_with(".HttpConnectionManager"))
    })
}
