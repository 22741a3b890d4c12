//! The policy, compiled.

use crate::catalogue::Catalogue;
use crate::clusters::Cluster;
use crate::document::Document;
use crate::hash;
use crate::parts;
use crate::raw::{RawGateway, RawProxy, RawTls};
use crate::references;
use crate::routes::Route;
use crate::sections::Sections;
use crate::services::Service;
use core::cell::RefCell;
use core::time::Duration;
use portcullis_access_log::{Logs, Tracing};
use portcullis_breaker::Breakers;
use portcullis_business::{Business, Field};
use portcullis_client_ip::ClientIpPolicy;
use portcullis_edge_core::{ConfigError, HeaderName, Node};
use portcullis_findings::FindingsPolicy;
use portcullis_jwt::{Env, Jwt};
use portcullis_limits::{Abuse, Concurrency, Limits};
use portcullis_metrics::MetricsPolicy;
use portcullis_route::RouteTable;
use portcullis_security_headers::{BrowserHeaders, Cors, TrustHeaders};
use portcullis_source_check::SourceCheck;
use serde_json::Value;
use std::collections::BTreeSet;

/// What the gateway answers itself.
#[derive(Clone, Debug)]
pub struct GatewayPaths {
    /// Its name.
    pub name: String,
    /// Keeps its counters and shared data apart from those of other instances in the same proxy.
    pub instance: String,
    /// Listener address, `ip:port`.
    pub listen: String,
    /// Admin address, `ip:port`.
    pub admin: String,
    /// Health page.
    pub health: String,
    /// TLS of the listener.
    pub tls: Option<RawTls>,
    /// How long a client may take to send a request.
    pub request_timeout: Duration,
    /// Largest request body in bytes, where no route says otherwise.
    pub max_body_bytes: u32,
    /// Heap in bytes that the proxy may take.
    pub max_heap_bytes: u64,
    /// Whether gRPC-Web is translated.
    pub grpc_web: bool,
}

impl GatewayPaths {
    pub(crate) fn new(raw: RawGateway) -> Self {
        Self {
            name: raw.name,
            instance: raw.instance,
            listen: raw.listen,
            admin: raw.admin,
            health: raw.health_path,
            tls: raw.tls,
            request_timeout: raw.request_timeout.0,
            max_body_bytes: raw.max_body_bytes,
            max_heap_bytes: raw.max_heap_bytes,
            grpc_web: raw.grpc_web,
        }
    }
}

/// A policy, checked whole.
pub struct Policy {
    /// The gateway itself.
    pub gateway: GatewayPaths,
    /// Begins every route's path; `""` if there is none.
    pub path_prefix: String,
    /// How clients are told apart.
    pub client_ip: ClientIpPolicy,
    /// Services, by name.
    pub services: Vec<Service>,
    /// Where else the gateway itself calls, by name.
    pub clusters: Vec<Cluster>,
    /// Tokens.
    pub jwt: Option<Jwt>,
    /// Routes, in the order of the file.
    pub routes: Vec<Route>,
    /// Finds a route.
    pub table: RouteTable,
    /// How much clients may ask for.
    pub limits: Limits,
    /// How much of it at once.
    pub concurrency: Concurrency,
    /// When services are not called.
    pub breakers: Breakers,
    /// Who may not come in, and what looks like abuse.
    pub abuse: Abuse,
    /// Where logins name their account, if failures are counted by account.
    pub account: Option<Field>,
    /// How backends know their gateway.
    pub source: SourceCheck,
    /// What is left for other instances of the filter, or taken from them.
    pub findings: FindingsPolicy,
    /// Business events.
    pub business: Business,
    /// Web pages that may call.
    pub cors: Option<Cors>,
    /// Trust headers.
    pub trust: TrustHeaders,
    /// Browser headers where no route says otherwise.
    pub browser: BrowserHeaders,
    /// Metrics section.
    pub metrics: MetricsPolicy,
    /// What stands in log lines.
    pub logs: Logs,
    /// Traces; nothing without a section `tracing`.
    pub tracing: Option<Tracing>,
    /// What can be counted.
    pub catalogue: Catalogue,
    /// What the proxy does.
    pub proxy: RawProxy,
    /// The header by which the proxy's routes know a request's service.
    pub service_header: Option<HeaderName>,
    /// Names the policy: the same however it is written, another when anything in it changes.
    pub hash: String,
    /// Services that are asked about tokens and have a breaker, by index.
    pub auth_services: Vec<usize>,
    /// Variables of the proxy's environment that the policy refers to.
    pub environment: Vec<String>,
}

