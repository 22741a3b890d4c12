//! What the example counts of its platform's business, beside what the platform itself says.

use portcullis_demo_services::CUSTOMER;
use portcullis_e2e::{Answer, Gateway, Request};
use serde_json::{Value, json};

#[test]
fn logins_deposits_orders_and_their_volume_are_those_of_the_platform() {
    let gateway = Gateway::shipped().start();
    let wrong = json!({ "username": CUSTOMER.username, "password": "not-hers-12345" });
    assert_eq!(gateway.send(&Request::post("/api/v1/auth/login").json(&wrong)).status, 401);
    let token = gateway.log_in(&CUSTOMER);
    let post = |path: &str, body: Value| -> Answer {
        gateway.send(&Request::post(format!("/api/v1{path}")).bearer(&token).json(&body))
    };
    for amount in ["100000.10", "0.20"] {
        assert_eq!(post("/balance/deposit", json!({ "amount": amount })).status, 201);
    }
    let order = |asset: &str, quantity: f64| {
        post("/orders", json!({ "asset_id": asset, "order_type": "market_buy", "quantity": quantity }))
    };
    let bought = [order("BTC", 0.5), order("ETH", 1.25), order("BTC", 0.1)];
    let cents = |answer: &Answer| {
        assert_eq!(answer.status, 201, "{answer:?}");
        let total = answer.json()["data"]["total_amount"].clone();
        let total = total.as_str().map_or_else(|| total.to_string(), str::to_owned);
        let total: f64 = total.parse().expect("a number");
        (total * 100.0).round()
    };
    assert_eq!(order("BTC", -1.0).status, 422);
    let counted = |name: &str, labels: &[(&str, &str)], value: f64| {
        assert_eq!(gateway.settled(name, labels, value), value, "{name} {labels:?}");
    };
    counted("business_events_total", &[("event", "logins")], 1.0);
    counted("business_events_total", &[("event", "failed_logins")], 1.0);
    counted("business_amount_total", &[("event", "deposits"), ("unit", "usd_cents")], 10_000_030.0);
    counted("business_events_total", &[("event", "orders_created"), ("value", "BTC")], 2.0);
    counted("business_events_total", &[("event", "orders_refused")], 1.0);
    let bitcoin = cents(&bought[0]) + cents(&bought[2]);
    counted("business_amount_total", &[("event", "orders_created"), ("value", "BTC")], bitcoin);
    counted("business_amount_total", &[("event", "orders_created"), ("value", "ETH")], cents(&bought[1]));
    counted("business_events_unread_total", &[], 0.0);
}
