//! The filter in front of a backend, behind the gateway: two Envoys, and a signature between them.

use portcullis_demo_services::CUSTOMER;
use portcullis_e2e::{Gateway, Request};
use serde_json::json;
use std::time::Duration;

const SECRET: &str = "a-secret-that-gateway-and-backends-share";
const ASSETS: &str = "/api/v1/inventory/assets";

/// An Envoy before a backend, that takes only what the gateway has signed.
fn backend() -> Gateway {
    Gateway::setup()
        .policy(|policy| {
            policy["source"] = json!({ "require": { "signature": { "secrets": [SECRET] } } });
            policy["path_prefix"] = "".into();
            let routes = policy["routes"].as_array_mut().expect("the example has routes");
            // The gateway asks this one for `/orders/`.
            let orders = routes.iter_mut().filter(|route| route["path"] == "/orders");
            orders.for_each(|route| route["trailing_slash"] = "either".into());
            policy["trust_headers"] = json!({});
            // The gateway is a proxy of this one's: its request ids are kept.
            policy["client_ip"] = json!({ "trusted_proxies": ["127.0.0.0/8"] });
        })
        .start()
}

fn gateway(backend: &Gateway) -> Gateway {
    Gateway::shipped()
        .policy(|policy| policy["source"] = json!({ "sign": { "secret": SECRET } }))
        .service_at("inventory", backend.address())
        .service_at("order", backend.address())
        .start()
}

#[test]
fn a_backend_takes_what_its_gateway_has_signed_and_nothing_else() {
    let backend = backend();
    let gateway = gateway(&backend);
    assert_eq!(gateway.get(ASSETS).status, 200);
    let token = gateway.log_in(&CUSTOMER);
    assert_eq!(
        gateway.send(&Request::get("/api/v1/orders").bearer(&token)).status,
        200,
        "with a user and a role"
    );
    let forged = Request::get(ASSETS).header("x-source-signature", "t=1;v1=AAAA");
    assert_eq!(gateway.send(&forged).status, 200, "a client's own is replaced");

    // Who reaches the backend directly knows the constant, not the secret.
    let direct = Request::get("/inventory/assets").header("x-source", "gateway");
    let refused = backend.send(&direct);
    assert_eq!((refused.status, refused.json()["code"].as_str()), (403, Some("PERM_001")), "{refused:?}");
    let count = |result: &str, expected: f64| {
        let labels = [("header", "x-source-signature"), ("result", result)];
        backend.settled("gateway_security_header_validation_total", &labels, expected)
    };
    assert_eq!(count("missing", 1.0), 1.0);
    assert_eq!(count("valid", 3.0), 3.0);
    // The backend's own metrics are the services', as at the gateway, and its lines say the same.
    let endpoint = [("endpoint", "/inventory/assets")];
    assert_eq!(backend.settled("inventory_requests_total", &endpoint, 2.0), 2.0);
    let metrics = backend.metrics();
    assert_eq!(metrics.sum("inventory_request_latency_seconds_count", &endpoint), 2.0);
    assert_eq!(metrics.sum("order_requests_total", &[("status_code", "200")]), 1.0);
    assert_eq!(
        metrics.sum("inventory_errors_total", &[]),
        0.0,
        "what is refused is no answer of the service"
    );
    let of_inventory = |line: &portcullis_e2e::Line| {
        line.json()
            .is_some_and(|line| line["extra"]["target_service"] == "inventory" && line["action"] == "request")
    };
    let lines = || backend.envoy.stdout().all().into_iter().filter(of_inventory).count();
    portcullis_e2e::eventually("both lines are there", || lines() == 2);
    // A signature that is overheard is worth nothing once it has expired.
    gateway.envoy.travel(Duration::from_secs(3600));
    assert_eq!(gateway.get(ASSETS).status, 403, "from an hour ahead");
}
