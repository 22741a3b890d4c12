//! Modules and configurations that are broken on purpose.

use serde_json::Value;

/// A module that takes any policy, and traps on the first request: text of WebAssembly.
pub const TRAP: &str = r#"(module
    (memory (export "memory") 2)
    (global $free (mut i32) (i32.const 1024))
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "_initialize"))
    (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
        (global.get $free)
        (global.set $free (i32.add (global.get $free) (local.get $size))))
    (func (export "proxy_on_context_create") (param i32 i32))
    (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 1))
    (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 1))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) unreachable))"#;

/// Somebody edits what was rendered: the routes no longer write the trust headers.
pub fn routes_write_none(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.remove("request_headers_to_add");
            members.values_mut().for_each(routes_write_none);
        }
        Value::Array(items) => items.iter_mut().for_each(routes_write_none),
        _ => {}
    }
}
