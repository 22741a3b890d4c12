use super::Options;
use portcullis_policy::{Policy, Service};
use serde_json::{Value, json};

/// A cluster for every service.
pub(super) fn clusters(policy: &Policy, options: &Options) -> Vec<Value> {
    policy.services.iter().map(|service| cluster(service, options)).collect()
}

fn cluster(service: &Service, options: &Options) -> Value {
    let own = (service.host.clone(), service.port);
    let (host, port) = options.services.get(&service.name).unwrap_or(&own);
    let kind = if host.parse::<std::net::IpAddr>().is_ok() { "STATIC" } else { "STRICT_DNS" };
    json!({
        "name": service.name,
        "type": kind,
        "connect_timeout": super::routes::seconds(service.connect_timeout),
        "load_assignment": {
            "cluster_name": service.name,
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": {
                "socket_address": { "address": host, "port_value": port }
            } } }] }],
        },
    })
}
