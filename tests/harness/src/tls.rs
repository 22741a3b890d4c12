//! TLS between a client and the proxy, as far as plugins are told of it.

/// A certificate that has been shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificate {
    /// The subject as Envoy writes it (RFC 4514): `CN=alice,O=shop`.
    pub subject: String,
    /// DNS names among its subject alternative names.
    pub dns: Vec<String>,
    /// URIs among its subject alternative names.
    pub uris: Vec<String>,
    /// SHA-256 of its DER form, as hexadecimal digits.
    pub sha256: String,
}

/// A TLS connection that a client has made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: String,
    /// The server name that the client asked for (SNI), empty if none.
    pub server_name: String,
    /// The proxy's own certificate.
    pub own: Certificate,
    /// The client's, if it showed one.
    pub client: Option<Certificate>,
}
