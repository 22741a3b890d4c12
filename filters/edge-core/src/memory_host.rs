//! A host in memory: for tests, for `portcullis explain` and `replay`, and for whoever runs stages without a proxy.

use crate::{Call, CallToken, Host, HostError, Mono, Now, Shared, StreamFact};
use core::cell::{Cell, RefCell};
use core::time::Duration;
use std::collections::BTreeMap;

/// The check of a signature: `verify_signature`'s arguments to its answer.
pub type SignatureCheck = Box<dyn Fn(&[u8]) -> Option<Vec<u8>>>;

/// A host whose time stands still until it is moved, whose random bytes count up, and whose calls are kept for the test to answer.
///
/// Several workers of one proxy are one `MemoryHost`: shared data is what they share.
///
/// ```
/// use portcullis_edge_core::{Host, MemoryHost};
/// let host = MemoryHost::default();
/// assert_eq!(host.swap_shared("k", b"1", None), Ok(true));
/// assert_eq!(host.swap_shared("k", b"2", None), Ok(false), "somebody wrote it meanwhile");
/// ```
#[derive(Default)]
pub struct MemoryHost {
    now: Cell<Now>,
    random: Cell<u128>,
    shared: RefCell<BTreeMap<String, Shared>>,
    calls: RefCell<Vec<(CallToken, Call)>>,
    next_call: Cell<u32>,
    signatures: Option<SignatureCheck>,
    stream: RefCell<BTreeMap<StreamFact, Vec<u8>>>,
    filter_state: RefCell<BTreeMap<String, Vec<u8>>>,
    refuses_calls: Cell<bool>,
    fails_shared: Cell<bool>,
    conflicts: Cell<u32>,
}

impl MemoryHost {
    /// One whose clocks both show `now`.
    #[must_use]
    pub fn at(now: Now) -> Self {
        Self { now: Cell::new(now), ..Self::default() }
    }

    /// The same with a native check of signatures.
    #[must_use]
    pub fn with_signatures(self, check: SignatureCheck) -> Self {
        Self { signatures: Some(check), ..self }
    }

    /// The same, and says this of every stream.
    #[must_use]
    pub fn with_stream(self, fact: StreamFact, value: &[u8]) -> Self {
        self.set_stream(fact, value);
        self
    }

    /// Says this of every stream from now on.
    pub fn set_stream(&self, fact: StreamFact, value: &[u8]) {
        self.stream.borrow_mut().insert(fact, value.to_vec());
    }

    /// Has this filter state in every stream from now on.
    pub fn set_filter_state(&self, name: &str, value: &[u8]) {
        self.filter_state.borrow_mut().insert(name.to_owned(), value.to_vec());
    }

    /// Moves both clocks on.
    pub fn advance(&self, by: Duration) {
        let Now { wall, mono } = self.now.get();
        self.now.set(Now { wall: wall.plus(by), mono: mono.plus(by) });
    }

    /// Sets both clocks: the wall clock may jump back.
    pub fn set_now(&self, now: Now) {
        self.now.set(now);
    }

    /// Whether calls are refused from here on, as by a proxy without the cluster.
    pub fn refuse_calls(&self, refuse: bool) {
        self.refuses_calls.set(refuse);
    }

    /// Whether shared data fails from here on.
    pub fn fail_shared(&self, fail: bool) {
        self.fails_shared.set(fail);
    }

    /// Lets the next `times` swaps find that another worker was faster.
    pub fn conflict(&self, times: u32) {
        self.conflicts.set(times);
    }

    /// The calls made since the last time this was asked.
    #[must_use]
    pub fn take_calls(&self) -> Vec<(CallToken, Call)> {
        self.calls.take()
    }

    /// The keys of shared data, in order, with the size of each value in bytes.
    #[must_use]
    pub fn shared_sizes(&self) -> Vec<(String, usize)> {
        self.shared.borrow().iter().map(|(key, shared)| (key.clone(), shared.value.len())).collect()
    }
}

impl Host for MemoryHost {
    fn now(&self) -> Now {
        self.now.get()
    }

    fn mono(&self) -> Mono {
        self.now.get().mono
    }

    fn random_16(&self) -> [u8; 16] {
        let next = self.random.get().wrapping_add(1);
        self.random.set(next);
        next.to_be_bytes()
    }

    fn verify_signature(&self, arguments: &[u8]) -> Option<Vec<u8>> {
        self.signatures.as_ref().and_then(|check| check(arguments))
    }

    fn stream(&self, fact: StreamFact) -> Option<Vec<u8>> {
        self.stream.borrow().get(&fact).cloned()
    }

    fn filter_state(&self, name: &str) -> Option<Vec<u8>> {
        self.filter_state.borrow().get(name).cloned()
    }

    fn shared(&self, key: &str) -> Result<Option<Shared>, HostError> {
        if self.fails_shared.get() {
            return Err(HostError::BAD_ARGUMENT);
        }
        Ok(self.shared.borrow().get(key).cloned())
    }

    fn swap_shared(&self, key: &str, value: &[u8], expected: Option<u32>) -> Result<bool, HostError> {
        if self.fails_shared.get() {
            return Err(HostError::BAD_ARGUMENT);
        }
        if self.conflicts.get() > 0 {
            self.conflicts.set(self.conflicts.get().saturating_sub(1));
            return Ok(false);
        }
        let mut shared = self.shared.borrow_mut();
        let current = shared.get(key).map(|old| old.version);
        if current != expected {
            return Ok(false);
        }
        let version = current.unwrap_or(0).wrapping_add(1);
        shared.insert(key.to_owned(), Shared { value: value.to_vec(), version });
        Ok(true)
    }

    fn call(&self, call: &Call) -> Result<CallToken, HostError> {
        if self.refuses_calls.get() {
            return Err(HostError::BAD_ARGUMENT);
        }
        let token = CallToken(self.next_call.get());
        self.next_call.set(token.0.wrapping_add(1));
        self.calls.borrow_mut().push((token, call.clone()));
        Ok(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_swap_needs_the_version_that_was_read() {
        let host = MemoryHost::default();
        assert_eq!(host.shared("k"), Ok(None));
        assert_eq!(host.swap_shared("k", b"a", None), Ok(true));
        let read = host.shared("k").unwrap().unwrap();
        assert_eq!(host.swap_shared("k", b"b", Some(read.version)), Ok(true));
        assert_eq!(host.swap_shared("k", b"c", Some(read.version)), Ok(false));
        assert_eq!(host.shared("k").unwrap().unwrap().value, b"b");
    }

    #[test]
    fn faults_are_what_the_test_asks_for_and_end() {
        let host = MemoryHost::default();
        host.conflict(1);
        assert_eq!(host.swap_shared("k", b"a", None), Ok(false));
        assert_eq!(host.swap_shared("k", b"a", None), Ok(true));
        host.fail_shared(true);
        assert!(host.shared("k").is_err() && host.swap_shared("k", b"b", Some(1)).is_err());
    }
}
