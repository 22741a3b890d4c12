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
    let route = policy.table.find(b"", b"GET", "/api/v1/orders/7").unwrap();
    assert_eq!(policy.routes[route].template.as_str(), "/api/v1/orders/{id}");
    assert_eq!(policy.services[policy.routes[route].service].name, "order");
    let labels: Vec<_> = policy.catalogue.endpoints.iter().map(String::as_str).collect();
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
         `services`, `clusters`, `jwt`, `routes`, `limits`, `concurrency`, `breakers`, `abuse`, `source`, `findings`, `cors`, `trust_headers`, `browser_headers`, `business`, `metrics`, `logs`, `tracing`, `proxy`; did you mean `metrics`?",
        "client_ip.trusted_hops: found the number `-1`, expected a whole number, 0 or more",
        "services.user.timeout: found `soon`, expected a duration such as `15s`, `500ms` or `1m 30s`",
        "routes[0].service: found `ordr`, expected a name from `services`: order, user; did you mean `order`?",
        "routes[1].methods[0]: found `get`, expected one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS; did you mean `GET`?",
    ] {
        assert!(errors.iter().any(|e| e == expected), "no error `{expected}` among {errors:#?}");
    }
}

#[test]
fn a_gateway_that_signs_says_who_it_is() {
    let mut policy = sound();
    policy["source"] = json!({ "sign": { "secret": "a-secret-that-gateway-and-backends-share" } });
    let found = errors(&policy);
    assert!(found.len() == 1 && found[0].starts_with("source.sign: "), "{found:#?}");
    policy["trust_headers"] = json!({ "set": { "X-Source": "gateway" } });
    assert!(Policy::from_value(&policy).is_ok());
}

