//! Requests and replies.

use deserr::{Deserr, IntoValue, ValuePointerRef};
use portcullis_edge_core::{ConfigErrors, Named, PolicyDuration};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use super::{Address, Headers, Pattern, Shown, Text, ok};
use crate::problem::mistake;

/// A request.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Request(pub RequestFields);

/// A request in full.
#[derive(Clone, Debug, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RequestFields {
    /// The method (default GET).
    #[deserr(default = "GET".to_owned())]
    #[schemars(default = "get")]
    pub method: String,
    /// The path, with its query.
    #[deserr(default)]
    pub path: Option<Text>,
    /// What the client writes on an HTTP/1 connection, byte for byte, in the place of everything else.
    #[deserr(default)]
    pub wire: Option<Text>,
    /// The fields of an HTTP/2 request as they are sent, pseudo-header fields and all, whatever rule they break, in the place of
    /// `method`, `path`, `authority` and `headers`: each a name, a value and, if it is not once, how often.
    #[deserr(default)]
    #[schemars(inner(length(min = 2, max = 3)))]
    pub fields: Option<Vec<Vec<Text>>>,
    /// The host that is asked for (default `gateway.test`).
    #[deserr(default = "gateway.test".to_owned())]
    #[schemars(default = "host")]
    pub authority: String,
    /// Headers.
    #[deserr(default)]
    #[schemars(default)]
    pub headers: Headers,
    /// The body, with its length in `content-length`.
    #[deserr(default)]
    pub body: Option<Text>,
    /// The file that the body is in, beside the scenario.
    #[deserr(default)]
    pub body_file: Option<String>,
    /// A JSON body, with its length and content type.
    #[deserr(default)]
    pub json: Option<Value>,
    /// A body in pieces, without a length.
    #[deserr(default)]
    pub chunks: Option<Vec<Text>>,
    /// Trailers, behind a body in pieces.
    #[deserr(default)]
    #[schemars(default)]
    pub trailers: Headers,
    /// The body in `chunks` has no end: the client sends no more, and waits.
    #[deserr(default)]
    #[schemars(default)]
    pub unfinished: bool,
    /// The client goes away so long after it has sent, unless it has the whole answer by then.
    #[deserr(default)]
    pub leaves: Option<PolicyDuration>,
    /// Over HTTP/2.
    #[deserr(default)]
    #[schemars(default)]
    pub http2: bool,
    /// What the client shows in its TLS handshake, where the listener speaks TLS.
    #[deserr(default)]
    pub tls: Option<Shown>,
    /// The client's address, of IPv4 or IPv6 (default 127.0.0.1). One outside of 127.0.0.0/8 reaches Envoy by the PROXY protocol.
    #[deserr(default)]
    #[schemars(default)]
    pub from: Address,
}

fn get() -> String {
    "GET".to_owned()
}

fn host() -> String {
    "gateway.test".to_owned()
}

impl Request {
    fn parse(line: &str) -> Option<Self> {
        let (method, path) = line.split_once(' ')?;
        let path = Text::template(path.trim());
        Some(Self(RequestFields {
            method: method.to_owned(),
            path: Some(path),
            wire: None,
            fields: None,
            authority: host(),
            headers: Named::default(),
            body: None,
            body_file: None,
            json: None,
            chunks: None,
            trailers: Named::default(),
            unfinished: false,
            leaves: None,
            http2: false,
            tls: None,
            from: Address::default(),
        }))
    }
}

impl Deserr<ConfigErrors> for Request {
    fn deserialize_from_value<V: IntoValue>(
        value: deserr::Value<V>,
        location: ValuePointerRef<'_>,
    ) -> Result<Self, ConfigErrors> {
        match value {
            deserr::Value::String(line) => Self::parse(&line)
                .ok_or_else(|| mistake(location, &line.as_str().into(), "a method and a path: `GET /path`")),
            value => RequestFields::deserialize_from_value(value, location).map(Self),
        }
    }
}

impl JsonSchema for Request {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Request".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let fields = generator.subschema_for::<RequestFields>();
        json_schema!({ "anyOf": [{ "type": "string", "pattern": "^[^ ]+ .+$" }, fields] })
    }
}

/// What an upstream answers.
#[derive(Clone, Debug, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct Reply {
    /// Only to requests with such a path, query included.
    #[deserr(default)]
    pub path: Option<Pattern>,
    /// Only to requests with this method.
    #[deserr(default)]
    pub method: Option<String>,
    /// So often, and no more; left out: for ever.
    #[deserr(default)]
    pub times: Option<u32>,
    /// The status (default 200).
    #[deserr(default = 200)]
    #[schemars(default = "ok", range(min = 200, max = 599))]
    pub status: u16,
    /// Headers.
    #[deserr(default)]
    #[schemars(default)]
    pub headers: Headers,
    /// The body, with its length in `content-length`.
    #[deserr(default)]
    pub body: Option<Text>,
    /// The file that the body is in, beside the scenario.
    #[deserr(default)]
    pub body_file: Option<String>,
    /// A JSON body, with its length and content type.
    #[deserr(default)]
    pub json: Option<Value>,
    /// A JSON Web Key Set of the public halves of these keys, with its length and content type.
    #[deserr(default)]
    pub jwks: Option<Vec<String>>,
    /// A body in pieces, without a length.
    #[deserr(default)]
    pub chunks: Option<Vec<Text>>,
    /// Trailers, behind a body in pieces.
    #[deserr(default)]
    #[schemars(default)]
    pub trailers: Headers,
    /// The answer of a gRPC service, which speaks HTTP/2: all replies of its upstream are such. `headers` and `trailers` are its metadata.
    #[deserr(default)]
    pub grpc: Option<Grpc>,
    /// How long it takes to answer.
    #[deserr(default)]
    pub delay: Option<PolicyDuration>,
    /// It fails instead.
    #[deserr(default)]
    pub fails: Option<Fails>,
}

/// The answer of a gRPC service, once it has the whole request.
#[derive(Clone, Debug, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct Grpc {
    /// Messages, as they are inside of their frames. Without any, the answer has trailers alone.
    #[deserr(default)]
    #[schemars(default)]
    pub messages: Vec<Text>,
    /// `grpc-status` (default 0).
    #[deserr(default)]
    #[schemars(default)]
    pub status: u32,
    /// `grpc-message`.
    #[deserr(default)]
    pub message: Option<String>,
}

/// How an upstream fails.
#[derive(Clone, Copy, Debug, Deserr, JsonSchema, PartialEq, Eq, serde::Serialize)]
#[deserr(error = ConfigErrors, rename_all = lowercase)]
#[serde(rename_all = "snake_case")]
pub enum Fails {
    /// Nobody listens: the only reply of its upstream.
    Refused,
    /// The connection breaks before the answer.
    Reset,
    /// The connection breaks behind headers and body, before the end.
    #[deserr(rename = "reset_after_body")]
    ResetAfterBody,
    /// No answer ever comes.
    Never,
}
