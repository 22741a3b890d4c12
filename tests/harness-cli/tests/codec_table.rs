//! The tables in docs/harness.md of what Envoy refuses and changes in front of every filter: each row stands in a scenario, which
//! `make test-scenarios` runs on both sides.

use std::path::Path;

/// Rows whose words are no requests, and what stands in a scenario for them.
const IN_OTHER_WORDS: [(&str, &str); 7] = [
    ("two hosts", "host: gateway.test\\r\\nhost: other.test"),
    ("folded lines", "x: a\\r\\n b"),
    ("any other method", "name: unknown method"),
    ("a chunk or trailer", "0\\r\\na b: 1"),
    ("`cookie` in crumbs", "name: cookies in crumbs"),
    ("`x-envoy-*` by which", "x-envoy-retry-on: 5xx"),
    ("`connection` and what it names", "connection: x-a, x-b"),
];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn scenarios() -> String {
    let folder = root().join("tests/scenarios/codec");
    let files =
        std::fs::read_dir(&folder).expect("the folder is there").map(|entry| entry.expect("an entry").path());
    files
        .map(|file| std::fs::read_to_string(file).expect("a scenario file"))
        .collect::<String>()
        .replace("\\.", ".")
}

/// The rows of the tables of one section.
fn rows() -> Vec<String> {
    let docs = std::fs::read_to_string(root().join("docs/harness.md")).expect("the page is there");
    let (_, section) = docs.split_once("## In front of the module").expect("the section is there");
    let (section, _) = section.split_once("\n## ").expect("others follow");
    let lines = section.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| header |"));
    lines.filter(|line| !line.contains("request | outcome")).map(str::to_owned).collect()
}

/// What must stand in a scenario for this row: Envoy's details, or else what the client sends.
fn words(row: &str) -> Vec<String> {
    let quoted = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let columns: Vec<_> = row.split(" | ").collect();
    let details: Vec<_> = columns.get(2).map(|column| quoted(column)).unwrap_or_default();
    let details: Vec<_> = details.into_iter().filter(|word| !word.starts_with(':')).collect();
    if details.is_empty() { quoted(columns[0]).into_iter().take(1).collect() } else { details }
}

#[test]
fn every_row_of_the_tables_is_a_scenario() {
    let (scenarios, rows) = (scenarios(), rows());
    let stands = |word: &str| scenarios.to_lowercase().contains(&word.to_lowercase());
    let is_shown = |row: &String| match IN_OTHER_WORDS.iter().find(|(begin, _)| row.contains(begin)) {
        Some((_, word)) => stands(word),
        None => !words(row).is_empty() && words(row).iter().all(|word| stands(word)),
    };
    let (shown, missing): (Vec<_>, Vec<_>) = rows.iter().partition(|row| is_shown(row));
    println!("codec: {} of {} rows of the tables are scenarios", shown.len(), rows.len());
    assert!(rows.len() > 30 && missing.is_empty(), "{missing:#?}");
}
