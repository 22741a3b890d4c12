//! Bad input has an outcome with a name, in bounded time and memory: modules that trap or loop wherever they can, very long
//! scenarios, very large modules, programs that are no Envoy.

mod support;

use std::path::Path;
use std::process::Command;

use support::{Told, command, module};
use tempfile::TempDir;

const REQUEST: &str = "steps:\n  - request: { method: POST, path: /, chunks: [a, b], trailers: { t: x } }\n";

/// A folder with a scenario of each module, all with these steps.
fn scenarios(modules: &[(&str, Vec<u8>)], steps: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, bytes) in modules {
        let text = format!(
            "name: {name}\nplugins: [{{ module: {name}.wasm }}]\nupstreams: {{ web: [{{ chunks: [c], trailers: {{ u: v }} }}] }}\n{steps}"
        );
        std::fs::write(folder.path().join(format!("{name}.scenario.yaml")), text).expect("a file");
        std::fs::write(folder.path().join(format!("{name}.wasm")), bytes).expect("a file");
    }
    folder
}

/// Name, parameters and result of every callback that a request meets.
const CALLBACKS: [(&str, usize, bool); 10] = [
    ("proxy_on_vm_start", 2, true),
    ("proxy_on_configure", 2, true),
    ("proxy_on_request_headers", 3, true),
    ("proxy_on_request_body", 3, true),
    ("proxy_on_request_trailers", 2, true),
    ("proxy_on_response_headers", 3, true),
    ("proxy_on_response_body", 3, true),
    ("proxy_on_response_trailers", 2, true),
    ("proxy_on_log", 1, false),
    ("proxy_on_delete", 1, false),
];

/// For each callback a module that has it with this body.
fn each(body: &str) -> Vec<(&'static str, Vec<u8>)> {
    let one = |(name, params, result): (&'static str, usize, bool)| {
        let params = "i32 ".repeat(params);
        let result = if result { "(result i32)" } else { "" };
        (name, module(&format!("(func (export \"{name}\") (param {params}) {result} {body})")))
    };
    CALLBACKS.into_iter().map(one).collect()
}

#[test]
fn a_trap_is_told_by_the_name_of_its_callback_wherever_it_is() {
    let folder = scenarios(&each("unreachable"), REQUEST);
    let told = command(folder.path(), &["run", "."]);
    told.assert_tells(&["10 scenarios:", "10 failed"]);
    for (name, ..) in CALLBACKS {
        told.assert_tells(&[&format!("{name}: unreachable")]);
    }
}

#[test]
fn a_loop_uses_up_its_budget_wherever_it_is() {
    let folder = scenarios(&each("(loop $l (br $l)) unreachable"), REQUEST);
    let told = command(folder.path(), &["run", "."]);
    told.assert_tells(&["10 scenarios:", "10 failed"]);
    assert!(told.text.matches("used up its budget").count() >= CALLBACKS.len(), "{}", told.text);
}

#[test]
fn an_allocator_that_traps_is_named() {
    let malloc = r#"
        (import "env" "proxy_get_header_map_pairs" (func $pairs (param i32 i32 i32) (result i32)))
        (func (export "proxy_on_memory_allocate") (param i32) (result i32) unreachable)
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (drop (call $pairs (i32.const 0) (i32.const 8) (i32.const 12))) (i32.const 0))"#;
    let folder = scenarios(&[("m", support::module_with_imports_and_malloc(malloc))], REQUEST);
    command(folder.path(), &["run", "."]).assert_tells(&["malloc: unreachable", "1 failed"]);
}

#[test]
fn ten_thousand_steps_are_run() {
    let steps = format!("steps:\n{}", "  - request: GET /\n    expect: { status: 200 }\n".repeat(10_000));
    let folder = scenarios(&[("m", module(""))], &steps);
    let told = command(folder.path(), &["run", "."]);
    told.assert_tells(&["1 scenarios: 1 on the harness", "0 failed"]);
}

