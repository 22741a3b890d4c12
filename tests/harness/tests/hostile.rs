//! Modules that are broken or mean harm: a named error, never a panic or a hang.

mod support;

use portcullis_harness::{
    Error, Failure, FailureKind, LoadError, LoadedModule, Plugin, Proxy, Request, Upstream, inspect,
};
use support::{results, wat, with_probe};

/// What every module must have to be loaded at all.
const BASE: &str = r#"
    (memory (export "memory") 1)
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "malloc") (param i32) (result i32) i32.const 1024)
"#;

fn module(body: &str) -> Vec<u8> {
    wat(&format!("(module {body} {BASE})"))
}

fn load(bytes: &[u8]) -> LoadError {
    match LoadedModule::from_bytes(bytes) {
        Ok(_) => panic!("the module must not load"),
        Err(error) => error,
    }
}

fn build(bytes: &[u8]) -> Result<Proxy, Error> {
    let module = LoadedModule::from_bytes(bytes)?;
    let plugin = Plugin::loaded(&module).name("hostile");
    Proxy::builder().plugin(plugin).fuel(1_000_000).upstream("web", Upstream::respond(200)).build()
}

fn failure(bytes: &[u8]) -> Failure {
    match build(bytes) {
        Err(Error::Failed(failure)) => *failure,
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("the module must fail"),
    }
}

#[test]
fn what_is_no_module_is_told_from_what_is_a_broken_one() {
    assert!(matches!(load(b""), LoadError::NotAModule(_)));
    assert!(matches!(load(b"\x7fELF and more"), LoadError::NotAModule(_)));
    assert!(matches!(load(b"\0asm\x0d\0\x01\0"), LoadError::NotAModule(_)));
    assert!(matches!(load(b"\0asm\x01\0\0\0\xff\xff\xff"), LoadError::Invalid(_)));
    let whole = module("");
    assert!(matches!(load(&whole[..whole.len() - 1]), LoadError::Invalid(_)));
}

