//! Requests that are held, and the calls that they are held for: what the pipeline's [`Waiting`](portcullis_pipeline::Waiting) decides
//! is done here. All calls belong to the root context, and no client that leaves ends one.

use crate::host;
use crate::perform::{look_at_held, perform, warn_if_failed};
use crate::proxy::ThisProxy;
use crate::shared::{SOON, Shared};
use crate::stream::Stream;
use portcullis_edge_core::{Answered, Call, CallError, CallToken};
use portcullis_jwt::{CallId, FetchFailure, Fetched, MAX_ANSWER, Polled, Skipped};
use portcullis_pipeline::{
    Asked, Asker, Event, Facts, GatewayMetrics, LOGIN_ROOM, LocalReply, Pipeline, Step, Worker,
};
use proxy_wasm::types::{Action, LogLevel};
use std::rc::Rc;

/// How many requests are let go in one callback. Envoy does what a callback asked for when it returns, calls the module again
/// for each answer, and does what that asked for inside: some hundreds of answers at once overflow the VM's stack.
const AT_ONCE: usize = 16;

impl Shared {
    /// Does what the pipeline says about a request of which the current host calls are. `current` is the context whose callback
    /// is running.
    pub fn proceed(&self, stream: &Rc<Stream>, step: Step, current: u32) -> Action {
        let mut step = step;
        loop {
            step = match step {
                Step::Wait if self.hold(stream) => return Action::Pause,
                Step::Wait => self.refuse(stream),
                Step::Call(call) => match self.ask(stream, call, current) {
                    Ok(()) => return Action::Pause,
                    Err(step) => step,
                },
                done => {
                    stream.held.set(false);
                    let action = perform(self, stream, done);
                    if action == Action::Continue {
                        self.watch(stream);
                    }
                    return action;
                }
            }
        }
    }

    /// Keeps a request until documents come, unless too many wait already.
    fn hold(&self, stream: &Rc<Stream>) -> bool {
        let Some(client) = stream.with_facts(|facts| self.pipeline.client_network(facts)) else {
            return false;
        };
        let Ok(mut waiting) = self.waiting.try_borrow_mut() else { return false };
        if !waiting.has_room(client) {
            return false;
        }
        waiting.hold(stream.context, client, Rc::clone(stream));
        stream.held.set(true);
        self.tick_every(SOON);
        true
    }

    /// Makes a request's call; if that cannot be, what to do with the request instead.
    fn ask(&self, stream: &Rc<Stream>, call: Call, current: u32) -> Result<(), Step> {
        let known = stream.with_facts(|facts| (self.pipeline.client_network(facts), facts.at));
        let Some((client, stage)) = known else { return Err(self.refuse(stream)) };
        let Ok(mut waiting) = self.waiting.try_borrow_mut() else { return Err(self.refuse(stream)) };
        if !waiting.has_room(client) {
            drop(waiting);
            return Err(self.refuse(stream));
        }
        let asker = Asker { stage, since: host::mono() };
        match self.root_calls.send(call, current) {
            Ok(token) => {
                waiting.ask(token, asker, stream.context, client, Rc::clone(stream));
                stream.held.set(true);
                Ok(())
            }
            Err(_) => {
                drop(waiting);
                Err(self.not_sent(stream, asker))
            }
        }
    }

    /// A call that could not even be sent has failed like any other to whoever looks at the calls.
    fn not_sent(&self, stream: &Stream, asker: Asker) -> Step {
        self.count_call(asker, false);
        self.judge(stream, Event::Answer(Err(CallError::NotSent)))
    }

    fn count_call(&self, asker: Asker, usable: bool) {
        let now = host::mono();
        self.with_metrics(|metrics| self.pipeline.count_call(asker, usable, now, metrics));
    }

    fn refuse(&self, stream: &Stream) -> Step {
        self.with_metrics(GatewayMetrics::waiting_refused);
        self.judge(stream, Event::NoRoom)
    }

    fn judge(&self, stream: &Stream, event: Event<'_>) -> Step {
        let judged =
            self.with(stream, |pipeline, facts, worker| pipeline.resume(facts, event, &ThisProxy, worker));
        judged.unwrap_or_else(|| Step::Reply(LocalReply::unavailable()))
    }