#[test]
fn a_module_of_fifty_megabytes_is_inspected_and_run() {
    let mut bytes = module("");
    let size = 50_u32 << 20;
    // A custom section: its number, its length, the length of its name, its name.
    bytes.push(0);
    leb128(&mut bytes, size);
    bytes.extend([4, b'b', b'u', b'l', b'k']);
    bytes.resize(bytes.len() + size as usize - 5, 7);
    let folder = scenarios(&[("m", bytes)], REQUEST);
    command(folder.path(), &["inspect", "m.wasm"]).assert_tells(&["custom \"bulk\"", "loads        yes"]);
    command(folder.path(), &["run", "."]).assert_tells(&["1 scenarios:", "0 failed"]);
}

fn leb128(bytes: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        bytes.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Runs on Envoy, with this program in its place.
fn with_envoy(folder: &Path, program: &str) -> Told {
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis-harness"))
        .args(["run", ".", "--both"])
        .env("PORTCULLIS_ENVOY", program)
        .current_dir(folder)
        .output()
        .expect("the command is built");
    let text = [output.stdout, output.stderr].concat();
    Told { text: String::from_utf8_lossy(&text).into_owned(), code: output.status.code() }
}

#[test]
fn a_program_that_is_no_envoy_fails_each_scenario_and_the_summary_comes() {
    let folder = scenarios(&[("a", module("")), ("b", module(""))], REQUEST);
    let told = with_envoy(folder.path(), "/bin/false");
    told.assert_tells(&["before it served", "2 scenarios:", "2 failed"]);
    assert_eq!(told.code, Some(1));
    with_envoy(folder.path(), "/nowhere/envoy").assert_tells(&["/nowhere/envoy", "2 failed"]);
}

/// A program that says that it is Envoy 1.30, and cannot read what it is given.
const OLD_ENVOY: &str = r#"#!/bin/sh
if [ "$1" = --version ]; then echo "envoy  version: 0123456789/1.30.2/Clean/RELEASE/BoringSSL"; exit 0; fi
echo "[critical] Protobuf message (type envoy.config.bootstrap.v3.Bootstrap) has unknown fields" >&2
exit 1
"#;

#[test]
fn an_envoy_of_another_version_is_named_and_its_own_words_are_told() {
    use std::os::unix::fs::PermissionsExt;
    let folder = scenarios(&[("a", module("")), ("b", module(""))], REQUEST);
    let program = folder.path().join("old-envoy");
    std::fs::write(&program, OLD_ENVOY).expect("a file");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    let told = with_envoy(folder.path(), &program.display().to_string());
    told.assert_tells(&[
        "this Envoy is 1.30.2",
        "has unknown fields",
        "2 scenarios: 2 on the harness",
        "2 failed",
    ]);
}

#[test]
fn a_loop_on_a_tick_uses_up_its_budget_and_the_others_run() {
    let start = "(func (export \"proxy_on_vm_start\") (param i32 i32) (result i32) (drop (call $tick (i32.const 100))) (i32.const 1))";
    let looping = format!("{start} (func (export \"proxy_on_tick\") (param i32) (loop $l (br $l)))");
    let trapping = format!("{start} (func (export \"proxy_on_tick\") (param i32) unreachable)");
    let modules = [("loops", module(&looping)), ("sound", module(start)), ("traps", module(&trapping))];
    let folder = scenarios(&modules, "steps:\n  - advance: 1s\n");
    let told = command(folder.path(), &["run", "."]);
    told.assert_tells(&[
        "proxy_on_tick",
        "used up its budget",
        "proxy_on_tick: unreachable",
        "3 scenarios:",
        "2 failed",
    ]);
}

#[test]
fn what_is_no_module_is_told_as_what_it_is() {
    let folder = scenarios(&[("text", b"hello".to_vec()), ("empty", Vec::new())], REQUEST);
    let told = command(folder.path(), &["run", "."]);
    told.assert_tells(&["2 scenarios:", "2 failed"]);
}
