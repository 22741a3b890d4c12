//! The example filters of the Rust SDK, rewritten from their documentation, in a proxy around them.

mod support;

use std::time::Duration;

use portcullis_harness::{Error, Reply, Request, Status, Upstream};
use support::with_guest;

type Result = std::result::Result<(), Error>;

#[test]
fn the_headers_filter_logs_every_header_and_stamps_the_response() -> Result {
    let mut proxy = with_guest("http_headers").upstream("web", Upstream::respond(200).body("hi")).build()?;
    let out = proxy.send(Request::get("/").header("X-Mine", "1"))?;
    assert_eq!((out.client.status(), out.client.text().as_str()), (Some(200), "hi"));
    assert_eq!(out.client.header("x-powered-by").as_deref(), Some("proxy-wasm"));
    assert!(out.logged("-> x-mine: 1") && out.logged("completed"), "{:?}", out.logs);
    Ok(())
}

#[test]
fn the_headers_filter_answers_hello_itself_and_still_stamps_it() -> Result {
    let mut proxy = with_guest("http_headers").upstream("web", Upstream::respond(200)).build()?;
    let out = proxy.send(Request::get("/hello"))?;
    assert_eq!((out.client.status(), out.client.text().as_str()), (Some(200), "Hello, World!\n"));
    assert_eq!(out.client.header("x-hello").as_deref(), Some("world"));
    assert_eq!(out.client.header("x-powered-by").as_deref(), Some("proxy-wasm"));
    assert!(out.upstream.is_none());
    Ok(())
}

#[test]
fn the_body_filter_blanks_a_secret_out_however_it_is_cut() -> Result {
    let secret = Upstream::respond(200).chunk("a sec").chunk("ret word");
    let mut proxy = with_guest("http_body").upstream("web", secret).build()?;
    let out = proxy.send(Request::get("/"))?;
    assert_eq!(out.client.text(), "(13 bytes blanked out)");
    proxy.set_upstream("web", Upstream::respond(200).body("nothing to see"));
    let out = proxy.send(Request::get("/"))?;
    assert_eq!(out.client.text(), "nothing to see");
    assert_eq!(out.client.header("content-length"), None);
    Ok(())
}

#[test]
fn the_auth_filter_lets_pass_what_the_auth_service_lets_pass() -> Result {
    let auth = Upstream::answer_with(|request| match request.header("authorization").as_deref() {
        Some("let me in") => Reply::status(200),
        _ => Reply::status(401),
    });
    let mut proxy = with_guest("auth_callout")
        .upstream("web", Upstream::respond(200).body("in"))
        .peer("auth", auth)
        .build()?;
    let in_ = proxy.send(Request::get("/").header("authorization", "let me in"))?;
    assert_eq!((in_.client.status(), in_.client.text().as_str()), (Some(200), "in"));
    let out = proxy.send(Request::get("/").header("authorization", "please"))?;
    assert_eq!((out.client.status(), out.client.text().as_str()), (Some(403), "forbidden\n"));
    assert_eq!(out.client.header("x-checked").as_deref(), Some("yes"));
    assert_eq!(proxy.received("auth").len(), 2);
    assert_eq!(proxy.received("web").len(), 1);
    Ok(())
}

#[test]
fn the_auth_filter_answers_503_while_the_auth_service_is_away() -> Result {
    for (auth, said) in [
        (Reply::refuse(), "auth is away\n"),
        (Reply::never(), "auth is away\n"),
        (Reply::reset(), "auth is away\n"),
        (Reply::status(200).delay(Duration::from_secs(2)), "auth is away\n"),
        (Reply::status(200).reset_after(), "auth broke off\n"),
    ] {
        let web = Upstream::respond(200);
        let mut proxy = with_guest("auth_callout").upstream("web", web).peer("auth", auth).build()?;
        let out = proxy.send(Request::get("/"))?;
        assert_eq!((out.client.status(), out.client.text().as_str()), (Some(503), said));
    }
    Ok(())
}

#[test]
fn the_auth_filter_notices_that_there_is_no_auth_cluster() -> Result {
    let mut proxy = with_guest("auth_callout").upstream("web", Upstream::respond(200)).build()?;
    let out = proxy.send(Request::get("/"))?;
    assert_eq!((out.client.status(), out.client.text().as_str()), (Some(500), "no auth cluster\n"));
    Ok(())
}

