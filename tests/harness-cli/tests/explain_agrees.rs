//! `portcullis explain` and the module agree: every request of the scenarios that the harness sends through the module is explained, too,
//! in the order in which they come, and each explanation is held against what came of the request.
//!
//! Left out, and counted: requests of which `explain` cannot know what the world around the gateway does (documents that are fetched,
//! auth services, other plugins, faults), and those that the proxy refuses before any filter.

#[path = "support/explained.rs"]
mod explained;

use explained::Tally;
use portcullis_e2e::workspace;
use portcullis_harness_cli::backend::Modules;
use portcullis_harness_cli::{files, plan};

/// Requests that are compared at least: the scenarios have more, and a test that compared none would pass.
const AT_LEAST: usize = 240;

#[test]
fn explain_says_of_every_request_what_the_module_does() {
    let root = workspace();
    let folders = ["target/wasm32-wasip1/release", "target/tmp/guests/wasm32-wasip1/release"];
    let modules = plan::Modules { instead: None, folders: folders.map(|folder| root.join(folder)).to_vec() };
    let (compiled, mut tally) = (Modules::default(), Tally::default());
    for file in files::scenarios(&[root.join("tests/scenarios")]).expect("scenarios") {
        for plan in plan::load(&file, &modules, false).unwrap_or_else(|error| panic!("{}", error.short)) {
            explained::compare(plan, &compiled, &mut tally);
        }
    }
    println!("{tally}");
    assert!(tally.differences.is_empty(), "{}", tally.differences.join("\n"));
    assert!(tally.compared >= AT_LEAST, "{tally}");
}
