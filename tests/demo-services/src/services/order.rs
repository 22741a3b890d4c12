//! Orders and the movements of one asset. As the real service does, this one knows `/orders/` and answers `/orders` with a
//! redirect to it, so a gateway that does not rewrite the path shows.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::get,
};
use rust_decimal::Decimal;
use serde_json::json;

use super::{
    balance::refusal,
    paging::{self, ListQuery, Page, PathText},
};
use crate::{
    catalogue::{self, Asset},
    clock,
    form::Form,
    identity::Identity,
    ledger::{OrderRequest, OrderType},
    platform::Platform,
    reply::{Answer, Failure, created, ok},
    rules,
};

/// Units of an asset in one order, and dollars of a limit.
const MAX_NUMBER: i64 = 1_000_000_000;
const MAX_PAGE: usize = 100;

pub(crate) fn routes() -> Router<Arc<Platform>> {
    Router::new()
        .route("/orders/", get(list).post(create))
        .route("/orders", get(redirect).post(redirect))
        .route("/orders/{order_id}", get(one))
        .route("/assets/{asset_id}/transactions", get(transactions))
}

async fn redirect(uri: Uri) -> Response {
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, format!("/orders/{query}"))]).into_response()
}

async fn create(State(platform): State<Arc<Platform>>, who: Identity, body: Bytes) -> Answer {
    let (asset, request) = order_request(&body)?;
    let order = platform.ledger().order(&who.username, &asset, &request).map_err(refusal)?;
    created(json!({
        "success": true,
        "message": "Order created successfully",
        "data": order,
        "timestamp": clock::timestamp(),
    }))
}

async fn list(State(platform): State<Arc<Platform>>, who: Identity, query: ListQuery) -> Answer {
    let page = Page::read(&query, MAX_PAGE)?;
    let ledger = platform.ledger();
    let (part, has_more) = page.cut(&ledger.account(&who.username).orders);
    ok(json!({ "success": true, "data": part, "has_more": has_more }))
}

async fn one(State(platform): State<Arc<Platform>>, who: Identity, path: PathText) -> Answer {
    let id = path.map(|Path(id)| id).unwrap_or_default();
    let ledger = platform.ledger();
    let found = ledger.account(&who.username).orders.iter().find(|order| order.order_id == id);
    let order = found.ok_or_else(|| Failure::new(StatusCode::NOT_FOUND, "Order not found"))?;
    ok(json!({ "success": true, "data": order }))
}

async fn transactions(
    State(platform): State<Arc<Platform>>,
    who: Identity,
    path: PathText,
    query: ListQuery,
) -> Answer {
    let (id, page) = (paging::asset_id(path)?, Page::read(&query, MAX_PAGE)?);
    let ledger = platform.ledger();
    let all = ledger.account(&who.username).asset_moves.iter();
    let (part, has_more) = page.cut(all.filter(|moved| moved.asset_id == id));
    ok(json!({ "success": true, "data": part, "has_more": has_more }))
}

fn order_request(body: &Bytes) -> Result<(Asset, OrderRequest), Failure> {
    let mut form = Form::parse(body)?;
    let id = form.text("asset_id", rules::asset_id);
    let kind = order_type(&mut form);
    let quantity = form.positive("quantity", MAX_NUMBER.into());
    let price = price(&mut form, kind);
    let (((id, kind), quantity), price) = form.accept(id.zip(kind).zip(quantity).zip(price))?;
    let missing = || Failure::new(StatusCode::NOT_FOUND, &format!("Asset '{id}' not found"));
    let asset = catalogue::find(&id).ok_or_else(missing)?;
    if !asset.is_active {
        return Err(Failure::new(StatusCode::BAD_REQUEST, "Asset is not tradable"));
    }
    Ok((asset, OrderRequest { kind, quantity, price }))
}

fn order_type(form: &mut Form) -> Option<OrderType> {
    let name = form.text("order_type", rules::any)?;
    let kind = OrderType::from_name(&name);
    if kind.is_none() {
        let msg = "Input should be 'market_buy', 'market_sell', 'limit_buy' or 'limit_sell'";
        form.complain("order_type", "enum", msg);
    }
    kind
}

/// The limit, which only limit orders need: `None` if something is wrong, `Some(None)` if there rightly is none.
fn price(form: &mut Form, kind: Option<OrderType>) -> Option<Option<Decimal>> {
    if kind.is_some_and(OrderType::is_limit) {
        form.positive("price", MAX_NUMBER.into()).map(Some)
    } else {
        Some(form.optional_positive("price", MAX_NUMBER.into()))
    }
}
