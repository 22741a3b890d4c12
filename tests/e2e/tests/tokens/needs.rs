//! Required, optional, refused, none: against everything that a client may send.

use crate::lab::{claims, good, provider, reason, route, setup};
use portcullis_e2e::{Gateway, Request};
use portcullis_token_lab::{mint, mint_with};
use serde_json::json;

fn gateway() -> Gateway {
    let jwt = json!({"providers": {"main": provider(json!({"issuer": "us"}))}});
    let needs = ["required", "optional", "refused", "none"];
    let routes = needs.iter().map(|need| route(&format!("/{need}"), json!({"token": need})));
    setup(jwt, routes.collect()).start()
}

fn ours() -> String {
    mint("HS256", &claims(json!({"iss": "us"})))
}

/// Every kind of bad request, with the reason that it deserves.
fn bad() -> Vec<(&'static str, Vec<String>)> {
    let mut forged = ours();
    forged.replace_range(forged.len() - 4.., "AAAA");
    let bearer = |token: &str| vec![format!("Bearer {token}")];
    vec![
        ("invalid_issuer", bearer(&mint("HS256", &claims(json!({"iss": "them"}))))),
        ("invalid_issuer", bearer(&good())),
        ("invalid_signature", bearer(&forged)),
        ("expired", bearer(&mint("HS256", &claims(json!({"iss": "us", "exp": 1_000_000_000}))))),
        ("two_tokens", vec![format!("Bearer {}", ours()); 2]),
        ("unsupported_algorithm", bearer(&mint_with("HS256", r#"{"alg":"none"}"#, r#"{"iss":"us"}"#))),
        ("malformed", bearer("garbage")),
        ("malformed", bearer("")),
    ]
}

fn send(gateway: &Gateway, path: &str, authorization: &[String]) -> portcullis_e2e::Answer {
    let request = Request::get(format!("/api/v1{path}"));
    gateway.send(&authorization.iter().fold(request, |request, value| request.header("authorization", value)))
}

#[test]
fn optional_means_no_token_at_all_and_nothing_else() {
    let gateway = gateway();
    let ours = [format!("Bearer {}", ours())];
    for (path, nothing, token) in
        [("/required", 401, 200), ("/optional", 200, 200), ("/refused", 200, 401), ("/none", 200, 200)]
    {
        assert_eq!(send(&gateway, path, &[]).status, nothing, "{path} without a token");
        assert_eq!(send(&gateway, path, &ours).status, token, "{path} with a good token");
    }
    for (expected, authorization) in bad() {
        for path in ["/required", "/optional"] {
            let answer = send(&gateway, path, &authorization);
            assert_eq!((answer.status, reason(&gateway, &answer).as_str()), (401, expected), "{path}");
        }
        assert_eq!(send(&gateway, "/refused", &authorization).status, 401, "{expected}");
        assert_eq!(send(&gateway, "/none", &authorization).status, 200, "{expected}");
    }
}
