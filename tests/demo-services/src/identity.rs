//! Who is asking: the gateway's word if it gave one, else the token that came along.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, StatusCode, header, request::Parts},
};

use crate::{platform::Platform, reply::Failure};

/// The authenticated user of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) username: String,
    pub(crate) role: String,
}

impl FromRequestParts<Arc<Platform>> for Identity {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, platform: &Arc<Platform>) -> Result<Self, Failure> {
        match from_gateway(&parts.headers) {
            Some(identity) => Ok(identity),
            None => from_token(&parts.headers, platform),
        }
    }
}

/// Whether the request says that it comes from the gateway.
pub(crate) fn is_from_gateway(headers: &HeaderMap) -> bool {
    only(headers, "x-source") == Some("gateway")
}

fn from_gateway(headers: &HeaderMap) -> Option<Identity> {
    let authenticated = only(headers, "x-authenticated") == Some("true");
    if !is_from_gateway(headers) || !authenticated {
        return None;
    }
    let username = only(headers, "x-user-id").filter(|name| !name.is_empty())?;
    let role = only(headers, "x-user-role").unwrap_or("customer");
    Some(Identity { username: username.to_owned(), role: role.to_owned() })
}

fn from_token(headers: &HeaderMap, platform: &Platform) -> Result<Identity, Failure> {
    let refuse = |why| Failure::new(StatusCode::UNAUTHORIZED, why);
    let token = only(headers, header::AUTHORIZATION.as_str())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .ok_or_else(|| refuse("Not authenticated"))?
        .1;
    let claims = platform.tokens.verify(token).map_err(|_| refuse("Could not validate credentials"))?;
    Ok(Identity { username: claims.sub, role: claims.role })
}

/// The value of a header that occurs exactly once: two answers to "who is it?" are none.
fn only<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}
