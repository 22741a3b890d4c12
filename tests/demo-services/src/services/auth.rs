//! The auth service: says for the gateway whether a token is good, and whose it is.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use serde_json::json;

use crate::{
    form::Form,
    identity,
    platform::Platform,
    reply::{Answer, Failure, ok},
    rules,
    tokens::TokenError,
};

pub(crate) fn routes() -> Router<Arc<Platform>> {
    Router::new().route("/internal/auth/validate", post(validate))
}

/// 200 whether the token is good or not; 403 to whoever is not the gateway.
async fn validate(State(platform): State<Arc<Platform>>, headers: HeaderMap, body: Bytes) -> Answer {
    if !identity::is_from_gateway(&headers) {
        return Err(Failure::new(StatusCode::FORBIDDEN, "Internal endpoint"));
    }
    let mut form = Form::parse(&body)?;
    let token = form.text("token", rules::any);
    let token = form.accept(token)?;
    match platform.tokens.verify(&token) {
        Ok(claims) => ok(json!({
            "valid": true,
            "user": claims.sub,
            "role": claims.role,
            "expires_at": claims.exp,
            "issued_at": claims.iat,
        })),
        Err(error) => ok(json!({ "valid": false, "error": error.to_string(), "message": message(error) })),
    }
}

fn message(error: TokenError) -> &'static str {
    match error {
        TokenError::Expired => "JWT token has expired",
        TokenError::Invalid => "JWT token is invalid",
    }
}