#[test]
fn every_prefix_of_a_module_is_an_error_and_no_panic() {
    let whole = module(r#"(import "env" "proxy_done" (func (result i32)))"#);
    for len in 0..whole.len() {
        let _ = inspect(&whole[..len]);
    }
}

#[test]
fn an_unknown_abi_is_named() {
    let text = r#"(module (memory (export "memory") 1) (func (export "proxy_abi_version_0_9_0")))"#;
    assert!(load(&wat(text)).to_string().contains("proxy_abi_version_0_9_0"));
}

#[test]
fn every_missing_import_is_named_at_once() {
    let imports = r#"(import "env" "proxy_fly" (func)) (import "env" "proxy_swim" (func))
        (import "env" "proxy_get_configuration" (func (param i32 i32) (result i32)))"#;
    let LoadError::MissingImports { names, .. } = load(&module(imports)) else {
        panic!("imports are missing")
    };
    assert_eq!(names, ["env.proxy_fly", "env.proxy_swim", "env.proxy_get_configuration"]);
}

#[test]
fn wrong_signatures_are_named_with_both_sides() {
    let error = load(&module(r#"(import "env" "proxy_done" (func (param i64) (result i32)))"#)).to_string();
    assert!(
        error.contains("proxy_done") && error.contains("(i64) -> (i32)") && error.contains("() -> (i32)"),
        "{error}"
    );
    let error = load(&module(r#"(func (export "proxy_on_tick") (param i64))"#)).to_string();
    assert!(error.contains("proxy_on_tick") && error.contains("(i64) -> ()"), "{error}");
}

#[test]
fn a_module_without_allocator_or_memory_is_refused() {
    let abi = r#"(func (export "proxy_abi_version_0_2_0"))"#;
    let text = format!(r#"(module (memory (export "memory") 1) {abi})"#);
    assert!(matches!(load(&wat(&text)), LoadError::NoAllocator));
    let text = format!(r#"(module {abi} (func (export "malloc") (param i32) (result i32) i32.const 0))"#);
    assert!(matches!(load(&wat(&text)), LoadError::NoMemory));
}

#[test]
fn a_trap_at_the_start_is_named_with_its_backtrace() {
    let text =
        r#"(func $deep unreachable) (func $outer call $deep) (func (export "_initialize") call $outer)"#;
    let failure = failure(&module(text));
    assert_eq!(failure.callback, "_initialize");
    assert!(
        matches!(&failure.kind, FailureKind::Trap(message) if message.contains("unreachable")),
        "{failure}"
    );
    assert_eq!(failure.backtrace[..2], ["deep", "outer"]);
}

#[test]
fn a_start_function_that_traps_is_named() {
    let failure = failure(&module("(func $boom unreachable) (start $boom)"));
    assert_eq!(failure.callback, "(instantiation)");
}

#[test]
fn an_endless_loop_runs_out_of_fuel_wherever_it_is() {
    let text = r#"(func $spin (loop $again br $again)) (func (export "_initialize") call $spin)"#;
    let failure = failure(&module(text));
    assert_eq!(failure.kind, FailureKind::OutOfFuel { budget: 1_000_000 });
    assert_eq!(failure.backtrace[0], "spin");

    let text = r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (loop $l br $l) i32.const 0)"#;
    let error = build(&module(text)).unwrap().send(Request::get("/")).unwrap_err();
    assert!(matches!(error, Error::Failed(failure) if failure.callback == "proxy_on_request_headers"));
}

#[test]
fn endless_recursion_is_a_stack_overflow() {
    let failure = failure(&module(r#"(func $deep (export "_initialize") call $deep)"#));
    assert_eq!(failure.kind, FailureKind::StackOverflow);
    assert!(failure.backtrace.len() <= 20);
}

#[test]
fn ten_gibibytes_are_no_module_and_two_are_over_the_limit() {
    let asks = |pages: u64| {
        wat(&format!(
            r#"(module (memory (export "memory") {pages}) (func (export "proxy_abi_version_0_2_1"))
                (func (export "malloc") (param i32) (result i32) i32.const 8))"#
        ))
    };
    assert!(
        wat::parse_str("(module (memory 163840))")
            .is_ok_and(|bytes| matches!(load(&bytes), LoadError::Invalid(_)))
    );
    let error = build(&asks(32768)).err().unwrap();
    assert!(matches!(error, Error::Load(LoadError::MemoryTooLarge { asked: 0x8000_0000, .. })), "{error}");
}

#[test]
fn growing_beyond_the_limit_is_refused_and_the_guest_lives_on() -> Result<(), Error> {
    let mut proxy = with_probe("request_headers grow 1\nrequest_headers grow 60000")
        .upstream("web", Upstream::respond(200))
        .build()?;
    let out = proxy.send(Request::get("/"))?;
    assert_eq!(results(&out.logs, "request_headers grow 1"), ["grown"]);
    assert_eq!(results(&out.logs, "request_headers grow 60000"), ["refused"]);
    proxy.faults(|faults| {
        faults.memory_limit(0);
    });
    assert_eq!(results(&proxy.send(Request::get("/"))?.logs, "request_headers grow 1"), ["refused"]);
    Ok(())
}

#[test]
fn a_host_call_before_the_start_is_refused_by_name_but_logging_is_not() {
    let text = r#"(import "env" "proxy_set_tick_period_milliseconds" (func $tick (param i32) (result i32)))
        (func (export "_initialize") i32.const 1 call $tick drop)"#;
    let failure = failure(&module(text));
    assert_eq!(failure.kind, FailureKind::Restricted("proxy_set_tick_period_milliseconds".into()));

    let text = r#"(import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
        (data (i32.const 0) "hi") (func (export "_initialize") i32.const 2 i32.const 0 i32.const 2 call $log drop)"#;
    assert!(build(&module(text)).unwrap().logs().iter().any(|line| line.message == "hi"));
}

#[test]
fn bad_pointers_are_status_six_whatever_the_call() -> Result<(), Error> {
    let calls = [
        "log",
        "log-length",
        "log-wrap",
        "key",
        "out",
        "time",
        "value",
        "pairs",
        "body",
        "property",
        "queue",
        "metric",
        "foreign",
        "reply",
        "call",
    ];
    let script: String = calls.iter().map(|call| format!("request_headers bad {call}\n")).collect();
    let mut proxy = with_probe(&script).upstream("web", Upstream::respond(200)).build()?;
    let out = proxy.send(Request::get("/"))?;
    for call in calls {
        assert_eq!(results(&out.logs, &format!("request_headers bad {call}")), ["6"], "{call}");
    }
    assert_eq!(out.client.status(), Some(200));
    Ok(())
}

#[test]
fn an_allocator_that_lies_is_the_guest_s_own_problem() {
    for answer in ["i32.const 0", "i32.const -1", "i32.const 65530", "unreachable"] {
        let text = format!(
            r#"(module (import "env" "proxy_get_header_map_pairs" (func $pairs (param i32 i32 i32) (result i32)))
                (memory (export "memory") 1) (func (export "proxy_abi_version_0_2_1"))
                (func (export "malloc") (param i32) (result i32) {answer})
                (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
                    i32.const 0 i32.const 0 i32.const 4 call $pairs i32.const 6 i32.ne if unreachable end i32.const 0))"#
        );
        let out = build(&wat(&text)).unwrap().send(Request::get("/")).unwrap();
        let expected = if answer == "unreachable" { 503 } else { 200 };
        assert_eq!(out.client.status(), Some(expected), "{answer}");
    }
}

#[test]
fn a_trap_on_one_stream_fails_every_context_of_its_vm() -> Result<(), Error> {
    let mut proxy = with_probe("request_body trap\nrequest_headers get 0 :path")
        .upstream("web", Upstream::respond(200))
        .build()?;
    let waiting = proxy.start(Request::post("/").unfinished());
    proxy.run();
    let out = proxy.send(Request::post("/").body("abc"))?;
    assert_eq!((out.client.status(), out.details.as_deref()), (Some(503), Some("wasm_fail_stream")));
    assert!(out.failures[0].backtrace.iter().any(|frame| frame.contains("probe")), "{}", out.failures[0]);
    assert!(
        proxy.logs().iter().any(|line| line.message.contains("the script says so")),
        "stderr goes to the log"
    );
    proxy.send_chunk(&waiting, "abc", true);
    let out = proxy.finish(&waiting)?;
    assert!(out.client.status() == Some(200) || out.client.status() == Some(503));
    assert_eq!(proxy.send(Request::get("/"))?.client.status(), Some(503));
    Ok(())
}

#[test]
fn an_inspection_names_what_is_wrong_and_what_is_there() {
    let inspection =
        inspect(&module(r#"(import "env" "proxy_fly" (func)) (@custom "note" "hello")"#)).unwrap();
    let text = inspection.to_string();
    for part in ["0.2.1", "env.proxy_fly", "malloc", "custom \"note\"", "loads        no"] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}

#[test]
fn callbacks_that_the_harness_never_calls_are_named() {
    let metadata = r#"(func (export "proxy_on_request_metadata") (param i32 i32) (result i32) i32.const 0)"#;
    let text = inspect(&module(metadata)).unwrap().to_string();
    assert!(text.contains("never called by the harness: proxy_on_request_metadata"), "{text}");
}

#[test]
fn a_module_with_some_bytes_changed_is_an_error_or_runs_and_never_a_panic() {
    let text = r#"(import "env" "proxy_get_header_map_pairs" (func $pairs (param i32 i32 i32) (result i32)))
        (import "env" "proxy_send_local_response"
            (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            i32.const 0 i32.const 8 i32.const 12 call $pairs drop
            i32.const 403 i32.const 0 i32.const 0 i32.const 64 i32.const 9 i32.const 0 i32.const 0 i32.const -1
            call $reply drop i32.const 1)"#;
    let whole = module(text);
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let mut loaded = 0;
    for _ in 0..400 {
        let mut bytes = whole.clone();
        for _ in 0..=random(3) {
            let at = 8 + random(bytes.len() - 8);
            bytes[at] = random(256) as u8;
        }
        if let Ok(mut proxy) = build(&bytes) {
            loaded += 1;
            let _ = proxy.send(Request::get("/"));
        }
    }
    assert!(loaded > 10, "only {loaded} of the changed modules ran: nothing was tested");
}

#[test]
fn an_allocator_that_traps_is_a_status_to_the_guest_and_the_end_of_its_vm_behind_the_callback() {
    let text = r#"(module
        (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1) (data (i32.const 100) ":path")
        (func (export "proxy_abi_version_0_2_1"))
        (func (export "malloc") (param i32) (result i32) unreachable)
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (i32.store8 (i32.const 0) (call $get (i32.const 0) (i32.const 100) (i32.const 5) (i32.const 300) (i32.const 304)))
            (if (i32.ne (i32.load8_u (i32.const 0)) (i32.const 6)) (then unreachable))
            (i32.const 0)))"#;
    let out = build(&wat(text)).unwrap().send(Request::get("/")).unwrap();
    assert_eq!((out.client.status(), out.details.as_deref()), (Some(503), Some("wasm_fail_stream")));
    assert_eq!(out.failures.iter().map(|failure| failure.callback.as_str()).collect::<Vec<_>>(), ["malloc"]);
}

#[test]
fn a_loop_of_host_calls_uses_up_its_budget_long_before_its_fuel() {
    let text = r#"(import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
        (func (export "_initialize") (loop $again (drop (call $log (i32.const 2) (i32.const 0) (i32.const 1000))) (br $again)))"#;
    let module = LoadedModule::from_bytes(&module(text)).expect("it loads");
    let built = Proxy::builder().plugin(Plugin::loaded(&module)).host_budget(1_000_000).build_or_logs();
    let Err((Error::Failed(failure), logs)) = built else { panic!("it cannot start") };
    assert_eq!(failure.kind, FailureKind::TooMuchForHost { budget: 1_000_000 });
    assert!(failure.to_string().contains("64 or more for each host call"), "{failure}");
    assert_eq!(logs.len(), 1_000_000 / 1256);
}
