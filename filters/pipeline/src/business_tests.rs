//! Business events, from bodies that pass in pieces.

use crate::lab::{Gateway, StreamInfo, forwarded, moved, set};
use crate::{Facts, Side};
use serde_json::json;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn gateway() -> Gateway {
    let asset = json!({ "from": "response", "pointer": "/asset", "values": ["BTC", "ETH"] });
    let cents = json!({ "from": "request", "pointer": "/amount", "unit": "usd_cents", "decimals": 2 });
    Gateway::new(json!({
        "routes": [
            { "path": "/orders", "methods": ["POST"], "service": "order" },
            { "path": "/deposit", "methods": ["POST"], "service": "order" },
            { "path": "/login", "methods": ["POST"], "service": "user" },
            { "path": "/other", "methods": ["POST"], "service": "user" }],
        "business": { "max_body_bytes": 32, "max_held_bytes": 64, "events": {
            "orders": { "route": "/orders", "statuses": [201, 503], "by": asset },
            "deposits": { "route": "/deposit", "amount": cents },
            "logins": { "route": "/login" } } } }))
}

/// Hands over a part of a body as hosts do: as much of it as there is room for.
fn pass(gateway: &Gateway, facts: &mut Facts, side: Side, part: &[u8]) {
    let room = gateway.pipeline.body_room(facts, side);
    if room > 0 {
        let read = part.get(..room).unwrap_or(part);
        gateway.pipeline.on_body(facts, side, read, part.len());
    }
}

/// A request of this route, and what became of it.
struct Deal {
    path: &'static str,
    headers: Vec<(&'static str, &'static [u8])>,
    request: &'static [u8],
    status: u16,
    info: StreamInfo,
    response: [&'static [u8]; 2],
    is_whole: bool,
}

impl Deal {
    fn of(path: &'static str, request: &'static [u8]) -> Self {
        let (info, response) = (StreamInfo::by_service(), [&b""[..]; 2]);
        Self { path, headers: Vec::new(), request, status: 200, info, response, is_whole: true }
    }

    fn order(status: u16, first: &'static [u8], second: &'static [u8]) -> Self {
        Self { status, response: [first, second], ..Self::of("/orders", b"{}") }
    }

