//! TLS between clients and the proxy.

use deserr::Deserr;
use portcullis_edge_core::ConfigErrors;
use schemars::JsonSchema;

/// The listener speaks TLS. Its certificate, and those of clients, are signed by an authority of the scenario's own.
#[derive(Clone, Debug, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct Tls {
    /// The listener's certificate (default: `CN=gateway.test`, for the DNS name `gateway.test`).
    #[deserr(default = own())]
    #[schemars(default = "own")]
    pub certificate: Certificate,
    /// Whether clients show certificates (default `none`).
    #[deserr(default)]
    #[schemars(default)]
    pub clients: Clients,
}

fn own() -> Certificate {
    let name = "gateway.test".to_owned();
    Certificate { subject: format!("CN={name}"), dns: vec![name], uris: Vec::new(), self_signed: false }
}

/// Whether clients show certificates.
#[derive(Clone, Copy, Debug, Default, Deserr, JsonSchema, PartialEq, Eq, serde::Serialize)]
#[deserr(error = ConfigErrors, rename_all = lowercase)]
#[serde(rename_all = "lowercase")]
pub enum Clients {
    /// They are not asked for one.
    #[default]
    None,
    /// They are asked; one that is shown must be good.
    Asked,
    /// Nobody is let in without one.
    Required,
}

/// A certificate, with a key of its own.
#[derive(Clone, Debug, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct Certificate {
    /// The subject as Envoy writes it (RFC 4514), of `CN`, `O`, `OU`, `C`, `ST` and `L`: `CN=alice,O=shop`.
    #[deserr(default)]
    #[schemars(default)]
    pub subject: String,
    /// DNS names among the subject alternative names.
    #[deserr(default)]
    #[schemars(default)]
    pub dns: Vec<String>,
    /// URIs among the subject alternative names.
    #[deserr(default)]
    #[schemars(default)]
    pub uris: Vec<String>,
    /// It is signed by itself: nobody trusts it.
    #[deserr(default)]
    #[schemars(default)]
    pub self_signed: bool,
}

/// What a client shows.
#[derive(Clone, Debug, Default, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct Shown {
    /// The server name that it asks for (default: its `authority`; empty: none).
    #[deserr(default)]
    pub server_name: Option<String>,
    /// One of `certificates`.
    #[deserr(default)]
    pub certificate: Option<String>,
    /// The only version that it speaks (default `TLSv1.3`).
    #[deserr(default)]
    #[schemars(default)]
    pub version: Version,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, Deserr, JsonSchema, PartialEq, Eq, serde::Serialize)]
#[deserr(error = ConfigErrors)]
pub enum Version {
    /// RFC 5246.
    #[deserr(rename = "TLSv1.2")]
    #[serde(rename = "TLSv1.2")]
    Tls12,
    /// RFC 8446.
    #[default]
    #[deserr(rename = "TLSv1.3")]
    #[serde(rename = "TLSv1.3")]
    Tls13,
}

impl Version {
    /// As Envoy names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tls12 => "TLSv1.2",
            Self::Tls13 => "TLSv1.3",
        }
    }
}
