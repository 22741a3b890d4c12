//! TLS of the gateway's own listener, as written.

use deserr::Deserr;
use portcullis_edge_core::ConfigErrors;
use schemars::JsonSchema;

/// A certificate and its key, both files of the proxy's machine. Envoy reads them again when one is replaced by renaming another
/// over it, where it was rendered with `--dynamic`.
#[derive(Clone, Debug, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct Certificate {
    /// The certificate and what leads to its issuer, in PEM.
    #[schemars(example = &"/etc/gateway/tls.crt")]
    pub certificate_file: String,
    /// Its private key, in PEM.
    #[schemars(example = &"/etc/gateway/tls.key")]
    pub key_file: String,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[default]
    #[deserr(rename = "1.2")]
    #[schemars(rename = "1.2")]
    V12,
    /// TLS 1.3 (RFC 8446).
    #[deserr(rename = "1.3")]
    #[schemars(rename = "1.3")]
    V13,
}

/// Whether clients show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, rename_all = lowercase)]
#[schemars(rename_all = "lowercase")]
pub enum ClientCertificateMode {
    /// Those that have one may; one of another authority ends the handshake even so.
    Optional,
    /// Without one there is no connection.
    #[default]
    Required,
}

/// Certificates of clients (mutual TLS).
#[derive(Clone, Debug, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct ClientCertificates {
    /// Whether they must show one.
    #[deserr(default)]
    #[schemars(default)]
    pub mode: ClientCertificateMode,
    /// The certificate authorities (CA) that sign the certificates of clients, in PEM.
    #[schemars(example = &"/etc/gateway/clients-ca.pem")]
    pub ca_file: String,
    /// The request header in which services get the subject of the client's certificate, as in RFC 2253. A client's own copy is
    /// removed (default: services do not get it).
    #[deserr(default)]
    #[schemars(example = &"X-Client-Subject")]
    pub subject_header: Option<String>,
}

/// `gateway.tls`: the listener speaks TLS, and HTTP/2 or HTTP/1.1 as the client prefers (ALPN).
#[derive(Clone, Debug, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawTls {
    /// The gateway's certificates; which one is shown follows from the name that the client asks for (SNI), the first where none
    /// fits.
    #[schemars(length(min = 1, max = 100))]
    pub certificates: Vec<Certificate>,
    /// The oldest version that is spoken.
    #[deserr(default)]
    #[schemars(default = "oldest")]
    pub min_version: TlsVersion,
    /// Whether HTTP/2 is offered.
    #[deserr(default = true)]
    #[schemars(default = "yes")]
    pub http2: bool,
    /// Address and port of a second listener, of plain HTTP, that answers everything with a redirect (301) to this one (default:
    /// none).
    #[deserr(default)]
    #[schemars(example = &"0.0.0.0:8080")]
    pub redirect_from: Option<String>,
    /// Certificates of clients (default: they are not asked for any).
    #[deserr(default)]
    pub client_certificates: Option<ClientCertificates>,
}

fn oldest() -> &'static str {
    "1.2"
}

fn yes() -> bool {
    true
}
