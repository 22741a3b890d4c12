//! One valid JSON object a line for every request, with nothing in it that should not be kept.

use crate::common::assert_timestamp;
use crate::hostile_input::{Hostile, corpus};
use portcullis_demo_services::CUSTOMER;
use portcullis_e2e::{Answer, Gateway, Line, Request};
use serde_json::Value;

/// The fields of requirements section 2 are there and make sense.
#[track_caller]
pub fn assert_whole(line: &Line) -> Value {
    let json = line.json().unwrap_or_else(|| panic!("not JSON: {line:?}"));
    assert_timestamp(&json["timestamp"]);
    assert_eq!((&json["service"], &json["action"]), (&"gateway".into(), &"request".into()), "{json}");
    assert!(json["request_id"].as_str().is_some_and(|id| !id.is_empty()), "{json}");
    assert!(json["duration_ms"].as_f64().is_some_and(|ms| ms >= 0.0), "{json}");
    let extra = &json["extra"];
    let status = extra["status"].as_u64().unwrap_or_default();
    let level = match status {
        500.. => "ERROR",
        400.. => "WARN",
        _ => "INFO",
    };
    assert!((200..600).contains(&status) && json["level"] == level, "{json}");
    let text = |name: &str| extra[name].as_str().unwrap_or_else(|| panic!("no {name}: {json}"));
    let message = format!("{} {} -> {}", text("method"), text("path"), text("target_service"));
    assert_eq!(json["message"], message, "{json}");
    assert!(!text("ip").is_empty() && text("auth_flow") == "none" && !text("endpoint").is_empty(), "{json}");
    assert!(extra["security_headers"].is_boolean(), "{json}");
    json
}

fn assert_every_request_is_logged(gateway: Gateway) {
    let sent: Vec<(Hostile, Option<Answer>)> =
        corpus().into_iter().map(|hostile| send(&gateway, hostile)).collect();
    let lines = gateway.shut_down().stdout.all();
    let logged: Vec<_> = lines.iter().map(assert_whole).collect();
    assert_eq!(lines.len(), sent.len());
    for (hostile, answer) in sent {
        let Some(id) = answer.as_ref().and_then(|answer| answer.header("x-request-id")) else { continue };
        let line = logged.iter().find(|line| line["request_id"] == id);
        let line = line.unwrap_or_else(|| panic!("{} is not logged: {answer:?}", hostile.name));
        assert_eq!(
            line["extra"]["status"].as_u64(),
            answer.map(|answer| answer.status.into()),
            "{}: {line}",
            hostile.name
        );
    }
}

fn send(gateway: &Gateway, hostile: Hostile) -> (Hostile, Option<Answer>) {
    let answer = hostile.send(gateway);
    (hostile, answer)
}

#[test]
fn every_request_has_its_line_whatever_its_bytes_as_rendered() {
    assert_every_request_is_logged(Gateway::start());
}

#[test]
fn every_request_has_its_line_whatever_its_bytes_with_the_filter_alone() {
    assert_every_request_is_logged(Gateway::alone());
}

#[test]
fn a_line_says_what_happened() {
    crate::common::both_ways(|gateway| {
        let answer = gateway.get("/api/v1/inventory/assets/LOGGED?a=b");
        let line = gateway.log_line_of(&answer);
        let extra = &line["extra"];
        assert_eq!(line["message"], "GET /api/v1/inventory/assets/LOGGED -> inventory");
        assert_eq!((&line["level"], &extra["method"]), (&"WARN".into(), &"GET".into()));
        assert_eq!(extra["endpoint"], "/api/v1/inventory/assets/{id}");
        assert_eq!((&extra["status"], &extra["security_headers"]), (&404.into(), &true.into()));
        let line = gateway.log_line_of(&gateway.get("/no/such/route"));
        assert_eq!(line["message"], "GET /no/such/route -> gateway");
        assert_eq!(line["extra"]["security_headers"], false);
    });
}

#[test]
fn the_address_is_never_one_that_a_stranger_claims() {
    crate::common::both_ways(|gateway| {
        for path in ["/api/v1/inventory/assets", "/no/such/route", "/api/v1/orders%2fx"] {
            let claims =
                Request::get(path).header("x-forwarded-for", "9.9.9.9").header("x-real-ip", "9.9.9.9");
            let answer = gateway.send(&claims.header("x-request-id", "claimed"));
            let Some(id) = answer.header("x-request-id") else { continue };
            let line = gateway.log_line(&id);
            assert_ne!(line["extra"]["ip"], "9.9.9.0", "{line}");
        }
    });
}

/// One proxy in front, and nobody else who reaches the port.
fn behind_one_proxy() -> serde_json::Value {
    serde_json::json!({"trusted_hops": 1, "trusted_proxies": ["0.0.0.0/0", "::/0"]})
}

/// The lines of a gateway that was used with secrets everywhere a client may put them.
fn lines_after_indiscretions(setup: portcullis_e2e::Setup) -> (String, String) {
    let gateway = setup.policy(|policy| policy["client_ip"] = behind_one_proxy()).start();
    let token = gateway.log_in(&CUSTOMER);
    let from = |path: String| Request::get(path).header("x-forwarded-for", "203.0.113.77").bearer(&token);
    let indiscreet = [
        from("/api/v1/orders".into()),
        from(format!("/api/v1/orders?access_token={token}&note=querysecret")),
        from(format!("/api/v1/orders/{token}")),
        from(format!("/no/such/{token}/route?note=querysecret")),
        from(format!("/api/v1/orders;{token}")),
        from(format!("/api/v1/orders%2f{token}")),
        from("/api/v1/orders".into())
            .header("cookie", format!("session={token}"))
            .header("x-user-id", "forgedsecret"),
        from("/api/v1/orders".into()).header("x-request-id", format!("{token}{token}{token}")),
        Request::get("/no/such/route").header("x-forwarded-for", "2001:db8:aaaa:bbbb:cccc:dddd:eeee:77"),
    ];
    for request in &indiscreet {
        gateway.send(request);
        request.send_h2(gateway.address());
    }
    let ended = gateway.shut_down();
    let all = [ended.stdout.all(), ended.stderr.all()].concat();
    assert_eq!(ended.stdout.all().len(), 1 + 2 * indiscreet.len());
    (token, all.iter().map(|line| line.text() + "\n").collect())
}

fn assert_discreet(setup: portcullis_e2e::Setup) {
    let (token, lines) = lines_after_indiscretions(setup);
    let (signed, signature) = token.rsplit_once('.').expect("a JWT");
    let payload = signed.rsplit_once('.').expect("a JWT").1;
    for secret in [token.as_str(), signature, payload, CUSTOMER.password, "querysecret", "forgedsecret"] {
        assert!(!lines.contains(secret), "{secret:?} is in the log");
    }
    for address in ["203.0.113.77", "aaaa:bbbb", "dddd:eeee"] {
        assert!(!lines.contains(address), "{address:?} is in the log");
    }
    assert!(lines.contains("\"203.0.113.0\"") && lines.contains("\"2001:db8:aaaa::\""), "{lines}");
}

#[test]
fn no_token_no_query_and_no_whole_address_is_logged_as_rendered() {
    assert_discreet(Gateway::setup());
}

#[test]
fn no_token_no_query_and_no_whole_address_is_logged_with_the_filter_alone() {
    assert_discreet(Gateway::setup().alone());
}
