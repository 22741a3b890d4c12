//! Two instances of the filter in one Envoy, each with a policy of its own: neither sees what the other counts or remembers.

use portcullis_e2e::{EnvoyConfig, Gateway, Request, Setup, eventually, example_policy, without_tokens};
use serde_json::{Value, json};
use std::net::SocketAddr;

const ASSETS: &str = "/api/v1/inventory/assets";
const ASSET: &str = "/api/v1/inventory/assets/BTC";
const MANAGER: &str = "/filter_chains/0/filters/0/typed_config";

/// The instance `edge-1`: of each client three requests for assets a day.
fn first() -> Setup {
    let mut policy = without_tokens(example_policy());
    policy["gateway"]["instance"] = json!("edge-1");
    policy["limits"] = json!({ "rules": {
        "assets": { "key": ["ip"], "limit": 3, "window": "1d", "routes": ["/inventory/assets"] } } });
    Gateway::setup().policy(|own| *own = policy)
}

/// A filter of the instance `edge-2`, made of that of `edge-1`.
fn second(filter: &Value) -> Value {
    let (mut filter, place) = (filter.clone(), "/typed_config/config/configuration/value");
    let value = filter.pointer_mut(place).expect("the filter has a policy");
    let mut policy: Value = serde_json::from_str(value.as_str().expect("text")).expect("JSON");
    policy["gateway"]["instance"] = json!("edge-2");
    *value = policy.to_string().into();
    filter["name"] = "portcullis-2".into();
    filter
}

fn filters(listener: &mut Value) -> &mut Vec<Value> {
    let manager = listener.pointer_mut(MANAGER).expect("a connection manager");
    manager["http_filters"].as_array_mut().expect("a chain")
}

fn listeners(bootstrap: &mut Value) -> &mut Vec<Value> {
    bootstrap["static_resources"]["listeners"].as_array_mut().expect("listeners")
}

/// A second listener, with the second instance.
fn beside(config: EnvoyConfig) -> EnvoyConfig {
    config.edit(|bootstrap| {
        let mut listener = listeners(bootstrap)[0].clone();
        listener["name"] = "second".into();
        let own = second(&filters(&mut listener)[0]);
        filters(&mut listener)[0] = own;
        listeners(bootstrap).push(listener);
    })
}

/// The second instance behind the first, in one chain. The access log prints the lines of both.
fn behind(config: EnvoyConfig) -> EnvoyConfig {
    config.edit(|bootstrap| {
        let listener = &mut listeners(bootstrap)[0];
        let own = second(&filters(listener)[0]);
        filters(listener).insert(1, own);
        let logs = &mut listener.pointer_mut(MANAGER).expect("a manager")["access_log"];
        let theirs = logs[0].to_string().replace("portcullis_log_edge-1", "portcullis_log_edge-2");
        let theirs = serde_json::from_str(&theirs).expect("JSON");
        logs.as_array_mut().expect("a list").push(theirs);
    })
}

fn statuses(address: SocketAddr, path: &str, times: usize) -> Vec<u16> {
    (0..times).map(|_| Request::get(path).send(address).status).collect()
}

/// What an instance has counted, by the page that it serves.
fn counted(address: SocketAddr, instance: &str, status: &str) -> Option<u64> {
    let page = Request::get("/metrics").send(address);
    let start = format!(
        "gateway_requests_total{{portcullis_instance=\"{instance}\",status_code=\"{status}\",endpoint=\"/api/v1/inventory/assets\"}} "
    );
    let text = String::from_utf8_lossy(&page.body).into_owned();
    text.lines().find_map(|line| line.strip_prefix(&start)?.parse().ok())
}

#[test]
fn instances_on_two_listeners_count_and_limit_apart() {
    let gateway = first().envoy(beside).start();
    let (one, two) = (gateway.address(), gateway.envoy.listener("second"));
    assert_eq!(statuses(one, ASSETS, 5), [200, 200, 200, 429, 429]);
    assert_eq!(statuses(two, ASSETS, 4), [200, 200, 200, 429], "the other has its own three");
    eventually("each has counted its own", || {
        (counted(one, "edge-1", "200"), counted(one, "edge-1", "429")) == (Some(3), Some(2))
            && (counted(two, "edge-2", "200"), counted(two, "edge-2", "429")) == (Some(3), Some(1))
    });
    assert_eq!(counted(one, "edge-2", "200"), None, "the page of one shows nothing of the other");
}

#[test]
fn instances_in_one_chain_each_count_a_request_once_and_leave_a_line() {
    let gateway = first().envoy(behind).start();
    let one = gateway.address();
    assert_eq!(statuses(one, ASSETS, 4), [200, 200, 200, 429]);
    assert_eq!(statuses(one, ASSET, 1), [200]);
    let stat = |instance: &str, status: &str| {
        let labels = [
            ("portcullis_instance", instance),
            ("status_code", status),
            ("endpoint", "/api/v1/inventory/assets"),
        ];
        gateway.envoy.samples().value("gateway_requests_total", &labels)
    };
    eventually("both have counted what came to them", || {
        [stat("edge-1", "200"), stat("edge-2", "200"), stat("edge-1", "429"), stat("edge-2", "429")]
            == [Some(3.0), Some(3.0), Some(1.0), Some(1.0)]
    });
    let answer = Request::get(ASSET).send(one);
    let id = answer.header("x-request-id").expect("an id");
    eventually("both have left a line of the request", || {
        gateway.envoy.stdout().all().iter().filter(|line| line.contains(&id)).count() == 2
    });
}