#[test]
fn the_header_that_names_a_service_is_a_name_that_nothing_else_uses() {
    let mut policy = sound();
    policy["trust_headers"] = json!({ "set": { "X-Source": "gateway" } });
    for taken in ["x_source", "Authorization", "no name"] {
        policy["proxy"] = json!({ "service_header": taken });
        let found = errors(&policy);
        assert!(found.len() == 1 && found[0].starts_with("proxy.service_header: "), "{taken}: {found:#?}");
    }
    policy["proxy"] = json!({ "service_header": "X-Portcullis-Service" });
    let policy = Policy::from_value(&policy).unwrap();
    assert_eq!(policy.service_header.as_ref().map(HeaderName::as_str), Some("x-portcullis-service"));
    assert!(policy.trust.claims_trust(b"x_portcullis_service"), "no client may write it");
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
fn an_upstream_path_has_only_parameters_of_its_path() {
    let mut policy = sound();
    policy["routes"][0]["upstream_path"] = json!("/x/{id}");
    policy["routes"][1]["upstream_path"] = json!("/x/{ids}/../y");
    policy["routes"][2]["upstream_path"] = json!("/x");
    let wrong = errors(&policy);
    assert_eq!(wrong.len(), 2, "{wrong:#?}");
    assert!(wrong[0].starts_with("routes[0].upstream_path: found `{id}`"), "{wrong:#?}");
    assert!(wrong[1].starts_with("routes[1].upstream_path: found `/x/{ids}/../y`"), "{wrong:#?}");
    policy["routes"][1]["upstream_path"] = json!("/x/{ids}");
    assert!(errors(&policy)[1].ends_with("did you mean `id`?"), "{:#?}", errors(&policy));
    let rest = json!({
        "version": 1,
        "services": { "a": { "address": "a:1" } },
        "routes": [{ "path": "/s/{*rest}", "methods": ["GET"], "service": "a", "upstream_path": "/t/{rest}" }],
    });
    assert_eq!(errors(&rest).len(), 1, "{:#?}", errors(&rest));
}

#[test]
fn every_mistake_in_a_routes_host_and_form_is_told_where_it_stands() {
    let mut policy = sound();
    policy["routes"][0]["hosts"] = json!(["a.example", "A.example", "b:80", "*.*"]);
    policy["routes"][1]["path"] = json!("/orders/{*rest}");
    policy["routes"][1]["trailing_slash"] = json!("either");
    policy["routes"][2]["upgrades"] = json!(["websocket"]);
    let places: Vec<_> =
        errors(&policy).iter().map(|e| e.split(':').next().unwrap_or_default().to_owned()).collect();
    let expected = [
        "routes[0].hosts[1]",
        "routes[0].hosts[2]",
        "routes[0].hosts[3]",
        "routes[1].trailing_slash",
        "routes[2].upgrades",
    ];
    assert_eq!(places, expected);
}

#[test]
fn every_mistake_in_the_listeners_tls_is_told_where_it_stands() {
    let mut policy = sound();
    policy["gateway"] = json!({ "listen": "0.0.0.0:443", "tls": {
        "certificates": [{ "certificate_file": "", "key_file": "/k" }],
        "redirect_from": "0.0.0.0:443",
        "client_certificates": { "ca_file": "/ca", "subject_header": "X Subject" },
    } });
    let places: Vec<_> =
        errors(&policy).iter().map(|e| e.split(':').next().unwrap_or_default().to_owned()).collect();
    let expected = [
        "gateway.tls.certificates[0].certificate_file",
        "gateway.tls.client_certificates.subject_header",
        "gateway.tls.redirect_from",
    ];
    assert_eq!(places, expected);
}

#[test]
fn two_listeners_do_not_share_an_address() {
    let mut policy = sound();
    policy["gateway"] = json!({ "listen": "0.0.0.0:9902", "admin": "127.0.0.1:9902", "tls": {
        "certificates": [{ "certificate_file": "/c", "key_file": "/k" }],
        "redirect_from": "10.0.0.1:9902",
    } });
    policy["metrics"] = json!({ "listen": "127.0.0.1:9902" });
    let errors = errors(&policy);
    let expected = [
        "gateway.admin: found `127.0.0.1:9902`, which is `gateway.listen` too, expected an address or a port of its own",
        "gateway.tls.redirect_from: found `10.0.0.1:9902`, which is `gateway.listen` too, expected an address or a port of its own",
        "metrics.listen: found `127.0.0.1:9902`, which is `gateway.listen` too, expected an address or a port of its own",
    ];
    assert_eq!(errors, expected);
    // Another address of the machine, another family, any free port.
    for (listen, metrics) in
        [("10.0.0.1:80", "127.0.0.1:80"), ("0.0.0.0:80", "[::1]:80"), ("0.0.0.0:0", "127.0.0.1:0")]
    {
        let mut policy = sound();
        policy["gateway"] = json!({ "listen": listen });
        policy["metrics"] = json!({ "listen": metrics });
        assert!(Policy::from_value(&policy).is_ok(), "{listen} {metrics}");
    }
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
fn a_service_may_not_begin_with_what_the_gateways_metrics_begin_with() {
    let mut policy = sound();
    policy["services"]["gateway_http"] = json!({ "address": "a:1" });
    policy["services"]["portcullis_metric"] = json!({ "address": "a:1" });
    policy["services"]["gateways"] = json!({ "address": "a:1" });
    let errors = errors(&policy);
    assert_eq!(errors.len(), 2, "{errors:#?}");
    assert!(errors[0].starts_with("services.gateway_http: found the name `gateway_http`"), "{errors:#?}");
}

#[test]
fn times_out_of_range_are_refused_and_0s_is_no_end() {
    let mut policy = sound();
    policy["services"]["order"]["timeout"] = json!("0s");
    policy["services"]["order"]["connect_timeout"] = json!("61m");
    policy["routes"][1]["timeout"] = json!("25h");
    policy["cors"] = json!({ "origins": ["*"], "max_age": "1500ms" });
    assert_eq!(
        errors(&policy),
        [
            "services.order.connect_timeout: found `1h 1m`, expected a duration from `1ms` to `1h`",
            "cors.max_age: found `1s 500ms`, expected whole seconds, `1day` at most",
            "routes[1].timeout: found `1day 1h`, expected a duration from `1ms` to `1day`, or `0s` for no end",
        ]
    );
}

#[test]
fn the_longest_times_are_not_refused() {
    let mut policy = sound();
    policy["services"]["order"] = json!({ "address": "a:1", "timeout": "24h", "connect_timeout": "1h" });
    policy["routes"][1]["timeout"] = json!("1ms");
    policy["cors"] = json!({ "origins": ["*"], "max_age": "24h" });
    assert!(Policy::from_value(&policy).is_ok());
}

#[test]
fn a_routes_path_is_a_path_of_its_own_whatever_the_prefix() {
    for (path, shown) in [("orders/x", "orders/x"), ("", ""), ("/a//b", "/a//b")] {
        let mut policy = sound();
        policy["routes"][0]["path"] = json!(path);
        let errors = errors(&policy);
        assert_eq!(errors.len(), 1, "{errors:#?}");
        assert!(errors[0].starts_with(&format!("routes[0].path: found `{shown}`, expected ")), "{errors:#?}");
    }
}

#[test]
fn a_prefix_is_a_plain_path_without_empty_segments() {
    for bad in ["/api//v1", "/api/", "/", "api", "/{v}"] {
        let mut policy = sound();
        policy["path_prefix"] = json!(bad);
        let errors = errors(&policy);
        assert_eq!(errors.len(), 1, "{errors:#?}");
        assert!(errors[0].starts_with(&format!("path_prefix: found `{bad}`")), "{errors:#?}");
    }
}

#[test]
fn the_gateways_own_pages_have_plain_paths() {
    let mut policy = sound();
    policy["gateway"] = json!({ "health_path": "/health?x=1" });
    policy["metrics"] = json!({ "path": "/a/../metrics", "uncounted": ["/health", "internal"] });
    let errors = errors(&policy);
    let places: Vec<_> = errors.iter().map(|e| e.split(':').next().unwrap().to_owned()).collect();
    assert_eq!(places, ["gateway.health_path", "metrics.path", "metrics.uncounted[1]"]);
}

#[test]
fn the_gateways_own_pages_are_nobody_elses() {
    let mut policy = sound();
    policy["path_prefix"] = json!("");
    policy["gateway"] = json!({ "health_path": "/metrics" });
    policy["routes"][2]["path"] = json!("/metrics");
    assert_eq!(
        errors(&policy),
        [
            "metrics.path: found `/metrics`, which is `gateway.health_path` too, expected a path of its own",
            "routes[2].path: found `/metrics`, where the gateway itself answers, expected a path that is neither \
             `gateway.health_path` nor `metrics.path`",
        ]
    );
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

#[test]
fn the_schema_is_as_strict_as_the_parser_where_a_schema_can_be() {
    let schema = crate::json_schema();
    let says = |at: &str, value: Value| assert_eq!(schema.pointer(at), Some(&value), "{at}");
    says("/properties/path_prefix/type", json!("string"));
    says("/properties/cors/$ref", json!("#/$defs/RawCors"));
    says("/required", json!(["version", "services", "routes"]));
    says("/properties/services/propertyNames/pattern", json!("^[a-z][a-z0-9_]*$"));
    says("/properties/services/propertyNames/not/pattern", json!("^(gateway|portcullis)(_|$)"));
    let methods = json!(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);
    says("/$defs/RawRoute/properties/methods/items/enum", methods);
    says("/$defs/RawRoute/properties/methods/minItems", json!(1));
    says("/$defs/RawMetrics/properties/statuses/items/minimum", json!(100));
    says("/$defs/RawMetrics/properties/statuses/items/maximum", json!(599));
    says("/$defs/RawBrowserHeader/required", json!(["name"]));
    says("/$defs/RawBrowserHeader/oneOf/2", json!({ "required": ["remove"] }));
    says("/$defs/RawBrowserHeader/properties/set/minLength", json!(1));
    says("/$defs/RawBrowserHeader/properties/remove/const", json!(true));
}

#[test]
fn what_the_schema_refuses_the_parser_refuses() {
    let bad = [
        ("path_prefix", json!(null)),
        ("cors", json!(null)),
        ("routes", json!([{ "path": "/a", "methods": [], "service": "order" }])),
        ("routes", json!([{ "path": "/a", "methods": ["get"], "service": "order" }])),
        ("metrics", json!({ "statuses": [99] })),
        ("metrics", json!({ "statuses": [600] })),
        ("browser_headers", json!([{ "name": "X-A" }])),
        ("browser_headers", json!([{ "name": "X-A", "set": "a", "if_absent": "a" }])),
        ("browser_headers", json!([{ "name": "X-A", "remove": false }])),
        ("browser_headers", json!([{ "name": "X-A", "set": "" }])),
    ];
    for (section, value) in bad {
        let mut policy = sound();
        policy[section] = value;
        assert!(Policy::from_value(&policy).is_err(), "the parser takes {section}: {}", policy[section]);
    }
}

/// The places of the mistakes in a policy with one service.
fn mistakes_of_service(service: Value) -> Vec<String> {
    let policy = json!({ "version": 1, "services": { "a": service }, "routes": [] });
    let errors = Policy::from_value(&policy).err().unwrap_or_default();
    errors.iter().map(|error| error.at.to_string().replace("services.a.", "")).collect()
}

#[test]
fn every_mistake_in_how_a_service_is_reached_is_told_where_it_stands() {
    let service = json!({
        "address": "a:1",
        "timeout": "25h",
        "idle_timeout": "1us",
        "load_balancing": { "hash_on": { "header": "a b" }, "panic_threshold": 101 },
        "dns": { "refresh": "1ms" },
        "tls": { "key_file": "/k", "ca_file": "" },
        "keep_alive": { "idle_timeout": "1ms", "max_requests": 0, "probe_interval": "2h" },
        "health_check": { "grpc_service": "", "interval": "1ms", "healthy_threshold": 0 },
        "outlier_detection": { "consecutive_5xx": 0 },
        "circuit_limits": { "max_requests": 0 },
        "retry": { "attempts": 11, "on": [], "methods": ["get"], "budget": { "percent": 0 } },
    });
    let expected = [
        "timeout",
        "idle_timeout",
        "load_balancing.panic_threshold",
        "load_balancing.hash_on",
        "dns.refresh",
        "keep_alive.idle_timeout",
        "keep_alive.probe_interval",
        "keep_alive.max_requests",
        "tls.ca_file",
        "tls.certificate_file",
        "health_check.interval",
        "health_check.healthy_threshold",
        "health_check.grpc_service",
        "outlier_detection.consecutive_5xx",
        "circuit_limits.max_requests",
        "retry.attempts",
        "retry.on",
        "retry.methods[0]",
        "retry.budget.percent",
    ];
    assert_eq!(mistakes_of_service(service), expected);
}

#[test]
fn a_service_has_one_address_or_a_list_of_them() {
    let endpoints = |count: usize| -> Value {
        (0..count).map(|i| json!({ "address": format!("10.0.{}.{}:80", i / 256, i % 256) })).collect()
    };
    let of = |service| mistakes_of_service(service);
    assert_eq!(of(json!({})), ["address"]);
    assert_eq!(of(json!({ "address": "a:1", "endpoints": endpoints(1) })), ["address"]);
    assert_eq!(of(json!({ "endpoints": endpoints(1000) })), Vec::<String>::new());
    assert_eq!(of(json!({ "endpoints": endpoints(10_000) })), ["endpoints"]);
    let twice = json!([{ "address": "a:1" }, { "address": "a:1", "weight": 129 }, { "address": "a" }]);
    let places = ["endpoints[1].weight", "endpoints[1].address", "endpoints[2].address"];
    assert_eq!(of(json!({ "endpoints": twice })), places);
}
