//! Names that a plugin looks up.

mod support;

use std::time::Duration;

use portcullis_harness::{Dns, Error, Plugin, Proxy, Request, Upstream};
use support::{callbacks, results, wat, with_probe};

type Result = std::result::Result<(), Error>;

#[test]
fn what_the_name_server_says_arrives_after_the_callback_that_asked() -> Result {
    let script = "request_headers dns db.test\nrequest_headers dns nobody.test\nresolve_dns get 0 :path";
    let dns = Dns::addresses(["10.0.0.1".parse().unwrap()]).ttl(Duration::from_secs(60));
    let mut proxy = with_probe(script).dns("db.test", dns).upstream("web", Upstream::respond(200)).build()?;
    let logs = proxy.send(Request::get("/"))?.logs;
    assert_eq!(results(&logs, "request_headers dns db.test"), ["0 token=2"]);
    let answers: Vec<_> = callbacks(&logs)
        .into_iter()
        .filter(|line| line.starts_with("resolve_dns ctx=1 token=2 n=19"))
        .collect();
    assert_eq!(answers, ["resolve_dns ctx=1 token=2 n=19 -> 0 19 bytes: 1 [60] [10.0.0.1:0 ]"]);
    // It is no stream's.
    assert_eq!(results(&logs, "resolve_dns get 0 :path"), ["2 \"\""; 2]);
    Ok(())
}

#[test]
fn an_address_is_answered_before_the_call_returns() -> Result {
    let mut proxy =
        with_probe("request_headers dns 10.1.2.3").upstream("web", Upstream::respond(200)).build()?;
    let logs = proxy.send(Request::get("/"))?.logs;
    let at = |text: &str| logs.iter().position(|line| line.message.contains(text)).expect("it was logged");
    assert!(at("> resolve_dns") < at("request_headers dns 10.1.2.3 ->"));
    Ok(())
}

#[test]
fn a_trap_in_an_answer_within_a_call_fails_the_vm_under_its_own_name() -> Result {
    let module = wat(r#"(module
        (import "env" "envoy_resolve_dns" (func $resolve (param i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 16) "10.0.0.1")
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "malloc") (param i32) (result i32) i32.const 1024)
        (func (export "envoy_on_resolve_dns") (param i32 i32 i32) unreachable)
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (drop (call $resolve (i32.const 16) (i32.const 8) (i32.const 0))) (i32.const 0)))"#);
    let module = portcullis_harness::LoadedModule::from_bytes(&module)?;
    let mut proxy =
        Proxy::builder().plugin(Plugin::loaded(&module)).upstream("web", Upstream::respond(200)).build()?;
    let failures = proxy.send(Request::get("/"))?.failures;
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].callback, "envoy_on_resolve_dns");
    Ok(())
}
