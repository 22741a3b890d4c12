//! The worst case: the module traps. Nothing passes unguarded, nothing goes unlogged.

use crate::common::both_ways_of;
use portcullis_demo_services::Service;
use portcullis_e2e::{EnvoyConfig, Gateway};
use std::io::Write;
use std::sync::LazyLock;
use tempfile::NamedTempFile;

/// A module that takes any policy, and traps on the first request.
const TRAP: &str = r#"(module
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

static TRAP_FILE: LazyLock<NamedTempFile> = LazyLock::new(|| {
    let mut file = NamedTempFile::new().expect("a file");
    file.write_all(&wat::parse_str(TRAP).expect("it is a module")).expect("it can be written");
    file
});

fn with_a_module_that_traps(config: EnvoyConfig) -> EnvoyConfig {
    let plugin = portcullis_e2e::PLUGIN_POLICY.trim_end_matches("/configuration/value");
    let file = TRAP_FILE.path().to_string_lossy().into_owned();
    config.set(&format!("{plugin}/vm_config/code/local/filename"), file)
}

#[test]
fn no_request_passes_and_each_has_its_line() {
    both_ways_of(
        || Gateway::setup().envoy(with_a_module_that_traps),
        |gateway| {
            for _ in 0..5 {
                assert_eq!(gateway.get("/api/v1/inventory/assets").status, 503);
            }
            assert_eq!(gateway.knobs().captured_count(Service::Inventory), 0);
            let lines = portcullis_e2e::wait_for(portcullis_e2e::PATIENCE, || {
                Some(gateway.envoy.stdout().all()).filter(|lines| lines.len() >= 5)
            });
            for line in lines.expect("five lines") {
                let line = crate::logs::assert_whole(&line);
                assert_eq!(
                    (&line["level"], &line["extra"]["status"]),
                    (&"ERROR".into(), &503.into()),
                    "{line}"
                );
            }
        },
    );
}
