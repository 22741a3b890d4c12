//! What services believe because only the gateway may say it: they see ours, once, or nothing.

use crate::common::{both_ways, both_ways_of};
use portcullis_demo_services::{CUSTOMER, Captured, Service};
use portcullis_e2e::{EnvoyConfig, Gateway, Request, routes_write_none};
use serde_json::{Value, json};

/// Every name that the example's policy keeps for the gateway.
const OURS: [&str; 5] = ["x-source", "x-auth-service", "x-user-id", "x-user-role", "x-authenticated"];

/// A name as backends could read it: case and `_` make no difference.
fn as_read(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

/// What a service could read as said by the gateway.
fn believed(fields: &[(String, Vec<u8>)]) -> Vec<(String, String)> {
    let mut ours: Vec<_> = fields
        .iter()
        .map(|(name, value)| (as_read(name), String::from_utf8_lossy(value).into_owned()))
        .filter(|(name, _)| OURS.contains(&name.as_str()))
        .collect();
    ours.sort();
    ours
}

#[track_caller]
fn assert_only_ours(seen: &Captured) {
    let expected = [("x-auth-service", "auth_service"), ("x-source", "gateway")];
    assert_eq!(
        believed(&seen.headers),
        expected.map(|(name, value)| (name.into(), value.into())),
        "{seen:?}"
    );
    assert_eq!(believed(&seen.trailers), [], "{seen:?}");
}

/// All names in all spellings; those that HTTP/2 allows are in lower case.
fn forged(mut request: Request, lower_case_only: bool) -> Request {
    for name in OURS {
        let underscored = name.replace('-', "_");
        let (first, rest) = name.split_at(name.len() / 2);
        let mixed = format!("{first}{}", rest.replace('-', "_"));
        let spellings =
            [name.to_owned(), underscored.clone(), mixed, name.to_uppercase(), underscored.to_uppercase()];
        let usable =
            spellings.into_iter().filter(|name| !lower_case_only || !name.contains(char::is_uppercase));
        for spelling in usable {
            request = request.header(&spelling, "admin").header(&spelling, b"root, gateway\xff");
        }
    }
    request
}

/// A public route and one that wants a token.
const ROUTES: [(Service, &str); 2] = [(Service::Inventory, "/inventory/assets"), (Service::Order, "/orders")];

#[test]
fn a_clients_copies_never_arrive_in_any_spelling() {
    both_ways(|gateway| {
        for (service, path) in ROUTES {
            let id = format!("{path}/FORGED-H1");
            gateway.send(&forged(Request::get(format!("/api/v1{id}")), false));
            assert_only_ours(&gateway.captured_once(service, &id));
        }
    });
}

#[test]
fn a_clients_copies_never_arrive_over_http_2_either() {
    both_ways(|gateway| {
        for (service, path) in ROUTES {
            let id = format!("{path}/FORGED-H2");
            gateway.send_h2(&forged(Request::get(format!("/api/v1{id}")), true));
            assert_only_ours(&gateway.captured_once(service, &id));
        }
    });
}

#[test]
fn an_honest_request_is_told_the_same() {
    both_ways(|gateway| {
        gateway.get("/api/v1/inventory/assets/HONEST");
        assert_only_ours(&gateway.captured_once(Service::Inventory, "/inventory/assets/HONEST"));
    });
}

#[test]
fn a_client_cannot_have_our_headers_dropped_by_listing_them_in_connection() {
    both_ways(|gateway| {
        let lists = [
            "X-Source, X-User-Role",
            "close, x_source",
            "x-auth-service,X-Source",
            "keep-alive, X-Authenticated",
        ];
        for (number, list) in lists.iter().enumerate() {
            let id = format!("/inventory/assets/LISTED{number}");
            let request = Request::get(format!("/api/v1{id}")).header("Connection", list);
            let answer = gateway.send(&request.header("X-User-Role", "admin"));
            assert_eq!(answer.status, 404, "{answer:?}");
            assert_only_ours(&gateway.captured_once(Service::Inventory, &id));
        }
    });
}

/// Bodies as they come: one that the gateway holds until its end has a length when it goes on, and no trailers behind it.
fn unheld(policy: &mut Value) {
    let routes = policy["routes"].as_array_mut().expect("the example has routes");
    routes.iter_mut().for_each(|route| route["buffer_body"] = false.into());
}

/// Lets trailers pass, which Envoy's HTTP/1 codec drops unless told otherwise.
fn with_trailers(config: EnvoyConfig) -> EnvoyConfig {
    let http1 = json!({"enable_trailers": true});
    let options = json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http_protocol_options": http1.clone()},
    }});
    config.edit(move |bootstrap| {
        let resources = &mut bootstrap["static_resources"];
        resources["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]["http_protocol_options"] =
            http1;
        for cluster in resources["clusters"].as_array_mut().expect("there are clusters") {
            cluster["typed_extension_protocol_options"] = options.clone();
        }
    })
}

