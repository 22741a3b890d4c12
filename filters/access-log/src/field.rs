//! Fields that a policy adds to the lines of requests.

use deserr::Deserr;
use portcullis_edge_core::{ClaimPath, ConfigError, ConfigErrors, HeaderName, Node};
use schemars::JsonSchema;

/// Names that `extra` has already, or may have.
pub(crate) const RESERVED: [&str; 14] = [
    "method",
    "path",
    "endpoint",
    "status",
    "ip",
    "target_service",
    "auth_flow",
    "security_headers",
    "denied",
    "details",
    "stream",
    "ended_by",
    "trace_id",
    "span_id",
];

/// Headers whose values are secrets, or personal.
const SECRET_HEADERS: [&str; 5] =
    ["authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key"];
/// Headers that hold addresses.
const ADDRESS_HEADERS: [&str; 5] =
    ["x-forwarded-for", "x-real-ip", "true-client-ip", "cf-connecting-ip", "forwarded"];

/// Where a field's value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, try_from(String) = FieldSource::parse -> ConfigError)]
#[schemars(
    with = "String",
    description = "`claim:NAME` or `claim:/POINTER` of a good token, `header:NAME` of the request; `upstream_host` (address and port that served), `upstream_ms`, `request_bytes`, `response_bytes` (bodies), `flags` (Envoy's response flags)."
)]
pub enum FieldSource {
    /// A claim of a good token: a scalar, or the scalars of a list.
    Claim(ClaimPath),
    /// A header of the request, all its values.
    Header(HeaderName),
    /// Address and port of the host that served.
    UpstreamHost,
    /// What the service took, in milliseconds.
    UpstreamMs,
    /// Bytes of the request's body.
    RequestBytes,
    /// Bytes of the answer's body.
    ResponseBytes,
    /// Envoy's response flags, by their short names.
    Flags,
}

const PLAIN: [(&str, FieldSource); 5] = [
    ("upstream_host", FieldSource::UpstreamHost),
    ("upstream_ms", FieldSource::UpstreamMs),
    ("request_bytes", FieldSource::RequestBytes),
    ("response_bytes", FieldSource::ResponseBytes),
    ("flags", FieldSource::Flags),
];

/// How a field is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, rename_all = lowercase)]
#[schemars(rename_all = "lowercase")]
pub enum Form {
    /// As it is: cut at `max_bytes`, and `[token]` where something in it looks like a token.
    #[default]
    Text,
    /// The first address in it without its last octet, or without the last 80 bits of IPv6.
    Address,
    /// Hashed with `hash_key`.
    Hash,
}

/// A field of a request's line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogField {
    /// Its name in `extra`.
    pub name: String,
    /// Where its value comes from.
    pub from: FieldSource,
    /// How it is shown.
    pub form: Form,
    /// Longest text.
    pub max_bytes: usize,
}

/// What a field says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldValue {
    /// Text, fit for a log already.
    Text(String),
    /// A whole number.
    Number(u64),
    /// A number of thousandths.
    Thousandths(u64),
}

impl FieldSource {
    fn parse(text: String) -> Result<Self, ConfigError> {
        if let Some((_, plain)) = PLAIN.iter().find(|(name, _)| *name == text) {
            return Ok(plain.clone());
        }
        if let Some(claim) = text.strip_prefix("claim:") {
            return ClaimPath::parse(claim.to_owned()).map(Self::Claim);
        }
        let header = text.strip_prefix("header:").and_then(|name| HeaderName::parse(name).ok());
        header.map(Self::Header).ok_or_else(|| {
            let names = PLAIN.iter().map(|(name, _)| *name);
            let expected = "`claim:NAME`, `header:NAME`, `upstream_host`, `upstream_ms`, `request_bytes`, `response_bytes` or `flags`";
            Node::top().error(format!("`{}`", text.escape_debug()), expected).near(&text, names)
        })
    }

    /// The mistake, if it cannot be shown like this.
    pub(crate) fn check(&self, form: Form, secret: &[&str], at: &Node) -> Option<ConfigError> {
        let is_open = matches!(self, Self::Claim(_) | Self::Header(_));
        if !is_open && form != Form::Text {
            return Some(at.key("as").error("a form", "none: only claims and headers are masked"));
        }
        let Self::Header(name) = self else { return None };
        let is = |names: &[&str]| names.iter().any(|known| name.as_str().eq_ignore_ascii_case(known));
        let found = || format!("`header:{}` as it is", name.as_str());
        if form != Form::Hash && (is(&SECRET_HEADERS) || is(secret)) {
            return Some(at.key("from").error(found(), "`as: hash`, because it carries a secret"));
        }
        (form == Form::Text && is(&ADDRESS_HEADERS))
            .then(|| at.key("from").error(found(), "`as: address` or `as: hash`, because it holds addresses"))
    }
}
