//! A summary of the caller's portfolio. The real service asks a language model; this one fills in a sentence.

use std::sync::Arc;

use axum::{Router, extract::State, routing::get};
use serde_json::json;

use super::user::worth_of_assets;
use crate::{
    clock,
    identity::Identity,
    ledger::Account,
    platform::Platform,
    reply::{Answer, ok},
};

pub(crate) fn routes() -> Router<Arc<Platform>> {
    Router::new().route("/insights/portfolio", get(portfolio))
}

async fn portfolio(State(platform): State<Arc<Platform>>, who: Identity) -> Answer {
    let summary = summary(platform.ledger().account(&who.username));
    ok(json!({ "data": {
        "summary": summary,
        "generated_at": clock::timestamp(),
        "model": "demo-template",
    }}))
}

fn summary(account: &Account) -> String {
    if account.holdings.is_empty() {
        return format!("You hold no assets yet, and ${} in cash.", account.balance.round_dp(2));
    }
    let names: Vec<&str> = account.holdings.keys().map(String::as_str).collect();
    format!(
        "You hold {} worth ${}, and ${} in cash.",
        names.join(", "),
        worth_of_assets(account).round_dp(2),
        account.balance.round_dp(2),
    )
}
