//! CEL expressions. `tests/scenarios/foreign/cel.yaml` has many more, on both sides.

mod support;

use portcullis_harness::{Error, Request, Upstream};
use support::{results, with_probe};

type Result = std::result::Result<(), Error>;

fn evaluated(phase: &str, expression: &str) -> std::result::Result<Vec<String>, Error> {
    let line = format!("{phase} cel {expression}");
    let mut proxy = with_probe(&line).upstream("web", Upstream::respond(200).body("hi")).build()?;
    let out = proxy.send(Request::get("/a?b").header("x-name", "ann"))?;
    Ok(results(&out.logs, &line))
}

#[test]
fn an_expression_finds_what_properties_find() -> Result {
    let rows = [
        ("request_headers", "request.url_path + request.headers['x-name']", "0 /aann"),
        ("response_headers", "string(response.code)", "0 200"),
        ("log", "response.code_details", "0 via_upstream"),
        ("log", "request.path", "0 /a?b"),
    ];
    for (phase, expression, found) in rows {
        assert_eq!(evaluated(phase, expression)?, [found], "{phase} {expression}");
    }
    Ok(())
}

#[test]
fn what_is_not_there_is_a_failure_and_what_is_no_expression_is_refused() -> Result {
    let rows = [
        ("request.headers['nobody']", "10 "),
        ("response.code", "10 "),
        ("nonsense", "10 "),
        ("null", "3 "),
        ("1 +", "created 2"),
        ("nonsense(1)", "created 2"),
    ];
    for (expression, found) in rows {
        assert_eq!(evaluated("request_headers", expression)?, [found], "{expression}");
    }
    Ok(())
}

#[test]
fn an_expression_with_very_many_brackets_is_refused() -> Result {
    let nested = |depth: usize| format!("{}1{}", "(".repeat(depth), ")".repeat(depth));
    assert_eq!(evaluated("request_headers", &nested(8))?, ["0 \\u{1}\\0\\0\\0\\0\\0\\0\\0"]);
    assert_eq!(evaluated("request_headers", &nested(10_000))?, ["created 2"]);
    Ok(())
}
