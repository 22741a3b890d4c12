//! The port that a sidecar's filter stands on.

use super::Options;
use portcullis_edge_core::{ConfigError, Node};
use portcullis_policy::{Policy, Service};

/// That of the services which routes lead to: a request goes on to the port that it came to, so there is one.
pub fn port(policy: &Policy, options: &Options) -> Result<u16, Vec<ConfigError>> {
    let mut routed = routed(policy).map(|service| (service, of(service, options)));
    let Some((first, port)) = routed.next() else {
        return Err(vec![Node::top().key("routes").error("no routes", "one at least, to the backend")]);
    };
    let differs = |(service, other): (&Service, u16)| {
        let expected = format!(
            "port {port}, as `{}` has: a sidecar hands a request on to the port that it came to; render each port by itself",
            first.name
        );
        let at = Node::top().key("services").key(&service.name).key("address");
        (other != port).then(|| at.error(format!("port {other}"), expected))
    };
    let errors: Vec<_> = routed.filter_map(differs).collect();
    if errors.is_empty() { Ok(port) } else { Err(errors) }
}

/// The services that routes lead to, each once.
pub fn routed(policy: &Policy) -> impl Iterator<Item = &Service> {
    let is_routed = |index: usize| policy.routes.iter().any(|route| route.service == index);
    policy.services.iter().enumerate().filter(move |(index, _)| is_routed(*index)).map(|(_, service)| service)
}

fn of(service: &Service, options: &Options) -> u16 {
    let own = service.endpoints.first().map(|endpoint| endpoint.port);
    options.services.get(&service.name).map(|(_, port)| *port).or(own).unwrap_or_default()
}
