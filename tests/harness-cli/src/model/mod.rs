//! A scenario file as written. What stands here is the format: the schema is made from these types.

mod connection;
mod cost;
mod dns;
mod exchange;
mod expect;
mod logs;
mod pattern;
mod route;
mod shared;
mod text;
mod tls;
mod token;
mod volatile;

use deserr::Deserr;
use portcullis_edge_core::{ConfigErrors, Named, PolicyDuration};
use schemars::JsonSchema;
use serde_json::{Value, json};

pub use connection::{Heard, Move, Party};
pub use cost::Cost;
pub use dns::{Address, Dns};
pub use exchange::{Fails, Grpc, Reply, Request};
pub use expect::{AnswerEnd, Calls, Expect, Line, Message, Refused, Upstreams};
pub use logs::{LogPattern, Logs};
pub use pattern::{JsonPattern, Pattern, Values};
pub use route::{Direct, Locality, Node, Route};
pub use shared::{Shared, SharedFound};
pub use text::{Headers, Instant, Reference, Text, key_bytes, references};
pub use tls::{Certificate, Clients, Shown, Tls, Version};
pub use token::{Algorithm, Claims, Key, Token};
pub use volatile::Volatile;

/// A scenario: a proxy with plugins, its surroundings, and what happens to it step by step.
#[derive(Clone, Debug, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields, title = "Portcullis harness scenario")]
pub struct Scenario {
    /// What it shows, as a sentence.
    pub name: String,
    /// Anything else that a reader should know.
    #[deserr(default)]
    pub about: Option<String>,
    /// The one side that it can run on; left out: both, and they must agree.
    #[deserr(default)]
    pub only: Option<Side>,
    /// Why it can run on one side only.
    #[deserr(default)]
    pub because: Option<String>,
    /// The wall clock at the start (default `2026-01-01T00:00:00Z`). Time passes only where a step or a delay says so.
    #[deserr(default)]
    #[schemars(default)]
    pub clock: Instant,
    /// Worker threads, each with a VM of its own (default 1).
    #[deserr(default = 1)]
    #[schemars(default = "one", range(min = 1, max = 16))]
    pub workers: u8,
    /// Decides on the harness what is left to chance: random bytes, request ids, the order of workers (default 0). Envoy has
    /// chances of its own.
    #[deserr(default)]
    pub seed: Option<u64>,
    /// The level below which plugins' log lines are dropped (default `info`).
    #[deserr(default)]
    #[schemars(default)]
    pub log_level: Level,
    /// The chain of plugins, in the order in which a request passes them.
    #[schemars(length(min = 1))]
    pub plugins: Vec<Plugin>,
    /// The peers behind the proxy, by the name of their cluster: each a list of replies. A request gets the first reply that
    /// fits it and is not used up.
    #[deserr(default)]
    #[schemars(default)]
    pub upstreams: Named<Vec<Reply>>,
    /// Which requests go to which upstream; left out where there is only one upstream: all go there.
    #[deserr(default)]
    #[schemars(default)]
    pub routes: Vec<Route>,
    /// The process, as Envoy's bootstrap describes it (`xds.node`).
    #[deserr(default)]
    #[schemars(default)]
    pub node: Node,
    /// Metadata of clusters (`xds.cluster_metadata`): by cluster, then by namespace.
    #[deserr(default)]
    #[schemars(default)]
    pub cluster_metadata: Named<Named<Value>>,
    /// Properties that plugins find where Envoy has none: dotted paths and texts. They need `only: harness`.
    #[deserr(default)]
    #[schemars(default)]
    pub properties: Named<Text>,
    /// Foreign functions that a host of one's own has, and what each answers. They need `only: harness`.
    #[deserr(default)]
    #[schemars(default)]
    pub foreign_functions: Named<Text>,
    /// What the name server says (`envoy_resolve_dns`), by name. It knows no others.
    #[deserr(default)]
    #[schemars(default)]
    pub dns: Named<Dns>,
    /// Shared data and messages in shared queues that are there before any plugin starts.
    #[deserr(default)]
    pub shared: Option<Shared>,
    /// A format string of Envoy's access log: one line for every request.
    #[deserr(default)]
    pub access_log: Option<String>,
    /// What differs from run to run (random numbers, ages) and is not compared between the sides: headers and metrics by name,
    /// and what an expression matches in bodies or logs.
    #[deserr(default)]
    #[schemars(default)]
    pub volatile: Vec<Volatile>,
    /// The listener speaks TLS, and so do all clients.
    #[deserr(default)]
    pub tls: Option<Tls>,
    /// Certificates that clients show, by name.
    #[deserr(default)]
    #[schemars(default)]
    pub certificates: Named<Certificate>,
    /// Keys that sign tokens, by name.
    #[deserr(default)]
    #[schemars(default)]
    pub keys: Named<Key>,
    /// Tokens, minted when the scenario starts. `${token.NAME}` stands for one in headers, paths and bodies.
    #[deserr(default)]
    #[schemars(default)]
    pub tokens: Named<Token>,
    /// The plugins' configuration is refused, and these lines are logged; `true`: whatever is logged. Such a scenario has no
    /// steps.
    #[deserr(default)]
    pub refused: Option<Refused>,
    /// What must have come of the start: `logs`, `metrics`, `upstreams`, `trap`.
    #[deserr(default)]
    pub start: Option<Expect>,
    /// What happens, one thing after another.
    #[deserr(default)]
    #[schemars(default)]
    pub steps: Vec<Step>,
}

