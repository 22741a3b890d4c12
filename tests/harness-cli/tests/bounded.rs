//! Modules that want everything: memory, tables, log lines, shared data, the stack. Each is stopped at a limit that is told, and no run
//! needs much more memory than the limit of a VM.

mod support;

use std::path::Path;

use nix::sys::resource::{UsageWho, getrusage};
use support::{command, module, module_with_imports};

/// Beside what a VM may have (1 GiB).
const MOST_MEBIBYTES: i64 = 600;
const OF_A_VM: i64 = 1024;

/// A module, and what is told of it.
struct Case {
    name: &'static str,
    module: Vec<u8>,
    told: &'static [&'static str],
    /// The most that any run may have had until then, in MiB.
    most: i64,
}

fn case(name: &'static str, module: Vec<u8>, told: &'static [&'static str]) -> Case {
    Case { name, module, told, most: MOST_MEBIBYTES }
}

/// A module whose `proxy_on_request_headers` has this body, behind these imports.
fn on_headers(imports: &str, body: &str) -> Vec<u8> {
    module_with_imports(&format!(
        "{imports} (func (export \"proxy_on_request_headers\") (param i32 i32 i32) (result i32) (local $n i32) {body} (i32.const 0))"
    ))
}

/// Calls it again and again, each time with another number in the guest's memory at 16.
fn endlessly(call: &str) -> String {
    format!(
        "(loop $l (i32.store (i32.const 16) (local.tee $n (i32.add (local.get $n) (i32.const 1)))) (drop {call}) (br $l))"
    )
}

const SHARE: &str =
    r#"(import "env" "proxy_set_shared_data" (func $share (param i32 i32 i32 i32 i32) (result i32)))"#;
const QUEUE: &str = r#"(import "env" "proxy_register_shared_queue" (func $register (param i32 i32 i32) (result i32)))
    (import "env" "proxy_enqueue_shared_queue" (func $enqueue (param i32 i32 i32) (result i32)))"#;
const DEFINE: &str =
    r#"(import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))"#;
const EXIT: &str = r#"(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))"#;
const HANDED: &str = "bytes handed to the host";

fn cases() -> Vec<Case> {
    let short = "(call $log (i32.const 2) (i32.const 16) (i32.const 4))";
    let long = "(call $log (i32.const 2) (i32.const 0) (i32.const 100000))";
    let queue = format!(
        "(drop (call $register (i32.const 16) (i32.const 4) (i32.const 32))) {}",
        endlessly("(call $enqueue (i32.load (i32.const 32)) (i32.const 16) (i32.const 4))")
    );
    vec![
        case("short lines", on_headers("", &endlessly(short)), &[HANDED]),
        case("long lines", on_headers("", &endlessly(long)), &[HANDED]),
        case(
            "exits",
            on_headers(EXIT, "(loop $l (call $exit (i32.const 1)) (br $l))"),
            &["used up its budget"],
        ),
        case(
            "shared data",
            on_headers(
                SHARE,
                &endlessly("(call $share (i32.const 16) (i32.const 4) (i32.const 0) (i32.const 64) (i32.const 0))"),
            ),
            &[HANDED],
        ),
        case("shared queue", on_headers(QUEUE, &queue), &[HANDED]),
        case(
            "metrics",
            on_headers(
                DEFINE,
                &endlessly("(call $define (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 32))"),
            ),
            &[HANDED],
        ),
        case("recursion", module("(func $deep (param i32) (result i32) (i32.add (i32.const 1) (call $deep (local.get 0)))) (func (export \"proxy_on_log\") (param i32) (drop (call $deep (i32.const 1))))"), &["proxy_on_log: call stack exhausted"]),
        case("table", module("(table 1000000000 funcref)"), &["could not be instantiated", "table"]),
        case(
            "table that grows",
            module(
                "(table $t 1 funcref) (func (export \"proxy_on_request_headers\") (param i32 i32 i32) (result i32)
                    (loop $l (drop (table.grow $t (ref.null func) (i32.const 100000))) (br $l)) (i32.const 0))",
            ),
            &["used up its budget"],
        ),
        case(
            "memory filled again and again",
            on_headers("", "(loop $l (memory.fill (i32.const 0) (i32.const 1) (i32.const 131072)) (br $l))"),
            &["used up its budget"],
        ),
        case("much memory at once", with_pages(32768), &["the module asks for 2147483648 bytes of memory at the start; the limit is 1073741824"]),
        Case { told: &["0 failed"], ..case("as much memory as may be", with_pages(16384), &[]) },
        Case {
            most: OF_A_VM + MOST_MEBIBYTES,
            ..case(
                "memory without end",
                on_headers(
                    "",
                    "(loop $l (local.set $n (memory.grow (i32.const 256)))
                        (if (i32.lt_s (local.get $n) (i32.const 0)) (then unreachable))
                        (memory.fill (i32.mul (local.get $n) (i32.const 65536)) (i32.const 1) (i32.const 16777216)) (br $l))",
                ),
                &["proxy_on_request_headers: unreachable", "it had been refused more memory than 1073741824 bytes"],
            )
        },
    ]
}

/// A module that asks for so many pages at the start.
fn with_pages(pages: u32) -> Vec<u8> {
    let text = format!(
        r#"(module (memory (export "memory") {pages}) (func (export "proxy_abi_version_0_2_1"))
            (func (export "malloc") (param i32) (result i32) (i32.const 1024)))"#
    );
    wat::parse_str(text).expect("it is a module")
}

fn run(folder: &Path, case: &Case) {
    let scenario =
        "name: x\nplugins: [{ module: m.wasm }]\nupstreams: { web: [{}] }\nsteps: [{ request: GET / }]\n";
    std::fs::write(folder.join("a.scenario.yaml"), scenario).expect("a file");
    std::fs::write(folder.join("m.wasm"), &case.module).expect("a file");
    command(folder, &["run", "."]).assert_tells(case.told);
}

/// One after another: what is measured is the most that any of them has had.
#[test]
fn a_module_that_wants_everything_is_stopped_at_a_limit_and_the_harness_stays_small() {
    for case in cases() {
        let folder = tempfile::tempdir().expect("a folder");
        run(folder.path(), &case);
        let most = getrusage(UsageWho::RUSAGE_CHILDREN).expect("it is always there").max_rss() / 1024;
        println!("{}: {most} MiB at most until now", case.name);
        assert!(most <= case.most, "{}: {most} MiB, and may have {}", case.name, case.most);
    }
}
