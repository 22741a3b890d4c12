//! Tokens in cookies: pages of other sites, empty ones, schemes inside; and bad tokens that count as none.

use crate::support::*;
use portcullis_edge_core::{Class, Headers, RequestHead};
use portcullis_jwt::{Alg, Jwt, TokenError};
use serde_json::{Value, json};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn head(pairs: &[(&str, &str)]) -> RequestHead {
    let pairs = pairs.iter().map(|(name, value)| (*name, value.as_bytes()));
    RequestHead { headers: Headers::from_pairs(pairs), peer: Vec::new() }
}

fn section(sources: Value) -> Value {
    json!({"providers": {"main": hs256_provider(json!({}))}, "sources": sources})
}

fn find(jwt: &Jwt, pairs: &[(&str, &str)]) -> Result<Option<String>, TokenError> {
    let head = head(pairs);
    let found = jwt.find(&head).map_err(|refusal| refusal.error)?;
    Ok(found.map(|found| String::from_utf8_lossy(&found.token).into_owned()))
}

/// What becomes of a request with a good token in a cookie.
fn verdict(auth: Value, pairs: &[(&str, &str)]) -> Outcome {
    let cookies = json!([{"cookie": "t", "origins": ["https://app.example"]}, {"header": "Authorization"}]);
    let mut worker = Worker::new(section(cookies));
    let route = worker.route(auth);
    let good = token(Alg::HS256, &json!({"sub": "alice", "exp": NOW + 60}));
    let cookie = format!("t={good}");
    let head = head(&[&[("cookie", &*cookie), (":authority", "shop.example")], pairs].concat());
    match worker.tokens.find(&route, &head) {
        Ok(found) => outcome(&worker.tokens.authenticate(&route, found.as_ref(), moment(NOW), &worker.host)),
        Err(refusal) => Outcome::Refused(refusal.error),
    }
}

#[test]
fn a_page_of_another_site_cannot_use_the_cookie_of_a_user() {
    let post = |more: &[(&str, &str)]| verdict(json!({}), &[&[(":method", "POST")], more].concat());
    let cross = Outcome::Refused(TokenError::CrossSite);
    assert_eq!(post(&[("origin", "https://evil.example")]), cross);
    assert_eq!(post(&[("sec-fetch-site", "cross-site")]), cross);
    assert_eq!(post(&[]), cross, "nothing tells it from a forged one");
    assert_eq!(post(&[("origin", "https://app.example")]), user("alice"));
    assert_eq!(post(&[("origin", "https://shop.example")]), user("alice"));
    assert_eq!(post(&[("sec-fetch-site", "same-origin")]), user("alice"));
    assert_eq!(verdict(json!({}), &[(":method", "GET"), ("origin", "https://evil.example")]), user("alice"));
    let open = json!({"allow_cross_site": true});
    assert_eq!(verdict(open, &[(":method", "POST"), ("origin", "https://evil.example")]), user("alice"));
    assert_eq!(TokenError::CrossSite.reason().class, Class::OriginNotAllowed);
}

#[test]
fn a_token_in_a_header_needs_no_origin() {
    let mut worker = Worker::new(section(json!([{"cookie": "t"}, {"header": "Authorization"}])));
    let route = worker.route(json!({}));
    let good = format!("Bearer {}", token(Alg::HS256, &json!({"sub": "alice", "exp": NOW + 60})));
    let head = head(&[(":method", "POST"), ("origin", "https://evil.example"), ("authorization", &good)]);
    let found = worker.tokens.find(&route, &head).unwrap();
    assert_eq!(
        outcome(&worker.tokens.authenticate(&route, found.as_ref(), moment(NOW), &worker.host)),
        user("alice")
    );
}

#[test]
fn an_empty_token_is_none_in_every_place() {
    let places = json!([{"header": "Authorization"}, {"header": "X-Token"}, {"cookie": "t"}, {"query": "t"}]);
    let jwt = jwt(section(places));
    let empty = [
        ("authorization", "Bearer"),
        ("authorization", "Bearer "),
        ("authorization", ""),
        ("x-token", " "),
        ("cookie", "t="),
        ("cookie", "t=\"\"; a=1"),
        (":path", "/?t="),
        (":path", "/?t&x=1"),
    ];
    for pair in empty {
        assert_eq!(find(&jwt, &[pair]), Ok(None), "{pair:?}");
    }
    for pair in empty.into_iter().filter(|(name, _)| *name != "x-token") {
        let good = [("x-token", "a.b.c"), pair];
        assert_eq!(find(&jwt, &good), Ok(Some("a.b.c".to_owned())), "{pair:?} beside a good one");
    }
    assert_eq!(find(&jwt, &[("cookie", "t=; t=a.b.c")]), Ok(Some("a.b.c".to_owned())));
    assert_eq!(
        find(&jwt, &[("authorization", "Bearer"), ("authorization", "Bearer a")]),
        Ok(Some("a".to_owned()))
    );
}