fn one() -> u8 {
    1
}

/// A side that scenarios run on.
#[derive(Clone, Copy, Debug, Deserr, JsonSchema, PartialEq, Eq, serde::Serialize)]
#[deserr(error = ConfigErrors, rename_all = lowercase)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The harness.
    Harness,
    /// A stock Envoy.
    Envoy,
}

/// A log level.
#[derive(Clone, Copy, Debug, Default, Deserr, JsonSchema, PartialEq, Eq, serde::Serialize)]
#[deserr(error = ConfigErrors, rename_all = lowercase)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Everything.
    Trace,
    /// Debug and above.
    Debug,
    /// Info and above.
    #[default]
    Info,
    /// Warnings and above.
    Warn,
    /// Errors and above.
    Error,
    /// Critical only.
    Critical,
}

/// A plugin of the chain.
#[derive(Clone, Debug, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct Plugin {
    /// The module's file: beside the scenario, or in a folder of `--module-dir`.
    pub module: String,
    /// Its name in logs and properties (default: the name of the module's file).
    #[deserr(default)]
    pub name: Option<String>,
    /// Its configuration: text as it is, anything else as JSON.
    #[deserr(default)]
    pub config: Option<Value>,
    /// The file that its configuration is in; YAML (`.yaml`, `.yml`) is turned into JSON.
    #[deserr(default)]
    pub config_file: Option<String>,
    /// The root id.
    #[deserr(default)]
    #[schemars(default)]
    pub root_id: String,
    /// The VM id: plugins with the same one share data and queues.
    #[deserr(default)]
    #[schemars(default)]
    pub vm_id: String,
    /// The VM's configuration.
    #[deserr(default)]
    #[schemars(default)]
    pub vm_config: String,
    /// Environment variables of the VM.
    #[deserr(default)]
    #[schemars(default)]
    pub env: Named<String>,
    /// What becomes of requests once the VM has failed (default `closed`).
    #[deserr(default)]
    #[schemars(default)]
    pub failure_policy: FailurePolicy,
}

/// What becomes of requests once a VM has failed.
#[derive(Clone, Copy, Debug, Default, Deserr, JsonSchema, PartialEq, Eq, serde::Serialize)]
#[deserr(error = ConfigErrors, rename_all = lowercase)]
#[serde(rename_all = "lowercase")]
pub enum FailurePolicy {
    /// 503, for ever.
    #[default]
    Closed,
    /// They pass the plugin by.
    Open,
    /// 503 until the VM has been started anew.
    Reload,
}

pub(crate) fn ok() -> u16 {
    200
}

