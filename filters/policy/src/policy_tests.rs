use super::*;
use serde_json::json;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn sound() -> Value {
    json!({
        "version": 1,
        "path_prefix": "/api/v1",
        "services": {
            "order": { "address": "127.0.0.1:8002" },
            "user": { "address": "user.shop.svc:8000", "timeout": "5s", "calls": ["/internal/x"] }
        },
        "routes": [
            { "path": "/orders", "methods": ["GET", "POST"], "service": "order", "upstream_path": "/orders/" },
            { "path": "/orders/{id}", "methods": ["GET"], "service": "order" },
            { "path": "/auth/login", "methods": ["POST"], "service": "user" }
        ]
    })
}

fn errors(value: &Value) -> Vec<String> {
    Policy::from_value(value).err().unwrap().iter().map(ToString::to_string).collect()
}

#[test]
fn a_sound_policy_compiles_to_routes_with_their_whole_path() {
    let policy = Policy::from_value(&sound()).ok().unwrap();
    let route = policy.table.find(b"GET", "/api/v1/orders/7").unwrap();
    assert_eq!(policy.routes[route].template.as_str(), "/api/v1/orders/{id}");
    assert_eq!(policy.services[policy.routes[route].service].name, "order");
    let labels: Vec<_> = policy.catalogue.endpoints.iter().map(|e| e.label.as_str()).collect();
    assert_eq!(
        labels,
        ["/api/v1/orders", "/api/v1/orders/{id}", "/api/v1/auth/login", "/internal/x", "unmatched"]
    );
}

#[test]
fn six_mistakes_of_six_kinds_are_six_errors_at_once() {
    let mut policy = sound();
    policy["metrcis"] = json!({});
    policy["services"]["user"]["timeout"] = json!("soon");
    policy["routes"][0]["service"] = json!("ordr");
    policy["routes"][1]["methods"] = json!(["get"]);
    policy["routes"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "path": "/orders", "methods": ["PUT", "GET"], "service": "order" }));
    policy["client_ip"] = json!({ "trusted_hops": -1 });
    let errors = errors(&policy);
    assert_eq!(errors.len(), 6, "{errors:#?}");
    for expected in [
        "metrcis: found the unknown field `metrcis`, expected one of `version`, `gateway`, `path_prefix`, `client_ip`, \
         `services`, `routes`, `cors`, `trust_headers`, `browser_headers`, `metrics`, `proxy`; did you mean `metrics`?",
        "client_ip.trusted_hops: found the number `-1`, expected a whole number",
        "services.user.timeout: found `soon`, expected a duration such as `15s`, `500ms` or `1m 30s`",
        "routes[0].service: found `ordr`, expected a name from `services`: order, user; did you mean `order`?",
        "routes[1].methods[0]: found `get`, expected one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS; did you mean `GET`?",
    ] {
        assert!(errors.iter().any(|e| e == expected), "no error `{expected}` among {errors:#?}");
    }
}

#[test]
fn a_service_with_a_mistake_does_not_make_its_routes_wrong() {
    let mut policy = sound();
    policy["services"]["order"]["address"] = json!("nowhere");
    assert_eq!(
        errors(&policy),
        ["services.order.address: found `nowhere`, expected `host:port`, such as `orders.shop.svc:8002`"]
    );
}

#[test]
fn what_must_be_there_is_asked_for() {
    let errors = errors(&json!({}));
    let places: Vec<_> = errors.iter().map(|e| e.split(':').next().unwrap().to_owned()).collect();
    assert_eq!(places, ["version", "services", "routes"]);
    assert_eq!(super::tests::errors(&json!([])).len(), 1);
    assert!(Policy::from_json(b"{").is_err());
}

#[test]
fn an_upstream_path_is_plain_and_on_a_plain_route() {
    let mut policy = sound();
    policy["routes"][1]["upstream_path"] = json!("/x");
    policy["routes"][0]["upstream_path"] = json!("/x/{id}");
    let errors = errors(&policy);
    assert!(errors[0].starts_with("routes[0].upstream_path: found `/x/{id}`"), "{errors:#?}");
    assert!(errors[1].starts_with("routes[1].upstream_path: found `/x`"), "{errors:#?}");
}

#[test]
fn a_service_may_not_take_the_gateways_metric_names() {
    let mut policy = sound();
    policy["services"]["gateway"] = json!({ "address": "a:1" });
    policy["services"]["Bad-Name"] = json!({ "address": "a:1" });
    let errors = errors(&policy);
    assert_eq!(errors.len(), 2, "{errors:#?}");
}

#[test]
fn the_schema_knows_the_fields_that_the_parser_knows() {
    let schema = crate::json_schema();
    let mut in_schema: Vec<_> = schema["properties"].as_object().unwrap().keys().cloned().collect();
    let mut in_parser = FIELDS.map(str::to_owned).to_vec();
    in_schema.sort();
    in_parser.sort();
    assert_eq!(in_schema, in_parser);
}
