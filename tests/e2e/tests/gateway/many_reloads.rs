//! A thousand policies, one after another, leave nothing behind: neither in a VM's memory nor in what workers share.

use portcullis_e2e::{example_policy, module, without_tokens};
use portcullis_harness::{LoadedModule, Plugin, Proxy, Request, Upstream};
use serde_json::{Value, json};
use std::time::Duration;

const RELOADS: usize = 1000;
/// From here on nothing grows: every route, limit and series that comes has been there before.
const SETTLED: usize = 20;
/// A page of WebAssembly's memory, in bytes: blocks of other sizes leave gaps. (It is one after 4,000 policies, too.)
const PAGE: u64 = 65_536;
const VM_ID: &str = "portcullis";

/// Policies that take turns: each changes routes, limits and breakers of the one before.
fn policy(number: usize) -> Vec<u8> {
    let turn = number % 10;
    let mut policy = without_tokens(example_policy());
    policy["limits"] = json!({ "rules": {
        format!("rule_{turn}"): { "key": ["ip"], "limit": 1000 + turn, "window": "1h" } } });
    policy["breakers"] = json!({ "inventory": { "consecutive_failures": 3 + turn, "open_for": "1m" } });
    let route = json!({ "path": format!("/turn/{turn}/{{id}}"), "methods": ["GET"], "service": "inventory" });
    policy["routes"].as_array_mut().expect("a list").push(route);
    Value::to_string(&policy).into_bytes()
}

/// What a proxy holds: keys in shared data, the bytes of names and values, and each VM's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    keys: usize,
    bytes: usize,
    memory: Vec<u64>,
}

fn held(proxy: &Proxy) -> Held {
    let (keys, bytes) = proxy.shared_data_size(VM_ID);
    Held { keys, bytes, memory: proxy.memory() }
}

#[test]
fn a_thousand_policies_leave_memory_and_shared_data_as_they_were() {
    let module = LoadedModule::from_file(module()).expect("the module is built");
    let plugin = Plugin::loaded(&module).root_id("gateway").vm_id(VM_ID).config(policy(0));
    let mut proxy = Proxy::builder()
        .plugin(plugin)
        .workers(2)
        .upstream("web", Upstream::respond(200).body("ok"))
        .build()
        .expect("it starts");
    let mut settled = None;
    for number in 1..=RELOADS {
        proxy.reload(policy(number)).expect("the policy is sound");
        for path in [format!("/api/v1/turn/{}/7", number % 10), "/api/v1/inventory/assets".to_owned()] {
            let outcome = proxy.send(Request::get(path)).expect("the gateway runs");
            assert_eq!(outcome.client.status(), Some(200), "policy {number}");
        }
        proxy.advance(Duration::from_secs(2));
        if number == SETTLED {
            settled = Some(held(&proxy));
        }
    }
    let (first, last) = (settled.expect("there are more policies than that"), held(&proxy));
    println!("after {SETTLED} policies {first:?}, after {RELOADS} {last:?}");
    assert_eq!(first.keys, last.keys);
    // Numbers in values may have a digit more.
    assert!(last.bytes <= first.bytes + 256, "{first:?} {last:?}");
    let grown = first.memory.iter().zip(&last.memory).map(|(first, last)| last - first);
    assert!(grown.max() <= Some(PAGE), "{first:?} {last:?}");
    assert!(proxy.failures().is_empty());
}
