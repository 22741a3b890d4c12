//! What goes up and down, as the whole proxy's one number, on both endpoints.

use crate::keys::{document, fetching};
use crate::lab::{request, route, setup_with};
use portcullis_e2e::{Answer, H2Connection, KeyAnswer, KeyServer, Pending, Samples, eventually};
use serde_json::json;

const WAITING: usize = 12;

fn age(samples: &Samples) -> f64 {
    let labels = [("provider", "idp"), ("document", "keys")];
    samples.value("gateway_jwt_document_age_seconds", &labels).expect("there is a gauge")
}

/// Every token series is on Envoy's endpoint too, its labels cut out of its name.
#[track_caller]
fn assert_on_envoys_endpoint(ours: &Samples, envoys: &Samples) {
    let of_tokens =
        |name: &str| ["auth_", "gateway_jwt_", "gateway_auth_"].iter().any(|p| name.starts_with(p));
    let told = ours
        .all()
        .into_iter()
        .filter(|sample| of_tokens(&sample.name) && !sample.name.ends_with("_seconds_sum"));
    let mut count = 0;
    for sample in told {
        let labels: Vec<_> = sample.labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert!(envoys.value(&sample.name, &labels).is_some(), "{} {labels:?}", sample.name);
        count += 1;
    }
    assert!(count > 50, "{count} series");
}

#[test]
fn waiting_requests_and_the_keys_age_are_told_for_all_workers_at_once() {
    let server = KeyServer::start(KeyAnswer::Hang);
    let jwt = fetching(json!({"timeout": "60s"}));
    let gateway = setup_with(jwt, vec![route("/a", json!({}))], &[("idp", server.address())]).start();
    server.wait_for_fetches(1);
    assert_eq!(age(&gateway.metrics()), -1.0, "there are no keys");
    // Connections of their own, so that both workers have some.
    let connections: Vec<_> = (0..WAITING).map(|_| H2Connection::open(gateway.address())).collect();
    let ask = request("/a", &crate::keys::token("RS256", "a"));
    let pending: Vec<Pending<Answer>> =
        connections.iter().map(|to| to.start(&ask).expect("the gateway listens")).collect();
    let all = u32::try_from(WAITING).map(f64::from).expect("few");
    eventually("all wait", || gateway.metrics().value("auth_concurrent_requests", &[]) == Some(all));
    assert_eq!(gateway.envoy.samples().value("auth_concurrent_requests", &[]), Some(all));

    server.answer_with(document(&[("RS256", "a")]));
    pending.into_iter().for_each(|answer| assert_eq!(answer.answer().expect("an answer").status, 200));
    eventually("nobody waits", || gateway.metrics().value("auth_concurrent_requests", &[]) == Some(0.0));
    eventually("there are keys", || (0.0..60.0).contains(&age(&gateway.metrics())));
    assert_on_envoys_endpoint(&gateway.metrics(), &gateway.envoy.samples());
}
