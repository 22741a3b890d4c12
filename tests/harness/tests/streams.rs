//! What a module sees of a stream, and what its answers do: as measured on Envoy.

mod support;

use std::time::Duration;

use portcullis_harness::{Error, Outcome, Proxy, Reply, Request, Upstream};
use support::{callbacks, results, with_probe};

type Result = std::result::Result<(), Error>;

fn proxy(script: &str) -> std::result::Result<Proxy, Error> {
    with_probe(script).upstream("web", Upstream::respond(200).body("hello")).build()
}

fn one(script: &str, request: Request) -> std::result::Result<Outcome, Error> {
    proxy(script)?.send(request)
}

#[test]
fn log_comes_before_done_and_delete() -> Result {
    let out = one("", Request::get("/"))?;
    let order = [
        "context_create ctx=2 parent=1",
        "request_headers ctx=2 n=6 eos=1",
        "response_headers ctx=2 n=3 eos=0",
        "response_body ctx=2 n=5 eos=0",
        "response_body ctx=2 n=0 eos=1",
        "log ctx=2",
        "done ctx=2",
        "delete ctx=2",
    ];
    assert_eq!(callbacks(&out.logs), order);
    Ok(())
}

#[test]
fn a_phase_that_has_continued_loses_its_map() -> Result {
    let script = "response_headers get 0 :path
        response_headers size 0
        response_headers set 0 x y
        response_headers pairs 0
        response_headers prop request.path";
    let out = one(script, Request::get("/"))?;
    assert_eq!(results(&out.logs, "response_headers get 0 :path"), [r#"2 """#]);
    assert_eq!(results(&out.logs, "response_headers size 0"), ["2 0"]);
    assert_eq!(results(&out.logs, "response_headers set 0 x y"), ["2"]);
    assert_eq!(results(&out.logs, "response_headers pairs 0"), ["0 nothing"]);
    assert_eq!(results(&out.logs, "response_headers prop request.path"), [r#"1 """#]);
    Ok(())
}

#[test]
fn after_our_own_reply_the_request_stays_readable() -> Result {
    let script = "request_headers reply 418 teapot no_tea
        response_headers get 0 :path
        response_headers prop request.path
        response_headers pairs 2
        done get 0 :path";
    let out = one(script, Request::get("/tea"))?;
    assert_eq!((out.client.status(), out.client.text().as_str()), (Some(418), "teapot"));
    assert_eq!(out.details.as_deref(), Some("no_tea"));
    assert_eq!(results(&out.logs, "response_headers get 0 :path"), [r#"0 "/tea""#]);
    assert_eq!(results(&out.logs, "response_headers prop request.path"), [r#"0 "/tea""#]);
    assert_eq!(
        results(&out.logs, "response_headers pairs 2"),
        ["0 :status x-probe content-length content-type"]
    );
    assert_eq!(results(&out.logs, "done get 0 :path"), [r#"0 "/tea""#]);
    assert!(callbacks(&out.logs).contains(&"response_body ctx=2 n=6 eos=1".to_owned()));
    Ok(())
}

#[test]
fn of_two_replies_the_first_is_sent_with_the_details_of_the_second() -> Result {
    let script = "request_headers reply 401 first one
        request_headers reply 403 second two
        log prop response.code_details
        log intprop response.code";
    let out = one(script, Request::get("/"))?;
    assert_eq!((out.client.status(), out.client.text().as_str()), (Some(401), "first"));
    assert_eq!(results(&out.logs, "log prop response.code_details"), [r#"0 "two""#]);
    assert_eq!(results(&out.logs, "log intprop response.code"), ["0 Ok(401)"]);
    Ok(())
}

#[test]
fn a_paused_request_waits_for_the_callout_and_then_goes_on() -> Result {
    let script = "request_headers call peer 1000 /ask body
        request_headers return 1
        http_call_response body 4 0 100
        http_call_response get 6 :status
        http_call_response effective stream
        http_call_response set 0 x-late yes
        http_call_response continue 0";
    let peer = Reply::status(200).body("answer").delay(Duration::from_millis(5));
    let mut proxy = with_probe(script).upstream("web", Upstream::respond(200)).peer("peer", peer).build()?;
    let out = proxy.send(Request::get("/"))?;
    assert_eq!(results(&out.logs, "request_headers call peer 1000 /ask body"), ["0 token=4"]);
    assert_eq!(results(&out.logs, "http_call_response body 4 0 100"), [r#"0 "answer""#]);
    assert_eq!(results(&out.logs, "http_call_response get 6 :status"), [r#"0 "200""#]);
    // The map is still there after a pause, but it is out of sight once the stream has been told to go on.
    assert_eq!(results(&out.logs, "http_call_response set 0 x-late yes"), ["0"]);
    assert_eq!(out.upstream.unwrap().header("x-late").as_deref(), Some("yes"));
    let asked = &proxy.received("peer")[0];
    assert_eq!((asked.body.as_slice(), asked.header("content-length").as_deref()), (&b"body"[..], Some("4")));
    Ok(())
}

#[test]
fn what_makes_a_callout_impossible_is_a_bad_argument() -> Result {
    let script = "request_headers call nobody 1000 /
        request_headers call web -1 /
        request_headers call web 1000
        request_headers grpc nobody 1000 m
        request_headers stream nobody";
    let out = one(script, Request::get("/"))?;
    assert_eq!(results(&out.logs, "request_headers call nobody 1000 /"), ["2 token=0"]);
    assert_eq!(results(&out.logs, "request_headers call web -1 /"), ["2 token=0"]);
    assert_eq!(results(&out.logs, "request_headers call web 1000"), ["2 token=0"]);
    assert_eq!(results(&out.logs, "request_headers grpc nobody 1000 m"), ["4 token=0"]);
    assert_eq!(results(&out.logs, "request_headers stream nobody"), ["4 token=0"]);
    Ok(())
}

#[test]
fn a_reset_callout_has_no_headers_and_a_status_of_eleven() -> Result {
    let script = "request_headers call peer 1000 /
        http_call_response status
        http_call_response get 6 :status";
    let peer = Reply::status(200).body("x").reset_after();
    let mut proxy = with_probe(script).upstream("web", Upstream::respond(200)).peer("peer", peer).build()?;
    let out = proxy.send(Request::get("/"))?;
    assert!(
        callbacks(&out.logs)
            .contains(&"http_call_response ctx=1 token=4 headers=0 body=0 trailers=0".to_owned())
    );
    assert_eq!(results(&out.logs, "http_call_response status"), [r#"0 "reset" code=11"#]);
    assert_eq!(results(&out.logs, "http_call_response get 6 :status"), [r#"2 """#]);
    Ok(())
}

#[test]
fn a_callout_is_answered_even_after_its_stream_is_gone() -> Result {
    let script = "request_headers call peer 1000 /
        http_call_response effective stream";
    let peer = Reply::status(200).delay(Duration::from_millis(500));
    let mut proxy = with_probe(script).upstream("web", Upstream::respond(200)).peer("peer", peer).build()?;
    let out = proxy.send(Request::get("/"))?;
    assert!(!callbacks(&out.logs).iter().any(|line| line.starts_with("http_call_response")));
    proxy.advance(Duration::from_secs(1));
    assert_eq!(results(&proxy.logs(), "http_call_response effective stream"), ["2"]);
    Ok(())
}

#[test]
fn pausing_a_body_collects_it_and_streaming_does_not() -> Result {
    let body = Request::post("/").chunk("abc").chunk("de");
    let seen = |out: &Outcome| -> Vec<String> {
        callbacks(&out.logs).into_iter().filter(|line| line.starts_with("request_body")).collect()
    };
    let out = one("request_body return 1", body.clone())?;
    let paused =
        ["request_body ctx=2 n=3 eos=0", "request_body ctx=2 n=5 eos=0", "request_body ctx=2 n=5 eos=1"];
    assert_eq!(seen(&out), paused);
    let out = one("", body.clone())?;
    let streamed =
        ["request_body ctx=2 n=3 eos=0", "request_body ctx=2 n=2 eos=0", "request_body ctx=2 n=0 eos=1"];
    assert_eq!(seen(&out), streamed);
    assert_eq!(out.upstream.unwrap().chunks, [3, 2]);
    let out = one("", body.http2())?;
    assert_eq!(seen(&out), ["request_body ctx=2 n=3 eos=0", "request_body ctx=2 n=2 eos=1"]);
    Ok(())
}

#[test]
fn a_body_that_stays_paused_ends_in_a_timeout() -> Result {
    let out = one("request_body return 1", Request::post("/").body("abc"))?;
    assert_eq!((out.client.status(), out.details.as_deref()), (Some(504), Some("stream_idle_timeout")));
    let out = one("response_body return 1", Request::get("/"))?;
    assert!(out.client.reset || out.client.status() == Some(504), "{:?}", out.client);
    Ok(())
}

#[test]
fn a_body_can_be_replaced_prepended_and_appended_but_not_cut_into() -> Result {
    let script = "request_body setbody 0 1 1 x
        request_body setbody 0 0 0 <
        request_body setbody 0 999 0 >
        request_body bufstatus 0
        request_body body 0 1 3
        request_body body 0 99 3
        request_body body 0 0xfffffff0 0xff";
    let out = one(script, Request::post("/").chunk("abc").http2())?;
    assert_eq!(results(&out.logs, "request_body setbody 0 1 1 x"), ["2"]);
    assert_eq!(results(&out.logs, "request_body bufstatus 0"), ["0 5 0"]);
    assert_eq!(results(&out.logs, "request_body body 0 1 3"), [r#"0 "abc""#]);
    assert_eq!(results(&out.logs, "request_body body 0 99 3"), [r#"0 """#]);
    assert_eq!(results(&out.logs, "request_body body 0 0xfffffff0 0xff"), [r#"0 """#]);
    assert_eq!(out.upstream.unwrap().body, b"<abc>");
    Ok(())
}

#[test]
fn outside_its_phase_a_body_is_empty_but_not_missing() -> Result {
    let script = "request_headers body 0 0 10
        request_headers setbody 0 0 0 x
        request_headers body 7 0 10
        request_headers body 6 0 10
        request_headers body 4 0 10
        request_headers body 9 0 10
        vm_start body 7 0 10";
    let mut proxy = proxy(script)?;
    let out = proxy.send(Request::post("/").body("abc"))?;
    assert_eq!(results(&out.logs, "request_headers body 0 0 10"), [r#"0 """#]);
    assert_eq!(results(&out.logs, "request_headers setbody 0 0 0 x"), ["2"]);
    assert_eq!(results(&out.logs, "request_headers body 7 0 10"), [r#"1 """#]);
    assert_eq!(results(&out.logs, "request_headers body 6 0 10"), [r#"0 """#]);
    assert_eq!(results(&out.logs, "request_headers body 4 0 10"), [r#"1 """#]);
    assert_eq!(results(&out.logs, "request_headers body 9 0 10"), [r#"2 """#]);
    assert!(results(&proxy.logs(), "vm_start body 7 0 10").iter().all(|result| result == r#"1 """#));
    Ok(())
}

#[test]
fn trailers_can_be_added_in_the_last_part_of_a_body() -> Result {
    let out = one("request_body add 1 x-sum 42", Request::post("/").chunk("abc").http2())?;
    assert_eq!(results(&out.logs, "request_body add 1 x-sum 42"), ["0"]);
    assert_eq!(out.upstream.unwrap().trailers.unwrap().text("x-sum").as_deref(), Some("42"));
    assert!(!callbacks(&out.logs).iter().any(|line| line.starts_with("request_trailers")));
    Ok(())
}

#[test]
fn trailers_pass_through_their_own_callback() -> Result {
    let script = "request_trailers get 1 x-sum
        request_trailers add 1 x-more 1
        response_trailers set 3 x-end now";
    let web = Upstream::respond(200).chunk("x").trailer("x-end", "later");
    let mut proxy = with_probe(script).upstream("web", web).build()?;
    let out = proxy.send(Request::post("/").chunk("abc").trailer("x-sum", "42"))?;
    assert_eq!(results(&out.logs, "request_trailers get 1 x-sum"), [r#"0 "42""#]);
    assert_eq!(out.upstream.unwrap().trailers.unwrap().text("x-more").as_deref(), Some("1"));
    assert_eq!(out.client.trailer("x-end").as_deref(), Some("now"));
    Ok(())
}

#[test]
fn a_body_beyond_the_limit_is_413_and_500_on_the_way_back() -> Result {
    let build = |script: &str| {
        let web = Upstream::respond(200).body("hello world");
        with_probe(script).upstream("web", web).buffer_limit(10).build()
    };
    let out = build("request_body return 1")?.send(Request::post("/").body("hello world"))?;
    assert_eq!((out.client.status(), out.details.as_deref()), (Some(413), Some("request_payload_too_large")));
    let out = build("response_body return 1")?.send(Request::get("/"))?;
    assert_eq!(out.details.as_deref(), Some("response_payload_too_large"));
    Ok(())
}

#[test]
fn the_header_getter_gives_the_first_value_and_the_property_all() -> Result {
    let script = "request_headers get 0 X-Many
        request_headers prop request.headers.x-many
        request_headers get 0 host
        request_headers get 0 x-none
        request_headers remove 0 x-none
        request_headers set 0 x-empty _
        request_headers get 0 x-empty
        request_headers get 8 x";
    let out = one(script, Request::get("/").header("x-many", "1").header("x-many", "2"))?;
    assert_eq!(results(&out.logs, "request_headers get 0 X-Many"), [r#"0 "1""#]);
    assert_eq!(results(&out.logs, "request_headers prop request.headers.x-many"), [r#"0 "1,2""#]);
    assert_eq!(results(&out.logs, "request_headers get 0 host"), [r#"0 "gateway.test""#]);
    assert_eq!(results(&out.logs, "request_headers get 0 x-none"), [r#"1 """#]);
    assert_eq!(results(&out.logs, "request_headers remove 0 x-none"), ["0"]);
    assert_eq!(results(&out.logs, "request_headers get 8 x"), [r#"2 """#]);
    Ok(())
}

#[test]
fn setting_all_pairs_replaces_everything_and_without_a_status_the_client_gets_a_502() -> Result {
    let web = Upstream::respond(200).header("x-old", "1");
    let script = "response_headers setpairs 2\nresponse_headers pairs 2";
    let mut proxy = with_probe(script).upstream("web", web).build()?;
    let out = proxy.send(Request::get("/"))?;
    assert_eq!(results(&out.logs, "response_headers pairs 2"), ["0 x-only"]);
    assert_eq!(
        (out.client.status(), out.client.text().as_str()),
        (Some(502), "missing required header: :status")
    );
    Ok(())
}

#[test]
fn a_property_that_a_filter_sets_shows_in_the_access_log() -> Result {
    let script = "request_headers setprop mine written early
        log setprop late written in the log
        log prop mine
        log prop filter_state|wasm.mine
        configure setprop mine x";
    let mut proxy = with_probe(script)
        .upstream("web", Upstream::respond(200))
        .access_log(
            "%RESPONSE_CODE% %FILTER_STATE(wasm.mine:PLAIN)% %FILTER_STATE(wasm.late:PLAIN)% %REQ(:PATH)%",
        )
        .build()?;
    let out = proxy.send(Request::get("/x"))?;
    assert_eq!(out.access_log, ["200 written early written in the log /x"]);
    assert_eq!(results(&out.logs, "log prop mine"), [r#"0 "written early""#]);
    assert_eq!(results(&out.logs, "log prop filter_state|wasm.mine"), [r#"0 "written early""#]);
    assert_eq!(out.filter_state("wasm.mine"), Some(&b"written early"[..]));
    assert!(results(&proxy.logs(), "configure setprop mine x").iter().all(|status| status == "1"));
    Ok(())
}

#[test]
fn a_dotted_path_is_no_path() -> Result {
    let out = one("request_headers rawprop request.path", Request::get("/"))?;
    assert_eq!(results(&out.logs, "request_headers rawprop request.path"), [r#"1 """#]);
    Ok(())
}

#[test]
fn continue_knows_streams_that_exist_and_streams_that_never_will() -> Result {
    let out = one("request_headers continue 3\nrequest_headers continue 99", Request::get("/"))?;
    assert_eq!(results(&out.logs, "request_headers continue 3"), ["12"]);
    assert_eq!(results(&out.logs, "request_headers continue 99"), ["2"]);
    Ok(())
}

#[test]
fn a_closed_stream_gives_the_client_nothing() -> Result {
    let out = one("request_headers close 0\nrequest_headers return 1", Request::get("/"))?;
    assert!(out.client.reset && out.client.status().is_none());
    assert_eq!(out.details.as_deref(), Some("wasm_close_stream"));
    Ok(())
}

#[test]
fn the_route_answers_where_no_upstream_does() -> Result {
    let build = |web: Reply| with_probe("").upstream("web", web).direct_response("/direct", 204, "").build();
    let status = |web: Reply, path: &str| -> std::result::Result<_, Error> {
        let out = build(web)?.send(Request::get(path))?;
        assert!(callbacks(&out.logs).iter().any(|line| line.starts_with("response_headers")));
        Ok((out.client.status().unwrap(), out.details.unwrap(), out.flags))
    };
    assert_eq!(status(Reply::refuse(), "/direct")?, (204, "direct_response".into(), "-".into()));
    let (code, details, flags) = status(Reply::refuse(), "/")?;
    assert_eq!((code, flags.as_str()), (503, "UF"));
    assert!(details.starts_with("upstream_reset_before_response_started"));
    assert_eq!(status(Reply::never(), "/")?, (504, "response_timeout".into(), "UT".into()));
    let out = Proxy::builder().build()?.send(Request::get("/"))?;
    assert_eq!((out.client.status(), out.flags.as_str()), (Some(404), "NR"));
    Ok(())
}

#[test]
fn a_client_that_leaves_is_logged_and_its_callout_does_no_harm() -> Result {
    let script = "request_headers call peer 1000 /
        request_headers return 1
        log intprop response.flags
        http_call_response effective stream";
    let peer = Reply::status(200).delay(Duration::from_millis(500));
    let mut proxy = with_probe(script).upstream("web", Upstream::respond(200)).peer("peer", peer).build()?;
    let stream = proxy.start(Request::get("/"));
    proxy.run();
    proxy.client_leaves(&stream);
    proxy.advance(Duration::from_secs(1));
    let out = proxy.outcome(&stream);
    assert!(out.client.reset && out.upstream.is_none());
    assert_eq!(
        (out.flags.as_str(), results(&out.logs, "log intprop response.flags")),
        ("DC", vec!["0 Ok(16384)".into()])
    );
    assert_eq!(results(&proxy.logs(), "http_call_response effective stream"), ["2"]);
    Ok(())
}
