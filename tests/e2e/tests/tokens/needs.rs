//! Required, optional, refused, none: against everything that a client may send.

use crate::lab::{claims, good, provider, route};
use crate::sides::Side;
use portcullis_token_lab::{mint, mint_with};
use serde_json::json;

fn sides() -> [Side; 2] {
    let jwt = json!({"providers": {"main": provider(json!({"issuer": "us"}))}});
    let needs = ["required", "optional", "refused", "none"];
    let routes = needs.map(|need| route(&format!("/{need}"), json!({"token": need})));
    Side::both(&jwt, &routes)
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
    ]
}

#[test]
fn optional_means_no_token_at_all_and_nothing_else() {
    for mut side in sides() {
        let ours = [format!("Bearer {}", ours())];
        for (path, nothing, token) in
            [("/required", 401, 200), ("/optional", 200, 200), ("/refused", 200, 401), ("/none", 200, 200)]
        {
            assert_eq!(side.send(path, &[]).status, nothing, "{path} without a token, {}", side.name());
            assert_eq!(side.send(path, &ours).status, token, "{path} with a good token, {}", side.name());
        }
        for (expected, authorization) in bad() {
            for path in ["/required", "/optional"] {
                side.send(path, &authorization).assert_refused(side.name(), expected);
            }
            assert_eq!(side.send("/refused", &authorization).status, 401, "{expected}, {}", side.name());
            assert_eq!(side.send("/none", &authorization).status, 200, "{expected}, {}", side.name());
        }
    }
}
