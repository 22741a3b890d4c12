//! What stands in front of every filter: the codec and the connection manager, as measured on Envoy. `tests/scenarios/codec` has
//! the same on both sides.

mod support;

use portcullis_harness::{Error, Outcome, Proxy, Request, Upstream};
use support::{callbacks, results, with_probe};

type Result = std::result::Result<(), Error>;

const DUMP: &str =
    "request_headers dump 0\nlog dump 0\nlog prop response.code_details\nlog shape xds.virtual_host_name";

fn proxy() -> std::result::Result<Proxy, Error> {
    let builder = with_probe(DUMP).upstream("web", Upstream::respond(200).body("hello"));
    builder
        .facing_clients("192.0.2.2")
        .pass_server_header_through()
        .access_log("%RESPONSE_CODE% %RESPONSE_FLAGS%")
        .build()
}

fn over_http1(head: &str) -> std::result::Result<Outcome, Error> {
    proxy()?.send(Request::wire(format!("{head}\r\n\r\n")))
}

/// Status, details, and whether the filters saw the request.
fn outcome(out: &Outcome) -> (u16, String, bool) {
    let seen = callbacks(&out.logs).iter().any(|line| line.starts_with("request_headers"));
    (out.client.status().unwrap_or(0), out.details.clone().unwrap_or_default(), seen)
}

#[test]
fn what_the_http1_codec_refuses_no_filter_sees() -> Result {
    let host = "HTTP/1.1\r\nhost: a.test";
    let rows = [
        (format!("GET /a b {host}"), 400, "http1.codec_error"),
        (format!("GET noslash {host}"), 400, "http1.codec_error"),
        (format!("GET /\u{e9} {host}"), 400, "http1.codec_error"),
        (format!("GET /\u{1} {host}"), 400, "http1.invalid_characters"),
        (format!("GET * {host}"), 400, "http1.invalid_url"),
        (format!("GET ftp://a.test/ {host}"), 400, "http1.invalid_scheme"),
        (format!("GET https://a.test/ {host}"), 403, "http1.https_url_on_plaintext_connection"),
        (format!("get / {host}"), 400, "http1.codec_error"),
        (format!("BREW / {host}"), 400, "http1.codec_error"),
        (format!("CONNECT / {host}"), 400, "http1.invalid_url"),
        ("GET / HTTP/1.0\r\nhost: a".into(), 426, "low_version"),
        ("GET / HTTP/1.1\r\nhost: a b".into(), 400, "http.invalid_authority"),
        (format!("GET / {host}\r\na b: 1"), 400, "http1.codec_error"),
        (format!("GET / {host}\r\nx: \u{7f}"), 400, "http1.invalid_characters"),
        (format!("POST / {host}\r\ncontent-length: 5\r\ncontent-length: 5"), 400, "http1.codec_error"),
        (format!("POST / {host}\r\ncontent-length: -1"), 400, "http1.codec_error"),
        (format!("POST / {host}\r\ntransfer-encoding: gzip"), 501, "http1.invalid_transfer_encoding"),
        (
            format!("POST / {host}\r\ntransfer-encoding: chunked\r\ncontent-length: 0"),
            400,
            "http1.content_length_and_chunked_not_allowed",
        ),
        (format!("GET / {host}\r\nconnection: x-forwarded-for"), 400, "http1.connection_header_rejected"),
        (format!("GET / {host}{}", "\r\nx: y".repeat(100)), 431, "http1.too_many_headers"),
        (format!("GET / {host}\r\nx: {}", "a".repeat(61_500)), 431, "http1.headers_too_large"),
    ];
    for (head, status, details) in rows {
        let out = over_http1(&head)?;
        assert_eq!(outcome(&out), (status, details.to_owned(), false), "{}", head.escape_debug());
        assert_eq!(results(&out.logs, "log dump 0"), ["0 nothing"]);
        assert_eq!(out.access_log, [format!("{status} DPE")]);
        assert_eq!(out.client.header("connection").as_deref(), Some("close"));
    }
    Ok(())
}

