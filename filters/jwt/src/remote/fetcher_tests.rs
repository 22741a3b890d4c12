#![allow(clippy::arithmetic_side_effects)]

use super::*;
use crate::token::Alg;
use portcullis_edge_core::{MemoryHost, Now, Wall};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const SET: &[u8] =
    br#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
const OTHER_SET: &[u8] =
    br#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"b","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The clock of the tests does not start at 0: no host's does.
fn at(seconds: u64) -> Mono {
    Mono(0).plus(secs(1_000 + seconds))
}

/// The host at a moment.
fn on(host: &MemoryHost, seconds: u64) -> &MemoryHost {
    let mono = at(seconds);
    host.set_now(Now { wall: Wall(mono.0), mono });
    host
}

fn rules() -> SetRules {
    SetRules { algorithms: [Alg::EdDSA].into_iter().collect(), max_keys: 4, fetched: true, min_secret: None }
}

fn policy(from: FetchFrom) -> FetchPolicy {
    FetchPolicy {
        from,
        accept: "application/jwk-set+json, application/json",
        authorization: None,
        cluster: "idp".to_owned(),
        jwks_cluster: "keys".to_owned(),
        refresh: secs(600),
        timeout: secs(5),
        retry: secs(2),
        cooldown: secs(30),
        max_age: secs(3600),
        max_bytes: 1000,
    }
}

fn worker() -> Fetcher<KeySet> {
    let from = FetchFrom::Document(Target::parse("https://idp/keys").unwrap());
    Fetcher::new("jwt.main", &policy(from), rules())
}

fn start(worker: &mut Fetcher<KeySet>, now: u64, host: &MemoryHost) -> u32 {
    worker.poll(on(host, now)).call.expect("a call").0
}

/// A worker that has fetched `SET` at 0.
fn fetched(host: &MemoryHost) -> Fetcher<KeySet> {
    let mut worker = worker();
    let id = start(&mut worker, 0, host);
    assert!(worker.on_response(id, 200, SET, on(host, 0)).changed);
    worker
}

fn kids(worker: &Fetcher<KeySet>) -> Vec<String> {
    let keys = worker.get();
    keys.iter().flat_map(|set| set.keys()).filter_map(|key| key.kid().map(str::to_owned)).collect()
}

#[test]
fn keys_are_fetched_at_once_and_again_when_they_are_due() {
    let host = &MemoryHost::default();
    let mut worker = worker();
    let (id, call) = worker.poll(on(host, 0)).call.unwrap();
    assert_eq!(call.cluster, "idp");
    assert_eq!(call.timeout, secs(5));
    assert!(call.headers.contains(&(":path", "/keys".to_owned())));
    assert!(call.headers.contains(&(":authority", "idp".to_owned())));
    assert_eq!(worker.get().map(|_| ()), None);
    let step = worker.on_response(id, 200, SET, on(host, 1));
    assert_eq!(step, Step { changed: true, wakes: true, fetched: true, ..Step::default() });
    assert_eq!(kids(&worker), ["a"]);
    assert_eq!(worker.poll(on(host, 600)), Step::default());
    let id = start(&mut worker, 601, host);
    worker.on_response(id, 200, OTHER_SET, on(host, 602));
    assert_eq!(kids(&worker), ["b"]);
}

#[test]
fn a_set_may_ask_to_be_fetched_sooner_and_never_later_or_without_end() {
    // The policy's `refresh` is 600 s, its `cooldown` 30 s.
    for (hint, due) in [("60", 60), ("1", 30), ("5000", 600), ("0", 600), ("-5", 600), ("\"60\"", 600)] {
        let host = MemoryHost::default();
        let mut worker = worker();
        let call = start(&mut worker, 0, &host);
        let set =
            String::from_utf8_lossy(SET).replacen('{', &format!("{{\"spiffe_refresh_hint\":{hint},"), 1);
        assert!(worker.on_response(call, 200, set.as_bytes(), on(&host, 0)).fetched, "{hint}");
        assert_eq!(worker.poll(on(&host, due - 1)).call, None, "{hint}");
        assert!(worker.poll(on(&host, due)).call.is_some(), "{hint}");
    }
}

