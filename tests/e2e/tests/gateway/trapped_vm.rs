//! The worst case: the module traps. Nothing passes unguarded, nothing goes unlogged.

use crate::common::both_ways_of;
use portcullis_demo_services::Service;
use portcullis_e2e::{EnvoyConfig, Gateway, H2Connection, PATIENCE, Request, TRAP, wait_for};
use std::io::Write;
use std::sync::LazyLock;
use std::time::Duration;
use tempfile::NamedTempFile;

static TRAP_FILE: LazyLock<NamedTempFile> = LazyLock::new(|| file(TRAP));

/// The same, but the first request of a VM is held, and the next one traps.
static LATE_TRAP_FILE: LazyLock<NamedTempFile> = LazyLock::new(|| {
    let held = "(global.set $seen (i32.add (global.get $seen) (i32.const 1)))
        (if (i32.gt_u (global.get $seen) (i32.const 1)) (then unreachable))
        (i32.const 1)))";
    let module = TRAP.replace("unreachable))", held);
    file(&module.replace("(global $free", "(global $seen (mut i32) (i32.const 0)) (global $free"))
});

fn file(module: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a file");
    file.write_all(&wat::parse_str(module).expect("it is a module")).expect("it can be written");
    file
}

fn with_a_module_that_traps(config: EnvoyConfig) -> EnvoyConfig {
    with_module(config, &TRAP_FILE)
}

fn with_module(config: EnvoyConfig, file: &NamedTempFile) -> EnvoyConfig {
    let file = file.path().to_string_lossy().into_owned();
    let plugin = portcullis_e2e::PLUGIN_POLICY.trim_end_matches("/configuration/value");
    let gateways = format!("{plugin}/vm_config/code/local/filename");
    // The metrics' own listener has the compressor in front.
    let metrics =
        gateways.replace("/listeners/0/", "/listeners/1/").replace("/http_filters/0/", "/http_filters/1/");
    config.set(&gateways, file.as_str()).set(&metrics, file.as_str())
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

#[test]
fn a_request_that_was_held_when_the_module_trapped_is_ended_in_time() {
    let one_worker = |config: EnvoyConfig| with_module(config, &LATE_TRAP_FILE).workers(1);
    let gateway = Gateway::setup().envoy(one_worker).start();
    let held = H2Connection::open(gateway.address());
    let held = held.start(&Request::get("/api/v1/inventory/assets")).expect("it is sent");
    let active = || gateway.envoy.admin().stat("http.gateway.downstream_rq_active");
    wait_for(PATIENCE, || (active() == Some(1)).then_some(())).expect("it is held");
    assert_eq!(gateway.get("/api/v1/inventory/assets").status, 503, "the module traps");
    gateway.envoy.travel(Duration::from_secs(301));
    let answer = held.answer().expect("an answer");
    assert!(answer.status >= 400, "{answer:?}");
    assert_eq!(gateway.knobs().captured_count(Service::Inventory), 0);
}
