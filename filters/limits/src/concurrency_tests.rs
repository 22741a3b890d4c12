use super::*;
use crate::concurrency_rows::ROW;
use portcullis_edge_core::{Headers, MemoryHost, Now};
use serde_json::{Value, json};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const ROUTES: [&str; 2] = ["/orders", "/feed"];

fn compile(rules: Value) -> Result<Concurrency, Vec<String>> {
    let raw: RawConcurrency = deserr::deserialize::<_, _, ConfigErrors>(json!({ "rules": rules })).unwrap();
    raw.compile(&Node::top().key("concurrency"), &ROUTES)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

struct Gateway {
    limits: Concurrency,
    workers: Vec<ConcurrencyState>,
    host: MemoryHost,
}

impl Gateway {
    fn new(rules: Value) -> Self {
        let host = MemoryHost::at(Now { mono: Mono(1_000_000_000), ..Now::default() });
        let workers = (0..3).map(|worker| ConcurrencyState::new(&Namespace::new("t"), worker)).collect();
        Self { limits: compile(rules).unwrap(), workers, host }
    }

    fn take(&mut self, worker: usize, caller: &Caller<'_>) -> Taken {
        self.limits.take(caller, &mut self.workers[worker], &self.host)
    }

    fn leave(&mut self, worker: usize, taken: Taken) {
        self.limits.leave(taken.held, &mut self.workers[worker], &self.host);
    }

    fn beat(&mut self, seconds: u64, workers: &[usize]) {
        self.host.advance(Duration::from_secs(seconds));
        workers.iter().for_each(|worker| self.workers[*worker].beat(&self.host));
    }
}

fn from<'a>(address: &str, route: usize, headers: &'a Headers) -> Caller<'a> {
    let service = Some(ROUTES[route]);
    Caller { network: address.parse().ok(), route: Some(route), service, headers, subject: None }
}

#[test]
fn a_client_holds_so_many_places_over_all_workers_and_gets_them_back() {
    let mut gateway = Gateway::new(json!({ "c": { "key": ["ip"], "limit": 3 } }));
    let none = Headers::default();
    let (ann, bob) = (from("192.0.2.1", 0, &none), from("192.0.2.2", 0, &none));
    let mut held: Vec<_> = (0..3).map(|worker| gateway.take(worker, &ann)).collect();
    assert!(
        gateway.take(0, &ann).denial.is_some(),
        "workers that began after the last word of this one count"
    );
    let refused = gateway.take(1, &ann);
    assert_eq!(refused.denial.as_ref().map(|d| d.reason), Some(TOO_MANY_AT_ONCE));
    assert_eq!((refused.hits, refused.held.is_empty()), (vec![(0, Mode::Enforce)], true));
    assert!(gateway.take(1, &bob).denial.is_none());
    let last = held.pop().unwrap();
    gateway.leave(2, last);
    let again = gateway.take(0, &ann);
    assert_eq!((again.denial, again.held.is_empty()), (None, false));
    assert!(gateway.take(0, &ann).denial.is_some());
}

#[test]
fn whoever_is_refused_by_one_limit_holds_no_place_of_another() {
    let mut gateway = Gateway::new(json!({
        "a": { "key": ["ip"], "limit": 2 }, "b": { "key": ["route"], "limit": 1, "routes": ["/orders"] } }));
    let none = Headers::default();
    let ann = from("192.0.2.1", 0, &none);
    let first = gateway.take(0, &ann);
    assert!(gateway.take(0, &ann).denial.is_some());
    assert!(
        gateway.take(0, &from("192.0.2.1", 1, &none)).denial.is_none(),
        "the refused request left its first place"
    );
    gateway.leave(0, first);
    assert!(gateway.take(0, &ann).denial.is_none());
}

#[test]
fn places_of_a_worker_that_died_are_free_after_a_while() {
    let mut gateway = Gateway::new(json!({ "c": { "key": [], "limit": 2 } }));
    let none = Headers::default();
    let ann = from("192.0.2.1", 0, &none);
    let held = [gateway.take(0, &ann), gateway.take(0, &ann)];
    gateway.take(1, &ann);
    gateway.beat(30, &[0, 1]);
    assert!(gateway.take(1, &ann).denial.is_some());
    gateway.beat(30, &[1]);
    assert!(gateway.take(1, &ann).denial.is_some(), "it was heard of half a minute ago");
    gateway.beat(31, &[1]);
    assert!(gateway.take(1, &ann).denial.is_none());
    drop(held);
}

