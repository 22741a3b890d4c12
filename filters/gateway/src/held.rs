//! Requests that are held, and the calls that they are held for.
//!
//! A request waits for fetched keys, or for an auth service's word on its token. All calls belong to the root context, and no
//! client that leaves ends one: a question goes on to its answer, and has its place among those that may wait until then.

use crate::host::{self, Map};
use crate::http::{perform, warn_if_failed};
use crate::proxy::ThisProxy;
use crate::root::Shared;
use core::cell::{Cell, RefCell, RefMut};
use core::time::Duration;
use portcullis_edge_core::{CallError, HttpCall, Mono};
use portcullis_jwt::{CallId, FetchFailure, Fetched, MAX_ANSWER, Polled, Tokens};
use portcullis_metrics::GatewayMetrics;
use portcullis_pipeline::{Facts, Pipeline, Step, Worker};
use proxy_wasm::types::{Action, LogLevel};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

/// The tick while requests wait: how soon a fetch begins, and how soon the fetch of another worker is heard of.
pub const SOON: Duration = Duration::from_millis(2);

/// How many requests are let go in one callback. Envoy does what a callback asked for when it returns, calls the module again
/// for each answer, and does what that asked for inside: some hundreds of answers at once overflow the VM's stack.
const AT_ONCE: usize = 16;

/// A request on its way through this filter.
pub struct Stream {
    /// Its context.
    pub context: u32,
    /// What it turned out to be; nothing before its headers came.
    pub facts: RefCell<Option<Facts>>,
    /// Whether it waits.
    pub held: Cell<bool>,
}

/// A question under way.
struct Question {
    /// Nothing if its request has ended meanwhile.
    of: Option<Rc<Stream>>,
    since: Mono,
}

/// What a worker waits for.
#[derive(Default)]
pub struct Calls {
    /// Requests that wait for keys.
    waiting: Vec<Rc<Stream>>,
    /// Requests that need not wait any longer, and are let go by and by.
    due: VecDeque<Rc<Stream>>,
    /// Questions to an auth service, by call.
    asking: HashMap<u32, Question>,
    /// Fetches, by call.
    fetching: HashMap<u32, CallId>,
}

impl Calls {
    /// How many requests wait, and questions of requests that did.
    pub fn held(&self) -> usize {
        [self.waiting.len(), self.due.len(), self.asking.len()].iter().sum()
    }

    /// Forgets a request that has ended.
    pub fn forget(&mut self, context: u32) {
        self.waiting.retain(|stream| stream.context != context);
        self.due.retain(|stream| stream.context != context);
        for question in self.asking.values_mut() {
            question.of.take_if(|stream| stream.context == context);
        }
    }
}

impl Shared {
    /// Does what the pipeline says about a request of which the current calls speak. `home` is the context whose callback
    /// is running.
    pub fn proceed(&self, stream: &Rc<Stream>, step: Step, home: u32) -> Action {
        let mut step = step;
        loop {
            step = match step {
                Step::Wait if self.hold(stream) => return Action::Pause,
                Step::Ask(call) => match self.ask(stream, call, home) {
                    Ok(()) => return Action::Pause,
                    Err(Some(error)) => self.answer(stream, Err(error)),
                    Err(None) => self.refuse(stream),
                },
                Step::Wait => self.refuse(stream),
                done => {
                    if matches!(done, Step::ServeMetrics) {
                        self.measure();
                    }
                    stream.held.set(false);
                    return perform(self, stream, done);
                }
            }
        }
    }

    /// Keeps a request until keys come, unless too many wait already.
    fn hold(&self, stream: &Rc<Stream>) -> bool {
        let Some(mut calls) = self.room() else { return false };
        calls.waiting.push(Rc::clone(stream));
        stream.held.set(true);
        self.tick_every(SOON);
        true
    }

