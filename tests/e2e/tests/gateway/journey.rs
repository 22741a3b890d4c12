//! What a newcomer does first, as `make run` shows it.

use crate::common::{assert_dressed, assert_error, both_ways, both_ways_of};
use portcullis_demo_services::Service;
use portcullis_e2e::{Gateway, Request};
use serde_json::{Value, json};

#[track_caller]
fn post(gateway: &Gateway, token: &str, path: &str, body: &Value, expected: u16) -> Value {
    let answer = gateway.send(&Request::post(format!("/api/v1{path}")).bearer(token).json(body));
    assert_eq!(answer.status, expected, "{path}: {answer:?}");
    answer.json()
}

#[track_caller]
fn get(gateway: &Gateway, token: &str, path: &str) -> Value {
    let answer = gateway.send(&Request::get(format!("/api/v1{path}")).bearer(token));
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    assert_dressed(&answer);
    answer.json()
}

fn register_and_log_in(gateway: &Gateway) -> String {
    let newcomer = json!({
        "username": "ada_lovelace", "email": "ada@example.com", "password": "Sup3r-Secret-1",
        "first_name": "Ada", "last_name": "Lovelace",
    });
    assert_eq!(gateway.send(&Request::post("/api/v1/auth/register").json(&newcomer)).status, 201);
    let credentials = json!({"username": "ada_lovelace", "password": "Sup3r-Secret-1"});
    let session = gateway.send(&Request::post("/api/v1/auth/login").json(&credentials)).json();
    assert_eq!(session["token_type"], "bearer", "{session}");
    session["access_token"].as_str().expect("a token").to_owned()
}

#[test]
fn a_newcomer_registers_logs_in_trades_and_lists_her_orders() {
    both_ways_of(Gateway::shipped, |gateway| {
        assert_error(&gateway.get("/api/v1/orders"), 401, "AUTH_001");
        let token = register_and_log_in(gateway);
        assert_eq!(get(gateway, &token, "/orders")["data"], json!([]));
        post(gateway, &token, "/balance/deposit", &json!({"amount": 100_000}), 201);
        let order = json!({"asset_id": "BTC", "order_type": "market_buy", "quantity": 1});
        let order = post(gateway, &token, "/orders", &order, 201)["data"]["order_id"].clone();
        let id = order.as_str().expect("an order has an id");
        assert_eq!(get(gateway, &token, "/orders")["data"][0]["order_id"], order);
        assert_eq!(get(gateway, &token, &format!("/orders/{id}"))["data"]["order_id"], order);
        assert!(
            !get(gateway, &token, "/assets/BTC/transactions")["data"].as_array().expect("a list").is_empty()
        );
        assert!(get(gateway, &token, "/portfolio")["assets"].is_array());
        assert!(get(gateway, &token, "/insights/portfolio")["data"]["summary"].is_string());
        assert_eq!(get(gateway, &token, "/auth/profile")["username"], "ada_lovelace");
        let asked = gateway.captured(Service::User, "/auth/profile").pop().expect("it was asked");
        assert_eq!(asked.header_values("x-user-id"), [b"ada_lovelace"]);
        assert_eq!(asked.header_values("x-user-role"), [b"customer"]);
    });
}

#[test]
fn what_services_answer_comes_back_as_they_said_it() {
    both_ways(|gateway| {
        let wrong = json!({"username": "demo_customer", "password": "Wrong-Password-1"});
        let answer = gateway.send(&Request::post("/api/v1/auth/login").json(&wrong));
        assert_eq!((answer.status, answer.json()), (401, json!({"detail": "Invalid credentials"})));
        let incomplete = gateway.send(&Request::post("/api/v1/auth/login").json(&json!({})));
        assert_eq!(incomplete.status, 422);
        assert!(incomplete.json()["detail"].is_array(), "{incomplete:?}");
    });
}

#[test]
fn the_prefix_is_cut_off_on_the_way_to_the_service_and_the_query_is_kept() {
    both_ways(|gateway| {
        gateway.get("/api/v1/inventory/assets/BTC?a=%2F..%2f&b=//;x#");
        gateway.get("/api/v1/inventory/assets/BTC?a=%2F..%2f&b=//;x");
        let seen = gateway.captured(Service::Inventory, "/inventory/assets/BTC");
        let targets: Vec<_> = seen.iter().map(|request| request.target.as_str()).collect();
        assert_eq!(targets, ["/inventory/assets/BTC?a=%2F..%2f&b=//;x"]);
    });
}

#[test]
fn the_collection_of_orders_is_asked_for_where_the_service_has_it() {
    both_ways(|gateway| {
        gateway.get("/api/v1/orders?limit=2&probe=collection");
        let seen = gateway.captured(Service::Order, "/orders/");
        assert!(seen.iter().any(|request| request.target == "/orders/?limit=2&probe=collection"), "{seen:?}");
        assert!(gateway.captured(Service::Order, "/orders").is_empty());
    });
}
