//! Where tokens stand in requests.

use crate::support::*;
use portcullis_edge_core::{Headers, RequestHead};
use portcullis_jwt::{Jwt, Strip, TokenError};
use serde_json::{Value, json};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn head(pairs: &[(&str, &[u8])]) -> RequestHead {
    RequestHead { headers: Headers::from_pairs(pairs.iter().copied()), peer: Vec::new() }
}

fn sources(sources: Value) -> Jwt {
    jwt(json!({"providers": {"main": hs256_provider(json!({}))}, "sources": sources}))
}

fn find(jwt: &Jwt, pairs: &[(&str, &[u8])]) -> Result<Option<String>, TokenError> {
    let head = head(pairs);
    let found = jwt.find(&head).map_err(|refusal| refusal.error)?;
    Ok(found.map(|found| String::from_utf8_lossy(&found.token).into_owned()))
}

fn some(token: &str) -> Result<Option<String>, TokenError> {
    Ok(Some(token.to_owned()))
}

#[test]
fn a_bearer_token_is_found_in_any_spelling_of_the_scheme() {
    let jwt = sources(json!([]));
    for value in ["Bearer a.b.c", "bearer a.b.c", "BEARER   a.b.c", " Bearer a.b.c "] {
        assert_eq!(find(&jwt, &[("authorization", value.as_bytes())]), some("a.b.c"), "{value}");
    }
    assert_eq!(find(&jwt, &[("authorization", b"Bearer\ta.b.c")]), some("\ta.b.c"));
    assert_eq!(find(&jwt, &[("authorization", b"Bearer \xff")]), some("\u{fffd}"));
}

#[test]
fn other_credentials_are_no_token() {
    let jwt = sources(json!([]));
    for value in ["", "Basic dXNlcg==", "Bear", "BearerX a", "Digest a=\"b\", c=d"] {
        assert_eq!(find(&jwt, &[("authorization", value.as_bytes())]), Ok(None), "{value}");
    }
    assert_eq!(find(&jwt, &[("cookie", b"authorization=Bearer a")]), Ok(None));
}

#[test]
fn two_tokens_are_refused_wherever_they_stand() {
    let jwt =
        sources(json!([{"header": "Authorization"}, {"header": "X-Token"}, {"cookie": "t"}, {"query": "t"}]));
    let two: [&[(&str, &[u8])]; 9] = [
        &[("authorization", b"Bearer a"), ("authorization", b"Bearer a")],
        &[("authorization", b"Basic a"), ("authorization", b"Bearer a")],
        &[("authorization", b"Basic a, Bearer b")],
        &[("authorization", b"Bearer a"), ("x-token", b"a")],
        &[("cookie", b"t=a; t=b")],
        &[("cookie", b"t=a"), ("cookie", b"u=1; t=b")],
        &[(":path", b"/?t=a&t=b")],
        &[(":path", b"/?t=a&%74=b")],
        &[(":path", b"/?t=a"), ("cookie", b"t=a")],
    ];
    for pairs in two {
        assert_eq!(find(&jwt, pairs), Err(TokenError::TwoTokens), "{pairs:?}");
    }
}

#[test]
fn cookies_and_parameters_are_read_as_services_read_them() {
    let jwt = sources(json!([{"cookie": "t"}, {"query": "access_token"}]));
    assert_eq!(find(&jwt, &[("cookie", b"a=1; t=a.b.c ; tt=2")]), some("a.b.c"));
    assert_eq!(find(&jwt, &[("cookie", b"t=\"a.b.c\"")]), some("a.b.c"));
    assert_eq!(find(&jwt, &[("cookie", b"T=a.b.c")]), Ok(None));
    assert_eq!(find(&jwt, &[("cookie", b"t")]), Ok(None));
    assert_eq!(find(&jwt, &[(":path", b"/a?x=1&access%5Ftoken=a%2Eb.c")]), some("a.b.c"));
    assert_eq!(find(&jwt, &[(":path", b"/access_token=a")]), Ok(None));
    assert_eq!(find(&jwt, &[(":path", b"/?access_token=%zz%4")]), some("%zz%4"));
    assert_eq!(find(&jwt, &[]), Ok(None));
}

