//! Services, compiled.

use crate::address;
use crate::raw::{
    CircuitLimits, Dns, HealthCheck, KeepAlive, LoadBalancing, OutlierDetection, Protocol, RawService, Retry,
    ServiceTls,
};
use crate::upstream;
use core::time::Duration;
use portcullis_edge_core::{ConfigError, Node, is_label_name};
use portcullis_route::Template;

/// A service behind the gateway.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name in the policy.
    pub name: String,
    /// Where it is; one endpoint at least.
    pub endpoints: Vec<Endpoint>,
    /// How requests are spread over the endpoints.
    pub load_balancing: LoadBalancing,
    /// How host names are looked up.
    pub dns: Dns,
    /// What it speaks.
    pub protocol: Protocol,
    /// TLS to it.
    pub tls: Option<ServiceTls>,
    /// How long a request may take; zero for no end.
    pub timeout: Duration,
    /// How long a request may go without a byte; zero for no end, nothing for the proxy's own default.
    pub idle_timeout: Option<Duration>,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long connections are kept.
    pub keep_alive: KeepAlive,
    /// Asks endpoints whether they are well.
    pub health_check: Option<HealthCheck>,
    /// Takes endpoints out that answer with errors.
    pub outlier_detection: Option<OutlierDetection>,
    /// How much of it is used at a time.
    pub circuit_limits: Option<CircuitLimits>,
    /// Sends requests again.
    pub retry: Option<Retry>,
    /// Endpoints the gateway calls there.
    pub calls: Vec<String>,
}

/// One of a service's endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Its share of the requests, beside the others' weights.
    pub weight: u32,
}

/// Names that metric families of the gateway's own begin with.
const RESERVED: [&str; 2] = ["gateway", "portcullis"];

/// The policy is read by every worker: a service with more addresses than this has a name in DNS.
const MOST_ENDPOINTS: usize = 1000;

impl Service {
    pub(crate) fn compile(name: &str, raw: &RawService) -> Result<Self, Vec<ConfigError>> {
        let at = Node::top().key("services").key(name);
        let mut errors: Vec<_> = check_name(name, &at).into_iter().collect();
        errors.extend(check_calls(raw, &at));
        errors.extend(upstream::check(raw, &at));
        match endpoints(raw, &at) {
            Ok(endpoints) if errors.is_empty() => Ok(Self::new(name, endpoints, raw)),
            Ok(_) => Err(errors),
            Err(wrong) => Err([errors, wrong].concat()),
        }
    }

    fn new(name: &str, endpoints: Vec<Endpoint>, raw: &RawService) -> Self {
        Self {
            name: name.to_owned(),
            endpoints,
            load_balancing: raw.load_balancing.clone(),
            dns: raw.dns.clone(),
            protocol: raw.protocol,
            tls: raw.tls.clone(),
            timeout: raw.timeout.0,
            idle_timeout: raw.idle_timeout.map(|t| t.0),
            connect_timeout: raw.connect_timeout.0,
            keep_alive: raw.keep_alive.clone(),
            health_check: raw.health_check.clone(),
            outlier_detection: raw.outlier_detection.clone(),
            circuit_limits: raw.circuit_limits.clone(),
            retry: raw.retry.clone(),
            calls: raw.calls.clone(),
        }
    }
}

fn check_name(name: &str, at: &Node) -> Option<ConfigError> {
    if is_label_name(name) && !is_reserved(name) {
        return None;
    }
    let expected = "a name of lower-case letters, digits and `_` that begins with a letter and neither is nor begins as \
        the gateway's own metrics do: `gateway_`, `portcullis_`";
    Some(at.error(format!("the name `{}`", name.escape_debug()), expected))
}

fn is_reserved(name: &str) -> bool {
    let is_like = |own: &str| name.strip_prefix(own).is_some_and(|r| r.is_empty() || r.starts_with('_'));
    RESERVED.into_iter().any(is_like)
}

fn check_calls(raw: &RawService, at: &Node) -> Vec<ConfigError> {
    let at = at.key("calls");
    let check = |(index, call): (usize, &String)| {
        let expected = Template::parse(call).err()?;
        Some(at.index(index).error(format!("`{}`", call.escape_debug()), expected))
    };
    raw.calls.iter().enumerate().filter_map(check).collect()
}

fn endpoints(raw: &RawService, at: &Node) -> Result<Vec<Endpoint>, Vec<ConfigError>> {
    let list = &at.key("endpoints");
    match &raw.address {
        Some(address) if raw.endpoints.is_empty() => {
            let (host, port) = address::read(address, &at.key("address")).map_err(|error| vec![error])?;
            Ok(vec![Endpoint { host, port, weight: 1 }])
        }
        Some(_) => Err(vec![at.key("address").error("`address` beside `endpoints`", "one of them")]),
        None if raw.endpoints.is_empty() => {
            Err(vec![at.key("address").error("nothing", "the field `address`, or `endpoints`")])
        }
        None if raw.endpoints.len() > MOST_ENDPOINTS => {
            let expected =
                format!("{MOST_ENDPOINTS} at most: one name in DNS may have any number of addresses");
            Err(vec![list.error(format!("{} endpoints", raw.endpoints.len()), expected)])
        }
        None => listed(raw, list),
    }
}

fn listed(raw: &RawService, at: &Node) -> Result<Vec<Endpoint>, Vec<ConfigError>> {
    let (mut endpoints, mut errors) = (Vec::<Endpoint>::new(), Vec::new());
    for (index, raw) in raw.endpoints.iter().enumerate() {
        let at = at.index(index);
        if !(1..=128).contains(&raw.weight) {
            errors.push(at.key("weight").error(format!("`{}`", raw.weight), "a whole number from 1 to 128"));
        }
        match address::read(&raw.address, &at.key("address")) {
            Ok((host, port)) if endpoints.iter().any(|e| e.host == host && e.port == port) => {
                let found = format!("`{}`, which is listed already", raw.address.escape_debug());
                errors.push(at.key("address").error(found, "each endpoint once, with its weight"));
            }
            Ok((host, port)) => endpoints.push(Endpoint { host, port, weight: raw.weight }),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(endpoints) } else { Err(errors) }
}