#[test]
fn one_worker_fetches_for_all() {
    let host = &MemoryHost::default();
    let mut workers = [worker(), worker(), worker()];
    let calls: Vec<_> = workers.iter_mut().map(|w| w.poll(on(host, 0)).call).collect();
    assert_eq!(calls.iter().filter(|call| call.is_some()).count(), 1);
    for worker in &mut workers {
        assert!(worker.poll(on(host, 1)).call.is_none());
        assert!(worker.may_wait(at(1), false), "a fetch is in flight somewhere");
    }
    workers[0].on_response(calls[0].as_ref().unwrap().0, 200, SET, on(host, 2));
    for worker in &mut workers[1..] {
        assert_eq!(worker.poll(on(host, 3)), Step { changed: true, wakes: true, ..Step::default() });
        assert_eq!(kids(worker), ["a"]);
        assert_eq!(worker.facts(at(10)).age, Some(secs(8)), "the age is the keys', not the reading's");
    }
}

#[test]
fn of_two_workers_that_see_no_lease_one_gets_it() {
    let host = &MemoryHost::default();
    let (mut a, mut b) = (worker(), worker());
    // Both have read the shared record before either writes.
    let version = b.learn(host, &mut Step::default());
    assert!(a.poll(on(host, 0)).call.is_some());
    assert!(b.start(at(0), host, version).is_none());
}

#[test]
fn a_thousand_waiting_requests_make_one_fetch_and_each_failure_is_told_once() {
    let host = &MemoryHost::default();
    let mut worker = worker();
    let mut calls = Vec::new();
    for _ in 0..1000 {
        assert!(worker.may_wait(at(0), false));
        calls.extend(worker.poll(on(host, 0)).call);
    }
    assert_eq!(calls.len(), 1);
    let step = worker.on_failure(calls[0].0, CallError::Reset, on(host, 1));
    assert_eq!(step.failure, Some(FetchFailure::Reset));
    assert!(step.wakes);
    assert!(!worker.may_wait(at(1), false), "until the next try nobody waits");
    assert!(worker.may_wait(at(3), false));
    let id = start(&mut worker, 3, host);
    assert!(worker.on_response(id, 200, SET, on(host, 3)).changed, "the next success recovers");
}

#[test]
fn failures_are_retried_ever_more_slowly_and_no_slower_than_a_refresh() {
    let host = &MemoryHost::default();
    let mut worker = worker();
    let (mut now, mut waits) = (0, Vec::new());
    for _ in 0..12 {
        let id = start(&mut worker, now, host);
        worker.on_response(id, 500, b"", on(host, now));
        let wait = (1..).find(|wait| worker.is_due(at(now + wait))).unwrap();
        waits.push(wait);
        now += wait;
    }
    assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600]);
}

#[test]
fn the_last_good_keys_stay_while_fetching_fails_until_they_are_too_old() {
    let host = &MemoryHost::default();
    let mut worker = fetched(host);
    let mut now = 600;
    while now <= 3600 {
        let step = worker.poll(on(host, now));
        if let Some((id, _)) = step.call {
            worker.on_failure(id, CallError::Timeout, on(host, now));
        }
        assert_eq!(kids(&worker), ["a"], "at {now}");
        now += 1;
    }
    assert!(worker.facts(at(3600)).failures_in_a_row > 3);
    assert!(worker.poll(on(host, 3601)).changed);
    assert_eq!(kids(&worker), [""; 0]);
    assert_eq!(worker.facts(at(3601)).age, None);
}

#[test]
fn an_unknown_key_id_causes_a_fetch_but_not_one_after_the_other() {
    let host = &MemoryHost::default();
    let mut worker = fetched(host);
    assert!(!worker.may_wait(at(29), true), "too soon after the last fetch");
    assert!(worker.poll(on(host, 29)).call.is_none());
    assert!(worker.may_wait(at(30), true));
    let id = start(&mut worker, 30, host);
    worker.on_response(id, 200, SET, on(host, 31));
    // The key is still unknown; a flood of such tokens changes nothing until the cooldown is over.
    let mut calls = 0;
    for tenth in 310..600 {
        let mono = Mono(at(0).0 + tenth * 100_000_000);
        host.set_now(Now { wall: Wall(mono.0), mono });
        assert!(!worker.may_wait(mono, true), "{tenth}");
        calls += usize::from(worker.poll(host).call.is_some());
    }
    assert_eq!(calls, 0);
    assert!(worker.may_wait(at(60), true));
}

#[test]
fn the_cooldown_counts_for_all_workers() {
    let host = &MemoryHost::default();
    let mut a = fetched(host);
    let mut b = worker();
    b.poll(on(host, 1));
    assert!(a.may_wait(at(31), true));
    let id = start(&mut a, 31, host);
    a.on_response(id, 200, OTHER_SET, on(host, 31));
    // `b` has not heard of it and would fetch; its poll learns first.
    assert!(b.may_wait(at(32), true));
    let step = b.poll(on(host, 32));
    assert_eq!((step.call, step.changed), (None, true));
    assert_eq!(kids(&b), ["b"]);
}

