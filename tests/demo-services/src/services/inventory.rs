//! The asset catalogue, open to everybody.

use std::sync::Arc;

use axum::{Router, routing::get};
use serde_json::json;

use super::paging::{self, ListQuery, Page, PathText};
use crate::{
    catalogue,
    platform::Platform,
    reply::{Answer, ok},
};

const MAX_PAGE: usize = 250;

pub(crate) fn routes() -> Router<Arc<Platform>> {
    Router::new().route("/inventory/assets", get(list)).route("/inventory/assets/{asset_id}", get(one))
}

async fn list(query: ListQuery) -> Answer {
    let page = Page::read(&query, MAX_PAGE)?;
    let active_only = query.get("active_only").is_some_and(|value| value == "true");
    let all = catalogue::assets();
    let (total, active) = (all.len(), all.iter().filter(|asset| asset.is_active).count());
    let (part, _) = page.cut(all.into_iter().filter(|asset| asset.is_active || !active_only));
    ok(json!({ "data": part, "total_count": total, "active_count": active }))
}

async fn one(path: PathText) -> Answer {
    ok(json!({ "data": paging::asset(path)? }))
}
