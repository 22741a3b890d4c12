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
    let mut cluster = json!({
        "name": service.name,
        "type": "STATIC",
        "connect_timeout": super::routes::seconds(service.connect_timeout),
        "load_assignment": {
            "cluster_name": service.name,
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": {
                "socket_address": { "address": host, "port_value": port }
            } } }] }],
        },
    });
    if host.parse::<std::net::IpAddr>().is_err() {
        cluster["type"] = "STRICT_DNS".into();
        // Left to itself, Envoy asks for IPv6 addresses and takes IPv4 ones only where there are none.
        cluster["dns_lookup_family"] = "ALL".into();
    }
    cluster
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_up_in_both_families_and_an_address_in_none() {
        let policy = Policy::from_value(&json!({
            "version": 1,
            "services": { "a": { "address": "localhost:1" }, "b": { "address": "[::1]:2" } },
            "routes": [],
        }));
        let clusters = clusters(&policy.ok().unwrap(), &Options::default());
        assert_eq!(clusters[0]["dns_lookup_family"], "ALL");
        assert_eq!(clusters[1]["dns_lookup_family"], Value::Null);
    }
}
