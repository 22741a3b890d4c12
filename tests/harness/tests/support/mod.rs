//! Guest modules for the tests: built once, by the command that runs the tests.
#![allow(dead_code)]

include!("../../../modules/guests.rs");

use portcullis_harness::{Builder, LoadedModule, Plugin, Proxy};

/// A guest module, loaded.
pub fn guest(name: &str) -> LoadedModule {
    LoadedModule::from_file(guest_file(name)).expect("the guest loads")
}

/// A proxy with one guest in it.
pub fn with_guest(name: &str) -> Builder {
    Proxy::builder().plugin(Plugin::loaded(&guest(name)).name(name))
}

/// A proxy with the probe in it, which runs a script of `<phase> <operation> <arguments>` lines.
pub fn with_probe(script: &str) -> Builder {
    with_guest("probe").config(script)
}

/// What the probe logged for an operation: everything behind the arrow, of each time that it ran.
pub fn results(logs: &[portcullis_harness::LogLine], line: &str) -> Vec<String> {
    let prefix = format!("{line} -> ");
    logs.iter().filter_map(|log| log.message.strip_prefix(&prefix).map(str::to_owned)).collect()
}

/// The callbacks that the probe saw, with their arguments.
pub fn callbacks(logs: &[portcullis_harness::LogLine]) -> Vec<String> {
    logs.iter().filter_map(|log| log.message.strip_prefix("> ").map(str::to_owned)).collect()
}

/// A module in text form.
pub fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("the text is a module")
}
