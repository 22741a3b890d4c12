//! What limits and breakers know outlives the policy that they learnt it under.

use crate::policy_errors::{update, watched};
use portcullis_demo_services::{Fault, Service};
use portcullis_e2e::{Gateway, Request, eventually, example_policy, without_tokens};
use serde_json::{Value, json};

const ASSETS: &str = "/api/v1/inventory/assets";
const ASSET: &str = "/api/v1/inventory/assets/BTC";
const PORTFOLIO: &str = "/api/v1/portfolio";

fn policy(changing: u64) -> Value {
    let rule =
        |limit: u64, route: &str| json!({ "key": ["ip"], "limit": limit, "window": "1d", "routes": [route] });
    let mut policy = without_tokens(example_policy());
    policy["limits"] = json!({ "rules": {
        "same": rule(3, "/inventory/assets"),
        "changed": rule(changing, "/inventory/assets/{id}") } });
    policy["breakers"] = json!({ "user": { "consecutive_failures": 1, "open_for": "1h" } });
    policy
}

#[test]
fn a_new_policy_resets_the_limit_that_it_changes_and_no_other_and_leaves_a_breaker_open() {
    let gateway = Gateway::setup().policy(|own| *own = policy(2)).envoy(watched).start();
    let status = |path: &str| Request::get(path).send(gateway.address()).status;
    let statuses = |path: &str, times: usize| (0..times).map(|_| status(path)).collect::<Vec<_>>();
    assert_eq!(statuses(ASSETS, 4), [200, 200, 200, 429]);
    assert_eq!(statuses(ASSET, 3), [200, 200, 429]);
    let fault = gateway.knobs().set(Fault::everywhere(Service::User).status(500)).expect("a sound fault");
    assert_eq!(status(PORTFOLIO), 500);
    gateway.knobs().clear(fault);
    eventually("the breaker is open", || status(PORTFOLIO) == 503);

    gateway.envoy.replace_file("lds.json", &update(&gateway, &policy(4), true));
    eventually("the changed limit begins anew", || status(ASSET) == 200);
    assert_eq!(statuses(ASSET, 4), [200, 200, 200, 429], "three more of four");
    assert_eq!(statuses(ASSETS, 2), [429, 429], "the other remembers");
    assert_eq!(status(PORTFOLIO), 503, "so does the breaker");
}
