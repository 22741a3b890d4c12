//! The routes of each service, under the paths that arrive once the gateway has taken `/api/v1` off.

mod auth;
mod balance;
mod insights;
mod inventory;
mod order;
mod paging;
mod user;

use std::sync::Arc;

use axum::{Router, http::StatusCode, routing::get};
use serde_json::json;

use crate::{
    Service, clock,
    platform::Platform,
    reply::{Answer, Failure, ok},
};

/// The whole of one service.
pub(crate) fn router(service: Service, platform: Arc<Platform>) -> Router {
    let routes = match service {
        Service::User => user::routes().merge(balance::routes()),
        Service::Inventory => inventory::routes(),
        Service::Order => order::routes(),
        Service::Auth => auth::routes(),
        Service::Insights => insights::routes(),
    };
    routes
        .route("/health", get(move || health(service)))
        .fallback(async || Failure::new(StatusCode::NOT_FOUND, "Not Found"))
        .method_not_allowed_fallback(async || {
            Failure::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
        })
        .with_state(platform)
}

async fn health(service: Service) -> Answer {
    ok(json!({
        "status": "healthy",
        "service": format!("{}-service", service.name()),
        "version": env!("CARGO_PKG_VERSION"),
        "timestamp": clock::timestamp(),
    }))
}
