use core::fmt;
use core::net::IpAddr;
use serde::{Deserialize, Serialize};

/// What an instance found out about a request.
#[derive(Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Findings {
    /// The client's address; nothing where it is not known.
    pub client: Option<IpAddr>,
    /// Whether a proxy that the instance trusts sent the request.
    pub by_proxy: bool,
    /// Whether a proxy that the instance does not know sent it: the address may be that proxy's then.
    pub by_stranger: bool,
    /// Whether the client came over TLS.
    pub over_tls: bool,
    /// The request's id.
    pub request_id: String,
    /// Whose token was good; nothing where none was needed, or the check is in shadow mode.
    pub bearer: Option<HandedBearer>,
}

/// The bearer of a good token.
#[derive(Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HandedBearer {
    /// The user, if the token names one.
    pub user: Option<String>,
    /// The roles.
    pub roles: Vec<String>,
    /// The scopes.
    pub scopes: Vec<String>,
    /// The claims, as a JSON object.
    pub claims: serde_json::Value,
    /// Whether an auth service was asked.
    pub asked: bool,
    /// The headers by which the instance tells services of the bearer: names in lower case, and values.
    pub headers: Vec<(String, String)>,
}

/// Shows no client and no bearer.
impl fmt::Debug for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Findings(..)")
    }
}

/// Shows nothing of the bearer.
impl fmt::Debug for HandedBearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HandedBearer(..)")
    }
}
