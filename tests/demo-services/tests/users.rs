//! Registration, login, profile, and who one is to a service.

mod common;

use std::time::Duration;

use common::{Caller, call, get, newcomer, post, registration, start};
use portcullis_demo_services::{
    ACCESS_TOKEN, ADMIN, CUSTOMER, Claims, DemoServices, Options, Service, Tokens,
};
use serde_json::{Value, json};

fn now() -> i64 {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(elapsed.as_secs()).unwrap()
}

#[tokio::test]
async fn a_new_user_registers_logs_in_and_reads_the_profile() {
    let demo = start().await;
    let profile = newcomer(&demo, "alice_1").await.get(Service::User, "/auth/profile").await.json();
    for (field, value) in [("username", "alice_1"), ("email", "alice_1@example.com"), ("first_name", "Ada")] {
        assert_eq!(profile[field], value);
    }
    assert_eq!(profile["last_name"], "O'Neil-Smith");
    assert!(profile["created_at"].is_string() && profile["updated_at"].is_string());
}

#[tokio::test]
async fn login_answers_a_bearer_token_whose_claims_name_user_and_role() {
    let demo = start().await;
    for user in [CUSTOMER, ADMIN] {
        let credentials = json!({ "username": user.username, "password": user.password });
        let answer = post(demo.addr(Service::User), "/auth/login", &credentials).await.json();
        assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("bearer"), &json!(3600)));
        let claims = demo.tokens().verify(answer["access_token"].as_str().unwrap()).unwrap();
        assert_eq!((claims.sub.as_str(), claims.role.as_str()), (user.username, user.role));
        assert_eq!((claims.exp - claims.iat, claims.kind.as_str()), (3600, "access_token"));
    }
}

