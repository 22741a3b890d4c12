//! The bootstraps that are compared, all made from the one that the policy renders to.

use crate::native;
use crate::upstream::BODY;
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use std::path::Path;

const MANAGER: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
const PLUGIN: &str = "portcullis";
const ROUTER: &str = "envoy.filters.http.router";

/// Header mutations of a route configuration.
pub const MUTATIONS: [&str; 4] = [
    "request_headers_to_remove",
    "request_headers_to_add",
    "response_headers_to_add",
    "response_headers_to_remove",
];

/// A rendered bootstrap, open for changes.
#[derive(Clone)]
pub struct Bootstrap(Value);

impl Bootstrap {
    /// Takes a bootstrap over.
    ///
    /// # Errors
    /// If it is not built as a rendered one.
    pub fn new(mut bootstrap: Value) -> Result<Self> {
        let manager = bootstrap.pointer_mut(MANAGER).context("no connection manager in the bootstrap")?;
        let found = manager["http_filters"].is_array() && manager["route_config"]["virtual_hosts"].is_array();
        found.then_some(Self(bootstrap)).context("no filters or no routes in the bootstrap")
    }

    fn manager(&mut self) -> &mut Map<String, Value> {
        // `new` has seen it.
        self.0.pointer_mut(MANAGER).and_then(Value::as_object_mut).expect("a connection manager")
    }

    fn filters(&mut self) -> &mut Vec<Value> {
        self.manager().get_mut("http_filters").and_then(Value::as_array_mut).expect("a list of filters")
    }

    /// The listener for clients alone: the one for metrics would load the gateway's module into chains that are measured without it.
    fn only_for_clients(&mut self) {
        self.0["static_resources"]["listeners"].as_array_mut().expect("listeners").truncate(1);
    }

    /// The router, and nothing else; no access log, no request id, no header mutations.
    pub fn bare(mut self) -> Self {
        self.only_for_clients();
        self.filters().retain(|filter| filter["name"] == ROUTER);
        self.manager().remove("access_log");
        self.manager().insert("generate_request_id".into(), false.into());
        self.take_mutations();
        self
    }

    /// One more filter, in front of all others.
    pub fn with_filter(mut self, filter: Value) -> Self {
        self.filters().insert(0, filter);
        self
    }

    /// One more filter, behind the first two.
    pub fn with_filter_behind(mut self, filter: Value) -> Self {
        let place = self.filters().len().min(2);
        self.filters().insert(place, filter);
        self
    }

    /// The same without access log.
    pub fn without_log(mut self) -> Self {
        self.manager().remove("access_log");
        self
    }

    /// Envoy's own filters in the place of the plugin, doing the same work.
    pub fn native(mut self) -> Self {
        self.only_for_clients();
        self.filters().retain(|filter| filter["name"] != PLUGIN);
        self.manager().insert("access_log".into(), json!([native::access_log()]));
        let mutations = self.take_mutations();
        self.with_filter(native::header_mutation(&mutations))
    }

    /// The same with a filter of Envoy's that checks tokens, behind the one that removes what clients forged; the line says
    /// whose they are.
    pub fn native_with(self, tokens: Value) -> Self {
        let mut bootstrap = self.native();
        bootstrap.filters().insert(1, tokens);
        let log = bootstrap.manager().get_mut("access_log").and_then(|logs| logs.get_mut(0));
        if let Some(log) = log {
            log["typed_config"]["log_format"]["json_format"]["user"] = "%REQ(X-USER-ID)%".into();
        }
        bootstrap
    }

    /// Takes the mutations of the whole route configuration out of it.
    fn take_mutations(&mut self) -> Map<String, Value> {
        let routes = self.manager().get_mut("route_config").and_then(Value::as_object_mut);
        let routes = routes.expect("a route configuration");
        MUTATIONS.iter().filter_map(|name| routes.remove_entry(*name)).collect()
    }

    /// Every route answers by itself: what is left is the cost of the chain.
    pub fn direct(mut self) -> Self {
        let hosts = self.manager()["route_config"]["virtual_hosts"].as_array_mut();
        let routes = hosts.into_iter().flatten().filter_map(|host| host["routes"].as_array_mut()).flatten();
        for route in routes.filter_map(Value::as_object_mut) {
            if route.remove("route").is_some() {
                let answer = json!({ "status": 200, "body": { "inline_string": BODY } });
                route.insert("direct_response".into(), answer);
            }
        }
        self
    }

    /// The access log, if there is one, goes to a file that keeps nothing: a pipe would measure its reader.
    pub fn log_to_nowhere(mut self) -> Self {
        let logs = self.manager().get_mut("access_log").and_then(Value::as_array_mut);
        for log in logs.into_iter().flatten() {
            log["name"] = "envoy.access_loggers.file".into();
            log["typed_config"]["@type"] =
                "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog".into();
            log["typed_config"]["path"] = "/dev/null".into();
        }
        self
    }

    /// The tree.
    pub fn into_value(self) -> Value {
        self.0
    }
}

/// A plugin without configuration.
pub fn plugin(module: &Path) -> Value {
    json!({
        "name": "module",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": { "name": "module", "vm_config": {
                "vm_id": "module",
                "runtime": "envoy.wasm.runtime.v8",
                "code": { "local": { "filename": module } },
            } },
        },
    })
}

/// The same with a configuration.
pub fn configured(module: &Path, configuration: &Value) -> Value {
    let mut plugin = plugin(module);
    plugin["typed_config"]["config"]["configuration"] = json!({
        "@type": "type.googleapis.com/google.protobuf.StringValue",
        "value": configuration.to_string(),
    });
    plugin
}
