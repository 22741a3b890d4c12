//! What is committed beside the example policy is what the command makes of it; `make rendered` writes both anew.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

fn envoy_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate lies in envoy/").to_owned()
}

/// What `portcullis` prints.
fn printed(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    let output = command.current_dir(envoy_folder()).args(arguments).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it prints text")
}

#[track_caller]
fn assert_current(file: &str, printed: &str) {
    let committed = std::fs::read_to_string(envoy_folder().join(file)).unwrap_or_default();
    let differing =
        committed.lines().zip(printed.lines()).position(|(committed, printed)| committed != printed);
    assert!(
        committed == printed,
        "envoy/{file} is out of date from line {differing:?} on: run `make rendered`"
    );
}

#[test]
fn envoys_configuration_is_what_the_command_renders_from_the_example() {
    assert_current("envoy.yaml", &printed(&["render", "envoy", "gateway.yaml"]));
}

#[test]
fn the_schema_is_that_of_the_policys_types() {
    assert_current("policy.schema.json", &printed(&["schema"]));
}

#[test]
fn the_page_on_the_policy_is_made_of_its_schema() {
    assert_current("../docs/policy.md", &printed(&["docs", "policy"]));
}

#[test]
fn the_metrics_page_is_made_of_what_the_stages_declare() {
    assert_current("../docs/METRICS.md", &printed(&["metrics"]));
}

#[test]
fn the_list_of_metrics_for_programs_has_each_family_with_its_labels_and_a_query() {
    let list: serde_json::Value = serde_json::from_str(&printed(&["metrics", "--json"])).expect("it is JSON");
    let list = list.as_array().expect("it is a list");
    let family = |name: &str| list.iter().find(|family| family["name"] == name).expect("it is listed");
    assert_eq!(
        family("auth_jwt_validation_total")["keys"][0]["labels"],
        serde_json::json!(["status", "reason"])
    );
    assert_eq!(family("gateway_request_latency_seconds")["unit"], "seconds");
    assert!(list.iter().all(|family| family["promql"].as_str().is_some_and(|query| !query.is_empty())));
}

#[test]
fn the_example_is_sound() {
    assert_eq!(printed(&["check", "gateway.yaml"]), "gateway.yaml: sound (17 routes, 5 services)\n");
}

#[test]
fn the_monitoring_files_are_what_the_command_renders_from_the_example() {
    let out = tempfile::tempdir().expect("a folder");
    let folder = out.path().to_str().expect("text");
    printed(&[
        "render",
        "monitoring",
        "gateway.yaml",
        "--settings",
        "monitoring/settings.yaml",
        "--out",
        folder,
    ]);
    let rendered = files_in(out.path());
    assert_eq!(rendered, files_in(&committed("monitoring/example")), "run `make rendered`");
    assert_eq!(rendered.iter().filter(|file| file.starts_with("dashboards")).count(), 20);
    for file in rendered {
        let rendered = std::fs::read_to_string(out.path().join(&file)).expect("it was written");
        assert_current(&format!("monitoring/example/{}", file.display()), &rendered);
    }
    assert_current("monitoring/settings.schema.json", &printed(&["schema", "--monitoring"]));
}

fn committed(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// All files below a folder, by their paths in it.
fn files_in(folder: &Path) -> BTreeSet<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let name = |path: &PathBuf| PathBuf::from(path.file_name().expect("a name"));
    let below = |path: &PathBuf| {
        let own = name(path);
        files_in(path).into_iter().map(move |file| own.join(file)).collect::<Vec<_>>()
    };
    files.iter().map(name).chain(folders.iter().flat_map(below)).collect()
}

/// As `make rendered` calls it.
fn render_istio(out: &Path) {
    let mut arguments = vec!["render", "istio", "gateway.yaml", "--out"];
    arguments.push(out.to_str().expect("text"));
    let image = format!("registry.example/portcullis@sha256:{}", "0".repeat(64));
    let ports = [("user", 8000), ("inventory", 8001), ("order", 8002), ("auth", 8003), ("insights", 8004)];
    let services = ports.map(|(name, port)| format!("{name}={name}.order-processor.svc:{port}"));
    arguments.extend(["--image", &image]);
    arguments.extend(services.iter().flat_map(|service| ["--service", service]));
    printed(&arguments);
}

#[test]
fn the_objects_for_istio_are_what_the_command_renders_from_the_example() {
    let folder = tempfile::tempdir().expect("a folder");
    render_istio(folder.path());
    let names = |folder: &Path| {
        let entries =
            std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
        names.sort();
        names
    };
    let base = envoy_folder().join("istio/base");
    assert_eq!(names(&base), names(folder.path()), "run `make rendered`");
    for name in names(&base) {
        let name = name.to_str().expect("text");
        let rendered = std::fs::read_to_string(folder.path().join(name)).expect("it was written");
        assert_current(&format!("istio/base/{name}"), &rendered);
    }
}
