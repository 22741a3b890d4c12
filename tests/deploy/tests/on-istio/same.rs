//! The mesh's gateway means what the gateway of `make run` means.

use crate::world::{NAMESPACE, indexes, world};
use portcullis_deploy_tests::{
    Difference, Istiod, Rules, differences, eventually, is_known, metric_differences, read,
};
use portcullis_e2e::{Request, Sample, Samples};
use serde_json::Value;
use std::collections::BTreeSet;

/// What Istio's analysis says all the same, and of what. For the last two a cluster would be needed, with istiod's webhook.
const KNOWN_MESSAGES: [(&str, &str); 3] = [
    // "Prefer other APIs if possible": there is none.
    ("IST0133", "EnvoyFilter gateway/"),
    ("IST0146", "Deployment gateway/gateway"),
    ("IST0102", "Namespace gateway"),
];

#[test]
fn istios_own_analysis_has_nothing_new_to_say() {
    let world = world();
    let messages = Istiod::analyze(&world.kubernetes, NAMESPACE);
    let list: Value =
        serde_json::from_str(messages.trim()).unwrap_or_else(|error| panic!("{error}: {messages}"));
    let list = list.as_array().unwrap_or_else(|| panic!("a list: {messages}"));
    let is_known = |message: &&Value| {
        let text = |key: &str| message[key].as_str().unwrap_or_default();
        KNOWN_MESSAGES.iter().any(|(code, at)| text("code") == *code && text("origin").starts_with(at))
    };
    let unknown: Vec<_> = list.iter().filter(|message| !is_known(message)).collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[test]
fn the_day_of_the_platforms_clients_is_the_same() {
    let world = world();
    let found = differences(&world.without_mesh.day, &world.in_mesh.day);
    let (known, found): (Vec<_>, Vec<_>) = found.into_iter().partition(is_known);
    println!("{} exchanges compared, {} differences", world.in_mesh.day.len(), found.len());
    assert!(found.is_empty(), "- without Istio, + with it:\n{}", lines(&found));
    // 400 on both sides, in Envoy's words there and in the filter's here.
    assert!(known.iter().all(|difference| !difference.what.contains("status")), "{}", lines(&known));
}

#[test]
fn the_metrics_of_that_day_are_the_same() {
    let world = world();
    let found = metric_differences(&world.without_mesh.metrics, &world.in_mesh.metrics);
    println!("{} series compared, {} differences", world.in_mesh.metrics.all().len(), found.len());
    assert!(found.is_empty(), "- without Istio, + with it:\n{}", lines(&found));
}

/// In a scrape of the pod are the series of `GET /metrics`, those and no others of these names, with the same labels and numbers; sums are
/// whole microseconds there.
#[test]
fn a_scrape_of_the_pod_has_the_numbers_of_the_gateways_own_page() {
    let world = world();
    for port in [15090, 15020] {
        let compared = eventually(&format!("the numbers of :{port} are those of /metrics"), || {
            let page = world.proxy.send(&Request::get("/metrics"));
            let page = Samples::parse(page.text()).map_err(|error| error.to_string())?;
            let names: BTreeSet<_> = page.all().into_iter().map(|sample| sample.name).collect();
            let mut pod = world.proxy.samples(port).all();
            pod.iter_mut().for_each(in_seconds);
            pod.retain(|sample| names.contains(&sample.name));
            let (page, pod) = (numbers(page.all()), numbers(pod));
            let differing: Vec<_> = page.symmetric_difference(&pod).collect();
            if differing.is_empty() { Ok(page.len()) } else { Err(format!("{differing:#?}")) }
        });
        println!("{compared} series of :{port} compared with /metrics, 0 differences");
        assert!(compared > 1_000, "{compared} series are not all that there are");
    }
}

/// The rule that is rendered beside the objects makes seconds of the sums, in Prometheus's own rule engine.
#[test]
fn the_recording_rules_for_sums_give_the_sums_of_the_page() {
    let world = world();
    let rules = Rules::of(world.folder.join("deploy/recording-rules.yaml"));
    let page = world.proxy.send(&Request::get("/metrics"));
    let page = Samples::parse(page.text()).expect("an exposition");
    let sums: BTreeSet<_> = page
        .all()
        .into_iter()
        .map(|sample| sample.name)
        .filter(|name| name.ends_with("_seconds_sum"))
        .collect();
    assert!(sums.contains("gateway_request_latency_seconds_sum") && sums.len() > 5, "{sums:?}");
    let query = |name: &String| (format!("round(sum({name}) * 1e6)"), (page.sum(name, &[]) * 1e6).round());
    let queries: Vec<_> = sums.iter().map(query).collect();
    eventually("the sums are what the page has", || rules.check(&queries, &world.proxy.samples(15090)));
}

/// What the recording rule does to a sum.
fn in_seconds(sample: &mut Sample) {
    if let Some(name) = sample.name.strip_suffix("_microseconds_sum") {
        sample.name = format!("{name}_seconds_sum");
        sample.value /= 1e6;
    }
}

/// Each series with its labels and its number.
fn numbers(samples: Vec<Sample>) -> BTreeSet<String> {
    samples.iter().map(|sample| format!("{}{:?} {}", sample.name, sample.labels, sample.value)).collect()
}

#[test]
fn each_request_has_its_line_in_the_pods_output() {
    let world = world();
    let answer = world.proxy.send(&Request::get("/api/v1/inventory/assets"));
    let id = answer.header("x-request-id").expect("an id");
    let line = eventually("the line is there", || {
        let log = world.proxy.log();
        let found = log.lines().find(|line| line.contains(&id) && line.starts_with('{')).map(str::to_owned);
        found.ok_or_else(|| "no line with the id".to_owned())
    });
    let line: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!((&line["action"], &line["extra"]["status"]), (&"request".into(), &200.into()), "{line}");
}

#[test]
fn verify_finds_nothing_wrong() {
    let world = world();
    let said = world.verify();
    assert_eq!(said.status, Some(0), "{}{}", said.stdout, said.stderr);
    assert!(said.stdout.contains("the file's policy, sha256:"), "{}", said.stdout);
}

#[test]
fn an_answer_that_envoy_gives_before_the_filter_has_our_body_and_headers() {
    let world = world();
    let huge = Request::get("/api/v1/orders").header("x-huge", vec![b'a'; 64 * 1024]);
    let answer = world.proxy.send(&huge);
    assert_eq!((answer.status, answer.json()["code"].as_str()), (431, Some("REQ_002")), "{answer:?}");
    assert_eq!(answer.header("x-frame-options").as_deref(), Some("DENY"));
}

fn lines(found: &[Difference]) -> String {
    found.iter().map(|difference| format!("{difference}\n")).collect()
}

#[test]
fn the_rendered_files_hold_no_secret() {
    let world = world();
    for file in
        ["plugin.yaml", "proxies.yaml", "routes.yaml", "services.yaml", "telemetry.yaml", "mesh-values.yaml"]
    {
        let objects = read(&world.folder.join("deploy").join(file));
        let text = serde_json::to_string(&objects).expect("JSON");
        assert!(!text.contains(portcullis_deploy_tests::JWT_SECRET), "{file}");
    }
}

/// All ten have run when there is a world; these said something of it.
#[test]
fn the_ten_steps_of_the_documentation_lead_to_a_guarded_gateway() {
    let world = world();
    let said = |number: usize| world.said[number - 1].as_str();
    assert!(said(1).contains("portcullis sha256:"), "{}", said(1));
    assert!(world.image.starts_with("127.0.0.1:5000/portcullis@sha256:"), "{}", world.image);
    assert!(said(9).contains("401 Unauthorized") && said(9).contains("AUTH_001"), "{}", said(9));
    assert!(said(10).contains("the file's policy, sha256:"), "{}", said(10));
    let digest = world.image.rsplit("sha256:").next().expect("a digest");
    assert!(said(1).contains(digest), "what was built is what was pushed");
}

/// `make test-deploy` makes the images, and step 1 of the documentation makes them again.
#[test]
fn images_that_are_made_twice_have_the_digests_that_they_had() {
    let world = world();
    let digest = world.image.rsplit("@").next().expect("a digest");
    let first = world.first_images.get("portcullis").expect("one of five");
    assert!(first.contains(digest), "{digest} is not that of {first}");
    assert_eq!(world.first_images, indexes());
}
