//! What clients, services and operators are told of tokens.

use crate::lab::{ask, assert_refused, claims, good, provider, request, route, setup};
use portcullis_demo_services::Service;
use portcullis_e2e::{Gateway, Request, Setup};
use portcullis_token_lab::mint;
use serde_json::{Value, json};

fn rules() -> Value {
    json!({"allow": [{"roles": {"any": ["admin", "vip"]}}, {"scopes": {"all": ["orders:read"]}}]})
}

fn gateway_setup() -> Setup {
    let headers = json!([{"claim": "/org/unit", "header": "X-Unit"}]);
    let jwt = json!({"providers": {"main": provider(json!({"claim_to_headers": headers}))}});
    let mut admin = route("/admin", json!({}));
    admin["authz"] = rules();
    setup(jwt, vec![route("/a", json!({})), route("/open", json!({"token": "none"})), admin])
}

fn gateway() -> Gateway {
    gateway_setup().start()
}

fn token(changes: Value) -> String {
    mint("HS256", &claims(changes))
}

#[test]
fn a_missing_token_is_told_no_error_and_a_bad_one_is() {
    let gateway = gateway();
    let answer = gateway.get("/api/v1/a");
    assert_refused(&gateway, &answer, "missing");
    assert_eq!(answer.json()["message"], "A token is required");
    let answer = ask(&gateway, "/a", &token(json!({"exp": 1})));
    assert_refused(&gateway, &answer, "expired");
    assert_eq!(
        answer.header("www-authenticate").as_deref(),
        Some("Bearer error=\"invalid_token\", error_description=\"The token has expired\"")
    );
}

#[test]
fn a_bearer_without_the_role_is_told_403() {
    let gateway = gateway();
    let answer = ask(&gateway, "/admin", &good());
    assert_eq!((answer.status, &answer.json()["code"]), (403, &json!("PERM_001")), "{answer:?}");
    assert_eq!(
        answer.header("www-authenticate").as_deref(),
        Some("Bearer error=\"insufficient_scope\", scope=\"orders:read\"")
    );
    for fine in
        [json!({"role": "vip"}), json!({"role": ["customer", "admin"]}), json!({"scope": "a orders:read"})]
    {
        assert_eq!(ask(&gateway, "/admin", &token(fine.clone())).status, 200, "{fine}");
    }
    assert_eq!(gateway.get("/api/v1/admin").status, 401, "a token would help");
}

#[test]
fn grpc_clients_are_told_in_their_own_way() {
    let gateway = gateway();
    let grpc = |request: Request| gateway.send_h2(&request.header("content-type", "application/grpc"));
    let answer = grpc(Request::get("/api/v1/a"));
    assert_eq!((answer.status, answer.header("grpc-status").as_deref()), (200, Some("16")), "{answer:?}");
    let answer = grpc(request("/admin", &good()));
    assert_eq!((answer.status, answer.header("grpc-status").as_deref()), (200, Some("7")), "{answer:?}");
}

#[test]
fn services_are_told_who_asks_and_clients_cannot_say_so() {
    for offload in [true, false] {
        let gateway = gateway_setup().offload(offload).start();
        let token = token(json!({"org": {"unit": "sales"}, "role": ["customer", "vip"]}));
        let forged = |request: Request| {
            let names = ["X-User-ID", "x_user_role", "X-Authenticated", "X-Unit", "x_unit"];
            names.iter().fold(request, |request, name| request.header(name, "forged"))
        };
        gateway.send(&forged(request("/a", &token)));
        gateway.send(&forged(Request::get("/api/v1/open")));
        let seen = gateway.captured(Service::Inventory, "/inventory/assets");
        let values = |n: usize, name: &str| -> Vec<String> {
            let read = |own: &str| own.to_ascii_lowercase().replace('_', "-");
            let all = seen[n].headers.iter().filter(|(own, _)| read(own) == name);
            all.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
        };
        let expected = [
            ("x-user-id", "alice"),
            ("x-user-role", "customer,vip"),
            ("x-authenticated", "true"),
            ("x-unit", "sales"),
        ];
        for (name, value) in expected {
            assert_eq!(values(0, name), [value], "{name}, as rendered: {offload}");
            assert_eq!(values(1, name), [""; 0], "{name}, as rendered: {offload}");
        }
        assert_eq!(values(0, "authorization"), [format!("Bearer {token}")], "it is forwarded");
    }
}

#[test]
fn a_token_is_stripped_where_its_source_says_so() {
    let jwt = json!({"providers": {"main": provider(json!({}))}, "sources": [
        {"header": "Authorization", "strip": true}, {"cookie": "session", "strip": true}, {"query": "token", "strip": true}]});
    let gateway = setup(jwt, vec![route("/a", json!({}))]).start();
    gateway.send(&request("/a", &good()));
    gateway.send(&Request::get("/api/v1/a").header("cookie", format!("x=1; session={}; y=2", good())));
    gateway.send(&Request::get(format!("/api/v1/%61?x=1&token={}&y=2", good())));
    let seen = gateway.captured(Service::Inventory, "/inventory/assets");
    assert_eq!(seen.len(), 3, "{seen:?}");
    let of =
        |n: usize, name: &str| seen[n].headers.iter().find(|(own, _)| own == name).map(|(_, v)| v.clone());
    assert_eq!(of(0, "authorization"), None);
    assert_eq!(of(1, "cookie"), Some(b"x=1; y=2".to_vec()));
    assert_eq!(seen[2].target, "/inventory/assets?x=1&y=2");
}

#[test]
fn every_refusal_has_a_line_of_its_own_and_is_counted() {
    let gateway = gateway();
    let refused = ask(&gateway, "/a", &token(json!({"exp": 1})));
    let forbidden = ask(&gateway, "/admin", &good());
    let passed = ask(&gateway, "/a", &good());
    let line = gateway.log_line_of(&passed);
    assert_eq!((&line["user"], &line["extra"]["auth_flow"]), (&json!("alice"), &json!("jwt")), "{line}");
    for (answer, action, reason) in
        [(&refused, "jwt_validation", "expired"), (&forbidden, "access_control", "no_rule_allows")]
    {
        let id = answer.header("x-request-id").expect("an id");
        let is_it = |line: &portcullis_e2e::Line| line.contains(&id) && line.contains(action);
        let line = gateway.envoy.stdout().wait_for_line(is_it).json().expect("JSON");
        assert_eq!((&line["action"], &line["level"]), (&json!(action), &json!("WARN")), "{line}");
        assert_eq!(line["extra"]["reason"], reason, "{line}");
    }
    let failed = [("status", "failure"), ("reason", "expired")];
    assert_eq!(gateway.settled("auth_jwt_validation_total", &failed, 1.0), 1.0);
    assert_eq!(gateway.settled("auth_jwt_validation_total", &[("status", "success")], 2.0), 2.0);
    assert_eq!(gateway.settled("auth_permission_validation_total", &[("status", "failure")], 1.0), 1.0);
    let seconds = [("operation", "jwt_validation")];
    assert_eq!(gateway.settled("auth_request_duration_seconds_count", &seconds, 3.0), 3.0);
    let text = gateway.get("/metrics").text().to_owned();
    assert!(
        text.contains("auth_jwt_validation_total{status=\"failure\",reason=\"invalid_signature\"} 0"),
        "born at 0"
    );
}
