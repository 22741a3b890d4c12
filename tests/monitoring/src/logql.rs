//! LogQL, which the dashboards and Loki's rules are written in, for a store that speaks LogsQL.

use portcullis_e2e::workspace;
use std::process::Command;

/// Queries as the page of `make monitor` translates them.
///
/// # Panics
/// If one is none of the forms that the dashboards use.
#[must_use]
pub fn in_logsql(queries: &[String]) -> Vec<String> {
    let page = workspace().join("envoy/monitoring/page/logql.js");
    let script = format!(
        "import {{ lines, numbers }} from {:?}; const one = q => /count_over_time/.test(q) ? numbers(q) : lines(q); \
         console.log(JSON.stringify(JSON.parse(process.argv[1]).map(one)))",
        page.display().to_string()
    );
    let queries = serde_json::to_string(queries).expect("JSON");
    let said = Command::new("node")
        .args(["--input-type=module", "-e", &script, &queries])
        .output()
        .expect("node runs");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    serde_json::from_slice(&said.stdout).expect("JSON")
}
