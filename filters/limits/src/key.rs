//! What a limit counts by.

use crate::secret::KeyHasher;
use deserr::Deserr;
use portcullis_edge_core::{ClaimPath, ConfigError, ConfigErrors, HeaderName, Headers, Node};
use schemars::JsonSchema;
use std::net::IpAddr;

/// What is known of the bearer of a valid token.
pub trait Subject {
    /// Who it is.
    fn user(&self) -> Option<&str>;
    /// Whether the bearer has this role.
    fn has_role(&self, role: &str) -> bool;
    /// Tells every role, in the token's order.
    fn each_role(&self, visit: &mut dyn FnMut(&str));
    /// Tells the scalar at `path`, or each scalar of the list there, as text. Whether there was any.
    fn each_value(&self, path: &[String], visit: &mut dyn FnMut(&[u8])) -> bool;
}

/// A request, as far as limits look at it.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    /// The client's network: IPv4 whole, IPv6 cut to the policy's prefix. Requests without one count together.
    pub network: Option<IpAddr>,
    /// Index of the route; nothing where none matches.
    pub route: Option<usize>,
    /// Name of the route's service.
    pub service: Option<&'a str>,
    /// The request's headers.
    pub headers: &'a Headers,
    /// Who asks; nobody before the token was looked at.
    pub subject: Option<&'a dyn Subject>,
}

/// A part of what a limit counts by.
#[derive(Clone, Debug, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, try_from(String) = KeyPart::parse -> ConfigError)]
#[schemars(
    with = "String",
    description = "`ip`, `user`, `role`, `route`, `service`, `header:NAME` (an API key, a tenant) or `claim:NAME`."
)]
pub enum KeyPart {
    /// The client's network.
    Ip,
    /// The token's user.
    User,
    /// The token's roles.
    Role,
    /// A claim of the token.
    Claim(ClaimPath),
    /// All values of a request header. Requests without it count together.
    Header(HeaderName),
    /// The route, by its path.
    Route,
    /// The service.
    Service,
}

impl KeyPart {
    fn parse(text: String) -> Result<Self, ConfigError> {
        match text.as_str() {
            "ip" => Ok(Self::Ip),
            "user" => Ok(Self::User),
            "role" => Ok(Self::Role),
            "route" => Ok(Self::Route),
            "service" => Ok(Self::Service),
            _ => Self::parse_named(&text),
        }
    }

    fn parse_named(text: &str) -> Result<Self, ConfigError> {
        if let Some(name) = text.strip_prefix("claim:") {
            return ClaimPath::parse(name.to_owned()).map(Self::Claim);
        }
        let wrong = || {
            let expected = "`ip`, `user`, `role`, `route`, `service`, `header:NAME` or `claim:NAME`";
            Node::top()
                .error(format!("`{}`", text.escape_debug()), expected)
                .near(text, ["ip", "user", "role", "route", "service"])
        };
        let name = text.strip_prefix("header:").ok_or_else(wrong)?;
        HeaderName::parse(name).map(Self::Header).map_err(|_| wrong())
    }

    /// Whether only the bearer of a token has it.
    pub(crate) fn needs_subject(&self) -> bool {
        matches!(self, Self::User | Self::Role | Self::Claim(_))
    }

    /// Whether its values are as many as clients like, rather than as many as the policy names.
    pub(crate) fn is_open(&self) -> bool {
        !matches!(self, Self::Route | Self::Service)
    }

    /// Adds this part of `caller`'s key; false if it has none, and the limit does not concern it.
    /// `route` is the hash of its route's path.
    pub(crate) fn add(&self, caller: &Caller<'_>, route: u64, hasher: &mut KeyHasher) -> bool {
        match self {
            Self::Ip => add_network(caller.network, hasher),
            Self::Route => hasher.number(route),
            Self::Service => hasher.part(caller.service.unwrap_or_default().as_bytes()),
            Self::Header(name) => caller.headers.all(name.as_str()).for_each(|value| hasher.part(value)),
            Self::User => {
                let Some(user) = caller.subject.and_then(Subject::user) else { return false };
                hasher.part(user.as_bytes());
            }
            Self::Role => {
                let Some(subject) = caller.subject else { return false };
                let mut has_role = false;
                subject.each_role(&mut |role| {
                    has_role = true;
                    hasher.part(role.as_bytes());
                });
                return has_role;
            }
            Self::Claim(path) => {
                let Some(subject) = caller.subject else { return false };
                return subject.each_value(path.steps(), &mut |value| hasher.part(value));
            }
        }
        true
    }
}

pub(crate) fn add_network(network: Option<IpAddr>, hasher: &mut KeyHasher) {
    match network {
        Some(IpAddr::V4(v4)) => hasher.part(&v4.octets()),
        Some(IpAddr::V6(v6)) => hasher.part(&v6.octets()),
        None => hasher.part(b""),
    }
}
