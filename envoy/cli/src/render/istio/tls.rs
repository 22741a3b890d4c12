//! TLS of the gateway's own listener, in the words of a `Gateway`'s server. The files are those that the policy names, in the pod.

use super::PLANE;
use crate::render::kubernetes::untranslatable;
use portcullis_edge_core::{ConfigError, Node};
use serde_json::{Value, json};
use std::path::Path;

/// As many certificates as Istio takes for a server.
const MOST: usize = 2;

/// The context of a listener that speaks TLS.
pub fn context(listener: &Value) -> Option<&Value> {
    listener["filter_chains"][0]["transport_socket"].get("typed_config")
}

/// What Istio has no API for.
pub fn unsaid(context: &Value) -> Vec<ConfigError> {
    let at = Node::top().key("gateway").key("tls");
    let common = &context["common_tls_context"];
    let mut errors = Vec::new();
    let count = certificates(common).len();
    if count > MOST {
        errors.push(untranslatable(&at.key("certificates"), format!("{count} certificates"), PLANE));
    }
    if common["alpn_protocols"][0] != "h2" {
        errors.push(untranslatable(&at.key("http2"), "false", PLANE));
    }
    errors
}

/// The `tls` of a server.
pub fn server(context: &Value) -> Value {
    let common = &context["common_tls_context"];
    let mut tls = json!({ "mode": mode(context) });
    match certificates(common) {
        [only] => {
            tls["serverCertificate"] = only["certificate_chain"]["filename"].clone();
            tls["privateKey"] = only["private_key"]["filename"].clone();
        }
        several => tls["tlsCertificates"] = several.iter().map(pair).collect(),
    }
    if let Some(authorities) = authorities(common) {
        tls["caCertificates"] = authorities.clone();
    }
    if common["tls_params"]["tls_minimum_protocol_version"] == "TLSv1_3" {
        tls["minProtocolVersion"] = "TLSV1_3".into();
    }
    tls
}

fn pair(certificate: &Value) -> Value {
    json!({
        "serverCertificate": certificate["certificate_chain"]["filename"],
        "privateKey": certificate["private_key"]["filename"],
    })
}

fn mode(context: &Value) -> &'static str {
    match (authorities(&context["common_tls_context"]), &context["require_client_certificate"]) {
        (None, _) => "SIMPLE",
        (Some(_), Value::Bool(true)) => "MUTUAL",
        (Some(_), _) => "OPTIONAL_MUTUAL",
    }
}

fn authorities(common: &Value) -> Option<&Value> {
    common["validation_context"]["trusted_ca"].get("filename")
}

fn certificates(common: &Value) -> &[Value] {
    common["tls_certificates"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The folders of all files that a listener names, each once: a pod must have them.
pub fn folders(context: &Value) -> Vec<String> {
    let common = &context["common_tls_context"];
    let of = |certificate: &Value| {
        [&certificate["certificate_chain"]["filename"], &certificate["private_key"]["filename"]]
            .map(Value::clone)
    };
    let files = certificates(common).iter().flat_map(of).chain(authorities(common).cloned());
    let mut folders: Vec<String> = Vec::new();
    for file in files {
        let folder = file.as_str().and_then(|file| Path::new(file).parent()?.to_str().map(str::to_owned));
        folders.extend(folder.filter(|folder| !folders.contains(folder)));
    }
    folders
}
