//! What is committed beside the code is what the code makes.

use portcullis_harness_cli::model::json_schema;

#[test]
fn the_schema_is_that_of_the_formats_types() {
    let committed = include_str!("../scenario.schema.json");
    let current = format!("{:#}\n", json_schema());
    assert!(
        committed == current,
        "run `portcullis-harness schema > tests/harness-cli/scenario.schema.json` (or `make rendered`)"
    );
}