#[test]
fn a_clients_copies_do_not_arrive_as_trailers() {
    both_ways_of(
        || Gateway::setup().policy(unheld).envoy(with_trailers),
        |gateway| {
            let deposit =
                || Request::post("/api/v1/balance/deposit").body(r#"{"amount": 1}"#).trailer("checksum", "1");
            let forged = |request: Request| {
                let both = request.trailer("x-user-role", "admin").trailer("x_source", "gateway");
                both.trailer("x-source", "a").trailer("x-source", "b")
            };
            gateway.send(&forged(deposit()));
            gateway.send(&forged(deposit()).trailer("X-User_ID", "root"));
            gateway.send_h2(&forged(deposit()));
            let seen = gateway.captured(Service::User, "/balance/deposit");
            assert_eq!(seen.len(), 3);
            for request in seen {
                assert_eq!(request.trailers, [("checksum".to_owned(), b"1".to_vec())], "{request:?}");
                assert_only_ours(&request);
            }
        },
    );
}

#[test]
fn authorization_and_whatever_else_a_client_says_is_forwarded() {
    both_ways(|gateway| {
        let token = gateway.log_in(&CUSTOMER);
        let request = Request::get("/api/v1/orders/FORWARDED").bearer(&token);
        gateway
            .send(&request.header("x-user-roles", "mine").header("x-other", b"\xff").header("x-other", "2"));
        let seen = gateway.captured_once(Service::Order, "/orders/FORWARDED");
        assert_eq!(seen.header("authorization"), Some(format!("Bearer {token}").as_str()));
        assert_eq!(seen.header_values("x-user-roles"), [b"mine"]);
        assert_eq!(seen.header_values("x-other"), [b"\xff".as_slice(), b"2"]);
    });
}

#[test]
fn a_role_that_a_client_claims_changes_nothing() {
    both_ways(|gateway| {
        let answer = gateway.send(&forged(Request::get("/api/v1/orders/CLAIMED"), false));
        assert_eq!(answer.status, 401, "{answer:?}");
    });
}

#[test]
fn a_request_is_counted_as_having_the_headers_only_if_it_left_with_them() {
    const ASSETS: &str = "/api/v1/inventory/assets";
    let counts = |gateway: &Gateway| {
        let due = gateway.settled("gateway_security_headers_due_total", &[], 2.0);
        (due, gateway.metrics().sum("gateway_security_headers_injected_total", &[]))
    };
    // Not those that other tests send to as well.
    both_ways_of(Gateway::setup, |gateway| {
        let answers = [gateway.get(ASSETS), gateway.get(ASSETS), gateway.get("/nothing/here")];
        let said = answers.map(|answer| gateway.log_line_of(&answer)["extra"]["security_headers"].clone());
        assert_eq!(said, [true, true, false].map(Value::from));
        assert_eq!(counts(gateway), (2.0, 2.0), "what goes to no service is due none");
    });
    let gateway = Gateway::setup().envoy(|config| config.edit(routes_write_none)).start();
    for _ in 0..2 {
        let answer = gateway.get(ASSETS);
        assert_eq!(
            (answer.status, gateway.log_line_of(&answer)["extra"]["security_headers"].clone()),
            (200, false.into())
        );
    }
    assert_eq!(counts(&gateway), (2.0, 0.0));
}

#[test]
fn what_reached_no_service_is_no_sign_that_the_headers_are_missing() {
    let nobody: std::net::SocketAddr = portcullis_e2e::ReservedPort::new().address();
    let gateway = Gateway::setup().service_at("inventory", nobody).start();
    assert_eq!(gateway.get("/api/v1/inventory/assets").status, 503);
    gateway.settled("gateway_routes_total", &[("target_service", "inventory")], 1.0);
    let metrics = gateway.metrics();
    let [due, injected] =
        ["due", "injected"].map(|it| metrics.sum(&format!("gateway_security_headers_{it}_total"), &[]));
    assert_eq!(due, injected);
}
