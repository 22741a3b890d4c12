//! Requests that are held, and the calls that they are held for: who waits, who may go on, whose place is free again.
//!
//! A request waits for fetched documents, or for the answer to a call of its own. A call goes on to its answer even when the client
//! leaves (the proxy does not end it), so its place among those that may wait is taken until then. No client network may take all
//! places: who makes requests wait on purpose keeps others from waiting too.

use crate::order::Stage;
use core::hash::Hash;
use portcullis_edge_core::{CallToken, Mono};
use std::collections::{HashMap, VecDeque};

/// How many may wait in one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    /// All together.
    pub total: usize,
    /// Of one client network.
    pub per_client: usize,
}

/// A held request: the host's number for it, its client network, and what the host needs to go on with it.
#[derive(Clone, Debug)]
struct Held<C, S> {
    id: u32,
    client: C,
    stream: S,
}

/// A call under way for a request.
#[derive(Debug)]
struct Question<C, S> {
    client: C,
    asker: Asker,
    /// Nothing if the request has ended meanwhile.
    of: Option<(u32, S)>,
}

/// Which stage made a call, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The stage that the answer is for.
    pub stage: Stage,
    /// When the call was sent.
    pub since: Mono,
}

/// An answered call's question.
#[derive(Debug, PartialEq, Eq)]
pub struct Asked<S> {
    /// Which stage asked, and when.
    pub asker: Asker,
    /// Whose it was; nothing if that request has ended meanwhile.
    pub stream: Option<S>,
}

/// The waiting requests of a worker. `C` tells client networks apart, `S` is the host's handle of a stream.
#[derive(Debug)]
pub struct Waiting<C, S> {
    places: Places,
    /// Those that wait for fetched documents.
    waiting: Vec<Held<C, S>>,
    /// Those that need not wait any longer, and are let go by and by.
    due: VecDeque<Held<C, S>>,
    /// Calls of requests, by the host's token.
    asking: HashMap<CallToken, Question<C, S>>,
    /// Places taken, by client network.
    taken: HashMap<C, usize>,
}

impl<C: Copy + Eq + Hash, S> Waiting<C, S> {
    /// Nobody waits yet.
    #[must_use]
    pub fn new(places: Places) -> Self {
        let (waiting, due, asking, taken) = Default::default();
        Self { places, waiting, due, asking, taken }
    }

    /// Whether one more request of this client may wait.
    #[must_use]
    pub fn has_room(&self, client: C) -> bool {
        self.held() < self.places.total
            && self.taken.get(&client).copied().unwrap_or(0) < self.places.per_client
    }

    /// How many places are taken: requests that wait, and calls whose request may have ended.
    #[must_use]
    pub fn held(&self) -> usize {
        [self.waiting.len(), self.due.len(), self.asking.len()].iter().sum()
    }

