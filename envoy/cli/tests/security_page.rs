//! Every test that `docs/security.md` names is there.

use std::fs;
use std::path::{Path, PathBuf};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The Rust files below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        let is_built = entry.file_name().is_some_and(|name| name == "target");
        match entry.extension() {
            _ if entry.is_dir() && !is_built => sources(&entry, found),
            Some(extension) if extension == "rs" => found.push(entry),
            _ => {}
        }
    }
}

/// What stands between backquotes in the last column of a table's row.
fn named(row: &str) -> Vec<&str> {
    let last = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
    last.split('`').skip(1).step_by(2).collect()
}

/// Whether a file of this name, or in a folder of it, has this test.
fn is_test(files: &[(PathBuf, String)], file: &str, test: &str) -> bool {
    let line = format!("fn {test}()");
    let is_file = |path: &Path| path.file_stem().is_some_and(|stem| stem == file);
    files.iter().any(|(path, text)| {
        is_file(path) && text.find(&line).is_some_and(|at| text[..at].trim_end().ends_with("#[test]"))
    })
}

#[test]
fn every_attack_has_a_test_that_is_there() {
    let root = workspace();
    let mut paths = Vec::new();
    ["filters", "envoy", "tests"].iter().for_each(|folder| sources(&root.join(folder), &mut paths));
    let files: Vec<(PathBuf, String)> =
        paths.into_iter().map(|path| (path.clone(), fs::read_to_string(path).expect("a text"))).collect();
    let page = fs::read_to_string(root.join("docs/security.md")).expect("the page");
    let is_row =
        |line: &&str| line.starts_with('|') && !line.starts_with("|--") && !line.starts_with("| attack ");
    let mut rows = 0;
    for row in page.lines().filter(is_row) {
        rows += 1;
        let tests = named(row);
        assert!(!tests.is_empty(), "no test in {row}");
        for test in tests {
            let is_there = match test.split_once("::") {
                Some((file, function)) => is_test(&files, file, function),
                None => root.join("tests").join(test).is_file(),
            };
            assert!(is_there, "there is no test `{test}`");
        }
    }
    assert!(rows > 40, "only {rows} rows");
}