    /// The series of events that it moves.
    fn moves(mut self) -> Vec<String> {
        let mut gateway = gateway();
        let (mut facts, _) = gateway.ask("POST", self.path, &self.headers);
        pass(&gateway, &mut facts, Side::Request, self.request);
        gateway.answer(&mut facts, self.status, &mut self.info);
        self.response.iter().for_each(|part| pass(&gateway, &mut facts, Side::Response, part));
        if self.is_whole {
            gateway.pipeline.on_response_end(&mut facts);
        }
        let record = gateway.done(&mut facts, &mut self.info);
        let moved = moved(&gateway.pipeline, &record, "business_");
        moved.into_iter().map(|line| line.replace("business_", "").replace('"', "")).collect()
    }
}

const GZIP: (&str, &[u8]) = ("content-encoding", b"gzip");

#[test]
fn an_order_is_counted_by_what_its_answer_says() {
    let whole = ["events_total{event=orders,value=BTC} 1"];
    assert_eq!(Deal::order(201, br#"{"asset":"#, br#""BTC"}"#).moves(), whole);
    let exact = Deal::order(201, br#"{"asset":"BTC","note":""#, br#"1234567"}"#);
    assert_eq!(exact.response.concat().len(), 32);
    assert_eq!(exact.moves(), whole, "a body that just fits");
    for (deal, why) in [
        (Deal::order(201, br#"{"asset":"BTC","note":""#, br#"12345678"}"#), "too_large"),
        (
            Deal {
                info: StreamInfo { headers: vec![GZIP], ..StreamInfo::by_service() },
                ..Deal::order(201, b"{}", b"")
            },
            "encoded",
        ),
        (Deal { is_whole: false, ..Deal::order(201, br#"{"asset":"#, br#""BTC"}"#) }, "cut"),
        (Deal::order(201, b"{}", b""), "absent"),
    ] {
        let unread = format!("events_unread_total{{event=orders,reason={why}}} 1");
        assert_eq!(deal.moves(), ["events_total{event=orders,value=other} 1".to_owned(), unread]);
    }
}

#[test]
fn a_deposit_is_counted_with_the_amount_in_its_request() {
    let amount = br#"{"amount": "19.99"}"#;
    let expected =
        ["events_total{event=deposits,value=} 1", "amount_total{event=deposits,value=,unit=usd_cents} 1999"];
    assert_eq!(Deal::of("/deposit", amount).moves(), expected);
    let coded = Deal { headers: vec![GZIP], ..Deal::of("/deposit", amount) };
    let unread = "events_unread_total{event=deposits,reason=encoded} 1";
    assert_eq!(coded.moves(), [expected[0], unread]);
}

#[test]
fn only_what_a_service_answers_is_an_event_and_only_with_its_statuses() {
    let failed = |info: StreamInfo| Deal { info, ..Deal::order(503, br#"{"asset":"ETH"}"#, b"") };
    assert_eq!(failed(StreamInfo::by_service()).moves(), ["events_total{event=orders,value=ETH} 1"]);
    assert_eq!(failed(StreamInfo::by_proxy()).moves(), [""; 0]);
    assert_eq!(
        failed(StreamInfo { details: "portcullis_rate_limited", ..StreamInfo::default() }).moves(),
        [""; 0]
    );
    assert_eq!(Deal::order(200, br#"{"asset":"ETH"}"#, b"").moves(), [""; 0]);
    assert_eq!(Deal::of("/login", b"").moves(), ["events_total{event=logins,value=} 1"]);
    assert_eq!(Deal { status: 401, ..Deal::of("/login", b"") }.moves(), [""; 0]);
    assert_eq!(Deal::of("/other", b"").moves(), [""; 0]);
}

#[test]
fn an_answer_without_a_body_is_an_event_all_the_same() {
    let mut gateway = gateway();
    let (mut facts, _) = gateway.ask("POST", "/orders", &[]);
    let mut info = StreamInfo::by_service();
    gateway.pipeline.on_response(&mut facts, 201, false, &gateway.host, &mut info);
    assert!(facts.bodies.is_none(), "nothing is kept until the client has read it");
    let record = gateway.done(&mut facts, &mut info);
    let moved = moved(&gateway.pipeline, &record, "business_events_total");
    assert_eq!(moved, ["business_events_total{event=\"orders\",value=\"other\"} 1"]);
}

/// One more byte than may be looked at tells a body that is too large from one that just fits.
#[test]
fn there_is_room_for_the_bodies_that_an_event_looks_at_as_long_as_it_may_happen() {
    let mut gateway = gateway();
    let mut room = |path: &str, answered: Option<u16>| {
        let (mut facts, _) = gateway.ask("POST", path, &[]);
        if let Some(status) = answered {
            gateway.answer(&mut facts, status, &mut StreamInfo::by_service());
        }
        [Side::Request, Side::Response].map(|side| gateway.pipeline.body_room(&facts, side))
    };
    assert_eq!(room("/orders", None), [0, 33]);
    assert_eq!(room("/orders", Some(201)), [0, 33]);
    assert_eq!(room("/orders", Some(200)), [0, 0], "no event has this status");
    assert_eq!(room("/deposit", Some(200)), [33, 0]);
    assert_eq!(room("/login", None), [0, 0]);
    assert_eq!(room("/other", None), [0, 0]);
}

#[test]
fn an_answer_that_is_read_is_asked_for_without_a_coding() {
    let mut gateway = gateway();
    let mut sent = |path: &str, more: &[(&str, &[u8])]| {
        let ops = forwarded(gateway.ask("POST", path, more).1);
        set(&ops.set, "accept-encoding").map(str::to_owned)
    };
    let coded: &[(&str, &[u8])] = &[("accept-encoding", b"gzip, br")];
    assert_eq!(sent("/orders", coded).as_deref(), Some("identity"));
    assert_eq!([sent("/orders", &[]), sent("/deposit", coded), sent("/other", coded)], [None, None, None]);
}

#[test]
fn a_policy_without_events_looks_at_no_body() {
    let mut gateway = Gateway::new(json!({}));
    let (facts, _) = gateway.ask("POST", "/orders", &[]);
    assert_eq!(gateway.pipeline.body_room(&facts, Side::Request), 0);
}