#[tokio::test]
async fn a_wrong_password_is_401_an_unknown_user_404_and_missing_fields_422() {
    let demo = start().await;
    let login = async |body: &Value| post(demo.addr(Service::User), "/auth/login", body).await;
    let wrong = json!({ "username": CUSTOMER.username, "password": "Wrong-Password-1" });
    assert_eq!(login(&wrong).await.status, 401);
    let unknown = json!({ "username": "nobody_here", "password": CUSTOMER.password });
    assert_eq!(login(&unknown).await.status, 404);
    assert_eq!(login(&json!({})).await.complaints(), ["body.username", "body.password"]);
    assert_eq!(
        login(&json!({ "username": 7, "password": CUSTOMER.password })).await.complaints(),
        ["body.username"]
    );
    for (field, value) in [
        ("username", "short".to_owned()),
        ("username", "a".repeat(31)),
        ("password", "Too-Short-1".to_owned()),
        ("password", "Too-Long-To-Be-One-1x".to_owned()),
    ] {
        let mut credentials = json!({ "username": CUSTOMER.username, "password": CUSTOMER.password });
        credentials[field] = json!(value);
        let answer = login(&credentials).await;
        assert_eq!(
            (answer.status, answer.complaints()),
            (422, vec![format!("body.{field}")]),
            "{credentials}"
        );
    }
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_422() {
    let demo = start().await;
    for body in ["", "{", "[]", "null", "\"text\"", "{\"username\": 1e400}"] {
        let answer = call(demo.addr(Service::User), "POST", "/auth/login", &[], body).await.unwrap();
        assert_eq!(answer.complaints(), ["body"], "{body}");
    }
}

#[tokio::test]
async fn each_malformed_field_of_a_registration_is_named() {
    let demo = start().await;
    let cases = [
        ("username", json!("short")),
        ("username", json!("with-hyphen")),
        ("username", json!("a".repeat(31))),
        ("email", json!("no-at.example.com")),
        ("email", json!("<script>@example.com")),
        ("password", json!("Short-1")),
        ("password", json!("no-uppercase-1")),
        ("password", json!("NO-LOWERCASE-1")),
        ("password", json!("No-Digit-At-All")),
        ("password", json!("NoSpecialChar1")),
        ("first_name", json!("R2D2")),
        ("last_name", json!("   ")),
        ("last_name", json!(null)),
    ];
    for (field, value) in cases {
        let mut body = registration("valid_name");
        body[field] = value;
        let answer = post(demo.addr(Service::User), "/auth/register", &body).await;
        assert_eq!(answer.complaints(), [format!("body.{field}")], "{body}");
    }
}

#[tokio::test]
async fn a_refused_password_is_not_echoed() {
    let demo = start().await;
    let mut body = registration("valid_name");
    body["password"] = json!("Short-Echo-1".repeat(3));
    let answer = post(demo.addr(Service::User), "/auth/register", &body).await;
    assert_eq!(answer.status, 422);
    assert!(!answer.body.contains("Short-Echo"), "{answer:?}");
}

#[tokio::test]
async fn a_taken_name_in_any_case_or_address_is_409() {
    let demo = start().await;
    newcomer(&demo, "alice_1").await;
    let mut same_name = registration("ALICE_1");
    same_name["email"] = json!("other@example.com");
    let mut same_email = registration("alice_2");
    same_email["email"] = json!("Alice_1@example.com");
    for body in [same_name, same_email] {
        assert_eq!(post(demo.addr(Service::User), "/auth/register", &body).await.status, 409, "{body}");
    }
}

#[tokio::test]
async fn a_profile_update_changes_only_what_it_names_and_survives_bad_fields() {
    let demo = start().await;
    let alice = newcomer(&demo, "alice_1").await;
    let put = async |body: Value| alice.call(Service::User, "PUT", "/auth/profile", &body.to_string()).await;
    assert_eq!(put(json!({ "first_name": "Grace" })).await.status, 200);
    assert_eq!(put(json!({ "first_name": "" })).await.complaints(), ["body.first_name"]);
    assert_eq!(put(json!({ "email": format!("{}@example.com", CUSTOMER.username) })).await.status, 409);
    let profile = alice.get(Service::User, "/auth/profile").await.json();
    assert_eq!((&profile["first_name"], &profile["email"]), (&json!("Grace"), &json!("alice_1@example.com")));
}

#[tokio::test]
async fn logout_says_so_to_a_json_object_and_refuses_whatever_else() {
    let demo = start().await;
    let alice = newcomer(&demo, "alice_1").await;
    let answer = alice.post(Service::User, "/auth/logout", &json!({})).await;
    assert_eq!((answer.status, &answer.json()["message"]), (200, &json!("Logged out successfully")));
    for body in ["", "{", "[]", "logout"] {
        assert_eq!(alice.call(Service::User, "POST", "/auth/logout", body).await.status, 422, "{body:?}");
    }
}

#[tokio::test]
async fn every_private_path_is_401_without_a_token_and_says_bearer() {
    let demo = start().await;
    let paths = [
        (Service::User, "GET", "/auth/profile"),
        (Service::User, "PUT", "/auth/profile"),
        (Service::User, "POST", "/auth/logout"),
        (Service::User, "GET", "/portfolio"),
        (Service::User, "GET", "/balance"),
        (Service::User, "GET", "/balance/transactions"),
        (Service::User, "GET", "/balance/asset/BTC"),
        (Service::User, "POST", "/balance/deposit"),
        (Service::User, "POST", "/balance/withdraw"),
        (Service::User, "POST", "/cny/claim"),
        (Service::Order, "GET", "/orders/"),
        (Service::Order, "POST", "/orders/"),
        (Service::Order, "GET", "/orders/order_1"),
        (Service::Order, "GET", "/assets/BTC/transactions"),
        (Service::Insights, "GET", "/insights/portfolio"),
    ];
    for (service, method, path) in paths {
        let answer = call(demo.addr(service), method, path, &[], "").await.unwrap();
        assert_eq!(answer.status, 401, "{method} {path}");
        assert!(answer.head.contains("www-authenticate: bearer"), "{answer:?}");
    }
}

#[tokio::test]
async fn an_expired_foreign_or_garbled_token_is_401() {
    let demo = start().await;
    let (iat, kind) = (now() - 60, ACCESS_TOKEN.to_owned());
    let expired =
        Claims { sub: CUSTOMER.username.into(), role: "customer".into(), exp: now() - 1, iat, kind };
    let foreign = Tokens::new("some-other-secret", Duration::from_secs(60));
    let tokens = [
        demo.tokens().sign(&expired).unwrap(),
        foreign.issue(CUSTOMER.username, "admin").unwrap(),
        "garbled".to_owned(),
        String::new(),
    ];
    for token in tokens {
        let headers = [("authorization", &*format!("Bearer {token}"))];
        let answer = call(demo.addr(Service::User), "GET", "/balance", &headers, "").await.unwrap();
        assert_eq!(answer.status, 401, "{token}");
    }
}

#[tokio::test]
async fn the_gateways_trust_headers_say_who_asks_without_a_token() {
    let demo = start().await;
    let trusted = [
        ("X-Source", "gateway"),
        ("X-Authenticated", "true"),
        ("X-User-ID", CUSTOMER.username),
        ("X-User-Role", "vip"),
    ];
    let answer = call(demo.addr(Service::User), "GET", "/auth/profile", &trusted, "").await.unwrap();
    let profile = answer.json();
    assert_eq!((&profile["username"], &profile["role"]), (&json!(CUSTOMER.username), &json!("vip")));
}

#[tokio::test]
async fn trust_headers_that_are_incomplete_or_doubled_identify_nobody() {
    let demo = start().await;
    let (source, authenticated, user) =
        (("X-Source", "gateway"), ("X-Authenticated", "true"), ("X-User-ID", CUSTOMER.username));
    let cases: [&[(&str, &str)]; 6] = [
        &[authenticated, user],
        &[source, user],
        &[source, authenticated],
        &[("X-Source", "client"), authenticated, user],
        &[source, ("X-Authenticated", "false"), user],
        &[source, authenticated, user, ("X-User-ID", ADMIN.username)],
    ];
    for headers in cases {
        let answer = call(demo.addr(Service::User), "GET", "/balance", headers, "").await.unwrap();
        assert_eq!(answer.status, 401, "{headers:?}");
    }
}

#[tokio::test]
async fn the_auth_service_tells_only_the_gateway_whose_a_token_is() {
    let demo = start().await;
    let token = demo.tokens().issue("alice_1", "vip").unwrap();
    let addr = demo.addr(Service::Auth);
    let ask = async |headers: &[(&str, &str)], body: Value| {
        call(addr, "POST", "/internal/auth/validate", headers, &body.to_string()).await.unwrap()
    };
    let gateway = [("X-Source", "gateway")];
    let good = ask(&gateway, json!({ "token": token })).await;
    assert_eq!(
        (good.status, &good.json()["valid"], &good.json()["user"]),
        (200, &json!(true), &json!("alice_1"))
    );
    let bad = ask(&gateway, json!({ "token": format!("{token}x") })).await;
    assert_eq!((bad.status, &bad.json()["valid"]), (200, &json!(false)));
    assert_eq!(ask(&gateway, json!({})).await.complaints(), ["body.token"]);
    assert_eq!(ask(&[], json!({ "token": token })).await.status, 403);
}

#[tokio::test]
async fn the_secret_of_the_options_signs_and_verifies() {
    let options = Options { jwt_secret: "another-secret".into(), ..Options::default() };
    let demo = DemoServices::start(options).await.unwrap();
    let credentials = json!({ "username": CUSTOMER.username, "password": CUSTOMER.password });
    let answer = post(demo.addr(Service::User), "/auth/login", &credentials).await.json();
    let token = answer["access_token"].as_str().unwrap();
    assert!(Tokens::new("another-secret", Duration::ZERO).verify(token).is_ok());
    let caller = Caller::login(&demo, CUSTOMER.username, CUSTOMER.password).await;
    assert_eq!(caller.get(Service::User, "/balance").await.status, 200);
}

#[tokio::test]
async fn every_service_is_healthy_and_names_itself() {
    let demo = start().await;
    for service in Service::ALL {
        let health = get(demo.addr(service), "/health").await;
        assert_eq!(health.status, 200);
        assert_eq!(health.json()["status"], "healthy");
        assert_eq!(health.json()["service"], format!("{}-service", service.name()));
    }
}

#[tokio::test]
async fn an_unknown_path_is_404_and_a_wrong_method_405_as_fastapi_says_it() {
    let demo = start().await;
    let addr = demo.addr(Service::User);
    let unknown = get(addr, "/no/such/path").await;
    assert_eq!((unknown.status, unknown.json()), (404, json!({ "detail": "Not Found" })));
    let wrong = get(addr, "/auth/login").await;
    assert_eq!((wrong.status, wrong.json()), (405, json!({ "detail": "Method Not Allowed" })));
}
