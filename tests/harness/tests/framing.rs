//! Filters that change a body and not what headers say of it, and filters that break what no message can do without: as
//! measured on Envoy, which does not compare, and on the clients and upstreams that do.

mod support;

use std::time::Duration;

use portcullis_harness::{Error, Flaw, Outcome, Reply, Request, Upstream};
use support::{results, with_probe};

type Result = std::result::Result<(), Error>;

fn one(script: &str, request: Request) -> std::result::Result<Outcome, Error> {
    with_probe(script).upstream("web", Upstream::respond(200).body("hello")).build()?.send(request)
}

#[test]
fn a_response_that_grew_is_cut_over_http1_and_breaks_off_over_http2() -> Result {
    let script = "response_body once setbody 1 0 100 hello-longer";
    let out = one(script, Request::get("/"))?;
    assert_eq!((out.client.text().as_str(), out.client.surplus.as_slice()), ("hello", &b"-longer"[..]));
    assert_eq!(out.client.flaw, Some(Flaw::Long { announced: 5, sent: 12 }));
    assert!(out.client.complete && !out.client.reset);
    let out = one(script, Request::get("/").http2())?;
    assert!(!out.client.complete && out.client.reset && out.client.body.is_empty());
    Ok(())
}

#[test]
fn a_response_that_shrank_is_waited_for_over_http1_and_breaks_off_over_http2() -> Result {
    let script = "response_body once setbody 1 0 100 he";
    let out = one(script, Request::get("/"))?;
    assert_eq!((out.client.text().as_str(), out.client.waits, out.client.complete), ("he", true, false));
    assert_eq!(out.details.as_deref(), Some("via_upstream"));
    let out = one(script, Request::get("/").http2())?;
    assert_eq!((out.client.text().as_str(), out.client.reset, out.client.complete), ("he", true, false));
    Ok(())
}

#[test]
fn a_length_that_is_taken_away_leaves_nothing_to_compare() -> Result {
    let out = one(
        "response_headers remove 2 content-length\nresponse_body once setbody 1 0 100 he",
        Request::get("/"),
    )?;
    assert_eq!((out.client.text().as_str(), out.client.complete, out.client.flaw), ("he", true, None));
    Ok(())
}

#[test]
fn a_length_that_is_no_number_is_no_http() -> Result {
    let out = one("response_headers set 2 content-length abc", Request::get("/"))?;
    assert!(out.client.invalid && !out.client.complete);
    assert_eq!(out.client.flaw, Some(Flaw::LengthUnreadable("abc".into())));
    Ok(())
}

#[test]
fn a_request_that_shrank_is_waited_for_until_the_route_s_time_is_up() -> Result {
    let out = one("request_body once setbody 0 0 100 he", Request::post("/").body("hello"))?;
    assert_eq!((out.client.status(), out.details.as_deref()), (Some(504), Some("response_timeout")));
    let seen = out.upstream.expect("it got there");
    assert_eq!(seen.flaw, Some(Flaw::Short { announced: 5, sent: 2 }));
    Ok(())
}

#[test]
fn of_a_request_that_grew_the_upstream_reads_what_was_announced() -> Result {
    let out = one("request_body once setbody 0 0 100 hello-longer", Request::post("/").body("hello"))?;
    let seen = out.upstream.expect("it got there");
    assert_eq!(
        (seen.body.as_slice(), seen.flaw),
        (&b"hello"[..], Some(Flaw::Long { announced: 5, sent: 12 }))
    );
    assert_eq!(out.client.status(), Some(200));
    Ok(())
}

#[test]
fn a_request_whose_length_is_no_number_is_refused_by_the_upstream() -> Result {
    let out = one("request_headers set 0 content-length abc", Request::post("/").body("hello"))?;
    assert_eq!((out.client.status(), out.details.as_deref()), (Some(400), Some("via_upstream")));
    Ok(())
}

