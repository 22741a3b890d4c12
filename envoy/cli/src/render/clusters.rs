//! A cluster for every service, and for everything else that the gateway calls.

use super::{Options, tls, upstream};
use core::time::Duration;
use portcullis_policy::{BalancingPolicy, Cluster, DnsFamily, Endpoint, Policy, Service};
use serde_json::{Value, json};
use std::net::IpAddr;

pub(super) fn clusters(policy: &Policy, options: &Options) -> Vec<Value> {
    let services = policy.services.iter().map(|service| of_service(service, options));
    let others = policy.clusters.iter().map(|cluster| {
        let collector = policy.tracing.as_ref().and_then(|tracing| tracing.collector.as_deref());
        let speaks_grpc = [policy.limits.fleet_cluster(), collector].contains(&Some(cluster.name.as_str()));
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
    let endpoints = match options.services.get(&service.name) {
        Some((host, port)) => vec![Endpoint { host: host.clone(), port: *port, weight: 1 }],
        None => service.endpoints.clone(),
    };
    let mut cluster = cluster(&service.name, &endpoints, service.connect_timeout);
    if cluster["type"] == "STRICT_DNS" {
        look_up(&mut cluster, service);
    }
    balance(&mut cluster, service);
    upstream::add(&mut cluster, service);
    if let Some(tls) = &service.tls {
        let host = endpoints.first().map_or("", |endpoint| endpoint.host.as_str());
        cluster["transport_socket"] = tls::to_service(tls, host, service.protocol);
    }
    cluster
}

fn of_cluster(of: &Cluster, options: &Options) -> Value {
    let own = (of.host.clone(), of.port);
    let (host, port) = options.services.get(&of.name).unwrap_or(&own);
    let endpoint = Endpoint { host: host.clone(), port: *port, weight: 1 };
    let mut cluster = cluster(&of.name, &[endpoint], of.connect_timeout);
    if let Some(tls) = &of.tls {
        cluster["transport_socket"] = tls::to_cluster(tls);
    }
    cluster
}

fn cluster(name: &str, endpoints: &[Endpoint], connect_timeout: Duration) -> Value {
    let mut cluster = json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": super::routes::seconds(connect_timeout),
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{ "lb_endpoints": endpoints.iter().map(endpoint).collect::<Vec<_>>() }],
        },
    });
    if endpoints.iter().any(|endpoint| endpoint.host.parse::<IpAddr>().is_err()) {
        cluster["type"] = "STRICT_DNS".into();
        // Left to itself, Envoy asks for IPv6 addresses and takes IPv4 ones only where there are none.
        cluster["dns_lookup_family"] = "ALL".into();
    }
    cluster
}

fn endpoint(endpoint: &Endpoint) -> Value {
    let mut rendered = json!({ "endpoint": { "address": {
        "socket_address": { "address": endpoint.host, "port_value": endpoint.port }
    } } });
    if endpoint.weight != 1 {
        rendered["load_balancing_weight"] = endpoint.weight.into();
    }
    rendered
}

/// How names are looked up, where the policy says so.
fn look_up(cluster: &mut Value, service: &Service) {
    let dns = &service.dns;
    cluster["dns_lookup_family"] = match dns.family {
        DnsFamily::All => "ALL",
        DnsFamily::V4Only => "V4_ONLY",
        DnsFamily::V6Only => "V6_ONLY",
        DnsFamily::V4Preferred => "V4_PREFERRED",
    }
    .into();
    if dns.refresh != portcullis_policy::Dns::default().refresh {
        cluster["dns_refresh_rate"] = super::routes::seconds(dns.refresh.0).into();
    }
    if dns.respect_ttl {
        cluster["respect_dns_ttl"] = true.into();
    }
}

fn balance(cluster: &mut Value, service: &Service) {
    let balancing = &service.load_balancing;
    let policy = match balancing.policy {
        BalancingPolicy::RoundRobin => None,
        BalancingPolicy::LeastRequest => Some("LEAST_REQUEST"),
        BalancingPolicy::Random => Some("RANDOM"),
        BalancingPolicy::RingHash => Some("RING_HASH"),
        BalancingPolicy::Maglev => Some("MAGLEV"),
    };
    if let Some(policy) = policy {
        cluster["lb_policy"] = policy.into();
    }
    if balancing.panic_threshold != 50 {
        cluster["common_lb_config"] =
            json!({ "healthy_panic_threshold": { "value": balancing.panic_threshold } });
    }
}

#[cfg(test)]
#[path = "clusters_tests.rs"]
mod tests;
