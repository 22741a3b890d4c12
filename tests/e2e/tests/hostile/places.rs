//! A service's places, held by requests without an end.

use crate::budget::{MIB, Meter};
use crate::raw_h2::RawH2;
use portcullis_demo_services::{ADMIN, CUSTOMER};
use portcullis_e2e::{Gateway, Request, eventually};
use std::net::IpAddr;
use std::time::Duration;

const CONNECTIONS: u64 = 11;
const STREAMS: u64 = 100;
const WINDOW: u32 = 65_535;

fn attacker() -> IpAddr {
    [127, 0, 0, 66].into()
}

fn orders(gateway: &Gateway, token: &str, last: u8) -> u16 {
    gateway.send(&Request::get("/api/v1/orders").bearer(token).from_ip([127, 0, 1, last])).status
}

fn stat(gateway: &Gateway, name: &str) -> u64 {
    gateway.envoy.admin().stat(name).unwrap_or(0)
}

/// 15 KB kept every connection to the service for ever, and turned honest requests into 504. Seen: no request at the service,
/// 0.2 s of CPU, 1 MiB.
#[test]
fn posts_without_an_end_reach_no_service_and_others_are_served() {
    let gateway = Gateway::shipped().start();
    let (token, honest) = (gateway.log_in(&CUSTOMER), gateway.log_in(&ADMIN));
    let bearer = format!("Bearer {token}");
    let before = stat(&gateway, "http.gateway.downstream_rq_total");
    let meter = Meter::start(&gateway);
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut connection = RawH2::open(attacker(), gateway.address(), WINDOW);
        connection.wait_for_settings();
        for _ in 0..STREAMS {
            let headers = [("content-length", "40"), ("authorization", bearer.as_str())];
            connection.begin("POST", "/api/v1/orders", &headers, false);
        }
        held.push(connection);
    }
    eventually("Envoy has all of them", || {
        stat(&gateway, "http.gateway.downstream_rq_total") >= before + CONNECTIONS * STREAMS
    });
    let others: Vec<u16> = (1..=20).map(|last| orders(&gateway, &honest, last)).collect();
    assert_eq!(others, [200; 20], "others are served meanwhile");
    assert_eq!(stat(&gateway, "cluster.order.upstream_rq_total"), 20, "the service has seen nothing else");
    assert!(stat(&gateway, "cluster.order.upstream_cx_total") <= 20, "connections for the others alone");
    let (cpu, grown) = meter.read(&gateway, "1,100 posts without an end");
    assert!(cpu < Duration::from_secs(10) && grown < 96 * MIB, "{cpu:?}, {grown} bytes");
    // They end with the time that a request may take.
    gateway.envoy.travel(Duration::from_secs(61));
    eventually("they are over", || stat(&gateway, "http.gateway.downstream_rq_active") <= 1);
    assert_eq!(orders(&gateway, &honest, 21), 200);
}
