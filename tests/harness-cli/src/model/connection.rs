//! TCP connections: what the two ends do, in turn.

use deserr::Deserr;
use portcullis_edge_core::ConfigErrors;
use schemars::JsonSchema;

use super::{Pattern, Text};

/// An end of a connection.
#[derive(Clone, Copy, Debug, Deserr, JsonSchema, PartialEq, Eq, serde::Serialize)]
#[deserr(error = ConfigErrors, rename_all = lowercase)]
#[serde(rename_all = "lowercase")]
pub enum Party {
    /// The client.
    Client,
    /// The upstream.
    Upstream,
}

/// What one end does. Exactly one of these is given. The next move is made when everything that follows from this one has
/// happened.
#[derive(Clone, Debug, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields, extend("oneOf" = [
    { "required": ["client"] }, { "required": ["upstream"] }, { "required": ["ends"] }, { "required": ["resets"] },
]))]
pub struct Move {
    /// The client sends this.
    #[deserr(default)]
    pub client: Option<Text>,
    /// The upstream sends this.
    #[deserr(default)]
    pub upstream: Option<Text>,
    /// One of them ends its half of the connection.
    #[deserr(default)]
    pub ends: Option<Party>,
    /// One of them breaks the connection off.
    #[deserr(default)]
    pub resets: Option<Party>,
}

/// What must have come of a connection.
#[derive(Clone, Debug, Default, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct Heard {
    /// All that the client got.
    #[deserr(default)]
    pub client: Option<Pattern>,
    /// All that the upstream got; `absent` if it never saw the connection.
    #[deserr(default)]
    pub upstream: Option<Pattern>,
    /// Whether the proxy has closed the client's connection by the last move.
    #[deserr(default)]
    pub closed: Option<bool>,
}
