//! Deposits, withdrawals, balances, and the New Year gift.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{
    paging::{self, ListQuery, Page, PathText},
    user::holding,
};
use crate::{
    clock,
    form::Form,
    identity::Identity,
    ledger::{BalanceTransaction, LedgerError},
    platform::Platform,
    reply::{Answer, Failure, created, ok},
};

/// Dollars that one deposit or withdrawal may move.
const MAX_AMOUNT: i64 = 10_000_000;
/// Dollars of the gift that `/cny/claim` gives once.
const GIFT: i64 = 88;
const MAX_PAGE: usize = 100;

pub(crate) fn routes() -> Router<Arc<Platform>> {
    Router::new()
        .route("/balance", get(balance))
        .route("/balance/deposit", post(deposit))
        .route("/balance/withdraw", post(withdraw))
        .route("/balance/transactions", get(transactions))
        .route("/balance/asset/{asset_id}", get(asset_balance))
        .route("/cny/claim", post(claim))
}

async fn balance(State(platform): State<Arc<Platform>>, who: Identity) -> Answer {
    let ledger = platform.ledger();
    let account = ledger.account(&who.username);
    let updated_at =
        if account.updated_at.is_empty() { clock::timestamp() } else { account.updated_at.clone() };
    ok(json!({ "current_balance": account.balance, "updated_at": updated_at }))
}

async fn deposit(State(platform): State<Arc<Platform>>, who: Identity, body: Bytes) -> Answer {
    let amount = amount(&body)?;
    let moved = platform.ledger().deposit(&who.username, amount).map_err(refusal)?;
    created(receipt("Deposit successful", &moved))
}

async fn withdraw(State(platform): State<Arc<Platform>>, who: Identity, body: Bytes) -> Answer {
    let amount = amount(&body)?;
    let moved = platform.ledger().withdraw(&who.username, amount).map_err(refusal)?;
    created(receipt("Withdrawal successful", &moved))
}

async fn transactions(State(platform): State<Arc<Platform>>, who: Identity, query: ListQuery) -> Answer {
    let page = Page::read(&query, MAX_PAGE)?;
    let ledger = platform.ledger();
    let all = &ledger.account(&who.username).money_moves;
    let total = all.len();
    let (part, has_more) = page.cut(all);
    ok(json!({ "transactions": part, "total_count": total, "has_more": has_more }))
}

async fn asset_balance(State(platform): State<Arc<Platform>>, who: Identity, path: PathText) -> Answer {
    let id = paging::asset_id(path)?;
    let held = platform.ledger().account(&who.username).holdings.get(&id).copied();
    let missing = || Failure::new(StatusCode::NOT_FOUND, &format!("No balance of asset '{id}'"));
    ok(json!({ "success": true, "data": holding(&id, held.ok_or_else(missing)?) }))
}

async fn claim(State(platform): State<Arc<Platform>>, who: Identity) -> Answer {
    let moved = platform.ledger().claim(&who.username, GIFT.into()).map_err(refusal)?;
    ok(receipt("Gift claimed", &moved))
}

fn amount(body: &Bytes) -> Result<Decimal, Failure> {
    let mut form = Form::parse(body)?;
    let amount = form.positive("amount", MAX_AMOUNT.into());
    form.accept(amount)
}

fn receipt(message: &str, moved: &BalanceTransaction) -> Value {
    json!({
        "success": true,
        "message": message,
        "transaction_id": moved.transaction_id,
        "amount": moved.amount.abs(),
        "timestamp": moved.created_at,
    })
}

/// What each refusal of the ledger means to a client.
pub(crate) fn refusal(error: LedgerError) -> Failure {
    match error {
        LedgerError::InsufficientBalance => Failure::new(StatusCode::BAD_REQUEST, "Insufficient balance"),
        LedgerError::InsufficientHoldings => {
            Failure::new(StatusCode::BAD_REQUEST, "Insufficient asset balance")
        }
        LedgerError::AlreadyClaimed => Failure::new(StatusCode::CONFLICT, "Already claimed"),
        LedgerError::Full => Failure::new(StatusCode::SERVICE_UNAVAILABLE, "The demo holds no more accounts"),
    }
}
