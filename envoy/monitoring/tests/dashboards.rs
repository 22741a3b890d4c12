//! The committed dashboards, as Grafana will read them.

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

fn dashboards() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("example/dashboards");
    let files = std::fs::read_dir(folder).expect("the example").map(|file| file.expect("a file").path());
    let read = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(&path).expect("text");
        let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
        (stem, serde_json::from_str(&text).expect("JSON"))
    };
    files.map(read).collect()
}

fn each<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value[name].as_array().into_iter().flatten()
}

fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    each(dashboard, "panels").filter(|panel| panel["type"] != "row")
}

#[test]
fn each_has_a_fixed_uid_the_variables_and_links_and_cannot_be_edited() {
    let all = dashboards();
    assert_eq!(all.len(), 20);
    for (file, dashboard) in &all {
        assert_eq!((dashboard["uid"].as_str(), &dashboard["editable"]), (Some(&**file), &false.into()));
        let names: Vec<_> =
            each(&dashboard["templating"], "list").map(|variable| &variable["name"]).collect();
        assert_eq!(names[..4], ["datasource", "loki", "job", "instance"], "{file}");
        let choices = each(&dashboard["templating"], "list").filter(|variable| variable["type"] == "query");
        assert!(choices.into_iter().all(|choice| choice["includeAll"] == true && choice["allValue"] == ".+"));
        let link = &dashboard["links"][0];
        assert!(link["keepTime"] == true && link["includeVars"] == true, "{file}");
        assert!(each(&dashboard["annotations"], "list").any(|mark| mark["name"] == "Alerts"), "{file}");
    }
}

#[test]
fn every_panel_says_what_it_is_and_what_it_shows_without_traffic() {
    for (file, dashboard) in dashboards() {
        for panel in panels(&dashboard) {
            let defaults = &panel["fieldConfig"]["defaults"];
            let texts = [&panel["title"], &panel["description"], &defaults["unit"], &defaults["noValue"]];
            assert!(
                texts.iter().all(|text| text.as_str().is_some_and(|text| !text.is_empty())),
                "{file}: {panel}"
            );
            assert_eq!(panel["interval"], "30s", "{file}: {panel}");
            assert!(each(panel, "targets").next().is_some(), "{file}: {panel}");
        }
    }
}

#[test]
fn every_query_of_the_gateways_own_metrics_asks_for_the_chosen_instances() {
    let mut asked = 0;
    for (file, dashboard) in dashboards() {
        for target in panels(&dashboard).flat_map(|panel| each(panel, "targets")) {
            let query = target["expr"].as_str().expect("a query");
            let own = ["gateway_requests_total{", "auth_jwt_validation_total{", "business_events_total{"];
            for name in own {
                for rest in query.split(name).skip(1) {
                    asked += 1;
                    assert!(rest.starts_with(r#"job=~"$job",instance=~"$instance""#), "{file}: {query}");
                }
            }
            assert!(!query.contains("[5m]"), "a window of its own in {file}: {query}");
        }
    }
    assert!(asked > 50, "{asked}");
}

#[test]
fn panels_lie_beside_each_other() {
    for (file, dashboard) in dashboards() {
        let mut taken = BTreeSet::new();
        for panel in each(&dashboard, "panels") {
            let at = |side: &str| panel["gridPos"][side].as_u64().expect("a number");
            for x in at("x")..at("x") + at("w") {
                assert!(x < 24, "{file}: {} is too far right", panel["title"]);
                for y in at("y")..at("y") + at("h") {
                    assert!(taken.insert((x, y)), "{file}: {} lies on another", panel["title"]);
                }
            }
        }
    }
}

#[test]
fn links_lead_to_dashboards_that_are_there() {
    let all = dashboards();
    let uids: BTreeSet<&str> = all.iter().map(|(uid, _)| &**uid).collect();
    for (file, dashboard) in &all {
        for link in panels(dashboard).flat_map(|panel| each(panel, "links")) {
            let url = link["url"].as_str().expect("an address");
            let uid = url.trim_start_matches("/d/").split('?').next().unwrap_or_default();
            assert!(uids.contains(uid), "{file}: {url}");
            assert!(
                url.contains("${__url_time_range}") && url.contains("${__all_variables}"),
                "{file}: {url}"
            );
        }
    }
}
