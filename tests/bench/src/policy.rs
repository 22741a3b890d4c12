//! The policy that is measured, and the Envoy that it renders to.

use anyhow::{Context, Result, anyhow};
use portcullis_cli::render::{self, Options};
use portcullis_cli::source::Source;
use portcullis_e2e::without_tokens;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

/// A policy document.
#[derive(Clone)]
pub struct Document(Value);

impl Document {
    /// Reads a policy file.
    ///
    /// # Errors
    /// If there is none, or it is not YAML.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let source = Source::parse(text).map_err(|error| anyhow!("{}: {}", path.display(), error.message))?;
        // What is compared here has no tokens on either side.
        Ok(Self(without_tokens(source.value)))
    }

    /// The same with `count` routes: the one that is measured, and others of which half stand before it.
    pub fn with_routes(&self, count: usize) -> Self {
        let route = |path: String| json!({ "path": path, "methods": ["GET"], "service": "order" });
        let other = |i: usize| {
            let side = if i.is_multiple_of(2) { "a" } else { "z" };
            route(format!("/{side}{i:03}/{{id}}"))
        };
        let mut document = self.clone();
        let measured = std::iter::once(route("/orders/{id}".to_owned()));
        document.0["routes"] = measured.chain((1..count).map(other)).collect();
        document
    }

    /// The same with what an edge has on routes that nobody asks here: rewrites, verbs, escaped slashes, upgrades, streams, and a service
    /// with retries, health checks and limits of its own.
    pub fn with_an_edge(&self) -> Self {
        let mut document = self.clone();
        let mut service = document.0["services"]["order"].clone();
        service.as_object_mut().into_iter().for_each(|own| own.extend(edge_of_a_service()));
        document.0["services"]["edge"] = service;
        if let Some(routes) = document.0["routes"].as_array_mut() {
            routes.extend(edge_routes());
        }
        document
    }

    /// The same with all that a plain request can use of it on the route that is measured.
    pub fn on_an_edge(&self) -> Self {
        let mut document = self.with_an_edge();
        let routes = document.0["routes"].as_array_mut().into_iter().flatten();
        let measured =
            routes.filter(|route| route["path"] == "/orders/{id}").filter_map(Value::as_object_mut);
        measured.for_each(|route| {
            route.extend([
                ("service".to_owned(), json!("edge")),
                ("hosts".to_owned(), json!(["api.example.com"])),
                ("upstream_path".to_owned(), json!("/v2/orders/{id}")),
                ("escaped_slashes".to_owned(), json!("keep")),
                ("trailing_slash".to_owned(), json!("either")),
                ("idle_timeout".to_owned(), json!("1m")),
            ]);
        });
        document
    }

    /// The same with a section `jwt`, and what each route (by its number) asks of tokens.
    pub fn with_tokens(&self, section: Value, auth: impl Fn(usize) -> Value) -> Self {
        let mut document = self.clone();
        document.0["jwt"] = section;
        document.0["trust_headers"]["reserve"] = json!([]);
        let routes = document.0["routes"].as_array_mut().into_iter().flatten();
        routes.enumerate().for_each(|(number, route)| route["auth"] = auth(number));
        document
    }

    /// The same with one more section.
    pub fn with_section(&self, name: &str, section: Value) -> Self {
        let mut document = self.clone();
        document.0[name] = section;
        document
    }

    /// As the filter reads it.
    pub fn json(&self) -> Vec<u8> {
        self.0.to_string().into_bytes()
    }

    /// The bootstrap that the policy renders to, with all services at `upstream`.
    ///
    /// # Errors
    /// Every mistake in the policy.
    pub fn render(&self, module: &Path, offload: bool, upstream: SocketAddr) -> Result<Value> {
        let policy = portcullis_policy::Policy::from_value(&self.0).map_err(|errors| {
            let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
            anyhow!("the policy has mistakes: {}", errors.join("; "))
        })?;
        let at = (upstream.ip().to_string(), upstream.port());
        let services: BTreeMap<_, _> = policy.services.iter().map(|s| (s.name.clone(), at.clone())).collect();
        let module = module.to_string_lossy().into_owned();
        let options = Options { module, services, offload, ..Options::default() };
        Ok(render::bootstrap(&self.0, &policy, &options))
    }
}

fn edge_of_a_service() -> serde_json::Map<String, Value> {
    let more = json!({
        "retry": { "attempts": 2, "on": ["connect_failure", "reset"] },
        "outlier_detection": {},
    });
    more.as_object().cloned().unwrap_or_default()
}

fn edge_routes() -> Vec<Value> {
    let route = |path: &str, more: Value| {
        let mut route = json!({ "path": path, "methods": ["GET"], "service": "edge" });
        route
            .as_object_mut()
            .into_iter()
            .for_each(|own| own.extend(more.as_object().cloned().unwrap_or_default()));
        route
    };
    vec![
        route("/edge/items/{id}:cancel", json!({ "upstream_path": "/cancel/{id}" })),
        route("/edge/projects/{id}", json!({ "escaped_slashes": "keep", "trailing_slash": "either" })),
        route("/edge/files/{*rest}", json!({ "upstream_path": "/public/{*rest}" })),
        route("/edge/ws", json!({ "upgrades": ["websocket"], "idle_timeout": "1h" })),
        route("/edge/events", json!({ "timeout": "0s", "idle_timeout": "1h" })),
    ]
}
