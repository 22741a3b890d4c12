//! The page of metrics as a bomb.

use crate::budget::{MIB, Meter};
use crate::raw_h2::RawH2;
use portcullis_e2e::{Gateway, Request, eventually};
use serde_json::{Value, json};
use std::net::IpAddr;
use std::time::Duration;

const CONNECTIONS: u64 = 30;
const STREAMS: u64 = 100;
const ROUTES: usize = 100;
/// Of the example's networks: who may read the page on the gateway's own port.
const READER: [u8; 4] = [127, 0, 0, 66];

fn with_many_routes() -> Gateway {
    let more = |n: usize| json!({"path": format!("/things{n}/{{id}}"), "methods": ["GET"], "service": "inventory", "auth": {"token": "none"}});
    let add = move |policy: &mut Value| {
        let routes = policy["routes"].as_array_mut().expect("there are routes");
        routes.extend((routes.len()..ROUTES).map(more));
    };
    Gateway::shipped().policy(add).start()
}

/// 40 KB of requests, none of whose answers is read, raised memory from 150 to 1,704 MiB and took 8.4 ms of CPU each. Seen: 60 MiB, 1.0 s of CPU.
#[test]
fn three_thousand_pages_that_nobody_reads_cost_a_few() {
    let gateway = with_many_routes();
    let size = gateway.get("/metrics").body.len();
    assert!(size > 100_000, "the page has only {size} bytes");
    let meter = Meter::start(&gateway);
    let total = || gateway.envoy.admin().stat("http.gateway.downstream_rq_total").unwrap_or(0);
    let before = total();
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut connection = RawH2::open(IpAddr::from(READER), gateway.address(), 0);
        connection.wait_for_settings();
        (0..STREAMS).for_each(|_| {
            connection.begin("GET", "/metrics", &[], true);
        });
        held.push(connection);
    }
    eventually("Envoy has all of them", || total() >= before + CONNECTIONS * STREAMS);
    let others = (1..=20).map(|last| {
        let asset = Request::get("/api/v1/inventory/assets").from_ip([127, 0, 1, last]);
        gateway.send(&asset).status
    });
    assert_eq!(others.collect::<Vec<_>>(), [200; 20], "others are served meanwhile");
    let (cpu, grown) = meter.read(&gateway, "3,000 pages that nobody reads");
    assert!(grown < 128 * MIB, "{grown} bytes");
    assert!(cpu < Duration::from_secs(12), "{cpu:?}");
    // Monitoring has a listener of its own, and places of its own.
    let own = gateway.envoy.listener("gateway_metrics");
    assert_eq!(Request::get("/metrics").send(own).status, 200);
    // Who goes away gives places back.
    drop(held);
    eventually("the page is there again", || gateway.get("/metrics").status == 200);
}
