//! Shared data, queues, metrics, foreign functions.

use super::{during, everywhere, full};
use crate::case::{Ask, Case};

pub fn cases() -> Vec<Case> {
    vec![
        Case::new("shared_data", SHARED).send(full()),
        Case::new("queues", QUEUES).alone().send(Ask::get("/direct")).send(Ask::get("/direct")),
        Case::new("metrics", METRICS).send(Ask::get("/direct")).send(Ask::get("/direct")),
        Case::new("state_in_every_phase", &everywhere(EVERYWHERE)).alone().send(Ask::get("/direct")),
        Case::new("foreign_functions", &during("request_headers", FOREIGN)).send(Ask::get("/")),
        Case::new("foreign_functions_in_a_root", &during("configure", FOREIGN)).send(Ask::get("/direct")),
    ]
}

const SHARED: &str = "request_headers shared absent
    request_headers share key one 0
    request_headers shared key
    request_headers share key two last
    request_headers share key three last
    request_headers shared key
    request_headers share key four 99
    request_headers share other five 99
    request_headers shared other
    request_headers share empty _ 0
    request_headers shared empty
    request_headers share _ nameless 0
    request_headers shared _
    log shared key";

const QUEUES: &str = "configure resolve q queues
    request_headers resolve q queues
    request_headers enqueue 77 x
    request_headers dequeue 77
    request_headers register q
    request_headers register q
    request_headers register p
    request_headers resolve q queues
    request_headers resolve p _
    request_headers resolve q elsewhere
    request_headers register q
    request_headers dequeue
    request_headers enqueue 1 message
    request_headers enqueue q _
    queue_ready dequeue 1
    queue_ready dequeue 1
    queue_ready get 0 :path
    log enqueue 1 late";

const METRICS: &str = "configure define counter probe_c
    configure define gauge probe_g
    configure define histogram probe_h
    configure define 3 probe_x
    configure define 99 probe_x
    configure define counter probe_c
    configure define counter _
    request_headers define counter probe_c
    request_headers increment counter 0
    request_headers increment counter -1
    request_headers increment counter 3
    request_headers metric counter
    request_headers record counter 4
    request_headers metric counter
    request_headers increment gauge -1
    request_headers metric gauge
    request_headers record gauge 5
    request_headers increment gauge 2
    request_headers metric gauge
    request_headers increment gauge -9
    request_headers metric gauge
    request_headers record gauge 0
    request_headers increment histogram 1
    request_headers record histogram 7
    request_headers metric histogram
    request_headers increment 400 1
    request_headers increment 403 1
    request_headers record 401 1
    request_headers metric 402
    request_headers metric 0
    request_headers metric 3
    request_headers record 3 1";

const EVERYWHERE: [&str; 12] = [
    "share k v 0",
    "shared k",
    "register q",
    "resolve q state_in_every_phase",
    "define counter state_c",
    "increment counter 1",
    "define gauge state_g",
    "record gauge 4",
    "metric gauge",
    "foreign nonsense",
    "status",
    "done",
];

const FOREIGN: [&str; 32] = [
    "foreign nonsense args",
    "foreign _ args",
    "foreign compress hello",
    "foreignhex compress 68656c6c6f68656c6c6f68656c6c6f",
    "foreignhex compress _",
    "foreignhex uncompress 789ccb48cdc9c9cf0072a40a0001f3067d",
    "foreignhex uncompress 00",
    "foreignhex uncompress _",
    "foreign clear_route_cache",
    "foreign set_envoy_filter_state nonsense",
    "foreignhex set_envoy_filter_state 0a0a656e766f792e6e6f6e6512017818",
    "foreignhex set_envoy_filter_state 0a0c656e766f792e737472696e67120178",
    "prop filter_state|envoy.string",
    "foreignhex declare_property 0a016d",
    "foreignhex declare_property 0a016d",
    "foreignhex declare_property 0a01721001",
    "setprop r one",
    "setprop r two",
    "prop r",
    "foreign declare_property nonsense",
    "foreignhex declare_property _",
    "foreignhex verify_signature _",
    "foreignhex verify_signature 0a0673686132353612001a0022026869",
    "foreignhex verify_signature 0a0373686112001a0022026869",
    "foreignhex verify_signature ff",
    "foreignhex sign _",
    "foreignhex sign 0a067368613235361200",
    "foreignhex sign ff",
    "foreign expr_evaluate",
    "foreign expr_delete",
    "foreignhex expr_evaluate 07000000",
    "foreignhex expr_delete 07000000",
];