#[test]
fn a_fetch_that_failed_elsewhere_counts_for_the_cooldown_too() {
    let host = &MemoryHost::default();
    let mut a = fetched(host);
    let mut b = worker();
    b.poll(on(host, 1));
    assert!(a.may_wait(at(31), true));
    let id = start(&mut a, 31, host);
    a.on_failure(id, CallError::Reset, on(host, 31));
    assert!(b.may_wait(at(32), true), "it has not heard of it");
    assert_eq!(b.poll(on(host, 32)).call, None);
    assert!(!b.may_wait(at(32), true));
}

#[test]
fn answers_that_come_late_twice_or_to_nobody_change_nothing() {
    let host = &MemoryHost::default();
    let mut worker = worker();
    assert_eq!(worker.on_response(7, 200, SET, on(host, 0)), Step::default());
    let id = start(&mut worker, 0, host);
    // The host says nothing at all.
    let step = worker.poll(on(host, 6));
    assert_eq!(step.failure, Some(FetchFailure::Timeout));
    assert_eq!(worker.on_response(id, 200, SET, on(host, 7)), Step::default());
    let next = start(&mut worker, 9, host);
    assert_eq!(worker.on_response(id, 200, SET, on(host, 9)), Step::default());
    assert!(worker.on_response(next, 200, SET, on(host, 9)).changed);
    assert_eq!(worker.on_response(next, 200, OTHER_SET, on(host, 9)), Step::default());
    assert_eq!(worker.on_failure(next, CallError::Reset, on(host, 9)), Step::default());
    assert_eq!(kids(&worker), ["a"]);
}

#[test]
fn a_worker_that_dies_with_the_lease_only_delays_the_others() {
    let host = &MemoryHost::default();
    let mut dead = worker();
    start(&mut dead, 0, host);
    drop(dead);
    let mut worker = worker();
    assert!(worker.poll(on(host, 11)).call.is_none());
    assert!(worker.poll(on(host, 12)).call.is_some());
}