#[test]
fn a_slow_auth_service_takes_virtual_time_only() -> Result {
    let auth = Reply::status(200).delay(Duration::from_millis(900));
    let mut proxy =
        with_guest("auth_callout").upstream("web", Upstream::respond(200)).peer("auth", auth).build()?;
    let before = proxy.wall_clock();
    assert_eq!(proxy.send(Request::get("/"))?.client.status(), Some(200));
    assert_eq!(proxy.wall_clock() - before, Duration::from_millis(900));
    Ok(())
}

#[test]
fn the_counter_counts_over_all_workers_and_flushes_on_the_tick() -> Result {
    let mut proxy =
        with_guest("shared_counter").workers(3).upstream("web", Upstream::respond(200)).build()?;
    let counts: Vec<_> = (0..3)
        .map(|worker| {
            let out = proxy.send(Request::get("/").on_worker(worker)).unwrap();
            out.upstream.unwrap().header("x-count").unwrap()
        })
        .collect();
    assert_eq!(counts, ["1", "2", "3"]);
    assert_eq!(proxy.metrics().gauge("counter.requests"), Some(0));
    proxy.advance(Duration::from_secs(1));
    assert_eq!(proxy.metrics().gauge("counter.requests"), Some(3));
    Ok(())
}

#[test]
fn the_counter_tries_again_after_a_lost_race() -> Result {
    let mut proxy = with_guest("shared_counter").upstream("web", Upstream::respond(200)).build()?;
    proxy.send(Request::get("/"))?;
    proxy.faults(|faults| {
        faults.cas_conflicts(2);
    });
    let out = proxy.send(Request::get("/"))?.upstream.unwrap();
    assert_eq!((out.header("x-count").as_deref(), out.header("x-tries").as_deref()), (Some("2"), Some("3")));
    Ok(())
}

#[test]
fn a_status_that_the_filter_does_not_expect_panics_it_and_the_client_gets_503() -> Result {
    let mut proxy = with_guest("shared_counter").upstream("web", Upstream::respond(200)).build()?;
    proxy.faults(|faults| {
        faults.status("proxy_set_shared_data", Status::InternalFailure, 1);
    });
    let out = proxy.send(Request::get("/"))?;
    assert_eq!((out.client.status(), out.details.as_deref()), (Some(503), Some("wasm_fail_stream")));
    let failure = &out.failures[0];
    assert_eq!(failure.callback, "proxy_on_request_headers");
    assert!(failure.backtrace.iter().any(|frame| frame.contains("shared_counter")), "{failure}");
    Ok(())
}

#[test]
fn the_grpc_filter_hands_on_the_word_or_the_error() -> Result {
    let words =
        Upstream::sequence([Reply::grpc("aardvark"), Reply::grpc_error(7, "not for you"), Reply::refuse()]);
    let mut proxy =
        with_guest("grpc_callout").upstream("web", Upstream::respond(200)).peer("words", words).build()?;
    let mut seen = |header: &str| proxy.send(Request::get("/")).unwrap().upstream.unwrap().header(header);
    assert_eq!(seen("x-word").as_deref(), Some("aardvark"));
    assert_eq!(seen("x-word-error").as_deref(), Some("7 not for you{via_upstream}"));
    assert!(seen("x-word-error").unwrap().starts_with("14 "));
    let asked = &proxy.received("words")[0];
    assert_eq!(asked.header(":path").as_deref(), Some("/words.Dictionary/Next"));
    assert_eq!(
        (asked.header("x-from").as_deref(), asked.body.as_slice()),
        (Some("filter"), &b"\x0a\x01a"[..])
    );
    Ok(())
}

#[test]
fn an_unknown_grpc_cluster_is_a_parse_failure() -> Result {
    let mut proxy = with_guest("grpc_callout").upstream("web", Upstream::respond(200)).build()?;
    let out = proxy.send(Request::get("/"))?;
    assert_eq!(out.upstream.unwrap().header("x-word-error").as_deref(), Some("ParseFailure"));
    Ok(())
}