    fn room(&self) -> Option<RefMut<'_, Calls>> {
        let calls = self.calls.try_borrow_mut().ok()?;
        (calls.held() < self.pipeline.max_waiting()).then_some(calls)
    }

    /// Asks an auth service; `None` if too many ask already.
    fn ask(&self, stream: &Rc<Stream>, call: HttpCall, home: u32) -> Result<(), Option<CallError>> {
        let mut calls = self.room().ok_or(None)?;
        let since = host::mono();
        let Ok(id) = self.errands.send(call, home) else {
            self.count_question(since, false);
            return Err(Some(CallError::NotSent));
        };
        calls.asking.insert(id, Question { of: Some(Rc::clone(stream)), since });
        stream.held.set(true);
        Ok(())
    }

    /// A question that could not even be sent is a failure of the auth service like any other to whoever looks at its calls.
    fn count_question(&self, since: Mono, succeeded: bool) {
        let took = host::mono().since(since);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.with_metrics(|metrics| metrics.auth_service_call(succeeded, micros));
    }

    fn refuse(&self, stream: &Rc<Stream>) -> Step {
        self.with_metrics(GatewayMetrics::waiting_refused);
        self.judge(stream, |shared, facts| shared.pipeline.refuse_waiting(facts, &ThisProxy))
    }

    fn answer(&self, stream: &Rc<Stream>, answer: Result<(u16, &[u8]), CallError>) -> Step {
        self.judge_with_worker(stream, |pipeline, facts, worker| {
            pipeline.on_auth_answer(facts, answer, host::now(), worker, &ThisProxy)
        })
    }

    fn resume(&self, stream: &Rc<Stream>) -> Step {
        self.judge_with_worker(stream, |pipeline, facts, worker| {
            pipeline.resume(facts, host::now(), worker, &ThisProxy)
        })
    }

    /// A callback inside another, if there ever is one, finds the worker busy; its request is refused then.
    fn judge_with_worker(
        &self,
        stream: &Rc<Stream>,
        judge: impl FnOnce(&Pipeline, &mut Facts, &mut Worker) -> Step,
    ) -> Step {
        self.judge(stream, |shared, facts| match shared.worker.try_borrow_mut() {
            Ok(mut worker) => judge(&shared.pipeline, facts, &mut worker),
            Err(_) => shared.pipeline.refuse_waiting(facts, &ThisProxy),
        })
    }

    fn judge(&self, stream: &Rc<Stream>, judge: impl FnOnce(&Self, &mut Facts) -> Step) -> Step {
        match stream.facts.try_borrow_mut().as_deref_mut() {
            Ok(Some(facts)) => judge(self, facts),
            // A request without facts was never judged, and is not held.
            _ => Step::Reply(portcullis_pipeline::LocalReply::unavailable()),
        }
    }

    /// Starts fetches that are due, learns of those of other workers, and lets go whoever waited for them.
    pub fn poll(&self, home: u32) {
        let polled = self.with_tokens(|tokens| tokens.poll(&ThisProxy));
        self.act(polled.unwrap_or_default());
        self.release(home);
        let is_idle =
            self.calls.try_borrow().is_ok_and(|calls| calls.waiting.is_empty() && calls.due.is_empty());
        self.tick_every(if is_idle { self.until_flush() } else { SOON });
    }

    /// The answer to a call has come, or will not (`num_headers` is 0).
    pub fn on_call_response(&self, call: u32, num_headers: usize, home: u32) {
        let Ok(mut calls) = self.calls.try_borrow_mut() else { return };
        let (fetch, question) = (calls.fetching.remove(&call), calls.asking.remove(&call));
        drop(calls);
        if let Some(fetch) = fetch {
            self.fetched(fetch, num_headers, home);
        } else if let Some(question) = question {
            self.told(&question, num_headers, home);
        }
    }

    fn fetched(&self, call: CallId, num_headers: usize, home: u32) {
        let polled = self.with_tokens(|tokens| {
            let max = tokens.max_answer(call).saturating_add(1);
            match answer_at_hand(num_headers, max) {
                Ok((status, body)) => tokens.on_response(call, status, &body, &ThisProxy),
                Err(error) => tokens.on_failure(call, error, &ThisProxy),
            }
        });
        self.act(polled.unwrap_or_default());
        self.release(home);
    }

    fn told(&self, question: &Question, num_headers: usize, home: u32) {
        let answer = answer_at_hand(num_headers, MAX_ANSWER.saturating_add(1));
        let answer = answer.as_ref().map(|(status, body)| (*status, body.as_slice())).map_err(|e| *e);
        // What nobody waits for any more is not read.
        let mut believed = matches!(answer, Ok((200, _)));
        let since = question.since;
        if let Some(stream) = &question.of {
            self.let_go(stream, home, |shared| {
                let before = shared.answers_believed();
                let step = shared.answer(stream, answer);
                believed = shared.answers_believed() != before;
                step
            });
        }
        self.count_question(since, believed);
    }

    fn answers_believed(&self) -> u64 {
        self.with_tokens(|tokens| tokens.answers_believed()).unwrap_or(0)
    }

    /// Makes the calls that the machines want, and tells whoever waited, if something was settled.
    fn act(&self, polled: Polled) {
        let Polled { mut calls, mut settled, mut ended } = polled;
        while let Some((id, call)) = calls.pop() {
            match host::call(&call) {
                Ok(token) => {
                    if let Ok(mut calls) = self.calls.try_borrow_mut() {
                        calls.fetching.insert(token, id);
                    }
                }
                Err(_) => {
                    let more = self.with_tokens(|t| t.on_failure(id, CallError::NotSent, &ThisProxy));
                    let more = more.unwrap_or_default();
                    calls.extend(more.calls);
                    ended.extend(more.ended);
                    settled |= more.settled;
                }
            }
        }
        ended.iter().for_each(|(index, failure)| self.count_fetch(*index, *failure));
        if settled {
            self.settle();
        }
    }

    fn count_fetch(&self, index: usize, failure: Option<FetchFailure>) {
        self.with_metrics(|metrics| metrics.fetched(index, failure.map(FetchFailure::index)));
        let what = self.with_tokens(|tokens| tokens.fetched_at(index)).flatten();
        if let Some((Fetched { provider, what }, why)) = what.zip(failure) {
            let why = why.as_str();
            let told = format!("portcullis: fetching the {what} of the provider {provider} failed: {why}");
            host::log(LogLevel::Warn, &told);
        }
    }

    /// Tells the age of what is fetched, what the cache did, and how many requests wait.
    pub fn measure(&self) {
        let held = self.calls.try_borrow().map_or(0, |calls| calls.held());
        let facts = self.with_tokens(|tokens| {
            let ages: Vec<_> = tokens.facts(host::mono()).map(|(_, facts)| facts.age).collect();
            (ages, [tokens.cache_hits(), tokens.cache_misses(), tokens.cache_evictions()])
        });
        let Some((ages, cache)) = facts else { return };
        let before = self.cache_told.replace(cache);
        let [hits, misses, evictions] = [0, 1, 2].map(|n| difference(&cache, &before, n));
        self.with_metrics(|metrics| {
            metrics.waiting(u64::try_from(held).unwrap_or(u64::MAX));
            metrics.cache(hits, misses, evictions);
            let ages = ages.iter().map(|age| age.map(|age| age.as_secs())).enumerate();
            ages.for_each(|(index, age)| metrics.document_age(index, age));
        });
    }

    /// Whoever waits for keys need not do so any longer.
    fn settle(&self) {
        if let Ok(mut calls) = self.calls.try_borrow_mut() {
            let Calls { waiting, due, .. } = &mut *calls;
            due.extend(waiting.drain(..));
            self.tick_every(SOON);
        }
    }

    /// Judges again some of those who need not wait any longer.
    fn release(&self, home: u32) {
        for _ in 0..AT_ONCE {
            let next = self.calls.try_borrow_mut().ok().and_then(|mut calls| calls.due.pop_front());
            let Some(stream) = next else { return };
            self.let_go(&stream, home, |shared| shared.resume(&stream));
        }
    }

    /// Judges a held request with `judge`, and sends it on its way if it need not wait any longer.
    fn let_go(&self, stream: &Rc<Stream>, home: u32, judge: impl FnOnce(&Self) -> Step) {
        // A stream that is gone has no context any more, and nobody to answer.
        if host::speak_of(stream.context).is_ok() {
            let step = judge(self);
            if self.proceed(stream, step, home) == Action::Continue {
                warn_if_failed(host::continue_request(), "send a request on");
            }
        }
        warn_if_failed(host::speak_of(home), "go back to a context");
    }

    fn with_tokens<T>(&self, run: impl FnOnce(&mut Tokens) -> T) -> Option<T> {
        self.worker.try_borrow_mut().ok()?.tokens.as_mut().map(run)
    }
}

fn difference(now: &[u64; 3], before: &[u64; 3], n: usize) -> u64 {
    let of = |counts: &[u64; 3]| counts.get(n).copied().unwrap_or(0);
    of(now).saturating_sub(of(before))
}

/// Status and body of the answer that the running callback is about.
fn answer_at_hand(num_headers: usize, max: usize) -> Result<(u16, Vec<u8>), CallError> {
    if num_headers == 0 {
        return Err(CallError::Reset);
    }
    let status = host::header(Map::CallResponse, ":status").ok();
    let status = status.and_then(|text| core::str::from_utf8(&text).ok()?.parse().ok());
    let body = host::call_body(max).unwrap_or_default();
    status.map(|status| (status, body)).ok_or(CallError::Reset)
}
