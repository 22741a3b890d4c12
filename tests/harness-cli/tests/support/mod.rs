//! Small modules, and the command run on scenarios around them.

#![allow(dead_code)]

use std::path::Path;
use std::process::Command;

/// What every module has that answers nothing but what a test adds.
const FRAME: &str = r#"
    (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
    (import "env" "proxy_set_tick_period_milliseconds" (func $tick (param i32) (result i32)))
    (memory (export "memory") 2)
    (global $free (mut i32) (i32.const 1024))
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "_initialize"))
    (func (export "proxy_on_context_create") (param i32 i32))"#;

const MALLOC: &str = r#"
    (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
        (global.get $free)
        (global.set $free (i32.add (global.get $free) (local.get $size))))"#;

/// A module with this body, beside what every module has.
#[must_use]
pub fn module(body: &str) -> Vec<u8> {
    let malloc = if body.contains("proxy_on_memory_allocate") { "" } else { MALLOC };
    wat::parse_str(format!("(module {FRAME} {malloc} {body})")).expect("it is a module")
}

/// As `module`, for a body that begins with imports.
#[must_use]
pub fn module_with_imports(body: &str) -> Vec<u8> {
    let at = body.find("(func (export").expect("it exports something");
    let (imports, rest) = body.split_at(at);
    wat::parse_str(format!("(module {imports} {FRAME} {MALLOC} {rest})")).expect("it is a module")
}

/// As `module_with_imports`, for a body with an allocator of its own.
#[must_use]
pub fn module_with_imports_and_malloc(body: &str) -> Vec<u8> {
    let at = body.find("(func (export").expect("it exports something");
    let (imports, rest) = body.split_at(at);
    wat::parse_str(format!("(module {imports} {FRAME} {rest})")).expect("it is a module")
}

/// What the command said.
pub struct Told {
    /// Its standard output and error.
    pub text: String,
    /// Its exit status.
    pub code: Option<i32>,
}

impl Told {
    /// Panics unless all of these are told, and none of those after `!`.
    #[track_caller]
    pub fn assert_tells(&self, parts: &[&str]) {
        for part in parts {
            let (part, is_wanted) = part.strip_prefix('!').map_or((*part, true), |part| (part, false));
            assert_eq!(self.text.contains(part), is_wanted, "{part:?} in\n{}", self.text);
        }
    }
}

/// Runs `portcullis-harness` in `folder`.
#[must_use]
pub fn command(folder: &Path, arguments: &[&str]) -> Told {
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis-harness"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("the command is built");
    let text = [output.stdout, output.stderr].concat();
    Told { text: String::from_utf8_lossy(&text).into_owned(), code: output.status.code() }
}