/// A gateway whose first worker could not give back the only place, which `caller` had.
fn owing_a_place(caller: &Caller<'_>) -> Gateway {
    let mut gateway = Gateway::new(json!({ "c": { "key": ["ip"], "limit": 1 } }));
    let held = gateway.take(0, caller);
    gateway.host.conflict(u32::MAX);
    gateway.leave(0, held);
    gateway.host.conflict(0);
    gateway
}

#[test]
fn a_place_that_could_not_be_given_back_is_given_back_later() {
    let none = Headers::default();
    let ann = from("192.0.2.1", 0, &none);
    let mut gateway = owing_a_place(&ann);
    assert!(gateway.take(0, &ann).denial.is_some());
    gateway.beat(6, &[0]);
    assert!(gateway.take(0, &ann).denial.is_none());
}

#[test]
fn shadow_refuses_nothing_upgrades_can_be_counted_alone_and_failures_let_pass() {
    let mut gateway = Gateway::new(json!({
        "shy": { "key": ["ip"], "limit": 1, "mode": "shadow" },
        "sockets": { "key": ["ip", "service"], "limit": 1, "upgrades_only": true } }));
    let (none, upgrade) = (Headers::default(), Headers::from_pairs([("upgrade", &b"websocket"[..])]));
    let plain = from("192.0.2.1", 0, &none);
    let held = gateway.take(0, &plain);
    let second = gateway.take(0, &plain);
    assert_eq!((second.denial, second.hits), (None, vec![(0, Mode::Shadow)]));
    let socket = from("192.0.2.1", 0, &upgrade);
    assert!(gateway.take(0, &socket).denial.is_none() && gateway.take(0, &socket).denial.is_some());
    assert!(gateway.take(0, &from("192.0.2.1", 1, &upgrade)).denial.is_none(), "another service");
    gateway.host.fail_shared(true);
    let blind = gateway.take(0, &plain);
    assert_eq!((blind.denial, blind.failures.is_empty()), (None, false));
    drop(held);
}

#[test]
fn a_flood_of_keys_takes_no_more_room_than_the_table_has() {
    let mut gateway = Gateway::new(json!({ "c": { "key": ["ip"], "limit": 1 } }));
    let none = Headers::default();
    let mut crowded = 0;
    for n in 0..80_000_u32 {
        let address = std::net::Ipv4Addr::from(n).to_string();
        crowded += gateway.take(0, &from(&address, 0, &none)).crowded;
    }
    let sizes = gateway.host.shared_sizes();
    assert!(sizes.len() <= 1024 + 2 && sizes.iter().all(|(_, size)| *size <= ROWS * ROW));
    assert!(crowded > 0);
    assert_eq!(gateway.workers[0].cells(), Cells { evicted: 0, refused: crowded.into() });
}

#[test]
fn mistakes_are_told_all_at_once() {
    let errors = compile(json!({ "A": { "key": ["user"], "limit": 0, "routes": ["/order"] } })).unwrap_err();
    assert_eq!(errors.len(), 4, "{errors:?}");
    assert!(errors[3].ends_with("did you mean `/orders`?"));
}

#[test]
fn what_is_owed_is_given_back_every_five_seconds_and_not_on_every_tick() {
    let none = Headers::default();
    let ann = from("192.0.2.1", 0, &none);
    let mut gateway = owing_a_place(&ann);
    gateway.beat(4, &[0]);
    assert!(gateway.take(1, &ann).denial.is_some());
    gateway.beat(1, &[0]);
    assert!(gateway.take(1, &ann).denial.is_none());
}

#[test]
fn keys_with_nothing_under_way_take_no_room() {
    let mut gateway = Gateway::new(json!({ "c": { "key": ["ip"], "limit": 2 } }));
    let none = Headers::default();
    let ann = from("192.0.2.1", 0, &none);
    let size = |gateway: &Gateway| -> usize {
        let sizes = gateway.host.shared_sizes();
        sizes.iter().filter(|(name, _)| name.contains("places/")).map(|(_, size)| size).sum()
    };
    let held = [gateway.take(0, &ann), gateway.take(0, &ann)];
    assert_eq!(size(&gateway), ROW);
    held.into_iter().for_each(|taken| gateway.leave(0, taken));
    assert_eq!(size(&gateway), 0);
}

#[test]
fn there_is_nothing_to_count_without_limits_that_are_on() {
    let with = |mode: &str| compile(json!({ "c": { "key": ["ip"], "limit": 1, "mode": mode } })).unwrap();
    assert!(Concurrency::default().is_empty() && with("off").is_empty());
    assert!(!with("shadow").is_empty() && !with("enforce").is_empty());
}