    /// A callback inside another, if there ever is one, finds the worker busy; a request without facts was never judged.
    fn with<T>(
        &self,
        stream: &Stream,
        run: impl FnOnce(&Pipeline, &mut Facts, &mut Worker) -> T,
    ) -> Option<T> {
        let mut worker = self.worker.try_borrow_mut().ok()?;
        stream.with_facts(|facts| run(&self.pipeline, facts, &mut worker))
    }

    /// Starts fetches that are due, learns of those of other workers, and lets go whoever waited for them.
    pub fn poll(&self, current: u32) {
        let polled = self.with_tokens(|tokens| tokens.poll(&ThisProxy));
        self.act(polled.unwrap_or_default());
        self.release(current);
        let is_idle = self.waiting.try_borrow().is_ok_and(|waiting| waiting.is_idle());
        self.tick_every(if is_idle { self.until_flush() } else { SOON });
    }

    /// The answer to an HTTP call has come, or will not (`num_headers` is 0).
    pub fn on_http_answer(&self, token: u32, num_headers: usize, current: u32) {
        let fetch =
            self.fetching.try_borrow_mut().ok().and_then(|mut fetching| fetching.remove(&CallToken(token)));
        if let Some(fetch) = fetch {
            return self.fetched(fetch, num_headers, current);
        }
        let answer = host::http_answer(num_headers, MAX_ANSWER.saturating_add(1));
        let answer =
            answer.as_ref().map(|(status, body)| Answered::Http(*status, body)).map_err(|error| *error);
        self.on_answer(CallToken(token), answer, current);
    }

    /// The answer to a gRPC call has come: `status` is its `grpc-status`.
    pub fn on_grpc_answer(&self, token: u32, status: u32, current: u32) {
        let message = host::grpc_answer(MAX_ANSWER);
        self.on_answer(CallToken(token), Ok(Answered::Grpc(status, &message)), current);
    }

    fn on_answer(&self, token: CallToken, answer: Result<Answered<'_>, CallError>, current: u32) {
        let asked = self.waiting.try_borrow_mut().ok().and_then(|mut waiting| waiting.answered(token));
        let Some(Asked { asker, stream }) = asked else { return };
        let mut usable = false;
        match stream {
            Some(stream) => self.let_go(&stream, current, |shared| {
                let taken = shared.with(&stream, |pipeline, facts, worker| {
                    pipeline.on_answer(Some(facts), answer, &ThisProxy, worker)
                });
                usable = taken.as_ref().is_some_and(|taken| taken.usable);
                taken.and_then(|taken| taken.step).unwrap_or_else(|| Step::Reply(LocalReply::unavailable()))
            }),
            None => {
                let worker = self.worker.try_borrow_mut().ok();
                let taken =
                    worker.map(|mut worker| self.pipeline.on_answer(None, answer, &ThisProxy, &mut worker));
                usable = taken.is_some_and(|taken| taken.usable);
            }
        }
        self.count_call(asker, usable);
    }

    fn fetched(&self, call: CallId, num_headers: usize, current: u32) {
        let polled = self.with_tokens(|tokens| {
            let max = tokens.max_answer(call).saturating_add(1);
            match host::http_answer(num_headers, max) {
                Ok((status, body)) => tokens.on_response(call, status, &body, &ThisProxy),
                Err(_) => tokens.on_failure(call, CallError::Reset, &ThisProxy),
            }
        });
        self.act(polled.unwrap_or_default());
        self.release(current);
    }

    /// Makes the calls that the machines want, and lets whoever waited look again, if something they wait for has come.
    fn act(&self, polled: Polled) {
        let Polled { mut calls, mut wakes, mut ended, skipped } = polled;
        skipped.iter().for_each(|(index, skipped)| self.report_skipped(*index, skipped));
        while let Some((id, call)) = calls.pop() {
            match host::call(&Call::Http(call)) {
                Ok(token) => {
                    if let Ok(mut fetching) = self.fetching.try_borrow_mut() {
                        fetching.insert(token, id);
                    }
                }
                Err(_) => {
                    let more = self.with_tokens(|t| t.on_failure(id, CallError::NotSent, &ThisProxy));
                    let more = more.unwrap_or_default();
                    calls.extend(more.calls);
                    ended.extend(more.ended);
                    wakes |= more.wakes;
                }
            }
        }
        ended.iter().for_each(|(index, failure)| self.count_fetch(*index, *failure));
        if wakes {
            self.wake_all();
        }
    }