#[test]
fn a_token_is_taken_out_without_touching_the_rest() {
    let strip = |source: Value, pairs: &[(&str, &[u8])]| {
        let jwt = sources(json!([source]));
        let head = head(pairs);
        jwt.strip(&head, &jwt.find(&head).unwrap().unwrap())
    };
    let header = json!({"header": "Authorization", "strip": true});
    assert_eq!(strip(header, &[("authorization", b"Bearer a")]), Some(Strip::Remove("authorization".into())));
    assert_eq!(strip(json!({"header": "Authorization"}), &[("authorization", b"Bearer a")]), None);
    let cookie = json!({"cookie": "t", "strip": true});
    let kept = strip(cookie.clone(), &[("cookie", b"a=1; t=x; b=2"), ("cookie", b"c=3")]);
    assert_eq!(kept, Some(Strip::Replace("cookie".into(), b"a=1; b=2; c=3".to_vec())));
    assert_eq!(strip(cookie, &[("cookie", b"t=x")]), Some(Strip::Remove("cookie".into())));
    let query = json!({"query": "t", "strip": true});
    let path = |path: &[u8]| Some(Strip::Replace(":path".into(), path.to_vec()));
    assert_eq!(strip(query.clone(), &[(":path", b"/a?x=1&%74=y&z")]), path(b"/a?x=1&z"));
    assert_eq!(strip(query, &[(":path", b"/a?t=y")]), path(b"/a"));
}

#[test]
fn the_place_of_a_token_is_told_and_what_stands_there_is_taken_out_where_that_is_asked_for() {
    let headers = json!([{"header": "X-Token"}, {"header": "Authorization"}]);
    let others = json!([{"cookie": "t"}, {"query": "t"}, {"websocket_protocol": "bearer"}]);
    let jwt = sources([headers, others].iter().flat_map(|list| list.as_array().unwrap().clone()).collect());
    assert_eq!(jwt.source_kinds().collect::<Vec<_>>(), ["header", "cookie", "query", "websocket_protocol"]);
    let replace = |header: &str, rest: &[u8]| Some(Strip::Replace(header.into(), rest.to_vec()));
    let cases: [(usize, usize, (&str, &[u8]), Option<Strip>); 5] = [
        (0, 0, ("x-token", b"a.b.c"), Some(Strip::Remove("x-token".into()))),
        (1, 0, ("authorization", b"Bearer a.b.c"), Some(Strip::Remove("authorization".into()))),
        (2, 1, ("cookie", b"u=1; t=a.b.c"), replace("cookie", b"u=1")),
        (3, 2, (":path", b"/?t=a.b.c&u=1"), replace(":path", b"/?u=1")),
        (
            4,
            3,
            ("sec-websocket-protocol", b"chat, bearer, a.b.c"),
            replace("sec-websocket-protocol", b"chat"),
        ),
    ];
    for (source, kind, pair, taken) in cases {
        let head = head(&[pair]);
        let found = jwt.find(&head).unwrap().unwrap();
        assert_eq!((found.source(), jwt.source_kind(&found)), (source, Some(kind)), "{pair:?}");
        assert_eq!(jwt.take_out(&head, &found), taken, "{pair:?}");
        let is_hidden = pair.0 == "sec-websocket-protocol";
        assert_eq!(jwt.strip(&head, &found).is_some(), is_hidden, "a marker is of no use to a service");
    }
}

#[test]
fn a_websocket_is_answered_with_the_marker_where_its_client_offers_nothing_else() {
    let jwt = sources(json!([{"header": "Authorization"}, {"websocket_protocol": "bearer"}]));
    let answer = |pairs: &[(&str, &[u8])]| {
        let head = head(pairs);
        let found = jwt.find(&head).unwrap().unwrap();
        jwt.answered_protocol(&head, &found).map(str::to_owned)
    };
    assert_eq!(answer(&[("sec-websocket-protocol", b"bearer, a.b.c")]).as_deref(), Some("bearer"));
    assert_eq!(answer(&[("sec-websocket-protocol", b"chat, bearer, a.b.c")]), None, "the service chooses");
    assert_eq!(answer(&[("sec-websocket-protocol", b"bearer.a.b.c")]), None, "the marker was not offered");
    assert_eq!(answer(&[("authorization", b"Bearer a.b.c"), ("sec-websocket-protocol", b"bearer")]), None);
}