/// Fields of a policy, in the order in which errors list them.
pub(crate) const FIELDS: [&str; 22] = [
    "version",
    "gateway",
    "path_prefix",
    "client_ip",
    "services",
    "clusters",
    "jwt",
    "routes",
    "limits",
    "concurrency",
    "breakers",
    "abuse",
    "source",
    "findings",
    "cors",
    "trust_headers",
    "browser_headers",
    "business",
    "metrics",
    "logs",
    "tracing",
    "proxy",
];

impl Policy {
    /// Parses and compiles a policy from its JSON form. Environment variables are this process's.
    ///
    /// # Errors
    /// Every mistake in it, in the order of the file's sections.
    pub fn from_json(text: &[u8]) -> Result<Self, Vec<ConfigError>> {
        Self::from_json_with(text, &own_variable)
    }

    /// The same with other environment variables.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn from_json_with(text: &[u8], env: Env<'_>) -> Result<Self, Vec<ConfigError>> {
        let value: Value = serde_json::from_slice(text)
            .map_err(|error| vec![Node::top().error("text that is no JSON", format!("JSON ({error})"))])?;
        Self::from_value_with(&value, env)
    }

    /// Compiles a policy document. Environment variables are this process's: in a proxy's VM, those that its configuration
    /// hands over.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn from_value(value: &Value) -> Result<Self, Vec<ConfigError>> {
        Self::from_value_with(value, &own_variable)
    }

    /// The same with other environment variables.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn from_value_with(value: &Value, env: Env<'_>) -> Result<Self, Vec<ConfigError>> {
        let asked = RefCell::new(BTreeSet::new());
        let env = |name: &str| {
            asked.borrow_mut().insert(name.to_owned());
            env(name)
        };
        let policy = Self::compile(value, &env)?;
        let environment = asked.take().into_iter().collect();
        Ok(Self { environment, hash: hash::of(value), ..policy })
    }

    fn compile(value: &Value, env: Env<'_>) -> Result<Self, Vec<ConfigError>> {
        let mut document = Document::open(value, &FIELDS)?;
        check_version(&mut document);
        let not_built = parts::missing(&document);
        document.errors.extend(not_built);
        let sections = Sections::read(&mut document, env);
        document.errors.extend(references::wrong_names(value));
        let policy = sections.compile(env, &mut document);
        without_repeats(&mut document.errors);
        match policy {
            Some(policy) if document.errors.is_empty() => Ok(policy),
            _ => Err(document.errors),
        }
    }
}

/// An unset variable and one that is no text are alike: no secret.
fn own_variable(name: &str) -> portcullis_jwt::Variable {
    std::env::var(name).ok().into()
}

/// A wrong name may be found twice: on the document, and where the name is used.
fn without_repeats(errors: &mut Vec<ConfigError>) {
    let mut kept: Vec<ConfigError> = Vec::with_capacity(errors.len());
    for error in errors.drain(..) {
        if !kept.contains(&error) {
            kept.push(error);
        }
    }
    *errors = kept;
}

fn check_version(document: &mut Document<'_>) {
    let version: Option<u32> = document.required("version");
    if let Some(other) = version.filter(|v| *v != 1) {
        document
            .errors
            .push(Node::top().key("version").error(format!("`{other}`"), "`1`, the format this build reads"));
    }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "token_tests.rs"]
mod token_tests;

#[cfg(test)]
#[path = "checks_tests.rs"]
mod checks_tests;
