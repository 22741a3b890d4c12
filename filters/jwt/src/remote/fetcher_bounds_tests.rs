//! How large a document may be, and how soon one is fetched.

use super::*;
use crate::remote::DenyList;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn an_answer_may_be_as_large_as_the_policy_says_and_no_larger() {
    for (size, failure) in [(1000, None), (1001, Some(FetchFailure::TooLarge))] {
        let host = &MemoryHost::default();
        let mut worker = worker();
        let id = start(&mut worker, 0, host);
        let body = [SET, &vec![b' '; size - SET.len()]].concat();
        assert_eq!(worker.on_response(id, 200, &body, on(host, 0)).failure, failure, "{size} bytes");
    }
    assert_eq!(worker().max_bytes(), 1000);
}

#[test]
fn requests_that_wait_for_the_first_keys_do_not_make_a_retry_come_sooner() {
    let host = &MemoryHost::default();
    let mut worker = worker();
    let mut now = 0;
    for wait in [2, 4, 8, 16, 32] {
        let id = start(&mut worker, now, host);
        worker.on_failure(id, CallError::Reset, on(host, now));
        now += wait;
    }
    // The last try was 32 s ago, and the policy's `cooldown` is 30 s: that is for unknown keys.
    let id = start(&mut worker, now, host);
    worker.on_failure(id, CallError::Reset, on(host, now));
    assert!(!worker.may_wait(at(now + 63), false));
    assert_eq!(worker.poll(on(host, now + 63)).call, None);
    assert!(worker.may_wait(at(now + 64), false));
}

#[test]
fn an_unknown_key_that_comes_too_soon_is_not_looked_for_later() {
    let host = &MemoryHost::default();
    let mut worker = fetched(host);
    assert!(!worker.may_wait(at(10), true));
    assert_eq!(worker.poll(on(host, 31)).call, None, "whoever asked has been refused");
}

#[test]
fn a_deny_list_is_fetched_as_often_as_the_policy_says() {
    let host = &MemoryHost::default();
    let from = FetchFrom::Document(Target::parse("https://idp/revoked").unwrap());
    let mut worker = Fetcher::<DenyList>::new("jwt.main", &policy(from), 4);
    let (id, _) = worker.poll(on(host, 0)).call.unwrap();
    assert!(worker.on_response(id, 200, br#"{"revoked":[]}"#, on(host, 0)).fetched);
    assert_eq!(worker.poll(on(host, 599)).call, None);
    assert!(worker.poll(on(host, 600)).call.is_some());
}