/// A step. Exactly one of `request`, `together`, `connection`, `advance`, `reload`, `upstreams`, `shared` and `faults` is given.
#[derive(Clone, Debug, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields, extend("oneOf" = [
    { "required": ["request"] }, { "required": ["together"] }, { "required": ["connection"] }, { "required": ["advance"] },
    { "required": ["reload"] }, { "required": ["upstreams"] }, { "required": ["shared"] }, { "required": ["faults"] },
]))]
pub struct Step {
    /// A client sends a request and waits for its answer: `GET /path`, or an object.
    #[deserr(default)]
    pub request: Option<Request>,
    /// Several clients whose requests overlap, each on a connection of its own: the next one sends when those before it wait for an
    /// answer, and the step ends when all have theirs.
    #[deserr(default)]
    pub together: Option<Vec<Joint>>,
    /// A client opens a TCP connection, and both ends do these things in turn. The plugins are network filters then, the scenario
    /// has no requests, and the first route says where connections go.
    #[deserr(default)]
    pub connection: Option<Vec<Move>>,
    /// Time passes.
    #[deserr(default)]
    pub advance: Option<PolicyDuration>,
    /// A plugin gets another configuration. One that is refused leaves the old one in force.
    #[deserr(default)]
    pub reload: Option<Reload>,
    /// These upstreams answer otherwise from now on.
    #[deserr(default)]
    pub upstreams: Option<Named<Vec<Reply>>>,
    /// Somebody else with the same `vm_id` writes shared data, and puts messages in shared queues.
    #[deserr(default)]
    pub shared: Option<Shared>,
    /// Faults are set; they need `only: harness`.
    #[deserr(default)]
    pub faults: Option<Faults>,
    /// What must have come of it. Whatever is not mentioned is compared between the sides all the same.
    #[deserr(default)]
    pub expect: Option<Expect>,
}

/// One of several requests that overlap.
#[derive(Clone, Debug, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct Joint {
    /// The request.
    pub request: Request,
    /// What must have come of its answer: `status`, `headers`, `body`, `json`, `trailers`, `end`. What else came of the step is
    /// expected of the step.
    #[deserr(default)]
    pub expect: Option<Expect>,
}

/// Another configuration. Exactly one of `config` and `config_file` is given.
#[derive(Clone, Debug, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields, extend("oneOf" = [{ "required": ["config"] }, { "required": ["config_file"] }]))]
pub struct Reload {
    /// The plugin's place in the chain, from 0 (default 0).
    #[deserr(default)]
    #[schemars(default)]
    pub plugin: u8,
    /// As that of a plugin.
    #[deserr(default)]
    pub config: Option<Value>,
    /// As that of a plugin.
    #[deserr(default)]
    pub config_file: Option<String>,
}

/// Faults of the host.
#[derive(Clone, Debug, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct Faults {
    /// All earlier faults end first.
    #[deserr(default)]
    #[schemars(default)]
    pub clear: bool,
    /// So many of the next compare-and-swap writes lose.
    #[deserr(default)]
    #[schemars(default)]
    pub cas_conflicts: u32,
    /// Host functions that give a status instead of doing their work.
    #[deserr(default)]
    #[schemars(default)]
    pub statuses: Vec<ForcedStatus>,
    /// Foreign functions that the host does not know.
    #[deserr(default)]
    #[schemars(default)]
    pub missing_foreign_functions: Vec<String>,
}

/// A host function that gives a status instead of doing its work.
#[derive(Clone, Debug, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct ForcedStatus {
    /// The function: `proxy_...`.
    pub call: String,
    /// The status, as the ABI's number.
    #[schemars(range(min = 0, max = 12))]
    pub status: u32,
    /// How often (default 1).
    #[deserr(default = 1)]
    #[schemars(default = "once")]
    pub times: u32,
    /// So many calls succeed first (default 0).
    #[deserr(default)]
    #[schemars(default)]
    pub after: u32,
}

fn once() -> u32 {
    1
}

/// The JSON Schema of scenario files: of one scenario, or of several, each of which has what differs from the rest.
#[must_use]
pub fn json_schema() -> Value {
    let mut schema = schemars::schema_for!(Scenario).to_value();
    let cases = json!({
        "description": "A table of cases: the scenario runs once for each, with its values where `${case.NAME}` stands.",
        "type": "array", "minItems": 1, "items": { "type": "object" },
    });
    let several = "Several scenarios: each has what differs from the rest of the file.";
    if let Some(properties) = schema["properties"].as_object_mut() {
        properties.insert("cases".into(), cases);
        let one = json!({ "type": "object", "additionalProperties": false, "properties": properties });
        let list = json!({ "description": several, "type": "array", "minItems": 1, "items": one });
        properties.insert("scenarios".into(), list);
    }
    let whole = schema["required"].take();
    if let Some(schema) = schema.as_object_mut() {
        schema.shift_remove("required");
        schema.insert("anyOf".into(), json!([{ "required": whole }, { "required": ["scenarios"] }]));
    }
    schema
}