    fn count_fetch(&self, index: usize, failure: Option<FetchFailure>) {
        self.with_metrics(|metrics| metrics.fetched(index, failure));
        let what = self.with_tokens(|tokens| tokens.fetched_at(index)).flatten();
        if let Some((Fetched { provider, what }, why)) = what.zip(failure) {
            let why = why.as_str();
            let text = format!("portcullis: fetching the {what} of the provider {provider} failed: {why}");
            host::log(LogLevel::Warn, &text);
        }
    }

    /// A key of a fetched set is not used: nobody else tells the operator why.
    fn report_skipped(&self, index: usize, skipped: &Skipped) {
        let what = self.with_tokens(|tokens| tokens.fetched_at(index)).flatten();
        let Some(Fetched { provider, .. }) = what else { return };
        self.with_metrics(|metrics| metrics.key_skipped(index, skipped.why));
        let Skipped { index, kid, why } = skipped;
        let kid = kid.as_deref().unwrap_or_default().escape_debug();
        let (why, expected) = (why.as_str(), why.expected());
        let text = format!(
            "portcullis: the key {index} (kid `{kid:.64}`) of the provider {provider} is not used: {why}; expected {expected}"
        );
        host::log(LogLevel::Warn, &text);
    }

    /// Whoever waits for documents need not do so any longer.
    fn wake_all(&self) {
        if let Ok(mut waiting) = self.waiting.try_borrow_mut() {
            waiting.wake_all();
            self.tick_every(SOON);
        }
    }

    /// Judges again some of those who need not wait any longer.
    fn release(&self, current: u32) {
        for _ in 0..AT_ONCE {
            let next = self.waiting.try_borrow_mut().ok().and_then(|mut waiting| waiting.next_due());
            let Some(stream) = next else { return };
            self.let_go(&stream, current, |shared| shared.judge(&stream, Event::Ready));
        }
    }

    /// Looks at what came of a request's body while it was held; whether it goes on. A login whose body has begun to come waits for the rest.
    fn look_again(&self, stream: &Stream) -> bool {
        look_at_held(self, stream);
        let waits = stream.with_facts(|facts| Pipeline::wants_whole(facts)) == Some(true);
        match waits && stream.seen.get() > 0 {
            true => stream.ended.get() && self.judge_login(stream) == Action::Continue,
            false => true,
        }
    }

    /// Judges a login whose body has come whole: refused, or on its way.
    pub fn judge_login(&self, stream: &Stream) -> Action {
        // What cannot be read is shorter than it is said to be, and so is none.
        let body = host::body(true, LOGIN_ROOM).unwrap_or_default();
        let denied = self.with(stream, |pipeline, facts, worker| {
            pipeline.on_login_body(facts, (&body, stream.seen.get()), &ThisProxy, worker)
        });
        match denied {
            Some(None) => Action::Continue,
            Some(Some(answer)) => perform(self, stream, Step::Reply(answer)),
            None => perform(self, stream, Step::Reply(LocalReply::unavailable())),
        }
    }

    /// Notes what a login was answered with.
    pub fn note_login(&self, stream: &Stream, status: u16) {
        self.with(stream, |pipeline, facts, worker| pipeline.note_login(facts, status, &ThisProxy, worker));
    }

    /// Judges a held request with `judge`, and sends it on its way if it need not wait any longer.
    fn let_go(&self, stream: &Rc<Stream>, current: u32, judge: impl FnOnce(&Self) -> Step) {
        // A stream that is gone has no context any more, and nobody to answer.
        if host::switch_to(stream.context).is_ok() {
            let step = judge(self);
            if self.proceed(stream, step, current) == Action::Continue && self.look_again(stream) {
                warn_if_failed(host::continue_request(), "send a request on");
            }
        }
        warn_if_failed(host::switch_to(current), "go back to a context");
    }
}
