use super::*;
use crate::{Cells, LOGIN_BLOCKED, LoginState, Noted, StoreError, TokenUseState};
use core::time::Duration;
use portcullis_edge_core::{ConfigErrors, MemoryHost, Mono, Namespace, Now};
use serde_json::{Value, json};
use std::net::Ipv4Addr;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const ROUTES: [&str; 2] = ["/orders", "/auth/login"];

fn compile(section: Value) -> Result<Abuse, Vec<String>> {
    let raw: RawAbuse = deserr::deserialize::<_, _, ConfigErrors>(section).unwrap();
    raw.compile(&Node::top().key("abuse"), &ROUTES)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn network(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

fn host() -> MemoryHost {
    MemoryHost::at(Now { mono: Mono(1_000_000_000_000), ..Now::default() })
}

/// Logins of two workers.
struct Door {
    logins: Logins,
    workers: [LoginState; 2],
    host: MemoryHost,
}

impl Door {
    fn new(section: Value) -> Self {
        let logins = compile(json!({ "failed_logins": section })).unwrap().logins.unwrap();
        let worker = || LoginState::new(&Namespace::new("t"));
        Self { logins, workers: [worker(), worker()], host: host() }
    }

    fn answer(&mut self, worker: usize, from: &str, status: u16) -> Noted {
        let worker = &mut self.workers[worker];
        let suspect = self.logins.network(network(from), worker, &self.host).unwrap();
        self.logins.note(suspect, status, worker, &self.host).unwrap()
    }

    fn blocked_for(&mut self, worker: usize, from: &str) -> Option<u64> {
        let worker = &mut self.workers[worker];
        let suspect = self.logins.network(network(from), worker, &self.host).unwrap();
        let blocked = self.logins.blocked(suspect, worker, &self.host).unwrap();
        blocked.map(|denial| {
            assert_eq!(denial.reason, LOGIN_BLOCKED);
            denial.retry_after.unwrap().as_secs()
        })
    }

    fn account_answer(&mut self, worker: usize, account: &str) -> Noted {
        let worker = &mut self.workers[worker];
        let suspect = self.logins.account(account, worker, &self.host).unwrap();
        self.logins.note(suspect, 401, worker, &self.host).unwrap()
    }

    fn is_account_blocked(&mut self, worker: usize, account: &str) -> bool {
        let worker = &mut self.workers[worker];
        let suspect = self.logins.account(account, worker, &self.host).unwrap();
        self.logins.blocked(suspect, worker, &self.host).unwrap().is_some()
    }

    fn wait(&self, seconds: u64) {
        self.host.advance(Duration::from_secs(seconds));
    }
}

#[test]
fn five_failures_within_the_time_block_the_network_for_all_workers_until_the_block_ends() {
    let mut door = Door::new(json!({ "routes": ["/auth/login"] }));
    for n in 1..5 {
        assert_eq!(door.answer(n % 2, "192.0.2.1", 401), Noted::Failure(n));
        assert_eq!(door.answer(n % 2, "192.0.2.1", 200), Noted::Nothing);
        assert_eq!(door.blocked_for(0, "192.0.2.1"), None);
        door.wait(70);
    }
    assert_eq!(door.answer(0, "192.0.2.1", 401), Noted::Blocks);
    assert_eq!((door.blocked_for(0, "192.0.2.1"), door.blocked_for(1, "192.0.2.1")), (Some(300), Some(300)));
    assert_eq!(door.blocked_for(0, "192.0.2.2"), None);
    door.wait(299);
    assert_eq!(door.blocked_for(1, "192.0.2.1"), Some(1));
    door.wait(1);
    assert_eq!(door.blocked_for(1, "192.0.2.1"), None);
    assert_eq!(door.answer(0, "192.0.2.1", 401), Noted::Failure(1), "a block begins with nothing");
}

#[test]
fn failures_count_within_any_stretch_of_the_time() {
    let mut door = Door::new(json!({ "routes": ["/auth/login"], "failures": 3, "within": "100s" }));
    for (pause, expected) in [(0, 1), (60, 2), (60, 2), (60, 2)] {
        door.wait(pause);
        assert_eq!(door.answer(0, "192.0.2.1", 401), Noted::Failure(expected));
    }
    door.wait(30);
    assert_eq!(door.answer(0, "192.0.2.1", 401), Noted::Blocks);
}

#[test]
fn statuses_and_routes_are_the_policys() {
    let mut door = Door::new(json!({ "routes": ["/auth/login"], "statuses": [401, 404], "failures": 2 }));
    assert_eq!(door.answer(0, "192.0.2.1", 404), Noted::Failure(1));
    assert_eq!(door.answer(0, "192.0.2.1", 401), Noted::Blocks);
    let is_login = |route| door.logins.is_login(route);
    assert!(is_login(Some(1)) && !is_login(Some(0)) && !is_login(None));
}

#[test]
fn a_flood_neither_lifts_a_block_nor_makes_the_gateway_forget_one_that_failed_often() {
    let mut door = Door::new(json!({ "routes": ["/auth/login"] }));
    for _ in 0..5 {
        door.answer(0, "192.0.2.1", 401);
    }
    for _ in 0..4 {
        door.answer(0, "192.0.2.2", 401);
    }
    for n in 0..50_000_u32 {
        door.answer(0, &Ipv4Addr::from(n).to_string(), 401);
    }
    assert_eq!(door.blocked_for(0, "192.0.2.1"), Some(300));
    assert_eq!(door.answer(0, "192.0.2.2", 401), Noted::Blocks);
    // Of 50,002 networks the table still holds 16 in each of 256 blocks at most.
    let Cells { evicted, refused } = door.workers[0].cells();
    assert!(evicted >= 50_002 - 256 * 16 && refused == 0, "{evicted} {refused}");
    let sizes = door.host.shared_sizes();
    assert!(sizes.len() <= 257 && sizes.iter().all(|(_, size)| *size <= 16 * (3 + 5) * 8));
}

#[test]
fn a_failure_that_finds_only_blocked_networks_is_told() {
    let mut door = Door::new(json!({ "routes": ["/auth/login"], "failures": 1 }));
    let last = (0..20_000_u32).map(|n| door.answer(0, &Ipv4Addr::from(n).to_string(), 401)).last();
    assert_eq!(last, Some(Noted::NoRoom));
    assert_eq!(door.workers[0].cells(), Cells { evicted: 0, refused: 20_000 - 256 * 16 });
}

#[test]
fn a_clock_that_jumps_back_blocks_nobody_for_longer_and_failures_of_shared_data_are_told() {
    let mut door = Door::new(json!({ "routes": ["/auth/login"], "failures": 1 }));
    door.answer(0, "192.0.2.1", 401);
    door.host.set_now(Now { mono: Mono(5), ..Now::default() });
    assert_eq!(door.blocked_for(0, "192.0.2.1"), Some(300));
    door.host.fail_shared(true);
    let [worker, _] = &mut door.workers;
    let suspect = door.logins.network(network("192.0.2.1"), worker, &door.host).unwrap();
    assert_eq!(door.logins.blocked(suspect, worker, &door.host), Err(StoreError::Host));
}

#[test]
fn an_account_is_blocked_however_it_is_spelt_and_networks_are_not_for_it() {
    let account = json!({ "field": "/email", "failures": 3 });
    let mut door = Door::new(json!({ "routes": ["/auth/login"], "account": account }));
    let spelt = ["eve@example.com", "EVE@example.com", " Eve@Example.COM "];
    let seen: Vec<_> = spelt.into_iter().map(|account| door.account_answer(0, account)).collect();
    assert_eq!(seen, [Noted::Failure(1), Noted::Failure(2), Noted::Blocks]);
    assert!(door.is_account_blocked(1, "eve@example.com") && !door.is_account_blocked(0, "adam@example.com"));
    assert_eq!(door.blocked_for(0, "192.0.2.1"), None);
    door.wait(300);
    assert!(!door.is_account_blocked(0, "eve@example.com"));
}

#[test]
fn made_up_accounts_push_out_no_network() {
    let account = json!({ "field": "/email" });
    let mut door = Door::new(json!({ "routes": ["/auth/login"], "account": account }));
    assert_eq!(door.answer(0, "192.0.2.1", 401), Noted::Failure(1));
    for n in 0..20_000 {
        door.account_answer(0, &format!("user-{n}"));
    }
    assert_eq!(door.answer(0, "192.0.2.1", 401), Noted::Failure(2));
}

#[test]
fn a_token_may_be_used_from_so_many_networks_within_the_time() {
    let rule = compile(json!({ "tokens": { "networks": 2, "within": "1h" } })).unwrap().tokens.unwrap();
    let (host, namespace) = (host(), Namespace::new("t"));
    let mut workers = [TokenUseState::new(&namespace), TokenUseState::new(&namespace)];
    let mut may = |worker: usize, token, from: &str| {
        rule.may_use(token, network(from), &mut workers[worker], &host).unwrap()
    };
    assert!(may(0, 7, "192.0.2.1") && may(1, 7, "192.0.2.2") && !may(0, 7, "2001:db8::"));
    assert!(may(0, 7, "192.0.2.1") && may(0, 7, "192.0.2.2"), "those who came first go on");
    assert!(may(1, 8, "2001:db8::"), "another token");
    host.advance(Duration::from_secs(1800));
    assert!(may(0, 7, "192.0.2.1") && !may(1, 7, "2001:db8::"));
    host.advance(Duration::from_secs(1801));
    assert!(may(1, 7, "2001:db8::"), "one of them was not seen for an hour");
    assert!(!may(1, 7, "192.0.2.2"));
}

#[test]
fn tokens_of_any_number_take_the_room_of_the_table() {
    let rule = compile(json!({ "tokens": { "networks": 1 } })).unwrap().tokens.unwrap();
    let (host, mut state) = (host(), TokenUseState::new(&Namespace::new("t")));
    for token in 0..40_000 {
        rule.may_use(token, network("192.0.2.1"), &mut state, &host).unwrap();
    }
    assert_eq!(state.cells(), Cells { evicted: 40_000 - 1024 * 16, refused: 0 });
    let sizes = host.shared_sizes();
    assert!(sizes.len() <= 1025 && sizes.iter().all(|(_, size)| *size <= 16 * 4 * 8));
}

#[test]
fn networks_are_blocked_by_list_unless_they_are_trusted() {
    let blocks = |mode: &str, from: &str| {
        let section = json!({ "blocked": { "networks": ["203.0.113.0/24", "2001:db8::/32"], "mode": mode },
            "trusted_networks": ["203.0.113.7"] });
        compile(section).unwrap().blocks(network(from))
    };
    assert_eq!(blocks("enforce", "203.0.113.9"), Some(Mode::Enforce));
    assert_eq!(blocks("shadow", "2001:db8:5::"), Some(Mode::Shadow));
    assert_eq!(blocks("off", "203.0.113.9"), None);
    assert_eq!(blocks("enforce", "203.0.113.7"), None);
    assert_eq!(blocks("enforce", "192.0.2.1"), None);
    assert_eq!(blocks("enforce", "unknown"), None);
}

#[test]
fn mistakes_are_told_all_at_once() {
    let errors = compile(json!({
        "blocked": { "networks": ["203.0.113.1/24"] },
        "failed_logins": { "routes": ["/login"], "statuses": [200], "failures": 0, "within": "0s" },
        "tokens": { "networks": 33 } }))
    .unwrap_err();
    let places: Vec<_> = errors.iter().map(|error| error.split(':').next().unwrap()).collect();
    assert_eq!(
        places,
        [
            "abuse.blocked.networks[0]",
            "abuse.failed_logins.within",
            "abuse.failed_logins.failures",
            "abuse.failed_logins.routes[0]",
            "abuse.failed_logins.statuses[0]",
            "abuse.tokens.networks",
        ]
    );
}

#[test]
fn each_rule_has_its_own_enforcement_mode() {
    let modes = |mode: &str| {
        let section = json!({
            "failed_logins": { "routes": ["/auth/login"], "mode": mode }, "tokens": { "networks": 2, "mode": mode } });
        let abuse = compile(section).unwrap();
        (abuse.logins.map(|logins| logins.mode()), abuse.tokens.map(|tokens| tokens.mode()))
    };
    assert_eq!(modes("enforce"), (Some(Mode::Enforce), Some(Mode::Enforce)));
    assert_eq!(modes("shadow"), (Some(Mode::Shadow), Some(Mode::Shadow)));
    assert_eq!(modes("off"), (None, None));
}

#[test]
fn a_failure_counts_no_longer_when_its_time_is_over() {
    let mut door = Door::new(json!({ "routes": ["/auth/login"], "failures": 2, "within": "100s" }));
    assert_eq!(door.answer(0, "192.0.2.1", 401), Noted::Failure(1));
    door.wait(100);
    assert_eq!(door.answer(0, "192.0.2.1", 401), Noted::Failure(1));
    door.wait(99);
    assert_eq!(door.answer(0, "192.0.2.1", 401), Noted::Blocks);
}

#[test]
fn blocks_that_have_ended_make_room() {
    let mut door = Door::new(json!({ "routes": ["/auth/login"], "failures": 1, "block_for": "60s" }));
    let flood = |door: &mut Door, first: u32| {
        (first..first + 20_000).for_each(|n| _ = door.answer(0, &Ipv4Addr::from(n).to_string(), 401));
    };
    flood(&mut door, 0);
    door.wait(60);
    flood(&mut door, 20_000);
    // Nobody had to go for others in either flood; each found room for 16 in each of 256 blocks.
    assert_eq!(door.workers[0].cells(), Cells { evicted: 0, refused: 2 * (20_000 - 256 * 16) });
}

#[test]
fn a_worker_that_has_just_seen_a_token_asks_again_after_a_tenth_of_the_time_or_half_a_minute() {
    for (within, remembered) in [("100s", 10), ("1h", 30)] {
        let section = json!({ "tokens": { "networks": 1, "within": within } });
        let rule = compile(section).unwrap().tokens.unwrap();
        let (host, mut state) = (host(), TokenUseState::new(&Namespace::new("t")));
        let mut may = |from: &str| rule.may_use(7, network(from), &mut state, &host);
        assert_eq!((may("192.0.2.1"), may("192.0.2.2")), (Ok(true), Ok(false)));
        host.fail_shared(true);
        host.advance(Duration::from_secs(remembered - 1));
        assert_eq!((may("192.0.2.1"), may("192.0.2.2")), (Ok(true), Err(StoreError::Host)), "{within}");
        host.advance(Duration::from_secs(1));
        assert_eq!(may("192.0.2.1"), Err(StoreError::Host), "{within}");
    }
}

#[test]
fn a_network_that_was_not_seen_for_the_whole_time_makes_room_for_another() {
    let rule = compile(json!({ "tokens": { "networks": 1, "within": "100s" } })).unwrap().tokens.unwrap();
    let (host, mut state) = (host(), TokenUseState::new(&Namespace::new("t")));
    let mut may = |from: &str| rule.may_use(7, network(from), &mut state, &host).unwrap();
    assert!(may("192.0.2.1"));
    host.advance(Duration::from_secs(99));
    assert!(!may("192.0.2.2"));
    host.advance(Duration::from_secs(1));
    assert!(may("192.0.2.2"));
}
