use super::Options;
use core::time::Duration;
use portcullis_policy::{Cluster, ClusterTls, Policy, Service};
use serde_json::{Value, json};
use std::net::IpAddr;

/// A cluster for every service, and for everything else that the gateway calls.
pub(super) fn clusters(policy: &Policy, options: &Options) -> Vec<Value> {
    let services = policy.services.iter().map(|service| of_service(service, options));
    let others = policy.clusters.iter().map(|cluster| {
        let speaks_grpc = policy.limits.fleet_cluster() == Some(cluster.name.as_str());
        with_http2(of_cluster(cluster, options), speaks_grpc)
    });
    services.chain(others).collect()
}

/// gRPC needs HTTP/2; without this, Envoy speaks HTTP/1.1 to a cluster.
fn with_http2(mut cluster: Value, needed: bool) -> Value {
    if needed {
        cluster["typed_extension_protocol_options"] = json!({
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": { "http2_protocol_options": {} },
            },
        });
    }
    cluster
}

fn of_service(service: &Service, options: &Options) -> Value {
    let own = (service.host.clone(), service.port);
    let (host, port) = options.services.get(&service.name).unwrap_or(&own);
    cluster(&service.name, (host, *port), service.connect_timeout)
}

fn of_cluster(of: &Cluster, options: &Options) -> Value {
    let own = (of.host.clone(), of.port);
    let (host, port) = options.services.get(&of.name).unwrap_or(&own);
    let mut cluster = cluster(&of.name, (host, *port), of.connect_timeout);
    if let Some(tls) = &of.tls {
        cluster["transport_socket"] = transport_socket(tls);
    }
    cluster
}

fn cluster(name: &str, (host, port): (&str, u16), connect_timeout: Duration) -> Value {
    let mut cluster = json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": super::routes::seconds(connect_timeout),
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": {
                "socket_address": { "address": host, "port_value": port }
            } } }] }],
        },
    });
    if host.parse::<IpAddr>().is_err() {
        cluster["type"] = "STRICT_DNS".into();
        // Left to itself, Envoy asks for IPv6 addresses and takes IPv4 ones only where there are none.
        cluster["dns_lookup_family"] = "ALL".into();
    }
    cluster
}

/// Where Debian, Ubuntu, Alpine and Envoy's own images keep what the system trusts.
const SYSTEM_TRUST: &str = "/etc/ssl/certs/ca-certificates.crt";

/// TLS with a certificate that is checked, and for the very name that is asked for: without these lines Envoy checks neither.
fn transport_socket(tls: &ClusterTls) -> Value {
    let is_address = tls.sni.parse::<IpAddr>().is_ok();
    let san_type = if is_address { "IP_ADDRESS" } else { "DNS" };
    let mut context = json!({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "common_tls_context": { "validation_context": {
            "trusted_ca": { "filename": tls.ca_file.as_deref().unwrap_or(SYSTEM_TRUST) },
            "match_typed_subject_alt_names": [{ "san_type": san_type, "matcher": { "exact": tls.sni } }],
        } },
    });
    if !is_address {
        context["sni"] = tls.sni.as_str().into();
    }
    json!({ "name": "envoy.transport_sockets.tls", "typed_config": context })
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

    #[test]
    fn the_cluster_of_the_rate_limit_service_speaks_http_2_and_no_other() {
        let policy = Policy::from_value(&json!({
            "version": 1,
            "services": {},
            "clusters": { "counter": { "address": "10.0.0.1:8081" }, "other": { "address": "10.0.0.2:80" } },
            "routes": [],
            "limits": {
                "service": { "cluster": "counter" },
                "rules": { "all": { "key": [], "limit": 1, "window": "1s", "scope": "fleet" } },
            },
        }));
        let clusters = clusters(&policy.ok().unwrap(), &Options::default());
        let speaks = |i: usize| clusters[i]["typed_extension_protocol_options"].to_string().contains("http2");
        assert!(speaks(0) && !speaks(1));
    }

    #[test]
    fn a_cluster_with_tls_is_asked_for_its_name_and_must_prove_it() {
        let policy = Policy::from_value(&json!({
            "version": 1,
            "services": {},
            "clusters": {
                "idp": { "address": "idp.example:443", "tls": true },
                "own": { "address": "10.0.0.1:443", "tls": true, "ca_file": "/ca.pem" },
                "plain": { "address": "10.0.0.2:80" },
            },
            "routes": [],
        }));
        let clusters = clusters(&policy.ok().unwrap(), &Options::default());
        let context = |i: usize| &clusters[i]["transport_socket"]["typed_config"];
        let trusted = "/common_tls_context/validation_context/trusted_ca/filename";
        let name = "/common_tls_context/validation_context/match_typed_subject_alt_names/0";
        assert_eq!(context(0)["sni"], "idp.example");
        assert_eq!(context(0).pointer(trusted), Some(&json!(SYSTEM_TRUST)));
        let exact = json!({ "san_type": "DNS", "matcher": { "exact": "idp.example" } });
        assert_eq!(context(0).pointer(name), Some(&exact));
        assert_eq!(
            (&context(1)["sni"], context(1).pointer(trusted)),
            (&Value::Null, Some(&json!("/ca.pem")))
        );
        assert_eq!(clusters[2]["transport_socket"], Value::Null);
    }
}
