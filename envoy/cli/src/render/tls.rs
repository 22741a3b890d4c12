//! TLS to services and clusters: a certificate that is checked, and for the very name that is asked for. Left to itself Envoy checks
//! neither.

use portcullis_policy::{ClusterTls, Protocol, ServiceTls};
use serde_json::{Value, json};
use std::net::IpAddr;

/// Where Debian, Ubuntu, Alpine and Envoy's own images keep what the system trusts.
pub(super) const SYSTEM_TRUST: &str = "/etc/ssl/certs/ca-certificates.crt";

pub(super) fn to_cluster(tls: &ClusterTls) -> Value {
    transport_socket(&tls.sni, tls.ca_file.as_deref(), json!({}))
}

/// `host` is the name that the certificate must have where the policy gives none.
pub(super) fn to_service(tls: &ServiceTls, host: &str, protocol: Protocol) -> Value {
    let mut common = json!({});
    if let (Some(certificate), Some(key)) = (&tls.certificate_file, &tls.key_file) {
        common["tls_certificates"] = json!([{
            "certificate_chain": { "filename": certificate }, "private_key": { "filename": key },
        }]);
    }
    // What is spoken is settled in the policy; ALPN tells a server that serves several (RFC 7301).
    common["alpn_protocols"] = json!([if protocol == Protocol::Http2 { "h2" } else { "http/1.1" }]);
    transport_socket(tls.sni.as_deref().unwrap_or(host), tls.ca_file.as_deref(), common)
}

fn transport_socket(name: &str, ca_file: Option<&str>, mut common: Value) -> Value {
    let is_address = name.parse::<IpAddr>().is_ok();
    let san_type = if is_address { "IP_ADDRESS" } else { "DNS" };
    common["validation_context"] = json!({
        "trusted_ca": { "filename": ca_file.unwrap_or(SYSTEM_TRUST) },
        "match_typed_subject_alt_names": [{ "san_type": san_type, "matcher": { "exact": name } }],
    });
    let mut context = json!({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "common_tls_context": common,
    });
    if !is_address {
        context["sni"] = name.into();
    }
    json!({ "name": "envoy.transport_sockets.tls", "typed_config": context })
}