#[test]
fn what_the_connection_manager_refuses_filters_hear_of_in_their_log() -> Result {
    let rows = [
        ("GET /#a HTTP/1.1\r\nhost: a", 400, "path_normalization_failed"),
        ("OPTIONS * HTTP/1.1\r\nhost: a", 404, "absolute_path_rejected"),
        ("GET / HTTP/1.1", 400, "missing_host_header"),
        ("QUERY / HTTP/1.1\r\nhost: a", 400, "query_missing_content_type"),
        ("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket", 403, "upgrade_failed"),
    ];
    for (head, status, details) in rows {
        let out = over_http1(head)?;
        assert_eq!(outcome(&out), (status, details.to_owned(), false), "{}", head.escape_debug());
        assert_eq!(results(&out.logs, "log prop response.code_details"), [format!("0 {details:?}")]);
        assert_eq!(results(&out.logs, "log shape xds.virtual_host_name"), ["0 3 bytes"]);
        assert!(results(&out.logs, "log dump 0")[0].contains(":method="), "{details}");
    }
    Ok(())
}

#[test]
fn a_request_over_http1_arrives_as_envoy_makes_it_up() -> Result {
    let rows = [
        (
            "GET http://b.test/x?y HTTP/1.1\r\nhost: a",
            r#":authority="b.test" :scheme="http" :path="/x?y" :method="GET""#,
            "",
        ),
        (
            "GET / HTTP/1.1\r\nhost: a\r\nhost: b",
            r#":authority="a,b" :path="/" :method="GET" :scheme="http""#,
            "",
        ),
        (
            "GET / HTTP/1.1\r\nx: 1\r\nhost: a\r\ny: a\r\n  b\r\nz:  c\t",
            r#":authority="a" :path="/" :method="GET" :scheme="http""#,
            r#" x="1" y="a  b" z="c""#,
        ),
        (
            "GET / HTTP/1.1\r\nhost: a\r\nconnection: x-a, te\r\nx-a: 1\r\nte: trailers, gzip\r\nkeep-alive: 5",
            r#":authority="a" :path="/" :method="GET" :scheme="http""#,
            r#" te="trailers""#,
        ),
        (
            "GET / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\nupgrade: websocket\r\nx-envoy-retry-on: 5xx",
            r#":authority="a" :path="/" :method="GET" :scheme="http""#,
            "",
        ),
        (
            "CONNECT o.test:443 HTTP/1.1\r\nhost: a",
            r#":authority="o.test:443" :method="CONNECT" :scheme="http""#,
            "",
        ),
        (
            "GET / HTTP/1.1\r\nhost: a\r\ncookie: a=1\r\nx: 1\r\ncookie: b=2",
            r#":authority="a" :path="/" :method="GET" :scheme="http""#,
            r#" cookie="a=1" x="1" cookie="b=2""#,
        ),
    ];
    for (head, pseudo, regular) in rows {
        let out = over_http1(head)?;
        let told = results(&out.logs, "request_headers dump 0");
        let own = r#" x-forwarded-for="192.0.2.2" x-forwarded-proto="http" x-envoy-external-address="127.0.0.1" x-request-id="#;
        assert!(
            told[0].starts_with(&format!("0 {pseudo}{regular}{own}")),
            "{}: {}",
            head.escape_debug(),
            told[0]
        );
    }
    Ok(())
}

