use crate::metrics::{EventAmount, EventName, EventValue, Skipped};
use crate::{Bodies, Body, Budget, Business, Happened, Needs, RawBusiness, Side};
use portcullis_edge_core::{ConfigErrors, Node};
use serde_json::{Value, json};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn compile(section: Value) -> Result<Business, Vec<String>> {
    let raw: Result<RawBusiness, ConfigErrors> = deserr::deserialize(section);
    let raw = raw.map_err(|errors| vec![format!("{errors:?}")])?;
    let (read, write) = (["GET".to_owned()], ["POST".to_owned(), "PUT".to_owned()]);
    let routes = [("/orders", &read[..]), ("/orders", &write[..]), ("/login", &write[..])];
    let compiled = raw.compile(&Node::top().key("business"), &routes);
    compiled.map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn shop() -> Business {
    compile(json!({ "max_body_bytes": 100, "events": {
        "login": { "route": "/login", "methods": ["POST"] },
        "order": { "route": "/orders", "methods": ["POST"], "statuses": [201],
            "by": { "pointer": "/data/asset", "values": ["BTC", "ETH"] },
            "amount": { "from": "request", "pointer": "/quantity", "times": "/price", "unit": "usd_cents", "decimals": 2 } } } }))
    .unwrap()
}

fn body(text: &[u8]) -> Option<Body> {
    let mut body = Body::new(&Budget::new(200));
    for byte in text {
        let read = if body.room(100) > 0 { core::slice::from_ref(byte) } else { &[] };
        body.take(read, 1);
    }
    Some(body)
}

fn order(request: &[u8], response: &[u8]) -> Happened {
    let bodies = Bodies { request: body(request), response: body(response) };
    shop().happened((1, b"POST"), 201, &bodies, true).remove(0)
}

const REQUEST: &[u8] = br#"{"quantity": "0.5", "price": 43210.99}"#;
const RESPONSE: &[u8] = br#"{"data": {"asset": "ETH"}}"#;

#[test]
fn an_event_is_a_route_a_method_and_a_status() {
    let shop = shop();
    let of =
        |route, method: &[u8], status| shop.happened((route, method), status, &Bodies::default(), true).len();
    assert_eq!((of(2, b"POST", 200), of(2, b"POST", 401), of(2, b"PUT", 200)), (1, 0, 0));
    assert_eq!((of(1, b"POST", 200), of(0, b"GET", 201)), (0, 0));
    assert_eq!(shop.needs(1, b"POST"), Needs { request: true, response: true });
    assert_eq!(shop.needs(2, b"POST"), Needs::default());
}

#[test]
fn bodies_say_what_divides_it_and_what_it_amounts_to() {
    let happened = order(REQUEST, RESPONSE);
    // After the login: BTC, ETH, other.
    let expected =
        Happened { value: EventValue(2), amount: Some((EventAmount(1), 2_160_550)), unread: vec![] };
    assert_eq!(happened, expected);
    assert_eq!(order(REQUEST, br#"{"data": {"asset": "DOGE"}}"#).value, EventValue(3));
}

#[test]
fn what_cannot_be_read_is_counted_and_the_event_too() {
    let unread = |request: &[u8], response: &[u8]| {
        let happened = order(request, response);
        assert_eq!((happened.value, happened.amount), (EventValue(3), None));
        happened.unread.into_iter().map(|(_, why)| why).collect::<Vec<_>>()
    };
    assert_eq!(unread(b"{", b""), [Skipped::NotJson, Skipped::NotJson]);
    assert_eq!(unread(b"{}", b"[1]"), [Skipped::Absent, Skipped::Absent]);
    assert_eq!(unread(br#"{"quantity": -1, "price": 1}"#, b"{}"), [Skipped::Absent, Skipped::NotAnAmount]);
    assert_eq!(unread(&[b' '; 101], &[b' '; 101]), [Skipped::TooLarge, Skipped::TooLarge]);
    assert_eq!(unread(b"\xff", br#"{"data": {"asset": null}}"#), [Skipped::Absent, Skipped::NotJson]);
}

#[test]
fn an_answer_that_breaks_off_and_a_compressed_one_say_nothing() {
    let mut coded = Body::default();
    coded.coded(b"gzip");
    assert_eq!(coded.room(100), 0);
    let bodies = Bodies { request: body(REQUEST), response: Some(coded) };
    let why = |complete| shop().happened((1, b"POST"), 201, &bodies, complete).remove(0).unread;
    assert_eq!(why(true), [(EventName(1), Skipped::Encoded)]);
    assert_eq!(why(false), [(EventName(1), Skipped::Cut)]);
}

#[test]
fn all_bodies_together_have_a_bound_and_give_back_what_they_held() {
    let budget = Budget::new(10);
    let with = |text: &[u8]| {
        let mut body = Body::new(&budget);
        body.take(text, text.len());
        body
    };
    let first = with(br#"{"a": 1}"#);
    let second = with(b"[1]");
    assert!(first.json().is_ok());
    assert_eq!(second.json().unwrap_err(), Skipped::NoRoom);
    drop((first, second));
    let mut third = with(b"[1,2,3,4]");
    assert!(third.json().is_ok());
    // Skipped, it holds nothing.
    third.take(&[], 1);
    assert!(with(b"[1,2,3,4] ").json().is_ok());
}

#[test]
fn a_head_is_no_event_unless_it_is_named() {
    let of = |methods: Value| {
        let events =
            json!({ "max_body_bytes": 1, "events": { "x": { "route": "/orders", "methods": methods } } });
        let raw: RawBusiness = deserr::deserialize::<_, _, ConfigErrors>(events).unwrap();
        let business = raw.compile(&Node::top(), &[("/orders", &["GET".to_owned(), "HEAD".to_owned()][..])]);
        business.unwrap().happened((0, b"HEAD"), 200, &Bodies::default(), true).len()
    };
    assert_eq!((of(json!([])), of(json!(["HEAD"]))), (0, 1));
}

#[test]
fn every_mistake_has_its_place() {
    let errors = compile(json!({ "max_body_bytes": 0, "max_held_bytes": 2_000_000_000, "events": {
        "A b": { "route": "/order" },
        "x": { "route": "/orders", "methods": ["DELETE"], "statuses": [42],
            "by": { "pointer": "asset", "values": ["a", "a", "other", ""] },
            "amount": { "pointer": "/a", "times": "b", "unit": "US$", "decimals": 19 } } } }))
    .unwrap_err();
    let places = [
        "max_body_bytes",
        "max_held_bytes",
        "events.A b",
        "events.A b.route",
        "events.x.methods[0]",
        "events.x.statuses[0]",
        "events.x.by.values[1]",
        "events.x.by.values[2]",
        "events.x.by.values[3]",
        "events.x.by.pointer",
        "events.x.amount.unit",
        "events.x.amount.decimals",
        "events.x.amount.times",
    ];
    assert_eq!(errors.len(), places.len(), "{errors:#?}");
    let pairs = errors.iter().zip(places);
    pairs.for_each(|(error, place)| {
        assert!(error.replace('"', "").starts_with(&format!("business.{place}")), "{error} at {place}")
    });
    assert!(errors[3].contains("did you mean `/orders`?"), "{errors:#?}");
}

#[test]
fn a_policys_events_are_listed_with_their_values_and_units() {
    let shop = shop();
    assert!(!shop.is_empty() && compile(json!({})).unwrap().is_empty());
    assert_eq!(shop.names().collect::<Vec<_>>(), ["login", "order"]);
    let usd = Some("usd_cents");
    let rows = [("login", "", None), ("order", "BTC", usd), ("order", "ETH", usd), ("order", "other", usd)];
    assert_eq!(shop.rows().collect::<Vec<_>>(), rows);
    assert_eq!((shop.most(), compile(json!({})).unwrap().most()), (100, 65_536));
}

#[test]
fn only_the_side_that_an_event_reads_is_kept() {
    let needs = |by: &str, from: &str| {
        let by = json!({ "from": by, "pointer": "/a", "values": ["x"] });
        let amount = json!({ "from": from, "pointer": "/b", "unit": "u" });
        let event = json!({ "route": "/login", "methods": ["POST"], "by": by, "amount": amount });
        compile(json!({ "events": { "e": event } })).unwrap().needs(2, b"POST")
    };
    assert_eq!(needs("request", "request"), Needs { request: true, response: false });
    assert_eq!(needs("response", "response"), Needs { request: false, response: true });
}

#[test]
fn an_event_concerns_its_own_route_and_status_alone() {
    let shop = shop();
    assert!(shop.concerns((1, b"POST"), 201) && shop.concerns((2, b"POST"), 204));
    assert!(!shop.concerns((1, b"POST"), 200) && !shop.concerns((0, b"GET"), 201));
}

#[test]
fn a_body_is_found_on_its_side_and_says_whether_it_is_read() {
    let shop = shop();
    let mut bodies = Bodies { request: Some(shop.body()), response: None };
    assert!(bodies.of_mut(Side::Response).is_none());
    bodies.of_mut(Side::Request).unwrap().take(b"{}", 2);
    let request = bodies.of(Side::Request).unwrap();
    assert!(request.is_read() && request.json().is_ok());
    bodies.of_mut(Side::Request).unwrap().coded(b"gzip");
    assert!(!bodies.of(Side::Request).unwrap().is_read());
}

#[test]
fn as_much_as_may_be_may_be() {
    let event = |by: Value, decimals: u8| {
        json!({ "route": "/login", "methods": ["POST"], "by": by,
            "amount": { "from": "request", "pointer": "/b", "unit": "u", "decimals": decimals } })
    };
    let values = |values: Vec<String>| json!({ "from": "request", "pointer": "/a", "values": values });
    let numbered = |count: usize| (0..count).map(|n| format!("v{n}")).collect::<Vec<_>>();
    let compiles = |by, decimals| compile(json!({ "events": { "e": event(by, decimals) } })).is_ok();
    assert!(compiles(values(vec!["x".repeat(100)]), 18));
    assert!(!compiles(values(vec!["x".repeat(101)]), 18) && !compiles(values(vec!["x".to_owned()]), 19));
    assert!(compiles(values(numbered(100)), 0) && !compiles(values(numbered(101)), 0));
    let events = |count: usize| {
        let plain = json!({ "route": "/login", "methods": ["POST"] });
        let events: serde_json::Map<_, _> = (0..count).map(|n| (format!("e{n}"), plain.clone())).collect();
        compile(json!({ "events": events }))
    };
    assert!(events(64).is_ok() && events(65).is_err());
}
