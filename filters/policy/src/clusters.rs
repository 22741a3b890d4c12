//! Clusters that are no services: who issues tokens, or knows of them, outside the platform.

use crate::address;
use crate::raw::RawCluster;
use crate::services::Service;
use core::time::Duration;
use portcullis_edge_core::{ConfigError, Node, PolicyDuration};

/// A cluster of the policy.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Its name, which is its name in the proxy too.
    pub name: String,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How its connections are secured, if they are.
    pub tls: Option<ClusterTls>,
    /// How long connecting may take.
    pub connect_timeout: Duration,
}

/// TLS to a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterTls {
    /// The name that it is asked for, and that its certificate must have.
    pub sni: String,
    /// The proxy's file with the CAs that sign its certificate; nothing for those that the system trusts.
    pub ca_file: Option<String>,
}

const SHORTEST: PolicyDuration = PolicyDuration::millis(1);
const LONGEST: PolicyDuration = PolicyDuration::secs(3600);

impl Cluster {
    pub(crate) fn compile(
        name: &str,
        raw: &RawCluster,
        services: &[Service],
    ) -> Result<Self, Vec<ConfigError>> {
        let at = Node::top().key("clusters").key(name);
        let mut errors: Vec<_> = check_name(name, services, &at).into_iter().collect();
        errors.extend(raw.connect_timeout.outside(SHORTEST, LONGEST, &at.key("connect_timeout")));
        errors.extend(check_tls(raw, &at));
        let address = address::read(&raw.address, &at.key("address")).map_err(|error| errors.push(error));
        match address {
            Ok((host, port)) if errors.is_empty() => {
                let tls = raw.tls.then(|| tls(raw, &host));
                let connect_timeout = raw.connect_timeout.0;
                Ok(Self { name: name.to_owned(), host, port, tls, connect_timeout })
            }
            _ => Err(errors),
        }
    }
}

fn tls(raw: &RawCluster, host: &str) -> ClusterTls {
    ClusterTls { sni: raw.sni.clone().unwrap_or_else(|| host.to_owned()), ca_file: raw.ca_file.clone() }
}

fn check_name(name: &str, services: &[Service], at: &Node) -> Option<ConfigError> {
    let found = format!("the name `{}`", name.escape_debug());
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic()) {
        return Some(at.error(found, "a name of visible ASCII characters"));
    }
    let is_service = services.iter().any(|service| service.name == name);
    is_service.then(|| at.error(format!("{found}, which a service has"), "a name of its own"))
}

fn check_tls(raw: &RawCluster, at: &Node) -> Vec<ConfigError> {
    let fields = [("sni", &raw.sni), ("ca_file", &raw.ca_file)];
    let given = fields.into_iter().filter_map(|(key, value)| Some((at.key(key), value.as_ref()?)));
    given.filter_map(|(at, value)| check_tls_field(raw.tls, value, &at)).collect()
}

fn check_tls_field(tls: bool, value: &str, at: &Node) -> Option<ConfigError> {
    let found = format!("`{}`", value.escape_debug());
    if !tls {
        return Some(at.error(found, "`tls: true` beside it"));
    }
    let is_bad = value.is_empty() || value.chars().any(char::is_control);
    is_bad.then(|| at.error(found, "a text without control characters, not empty"))
}
