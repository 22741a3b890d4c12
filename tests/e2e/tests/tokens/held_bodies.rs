//! A body that has come while its request waited for the auth service.

use crate::lab::{route, setup_with};
use portcullis_e2e::{Gateway, H2Connection, KeyAnswer, KeyServer, Request};
use serde_json::json;

#[test]
fn what_came_of_a_body_while_its_request_waited_is_read_too() {
    let server = KeyServer::start(KeyAnswer::Hang);
    let settings = json!({"url": "http://auth.example/introspect", "cluster": "as", "client_id": "gateway",
        "client_secret": "a secret of ours", "timeout": "30s"});
    let jwt = json!({"providers": {"as": {"introspection": settings}}});
    let mut deposit = route("/a", json!({}));
    deposit["methods"] = json!(["POST"]);
    let amount = json!({ "from": "request", "pointer": "/amount", "unit": "cents", "decimals": 2 });
    // The service there knows no POST: its 405 is the event.
    let events = json!({ "deposits": { "route": "/a", "statuses": [405], "amount": amount } });
    let gateway: Gateway = setup_with(jwt, vec![deposit], &[("as", server.address())])
        .policy(|policy| policy["business"] = json!({ "events": events }))
        .start();
    let connection = H2Connection::open(gateway.address());
    let body = json!({ "note": "n".repeat(20_000), "amount": "12.34" });
    let pending =
        connection.start(&Request::post("/api/v1/a").bearer("opaque").json(&body)).expect("a stream");
    server.wait_for_fetches(1);
    server.answer_with(KeyAnswer::Document(json!({"active": true, "sub": "carol"}).to_string()));
    assert_eq!(pending.answer().expect("an answer").status, 405);
    assert_eq!(gateway.settled("business_amount_total", &[("unit", "cents")], 1234.0), 1234.0);
    assert_eq!(gateway.metrics().sum("business_events_unread_total", &[]), 0.0);
}