#[test]
fn a_body_is_held_to_what_its_client_announces() -> Result {
    let script = "request_body body 0 0 100\nrequest_trailers dump 1";
    let send = |bytes: &str| {
        with_probe(script).upstream("web", Upstream::respond(200)).build()?.send(Request::wire(bytes))
    };
    let out = send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhello")?;
    assert_eq!(results(&out.logs, "request_body body 0 0 100"), [r#"0 "he""#, r#"0 """#]);
    let out = send(
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nT: 1\r\n\r\n",
    )?;
    assert_eq!(results(&out.logs, "request_body body 0 0 100"), [r#"0 "hello""#]);
    assert_eq!(results(&out.logs, "request_trailers dump 1"), [r#"0 t="1""#]);
    let out = send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n")?;
    assert_eq!((out.client.status(), out.details.as_deref()), (Some(400), Some("http1.codec_error")));
    assert!(callbacks(&out.logs).iter().any(|line| line.starts_with("response_headers")));
    let out = send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhello")?;
    assert_eq!((out.client.status(), out.details.as_deref()), (Some(408), Some("stream_idle_timeout")));
    Ok(())
}

fn over_http2(change: impl FnOnce(Request) -> Request) -> std::result::Result<Outcome, Error> {
    proxy()?.send(change(Request::get("/").http2()))
}

/// What a row does to a request.
type Change = Box<dyn FnOnce(Request) -> Request>;

#[test]
fn what_the_http2_codec_refuses_breaks_the_connection_and_nobody_hears_of_it() -> Result {
    let field = "http2.invalid.header.field";
    let rule = "http2.violation.of.messaging.rule";
    let rows: Vec<(&str, Change, &str, &str)> = vec![
        ("capitals", Box::new(|request| request.field("X-Up", "1")), field, "DPE"),
        ("connection", Box::new(|request| request.field("connection", "close")), field, "DPE"),
        ("te", Box::new(|request| request.field("te", "gzip")), field, "DPE"),
        ("unknown pseudo", Box::new(|request| request.field(":foo", "1")), field, "DPE"),
        ("path twice", Box::new(|request| request.field(":path", "/b")), field, "DPE"),
        ("space in path", Box::new(|request| request.header(":path", "/a b")), field, "DPE"),
        ("userinfo", Box::new(|request| request.header(":authority", "a@b")), field, "DPE"),
        ("no path", Box::new(|request| request.without(":path")), rule, "DPE"),
        ("no slash", Box::new(|request| request.header(":path", "a")), rule, "DPE"),
        ("length without body", Box::new(|request| request.field("content-length", "5")), rule, "DPE"),
        (
            "many",
            Box::new(|request| (0..97).fold(request, |request, _| request.field("x", "y"))),
            "http2.too_many_headers",
            "DR",
        ),
        (
            "long",
            Box::new(|request| request.field("x", "a".repeat(61_440))),
            "http2.header_list_size_too_large",
            "DR",
        ),
    ];
    for (name, change, details, flag) in rows {
        let out = over_http2(change)?;
        assert_eq!(outcome(&out), (0, details.to_owned(), false), "{name}");
        assert!(out.client.reset && callbacks(&out.logs).is_empty(), "{name}");
        assert_eq!(out.access_log, [format!("0 {flag}")], "{name}");
    }
    Ok(())
}

#[test]
fn over_http2_cookies_come_together_and_host_becomes_the_authority() -> Result {
    let out = over_http2(|request| {
        let request = request.without(":authority").field("cookie", "a=1").field("host", "h.test");
        request.field("x", " v ").field("cookie", "b=2").header(":method", "brew")
    })?;
    let told = results(&out.logs, "request_headers dump 0");
    let wanted = r#"0 :method="brew" :scheme="http" :path="/" :authority="h.test" x=" v " cookie="a=1; b=2" x-forwarded-for"#;
    assert!(told[0].starts_with(wanted), "{}", told[0]);
    Ok(())
}

#[test]
fn a_body_that_is_not_as_long_as_announced_resets_an_http2_stream() -> Result {
    for (length, chunks, seen) in
        [("9", vec!["hello"], 0), ("3", vec!["he", "llo"], 1), ("9", vec!["he", "llo"], 1)]
    {
        let out = over_http2(|request| {
            chunks
                .iter()
                .fold(request.header(":method", "POST").field("content-length", length), |request, chunk| {
                    request.chunk(chunk)
                })
        })?;
        let bodies = callbacks(&out.logs).iter().filter(|line| line.starts_with("request_body")).count();
        assert_eq!(
            (bodies, out.client.reset, out.details.as_deref()),
            (seen, true, Some("http2.remote_reset"))
        );
    }
    Ok(())
}
