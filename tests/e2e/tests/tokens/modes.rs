//! A check that is not meant yet: it counts and logs what it would have done, and changes nothing else.

use crate::lab::{ask, good, provider, route, setup};
use portcullis_demo_services::Service;
use serde_json::json;

#[test]
fn in_shadow_mode_nothing_is_refused_and_everything_is_told() {
    let jwt = json!({"mode": "shadow", "providers": {"main": provider(json!({}))}});
    let mut admin = route("/admin", json!({}));
    admin["authz"] = json!({"allow": [{"roles": {"any": ["admin"]}}]});
    let gateway = setup(jwt, vec![route("/a", json!({})), admin]).start();
    for answer in [
        gateway.get("/api/v1/a"),
        ask(&gateway, "/a", "garbage"),
        ask(&gateway, "/a", &good()),
        ask(&gateway, "/admin", &good()),
    ] {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let seen = gateway.captured(Service::Inventory, "/inventory/assets");
    let told = seen.iter().filter(|request| request.headers.iter().any(|(name, _)| name == "x-user-id"));
    assert_eq!((seen.len(), told.count()), (4, 0), "nothing else changes");
    let would = |reason| [("status", "shadow_failure"), ("reason", reason)];
    assert_eq!(gateway.settled("auth_jwt_validation_total", &would("missing"), 1.0), 1.0);
    assert_eq!(gateway.settled("auth_jwt_validation_total", &would("malformed"), 1.0), 1.0);
    let line = gateway
        .envoy
        .stdout()
        .wait_for_line(|line| line.contains("would_refuse") && line.contains("malformed"));
    let line = line.json().expect("JSON");
    assert_eq!(
        (&line["action"], &line["extra"]["mode"]),
        (&json!("jwt_validation"), &json!("shadow")),
        "{line}"
    );
}

#[test]
fn off_means_that_no_token_is_looked_at() {
    let jwt = json!({"mode": "off", "providers": {"main": provider(json!({}))}});
    let strict = route("/strict", json!({"mode": "enforce"}));
    let gateway = setup(jwt, vec![route("/a", json!({})), strict]).start();
    assert_eq!(ask(&gateway, "/a", "garbage").status, 200);
    assert_eq!(ask(&gateway, "/strict", "garbage").status, 401);
    assert_eq!(ask(&gateway, "/strict", &good()).status, 200);
}