    /// Whether no request waits for documents and none is due; calls end by themselves.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.due.is_empty()
    }

    /// Keeps the request `id` until [`Waiting::wake_all`]. Ask [`Waiting::has_room`] first.
    pub fn hold(&mut self, id: u32, client: C, stream: S) {
        self.take_place(client);
        self.waiting.push(Held { id, client, stream });
    }

    /// Keeps the request `id` until the answer to a call. Ask [`Waiting::has_room`] first.
    pub fn ask(&mut self, token: CallToken, asker: Asker, id: u32, client: C, stream: S) {
        self.take_place(client);
        let question = Question { client, asker, of: Some((id, stream)) };
        if let Some(old) = self.asking.insert(token, question) {
            // A host that gives a token twice has forgotten the first call.
            self.free_place(old.client);
        }
    }

    /// The answer to a call has come: whose it was. `None` if it was no request's.
    pub fn answered(&mut self, token: CallToken) -> Option<Asked<S>> {
        let Question { client, asker, of } = self.asking.remove(&token)?;
        self.free_place(client);
        Some(Asked { asker, stream: of.map(|(_, stream)| stream) })
    }

    /// Whoever waits for documents need not do so any longer.
    pub fn wake_all(&mut self) {
        self.due.extend(self.waiting.drain(..));
    }

    /// The next request that need not wait any longer.
    pub fn next_due(&mut self) -> Option<S> {
        let Held { client, stream, .. } = self.due.pop_front()?;
        self.free_place(client);
        Some(stream)
    }

    /// Forgets a request that has ended. The place of its call stays taken.
    pub fn forget(&mut self, id: u32) {
        let Self { waiting, due, asking, .. } = self;
        let gone: Vec<C> =
            waiting.iter().chain(due.iter()).filter(|held| held.id == id).map(|held| held.client).collect();
        waiting.retain(|held| held.id != id);
        due.retain(|held| held.id != id);
        for question in asking.values_mut() {
            question.of.take_if(|(of, _)| *of == id);
        }
        gone.into_iter().for_each(|client| self.free_place(client));
    }

    fn take_place(&mut self, client: C) {
        let taken = self.taken.entry(client).or_default();
        *taken = taken.saturating_add(1);
    }

    /// A client without a place is not remembered, so the map is no larger than the number of places.
    fn free_place(&mut self, client: C) {
        let Some(taken) = self.taken.get_mut(&client) else { return };
        *taken = taken.saturating_sub(1);
        if *taken == 0 {
            self.taken.remove(&client);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn waiting(total: usize, per_client: usize) -> Waiting<&'static str, u32> {
        Waiting::new(Places { total, per_client })
    }

    fn asker() -> Asker {
        Asker { stage: Stage::Token, since: Mono(5) }
    }

    #[test]
    fn one_client_cannot_take_every_place() {
        let mut waiting = waiting(3, 2);
        waiting.hold(1, "a", 1);
        waiting.ask(CallToken(7), asker(), 2, "a", 2);
        assert!(!waiting.has_room("a") && waiting.has_room("b"));
        waiting.hold(3, "b", 3);
        assert!(!waiting.has_room("c"), "no place is left at all");
    }

    #[test]
    fn the_place_of_a_call_is_taken_until_its_answer_whatever_becomes_of_its_request() {
        let mut waiting = waiting(1, 1);
        waiting.ask(CallToken(7), asker(), 1, "a", 1);
        waiting.forget(1);
        assert!(!waiting.has_room("b"));
        assert_eq!(waiting.answered(CallToken(7)), Some(Asked { asker: asker(), stream: None }));
        assert_eq!(waiting.answered(CallToken(7)), None);
        assert!(waiting.has_room("b") && waiting.taken.is_empty());
    }

    #[test]
    fn those_that_waited_for_a_document_go_on_in_their_order_once() {
        let mut waiting = waiting(9, 9);
        for id in [3, 1, 2] {
            waiting.hold(id, "a", id);
        }
        assert_eq!(waiting.next_due(), None);
        waiting.wake_all();
        waiting.forget(1);
        assert_eq!([waiting.next_due(), waiting.next_due(), waiting.next_due()], [Some(3), Some(2), None]);
        assert!(waiting.is_idle() && waiting.taken.is_empty());
    }

    #[test]
    fn a_token_that_the_host_gives_twice_leaves_no_place_taken_for_ever() {
        let mut waiting = waiting(2, 2);
        waiting.ask(CallToken(7), asker(), 1, "a", 1);
        waiting.ask(CallToken(7), asker(), 2, "b", 2);
        assert_eq!(waiting.answered(CallToken(7)).and_then(|asked| asked.stream), Some(2));
        assert_eq!((waiting.held(), waiting.taken.len()), (0, 0));
    }

    #[test]
    fn a_worker_is_idle_only_when_nobody_waits_for_a_document_and_nobody_is_due() {
        let mut waiting = waiting(9, 9);
        assert!(waiting.is_idle());
        waiting.hold(1, "a", 1);
        assert!(!waiting.is_idle(), "one waits");
        waiting.wake_all();
        assert!(!waiting.is_idle(), "one is due");
        waiting.next_due();
        waiting.ask(CallToken(7), asker(), 2, "a", 2);
        assert!(waiting.is_idle(), "calls end by themselves");
    }

    #[test]
    fn a_request_that_has_ended_leaves_its_own_place_and_no_other() {
        let mut waiting = waiting(9, 2);
        for (id, client) in [(1, "a"), (2, "a"), (3, "b"), (4, "b")] {
            waiting.hold(id, client, id);
        }
        waiting.forget(1);
        assert!(waiting.has_room("a") && !waiting.has_room("b"));
        assert_eq!(waiting.held(), 3);
        waiting.wake_all();
        waiting.forget(3);
        assert!(waiting.has_room("b"));
        assert_eq!([waiting.next_due(), waiting.next_due(), waiting.next_due()], [Some(2), Some(4), None]);
        assert!(waiting.taken.is_empty());
    }
}