#[test]
fn what_is_no_usable_set_is_a_failure_and_keeps_the_keys() {
    let too_many = format!(r#"{{"keys":[{}]}}"#, ["{}"; 5].join(","));
    let published = br#"{"keys":[{"kty":"oct","alg":"HS256","k":"AAAA"}]}"#;
    let too_large = [SET, &[b' '; 1000]].concat();
    let cases: [(u16, &[u8], FetchFailure); 9] = [
        (500, SET, FetchFailure::Status),
        (302, SET, FetchFailure::Status),
        (204, b"", FetchFailure::Status),
        (200, &too_large, FetchFailure::TooLarge),
        (200, b"<html>", FetchFailure::NotJson),
        (200, br#"{"keys":{}}"#, FetchFailure::NotAKeySet),
        (200, br#"{"keys":[]}"#, FetchFailure::NoUsableKey),
        (200, published, FetchFailure::NoUsableKey),
        (200, too_many.as_bytes(), FetchFailure::TooManyKeys),
    ];
    for (status, body, failure) in cases {
        let host = &MemoryHost::default();
        let mut worker = fetched(host);
        let id = start(&mut worker, 600, host);
        let step = worker.on_response(id, status, body, on(host, 600));
        assert_eq!(step, Step { failure: Some(failure), wakes: true, ..Step::default() });
        assert_eq!(kids(&worker), ["a"], "{failure:?}");
    }
}

#[test]
fn discovery_finds_the_keys_of_the_very_issuer() {
    let issuer = "https://idp/tenant";
    let from = || FetchFrom::Issuer {
        issuer: issuer.to_owned(),
        at: Target::parse("https://idp/tenant/.well-known/openid-configuration").unwrap(),
    };
    let answer = |document: &str| {
        let host = &MemoryHost::default();
        let mut worker = Fetcher::<KeySet>::new("jwt.main", &policy(from()), rules());
        let id = start(&mut worker, 0, host);
        worker.on_response(id, 200, document.as_bytes(), on(host, 0))
    };
    let good = answer(r#"{"issuer":"https://idp/tenant","jwks_uri":"https://cdn/k?v=1"}"#);
    let (_, call) = good.call.unwrap();
    assert_eq!(call.cluster, "keys");
    assert!(call.headers.contains(&(":authority", "cdn".to_owned())));
    assert!(call.headers.contains(&(":path", "/k?v=1".to_owned())));
    for bad in [
        r#"{"issuer":"https://idp/tenant/","jwks_uri":"https://cdn/k"}"#,
        r#"{"issuer":"https://evil","jwks_uri":"https://cdn/k"}"#,
        r#"{"jwks_uri":"https://cdn/k"}"#,
        r#"{"issuer":"https://idp/tenant"}"#,
        r#"{"issuer":"https://idp/tenant","jwks_uri":"file:///etc/passwd"}"#,
        r#"{"issuer":"https://idp/tenant","issuer":"x","jwks_uri":"https://cdn/k"}"#,
        "nonsense",
    ] {
        assert_eq!(answer(bad).failure, Some(FetchFailure::Discovery), "{bad}");
    }
}

#[test]
fn records_of_another_policy_or_garbage_are_not_believed() {
    let host = &MemoryHost::default();
    drop(fetched(host));
    let elsewhere = policy(FetchFrom::Document(Target::parse("https://other/keys").unwrap()));
    let mut worker = Fetcher::<KeySet>::new("jwt.main", &elsewhere, rules());
    assert!(worker.poll(on(host, 1)).call.is_some(), "its keys are elsewhere");
    assert_eq!(kids(&worker), [""; 0]);
    for garbage in [&b""[..], b"x", &[0xff; 40]] {
        let host = &MemoryHost::default();
        for key in ["jwt.main.status", "jwt.main.document"] {
            host.swap_shared(key, garbage, None).unwrap();
        }
        let mut worker = self::worker();
        let id = start(&mut worker, 0, host);
        assert!(worker.on_response(id, 200, SET, on(host, 0)).changed, "{garbage:?}");
    }
}

#[test]
fn a_store_that_takes_nothing_means_no_fetch_and_no_crash() {
    let host = &MemoryHost::default();
    host.fail_shared(true);
    let mut worker = worker();
    assert_eq!(worker.poll(on(host, 0)), Step::default());
}

#[test]
fn a_document_that_is_the_same_again_is_no_change_anywhere_but_it_is_young_again() {
    let host = &MemoryHost::default();
    let (mut a, mut b) = (fetched(host), worker());
    assert!(b.poll(on(host, 1)).changed);
    let id = start(&mut a, 600, host);
    let step = a.on_response(id, 200, SET, on(host, 600));
    assert_eq!(step, Step { wakes: true, fetched: true, ..Step::default() });
    assert_eq!(b.poll(on(host, 601)), Step { wakes: true, ..Step::default() });
    assert_eq!([&a, &b].map(|worker| worker.facts(at(610)).age), [Some(secs(10)); 2]);
    let id = start(&mut a, 1200, host);
    assert!(a.on_response(id, 200, OTHER_SET, on(host, 1200)).changed);
    assert!(b.poll(on(host, 1201)).changed);
    assert_eq!(kids(&b), ["b"]);
}

#[test]
fn whoever_waits_for_a_worker_that_dies_is_told_and_the_key_is_looked_for_later() {
    let host = &MemoryHost::default();
    let (mut dies, mut b) = (fetched(host), worker());
    b.poll(on(host, 1));
    assert!(dies.may_wait(at(30), true));
    start(&mut dies, 30, host);
    drop(dies);
    b.poll(on(host, 31));
    assert!(b.may_wait(at(31), true), "the other one is asking");
    assert_eq!(b.poll(on(host, 41)), Step::default());
    let step = b.poll(on(host, 42));
    assert!(step.wakes, "the lease has ended without news");
    assert!(!b.may_wait(at(42), true), "it is too early for another fetch");
    assert_eq!(b.poll(on(host, 43)), Step::default(), "told once");
    assert!(b.poll(on(host, 60)).call.is_some(), "nobody has to ask again");
}

#[path = "fetcher_bounds_tests.rs"]
mod bounds;

#[test]
fn records_that_were_read_by_other_rules_are_not_believed() {
    let host = &MemoryHost::default();
    drop(fetched(host));
    let from = || FetchFrom::Document(Target::parse("https://idp/keys").unwrap());
    let more = SetRules { algorithms: [Alg::EdDSA, Alg::RS256].into_iter().collect(), ..rules() };
    for rules in [more, SetRules { max_keys: 5, ..rules() }] {
        let mut worker = Fetcher::<KeySet>::new("jwt.main", &policy(from()), rules);
        assert!(worker.poll(on(host, 1)).call.is_some());
    }
}
