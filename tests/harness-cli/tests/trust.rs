//! What a stranger must be able to rely on: a failure is seen, told as what it is, and ends nothing but its own scenario. Both
//! sides are asked.

mod support;

use std::path::Path;

use support::{Told, command, module};
use tempfile::TempDir;

const HEADERS: &str = "(func (export \"proxy_on_request_headers\") (param i32 i32 i32) (result i32)";

fn folder(files: &[(&str, &str)], modules: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("a file");
    }
    for (name, body) in modules {
        std::fs::write(folder.path().join(name), module(body)).expect("a file");
    }
    folder
}

fn both(folder: &Path, more: &[&str]) -> Told {
    command(folder, &[&["run", ".", "--both", "-v"], more].concat())
}

/// One module after another, each with a scenario of its own that says nothing of its trap.
#[test]
fn a_trap_in_any_callback_fails_the_step_unless_it_is_expected() {
    let scenario = |expect: &str| {
        format!(
            "name: x\nplugins: [{{ module: m.wasm }}]\nupstreams: {{ web: [{{ body: hi }}] }}\nsteps:\n  - request: GET /\n    expect: {expect}\n"
        )
    };
    let in_log = r#"
        (func $fall (drop (i32.load (i32.const -4))))
        (func (export "proxy_on_log") (param i32) (call $fall))"#;
    let (unexpected, expected) =
        (scenario("{ status: 200 }"), scenario("{ status: 200, trap: ~out of bounds }"));
    let by_name = scenario("{ status: 200, trap: \"~at fall\" }");
    let folder = folder(
        &[("a.scenario.yaml", &unexpected), ("b.scenario.yaml", &expected), ("c.scenario.yaml", &by_name)],
        &[("m.wasm", in_log)],
    );
    let told = both(folder.path(), &[]);
    told.assert_tells(&[
        "on harness, step 1: GET /",
        "on envoy, step 1: GET /",
        "proxy_on_log: out of bounds memory access",
        "at fall",
        "3 scenarios: 3 on the harness, 3 on Envoy, 3 on both; 0 differences, 1 failed",
    ]);
    assert_eq!(told.code, Some(1));
}

#[test]
fn a_trap_that_does_not_come_is_told_too() {
    let scenario =
        "name: x\nplugins: [{ module: m.wasm }]\nsteps:\n  - request: GET /\n    expect: { trap: ~x }\n";
    let folder = folder(&[("a.scenario.yaml", scenario)], &[("m.wasm", "")]);
    command(folder.path(), &["run", "."]).assert_tells(&["expected: ~x", "found:    none", "1 failed"]);
}

