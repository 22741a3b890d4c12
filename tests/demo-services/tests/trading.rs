//! Money, orders, and what they leave behind.

mod common;

use common::{Caller, get, newcomer, start};
use portcullis_demo_services::{CUSTOMER, Service};
use serde_json::{Value, json};

fn market(side: &str, asset: &str, quantity: f64) -> Value {
    json!({ "asset_id": asset, "order_type": format!("market_{side}"), "quantity": quantity })
}

async fn balance(caller: &Caller<'_>) -> f64 {
    caller.get(Service::User, "/balance").await.json()["current_balance"].as_f64().unwrap()
}

async fn deposit(caller: &Caller<'_>, amount: f64) {
    let answer = caller.post(Service::User, "/balance/deposit", &json!({ "amount": amount })).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

#[tokio::test]
async fn deposits_and_withdrawals_move_the_balance_exactly() {
    let demo = start().await;
    let alice = newcomer(&demo, "alice_1").await;
    assert_eq!(balance(&alice).await, 0.0);
    deposit(&alice, 0.1).await;
    deposit(&alice, 0.2).await;
    assert_eq!(balance(&alice).await, 0.3);
    assert_eq!(
        alice.post(Service::User, "/balance/withdraw", &json!({ "amount": "0.05" })).await.status,
        201
    );
    assert_eq!(balance(&alice).await, 0.25);
    let history = alice.get(Service::User, "/balance/transactions").await.json();
    let entries = history["transactions"].as_array().unwrap();
    let kinds: Vec<_> = entries.iter().map(|entry| entry["transaction_type"].as_str().unwrap()).collect();
    assert_eq!((kinds, &history["total_count"]), (vec!["withdraw", "deposit", "deposit"], &json!(3)));
}

#[tokio::test]
async fn an_amount_that_is_zero_negative_missing_or_no_number_is_422() {
    let demo = start().await;
    let alice = newcomer(&demo, "alice_1").await;
    for path in ["/balance/deposit", "/balance/withdraw"] {
        for amount in [json!(0), json!(-1), json!(null), json!("ten"), json!(true), json!(10_000_001)] {
            let answer = alice.post(Service::User, path, &json!({ "amount": amount })).await;
            assert_eq!(answer.complaints(), ["body.amount"], "{path} {amount}");
        }
        assert_eq!(alice.post(Service::User, path, &json!({})).await.complaints(), ["body.amount"]);
    }
    assert_eq!(balance(&alice).await, 0.0);
}

#[tokio::test]
async fn more_than_the_balance_can_be_neither_withdrawn_nor_spent() {
    let demo = start().await;
    let alice = newcomer(&demo, "alice_1").await;
    deposit(&alice, 100.0).await;
    let withdrawal = alice.post(Service::User, "/balance/withdraw", &json!({ "amount": 100.01 })).await;
    assert_eq!((withdrawal.status, withdrawal.json()), (400, json!({ "detail": "Insufficient balance" })));
    assert_eq!(alice.post(Service::Order, "/orders/", &market("buy", "BTC", 1.0)).await.status, 400);
    assert_eq!(alice.post(Service::Order, "/orders/", &market("sell", "BTC", 1.0)).await.status, 400);
    assert_eq!(balance(&alice).await, 100.0);
}

#[tokio::test]
async fn a_market_order_costs_price_times_quantity_and_shows_everywhere() {
    let demo = start().await;
    let alice = newcomer(&demo, "alice_1").await;
    deposit(&alice, 100_000.0).await;
    let price = get(demo.addr(Service::Inventory), "/inventory/assets/ETH").await.json()["data"]["price_usd"]
        .as_f64()
        .unwrap();
    let answer = alice.post(Service::Order, "/orders/", &market("buy", "ETH", 1.5)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let order = answer.json()["data"].clone();
    assert_eq!((&order["asset_id"], &order["order_type"]), (&json!("ETH"), &json!("market_buy")));
    assert_eq!(order["total_amount"].as_f64().unwrap(), price * 1.5);
    assert_eq!(balance(&alice).await, 100_000.0 - price * 1.5);

    let portfolio = alice.get(Service::User, "/portfolio").await.json();
    assert_eq!(portfolio["assets"][0]["asset_id"], "ETH");
    assert_eq!(portfolio["assets"][0]["quantity"], 1.5);
    assert_eq!(portfolio["total_value"], 100_000.0);
    let held = alice.get(Service::User, "/balance/asset/eth").await.json();
    assert_eq!(held["data"]["quantity"], 1.5);
    let moves = alice.get(Service::Order, "/assets/ETH/transactions").await.json();
    assert_eq!(moves["data"][0]["order_id"], order["order_id"]);
    let summary = alice.get(Service::Insights, "/insights/portfolio").await.json();
    assert!(summary["data"]["summary"].as_str().unwrap().contains("ETH"), "{summary}");
    assert!(summary["data"]["generated_at"].is_string() && summary["data"]["model"].is_string());
}

#[tokio::test]
async fn the_transactions_of_an_asset_are_of_no_other() {
    let demo = start().await;
    let rich = Caller::login(&demo, CUSTOMER.username, CUSTOMER.password).await;
    for (side, asset) in [("buy", "ADA"), ("buy", "XRP"), ("sell", "ADA")] {
        assert_eq!(rich.post(Service::Order, "/orders/", &market(side, asset, 1.0)).await.status, 201);
    }
    let moves = rich.get(Service::Order, "/assets/ADA/transactions").await.json();
    let kinds: Vec<_> =
        moves["data"].as_array().unwrap().iter().map(|entry| entry["transaction_type"].clone()).collect();
    assert_eq!(kinds, ["sell", "buy"]);
}

#[tokio::test]
async fn orders_are_listed_newest_first_in_pages() {
    let demo = start().await;
    let rich = Caller::login(&demo, CUSTOMER.username, CUSTOMER.password).await;
    for asset in ["ADA", "XRP", "SOL"] {
        assert_eq!(rich.post(Service::Order, "/orders/", &market("buy", asset, 1.0)).await.status, 201);
    }
    let page = rich.get(Service::Order, "/orders/?limit=2").await.json();
    let assets: Vec<_> =
        page["data"].as_array().unwrap().iter().map(|order| order["asset_id"].clone()).collect();
    assert_eq!((assets, &page["has_more"]), (vec![json!("SOL"), json!("XRP")], &json!(true)));
    let rest = rich.get(Service::Order, "/orders/?limit=2&offset=2").await.json();
    assert_eq!((rest["data"].as_array().unwrap().len(), &rest["has_more"]), (1, &json!(false)));
    assert_eq!(rich.get(Service::Order, "/orders/?limit=0").await.complaints(), ["query.limit"]);
    assert_eq!(rich.get(Service::Order, "/orders/?offset=x").await.complaints(), ["query.offset"]);
}

#[tokio::test]
async fn an_order_is_found_by_its_owner_and_by_nobody_else() {
    let demo = start().await;
    let rich = Caller::login(&demo, CUSTOMER.username, CUSTOMER.password).await;
    let order = rich.post(Service::Order, "/orders/", &market("buy", "ADA", 1.0)).await.json();
    let path = format!("/orders/{}", order["data"]["order_id"].as_str().unwrap());
    assert_eq!(rich.get(Service::Order, &path).await.json()["data"], order["data"]);
    assert_eq!(newcomer(&demo, "alice_1").await.get(Service::Order, &path).await.status, 404);
    assert_eq!(rich.get(Service::Order, "/orders/no_such_order").await.status, 404);
}

#[tokio::test]
async fn each_malformed_field_of_an_order_is_named() {
    let demo = start().await;
    let rich = Caller::login(&demo, CUSTOMER.username, CUSTOMER.password).await;
    let cases = [
        (json!({ "asset_id": "B!" }), "body.asset_id"),
        (json!({ "order_type": "buy" }), "body.order_type"),
        (json!({ "quantity": 0 }), "body.quantity"),
        (json!({ "quantity": -1.5 }), "body.quantity"),
        (json!({ "order_type": "limit_buy" }), "body.price"),
        (json!({ "price": 0 }), "body.price"),
    ];
    for (change, complaint) in cases {
        let mut body = market("buy", "BTC", 0.1);
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        assert_eq!(rich.post(Service::Order, "/orders/", &body).await.complaints(), [complaint], "{body}");
    }
    let empty = rich.post(Service::Order, "/orders/", &json!({})).await;
    assert_eq!(empty.complaints(), ["body.asset_id", "body.order_type", "body.quantity"]);
    assert_eq!(rich.post(Service::Order, "/orders/", &market("buy", "NOPE", 1.0)).await.status, 404);
    assert_eq!(rich.post(Service::Order, "/orders/", &market("buy", "LUNA", 1.0)).await.status, 400);
}

#[tokio::test]
async fn orders_without_the_slash_are_redirected_so_a_missing_rewrite_shows() {
    let demo = start().await;
    let answer = get(demo.addr(Service::Order), "/orders?limit=2").await;
    assert_eq!(answer.status, 307);
    assert!(answer.head.contains("location: /orders/?limit=2"), "{answer:?}");
}

#[tokio::test]
async fn the_catalogue_counts_all_and_active_assets() {
    let demo = start().await;
    let addr = demo.addr(Service::Inventory);
    let list = get(addr, "/inventory/assets").await.json();
    let assets = list["data"].as_array().unwrap();
    let active = assets.iter().filter(|asset| asset["is_active"] == true).count();
    assert_eq!((&list["total_count"], &list["active_count"]), (&json!(assets.len()), &json!(active)));
    assert!(active < assets.len());
    for asset in assets {
        assert!(asset["name"].is_string() && asset["category"].is_string() && asset["price_usd"].is_number());
    }
    assert_eq!(get(addr, "/inventory/assets?limit=2").await.json()["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn an_asset_is_found_in_any_case_unknown_is_404_malformed_422() {
    let demo = start().await;
    let addr = demo.addr(Service::Inventory);
    assert_eq!(get(addr, "/inventory/assets/btc").await.json()["data"]["asset_id"], "BTC");
    assert_eq!(get(addr, "/inventory/assets/NOPE").await.status, 404);
    for id in ["UNKNOWN_ASSET", "BTC!", "%20%20", "%FF", "B%2FC"] {
        assert_eq!(
            get(addr, &format!("/inventory/assets/{id}")).await.complaints(),
            ["path.asset_id"],
            "{id}"
        );
    }
}

#[tokio::test]
async fn a_user_without_holdings_has_an_empty_portfolio_and_no_asset_balance() {
    let demo = start().await;
    let alice = newcomer(&demo, "alice_1").await;
    assert_eq!(alice.get(Service::User, "/portfolio").await.json()["assets"], json!([]));
    assert_eq!(alice.get(Service::User, "/balance/asset/BTC").await.status, 404);
    assert_eq!(alice.get(Service::Order, "/assets/BTC/transactions").await.json()["data"], json!([]));
    assert_eq!(alice.get(Service::Insights, "/insights/portfolio").await.status, 200);
}

#[tokio::test]
async fn the_gift_is_given_once() {
    let demo = start().await;
    let alice = newcomer(&demo, "alice_1").await;
    assert_eq!(alice.post(Service::User, "/cny/claim", &json!({})).await.status, 200);
    assert_eq!(alice.post(Service::User, "/cny/claim", &json!({})).await.status, 409);
    assert_eq!(balance(&alice).await, 88.0);
}
