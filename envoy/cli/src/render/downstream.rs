//! TLS of the gateway's own listener, and the listener that sends plain HTTP there.

use super::{Options, socket_address};
use portcullis_policy::{Certificate, ClientCertificateMode, Policy, RawTls, TlsVersion};
use serde_json::{Value, json};
use std::path::Path;

/// TLS of the gateway's listener.
pub(super) fn transport_socket(tls: &RawTls, options: &Options) -> Value {
    let mut common = json!({
        "tls_params": { "tls_minimum_protocol_version": match tls.min_version {
            TlsVersion::V12 => "TLSv1_2",
            TlsVersion::V13 => "TLSv1_3",
        } },
        "alpn_protocols": if tls.http2 { json!(["h2", "http/1.1"]) } else { json!(["http/1.1"]) },
    });
    match &options.dynamic {
        None => common["tls_certificates"] = tls.certificates.iter().map(certificate).collect(),
        Some(folder) => {
            let named = (0..tls.certificates.len()).map(|index| sds(folder, &secret_name(index)));
            common["tls_certificate_sds_secret_configs"] = named.collect();
        }
    }
    if let Some(clients) = &tls.client_certificates {
        common["validation_context"] = json!({ "trusted_ca": { "filename": clients.ca_file } });
    }
    let is_required =
        tls.client_certificates.as_ref().is_some_and(|c| c.mode == ClientCertificateMode::Required);
    json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": common,
            "require_client_certificate": is_required,
        },
    })
}

fn certificate(certificate: &Certificate) -> Value {
    json!({
        "certificate_chain": { "filename": certificate.certificate_file },
        "private_key": { "filename": certificate.key_file },
    })
}

fn secret_name(index: usize) -> String {
    format!("certificate-{index}")
}

/// A secret that Envoy reads from a file of its own, and again whenever one of the files in it is replaced.
fn sds(folder: &str, name: &str) -> Value {
    json!({ "name": name, "sds_config": super::dynamic::source(folder, name) })
}

/// The secrets that the listener refers to, each with its name.
pub(super) fn secrets(policy: &Policy) -> Vec<(String, Value)> {
    let certificates = policy.gateway.tls.iter().flat_map(|tls| tls.certificates.iter().enumerate());
    certificates.map(|(index, own)| (secret_name(index), secret(&secret_name(index), own))).collect()
}

fn secret(name: &str, own: &Certificate) -> Value {
    let mut rendered = certificate(own);
    // Where the files are links into a folder that is swapped (Kubernetes), only the folder's change is seen.
    if let Some(folder) = Path::new(&own.certificate_file).parent().filter(|folder| *folder != Path::new(""))
    {
        rendered["watched_directory"] = json!({ "path": folder });
    }
    json!({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
        "name": name,
        "tls_certificate": rendered,
    })
}

/// The header with the subject of a client's certificate, on the way to every service; no header where there was none.
pub(super) fn subject_header(policy: &Policy) -> Option<Value> {
    let name = policy.gateway.tls.as_ref()?.client_certificates.as_ref()?.subject_header.as_ref()?;
    Some(json!({
        "header": { "key": name.to_ascii_lowercase(), "value": "%DOWNSTREAM_PEER_SUBJECT%" },
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }))
}

/// The listener of plain HTTP that answers everything with a redirect to the same host and path over TLS.
pub(super) fn redirect_listener(policy: &Policy, options: &Options) -> Option<Value> {
    let from = policy.gateway.tls.as_ref()?.redirect_from.as_ref()?;
    let listen = options.listen.as_ref().unwrap_or(&policy.gateway.listen);
    let mut redirect = json!({ "https_redirect": true });
    if let Some(port) =
        listen.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok()).filter(|p| *p != 443)
    {
        redirect["port_redirect"] = port.into();
    }
    let name = format!("{}-redirect", policy.gateway.name);
    Some(json!({
        "name": name,
        "address": socket_address(from),
        "filter_chains": [{ "filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": super::listener::HCM,
                "stat_prefix": name,
                "request_headers_timeout": "10s",
                "stream_idle_timeout": "10s",
                "common_http_protocol_options": { "idle_timeout": "60s" },
                "http_protocol_options": super::listener::http_protocol_options(),
                "http_filters": [super::listener::router()],
                "route_config": { "name": name, "virtual_hosts": [{
                    "name": name, "domains": ["*"],
                    "routes": [{ "match": { "prefix": "/" }, "redirect": redirect }],
                }] },
            },
        }] }],
    }))
}