#[test]
fn a_crash_a_loop_and_a_refusal_in_the_middle_leave_a_full_report() {
    let plugin = |name: &str| {
        format!(
            "name: {name}\nplugins: [{{ module: {name}.wasm }}]\nupstreams: {{ web: [{{ body: hi }}] }}\n"
        )
    };
    let step = "steps:\n  - request: GET /\n    expect: { status: 200 }\n";
    let files = ["1-good", "2-loops", "3-refuses", "4-crashes", "5-good"].map(|name| {
        (format!("{name}.scenario.yaml"), plugin(name.split_once('-').map_or(name, |(_, name)| name)) + step)
    });
    let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    // Where Envoy 1.40 itself crashes: a local reply from `on_log`.
    let crashes = r#"
        (import "env" "proxy_send_local_response" (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
        (func (export "proxy_on_log") (param i32)
            (drop (call $reply (i32.const 500) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1))))"#;
    let refuses = "(func (export \"proxy_on_configure\") (param i32 i32) (result i32) (i32.const 0))";
    let folder = folder(&files, &[("good.wasm", ""), ("refuses.wasm", refuses)]);
    std::fs::write(
        folder.path().join("loops.wasm"),
        module(&format!("{HEADERS} (loop $l (br $l)) (i32.const 0))")),
    )
    .expect("a file");
    std::fs::write(folder.path().join("crashes.wasm"), support::module_with_imports(crashes))
        .expect("a file");
    let told = both(folder.path(), &["--junit", "report.xml"]);
    told.assert_tells(&[
        "Envoy has computed for",
        "used up its budget",
        "the configuration was refused",
        "Unable to create Wasm",
        "Envoy ended with signal",
        "5 scenarios:",
        "3 failed",
    ]);
    let report = std::fs::read_to_string(folder.path().join("report.xml")).expect("it was written");
    assert!(report.contains("tests=\"5\" failures=\"3\""), "{report}");
    assert_eq!(told.code, Some(1));
}

#[test]
fn a_callback_that_never_comes_back_can_be_expected() {
    let scenario = "name: x\nplugins: [{ module: m.wasm }]\nupstreams: { web: [{}] }\nsteps:\n  - request: GET /\n    expect: { end: never }\n";
    let looping = format!("{HEADERS} (loop $l (br $l)) (i32.const 0))");
    let folder = folder(&[("a.scenario.yaml", scenario)], &[("m.wasm", &looping)]);
    both(folder.path(), &[]).assert_tells(&["0 differences, 0 failed"]);
}

#[test]
fn a_request_that_is_held_for_ever_ends_when_the_client_has_waited_long_enough() {
    let scenario = "name: x\nplugins: [{ module: m.wasm }]\nupstreams: { web: [{}] }\nsteps:\n  - request: GET /\n    expect: { upstreams: none, status: 504 }\n";
    let folder =
        folder(&[("a.scenario.yaml", scenario)], &[("m.wasm", &format!("{HEADERS} (i32.const 1))"))]);
    both(folder.path(), &[]).assert_tells(&["0 differences, 0 failed"]);
}

#[test]
fn a_silent_refusal_is_expected_plainly() {
    let refuses = "(func (export \"proxy_on_configure\") (param i32 i32) (result i32) (i32.const 0))";
    let scenario = "name: x\nplugins: [{ module: m.wasm }]\nrefused: true\n";
    let folder = folder(&[("a.scenario.yaml", scenario)], &[("m.wasm", refuses)]);
    both(folder.path(), &[]).assert_tells(&["0 differences, 0 failed"]);
}

/// 37 ticks of 100 ms in 3.7 s, and 3,600 of a second in an hour.
#[test]
fn every_tick_of_a_long_time_happens() {
    for (period, advance, times) in [(100, "3700ms", 37), (1000, "1h", 3600)] {
        let ticks = format!(
            r#"(data (i32.const 16) "tick")
            (func (export "proxy_on_configure") (param i32 i32) (result i32) (drop (call $tick (i32.const {period}))) (i32.const 1))
            (func (export "proxy_on_tick") (param i32) (drop (call $log (i32.const 2) (i32.const 16) (i32.const 4))))"#
        );
        // The main thread has a VM of its own, which ticks, too.
        let times = times * 2;
        let scenario = format!(
            "name: x\nplugins: [{{ module: m.wasm }}]\nsteps:\n  - advance: {advance}\n    expect: {{ logs: [{{ text: tick, level: info, times: {times} }}] }}\n"
        );
        let folder = folder(&[("a.scenario.yaml", &scenario)], &[("m.wasm", &ticks)]);
        both(folder.path(), &[]).assert_tells(&["0 differences, 0 failed"]);
    }
}

/// Each body callback logs; a piece that was read with another would leave one line less.
#[test]
fn chunks_arrive_as_chunks_over_both_versions_of_http() {
    let logs = r#"(data (i32.const 16) "body")
        (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
            (drop (call $log (i32.const 2) (i32.const 16) (i32.const 4))) (i32.const 0))
        (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32)
            (drop (call $log (i32.const 3) (i32.const 16) (i32.const 4))) (i32.const 0))"#;
    let scenario = "name: x
cases: [{ http2: false, in: 9 }, { http2: true, in: 8 }]
plugins: [{ module: m.wasm }]
upstreams: { web: [{ chunks: [a, b, c, d, e] }] }
steps:
  - request: { method: POST, path: /, http2: '${case.http2}', chunks: [a, b, c, d, e, f, g, h] }
    expect: { logs: [{ text: body, level: info, times: '${case.in}' }, { text: body, level: warn, times: 6 }] }
";
    let folder = folder(&[("a.scenario.yaml", scenario)], &[("m.wasm", logs)]);
    both(folder.path(), &[]).assert_tells(&["2 scenarios:", "0 differences, 0 failed"]);
}

#[test]
fn traps_at_the_start_are_refusals_with_a_trap() {
    let scenario = |trap: &str| {
        format!(
            "name: {trap}\nplugins: [{{ module: {trap}.wasm }}]\nrefused: true\nstart: {{ trap: ~{trap} }}\n"
        )
    };
    let fall = |name: &str| format!("(func (export \"{name}\") (param i32 i32) (result i32) unreachable)");
    let names = ["proxy_on_vm_start", "proxy_on_configure"];
    let files = names.map(|name| (format!("{name}.scenario.yaml"), scenario(name)));
    let modules = names.map(|name| (format!("{name}.wasm"), fall(name)));
    let folder = folder(
        &files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect::<Vec<_>>(),
        &modules.iter().map(|(name, body)| (name.as_str(), body.as_str())).collect::<Vec<_>>(),
    );
    both(folder.path(), &[]).assert_tells(&["2 scenarios:", "0 differences, 0 failed"]);
}

#[test]
fn which_functions_were_reached_is_told_by_their_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let wasm = support::module(
        "(func $never (param i32) (result i32) (i32.const 0))
         (func $called) (func (export \"proxy_on_request_headers\") (param i32 i32 i32) (result i32) (call $called) (i32.const 0))",
    );
    std::fs::write(folder.path().join("m.wasm"), wasm).expect("a file");
    let text = "name: names\nplugins: [{ module: m.wasm }]\nupstreams: { web: [{}] }\nsteps: [{ request: GET /, expect: { status: 200 } }]\n";
    std::fs::write(folder.path().join("n.scenario.yaml"), text).expect("a file");
    let told = support::command(folder.path(), &["run", ".", "--coverage", "covered.txt"]);
    told.assert_tells(&["functions reached", "0 failed"]);
    let covered = std::fs::read_to_string(folder.path().join("covered.txt")).expect("it is written");
    assert!(covered.contains("+ called\n") && covered.contains("- never\n"), "{covered}");
}