#[test]
fn a_status_that_is_no_number_is_a_502_of_envoys() -> Result {
    for status in ["abc", "200,200", "-1", "2 0", "_x"] {
        let out = one(&format!("response_headers set 2 :status {status}"), Request::get("/"))?;
        let details = "filter_removed_required_response_headers{missing_required_header:_:status}";
        assert_eq!((out.client.status(), out.details.as_deref()), (Some(502), Some(details)), "{status}");
        assert_eq!(out.client.text(), "missing required header: :status");
    }
    let out = one("response_headers add 2 :status 201", Request::get("/"))?;
    assert_eq!(out.client.status(), Some(502));
    let out = one("response_headers set 2 :status +0201", Request::get("/"))?;
    assert_eq!(out.client.status(), Some(201));
    Ok(())
}

#[test]
fn a_status_that_no_client_reads_is_sent_all_the_same() -> Result {
    for status in ["99", "1000"] {
        let out = one(
            &format!("response_headers set 2 :status {status}\nlog intprop response.code"),
            Request::get("/"),
        )?;
        assert_eq!(out.client.flaw, Some(Flaw::StatusUnreadable(status.into())));
        assert_eq!(results(&out.logs, "log intprop response.code"), [format!("0 Ok({status})")]);
        assert!(out.client.invalid);
    }
    Ok(())
}

#[test]
fn a_body_that_the_status_does_not_allow_stands_behind_the_answer() -> Result {
    for status in [101, 204, 304] {
        let out = one(&format!("response_headers set 2 :status {status}"), Request::get("/"))?;
        assert_eq!(out.client.flaw, Some(Flaw::BodyBeyondStatus { status, sent: 5 }));
        assert_eq!((out.client.body.len(), out.client.surplus.as_slice()), (0, &b"hello"[..]));
    }
    Ok(())
}

#[test]
fn an_answer_to_head_has_no_body_and_a_get_made_a_head_waits_for_one() -> Result {
    let out = one("", Request::new("HEAD", "/"))?;
    assert_eq!((out.client.flaw, out.client.complete), (None, true));
    let out = one("request_headers set 0 :method HEAD", Request::get("/"))?;
    assert_eq!((out.client.flaw, out.client.waits), (Some(Flaw::Short { announced: 5, sent: 0 }), true));
    Ok(())
}

#[test]
fn what_a_request_lacks_the_router_tells() -> Result {
    let out = one("request_headers remove 0 :method", Request::get("/"))?;
    let details = "filter_removed_required_request_headers{missing_required_header:_:method}";
    assert_eq!(
        (out.client.status(), out.details.as_deref(), out.flags.as_str()),
        (Some(503), Some(details), "DPE")
    );
    let out = one("request_headers set 0 :method CONNECT", Request::get("/"))?;
    assert_eq!(
        (out.client.status(), out.client.text().as_str()),
        (Some(503), "missing required header: :protocol")
    );
    for operation in ["remove 0 :path", "set 0 :path other", "set 0 :path *"] {
        let out = one(&format!("request_headers {operation}"), Request::get("/"))?;
        assert_eq!(
            (out.client.status(), out.details.as_deref()),
            (Some(404), Some("route_not_found")),
            "{operation}"
        );
    }
    let out =
        one("request_headers remove 0 :authority\nrequest_headers remove 0 :scheme", Request::get("/"))?;
    assert_eq!(out.client.status(), Some(200));
    assert_eq!(out.upstream.expect("it got there").header(":authority"), None);
    Ok(())
}

#[test]
fn a_filter_sets_the_time_of_its_request() -> Result {
    let late = Reply::status(200).delay(Duration::from_secs(2));
    let script = "request_headers set 0 x-envoy-upstream-rq-timeout-ms 1000\nrequest_headers set 0 x-envoy-retry-on 5xx";
    let out = with_probe(script).upstream("web", late).build()?.send(Request::get("/"))?;
    assert_eq!((out.client.status(), out.details.as_deref()), (Some(504), Some("response_timeout")));
    let seen = out.upstream.expect("it got there");
    assert_eq!(seen.header("x-envoy-expected-rq-timeout-ms").as_deref(), Some("1000"));
    assert_eq!(
        (seen.header("x-envoy-upstream-rq-timeout-ms"), seen.header("x-envoy-retry-on")),
        (None, None)
    );
    Ok(())
}
