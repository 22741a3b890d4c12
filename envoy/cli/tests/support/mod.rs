//! What the tests of `portcullis render` share: a folder with a policy, and what is written there.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

pub const IMAGE: &str =
    "registry.example/portcullis@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Renders a policy for a proxy into `out` of a new folder.
pub fn render(proxy: &str, policy: &str, arguments: &[&str]) -> (TempDir, Output) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("policy.yaml"), policy).expect("it can be written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.current_dir(folder.path());
    command.args(["render", proxy, "policy.yaml", "--out", "out"]).args(arguments);
    if !arguments.contains(&"--image") {
        command.args(["--image", IMAGE]);
    }
    let output = command.output().expect("it runs");
    (folder, output)
}

/// What it says.
pub fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The objects in a file of what was written.
pub fn objects(folder: &Path, file: &str) -> Vec<Value> {
    let path = folder.join("out").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.split("\n---\n").map(|part| serde_saphyr::from_str(part).expect("YAML")).collect()
}