#[test]
fn a_scheme_in_a_cookie_is_read_where_the_source_says_so_and_nowhere_else() {
    let with = jwt(section(json!([{"cookie": "t", "scheme": "Bearer"}])));
    for cookie in
        ["t=Bearer%20a.b.c", "t=\"Bearer a.b.c\"", "t=bearer+a.b.c", "t=a.b.c", "t=Bearer%20%20a.b.c"]
    {
        assert_eq!(find(&with, &[("cookie", cookie)]), Ok(Some("a.b.c".to_owned())), "{cookie}");
    }
    assert_eq!(find(&with, &[("cookie", "t=BearerX")]), Ok(Some("BearerX".to_owned())));
    for cookie in ["t=Bearer", "t=Bearer%20", "t=\"Bearer \""] {
        assert_eq!(find(&with, &[("cookie", cookie)]), Ok(None), "{cookie}");
    }
    let without = jwt(section(json!([{"cookie": "t"}])));
    assert_eq!(find(&without, &[("cookie", "t=Bearer%20a.b.c")]), Ok(Some("Bearer%20a.b.c".to_owned())));
}

#[test]
fn a_cookie_is_cleared_as_it_was_set() {
    let clear = |source: Value| {
        let jwt = jwt(section(json!([source])));
        let head = head(&[("cookie", "t=a; __Host-t=b"), ("authorization", "Bearer x")]);
        let found = jwt.find(&head).unwrap().unwrap();
        jwt.clear_cookie(&found).map(str::to_owned)
    };
    let cleared = |text: &str| Some(text.to_owned());
    assert_eq!(clear(json!({"cookie": "t"})), cleared("t=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"));
    assert_eq!(
        clear(json!({"cookie": "t", "path": "/app", "domain": "shop.example"})),
        cleared("t=; Path=/app; Domain=shop.example; Max-Age=0; HttpOnly; SameSite=Lax")
    );
    assert_eq!(
        clear(json!({"cookie": "__Host-t"})),
        cleared("__Host-t=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax")
    );
    assert_eq!(clear(json!({"header": "Authorization"})), None);
}

#[test]
fn settings_of_cookies_that_say_nothing_are_mistakes() {
    let mistake = |source: Value| try_jwt(section(json!([source]))).unwrap_err().join("; ");
    for (source, at) in [
        (json!({"header": "X-T", "origins": ["https://a"]}), "jwt.sources[0].origins: "),
        (json!({"query": "t", "scheme": "Bearer"}), "jwt.sources[0].scheme: "),
        (json!({"header": "X-T", "path": "/"}), "jwt.sources[0].path: "),
        (json!({"cookie": "t", "path": "a; b"}), "jwt.sources[0].path: "),
        (json!({"cookie": "t", "path": "app"}), "jwt.sources[0].path: "),
        (json!({"cookie": "t", "path": "/app; Secure"}), "jwt.sources[0].path: "),
        (json!({"cookie": "t", "domain": "a; b"}), "jwt.sources[0].domain: "),
        (json!({"cookie": "t", "origins": ["https://a", "https://a:443"]}), "jwt.sources[0].origins[1]: "),
        (json!({"cookie": "t", "origins": ["a.example"]}), "jwt.sources[0].origins[0]: "),
        (json!({"cookie": "t", "origins": ["https://a/"]}), "jwt.sources[0].origins[0]: "),
        (json!({"cookie": "t", "origins": ["http://a:80"]}), "jwt.sources[0].origins[0]: "),
        (json!({"cookie": "t", "origins": ["ftp://a"]}), "jwt.sources[0].origins[0]: "),
    ] {
        let text = mistake(source.clone());
        assert!(text.starts_with(at), "{source}: {text}");
    }
}

#[test]
fn a_page_without_tls_is_an_origin_too_as_in_development() {
    let origins = json!(["http://localhost:3000", "http://a:443", "https://a:80"]);
    let mut worker = Worker::new(section(json!([{"cookie": "t", "origins": origins}])));
    let route = worker.route(json!({}));
    let cookie = format!("t={}", token(Alg::HS256, &json!({"sub": "alice", "exp": NOW + 60})));
    let origin = [(":method", "POST"), ("origin", "http://localhost:3000"), ("cookie", &cookie)];
    let head = head(&origin);
    let found = worker.tokens.find(&route, &head).unwrap();
    let authn = worker.tokens.authenticate(&route, found.as_ref(), moment(NOW), &worker.host);
    assert_eq!(outcome(&authn), user("alice"));
}

#[test]
fn a_bad_token_counts_as_none_only_where_the_route_takes_requests_without_one() {
    let jwt = jwt(section(json!([])));
    let ignoring = route(&jwt, json!({"token": "optional", "bad_token": "ignore", "clear_cookie": true}));
    assert!(ignoring.ignores(TokenError::Expired) && ignoring.clears_cookie());
    for never in [TokenError::KeysPending, TokenError::TwoTokens, TokenError::CrossSite] {
        assert!(!ignoring.ignores(never), "{never:?}");
    }
    assert!(!route(&jwt, json!({"token": "optional"})).ignores(TokenError::Expired));
    let raw: portcullis_jwt::RawAuth =
        deserr::deserialize::<_, _, portcullis_edge_core::ConfigErrors>(json!({"bad_token": "ignore"}))
            .unwrap();
    let errors = raw.compile(Some(&jwt), &portcullis_edge_core::Node::top().key("auth")).unwrap_err();
    assert!(errors[0].to_string().starts_with("auth.bad_token: "), "{}", errors[0]);
}
