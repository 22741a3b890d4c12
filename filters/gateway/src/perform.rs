//! Does to a stream what the pipeline decided.

use crate::host::{self, Map};
use crate::proxy::ThisProxy;
use crate::shared::Shared;
use crate::stream::Stream;
use portcullis_edge_core::HostError;
use portcullis_metrics::METRICS_ROUTE;
use portcullis_pipeline::{HeaderOps, LocalReply, Reader, Side, Step};
use proxy_wasm::types::{Action, LogLevel};

/// Does what needs no waiting.
pub fn perform(shared: &Shared, stream: &Stream, step: Step) -> Action {
    match step {
        Step::Forward(ops) if apply(Map::Request, &ops) => Action::Continue,
        // A change that the host refuses could let a forged header through.
        Step::Forward(_) => give_up(shared, stream),
        Step::Reply(answer) => reply(&answer),
        Step::ServeMetrics => serve_metrics(shared, stream),
        // Whoever may wait does so before.
        Step::Wait | Step::Call(_) => reply(&LocalReply::unavailable()),
    }
}

fn serve_metrics(shared: &Shared, stream: &Stream) -> Action {
    let is_own = host::property("xds\0route_name").is_ok_and(|name| name == METRICS_ROUTE.as_bytes());
    let reader = if is_own { Reader::Monitoring } else { Reader::Gateway };
    if !shared.pages.take(reader) {
        return give_up(shared, stream);
    }
    stream.page.set(Some(reader));
    let format = stream.with_facts(|facts| shared.pipeline.metrics_format(facts)).unwrap_or_default();
    let text = shared.pages.text(format, shared.flush_period(), &ThisProxy, || {
        shared.measure();
        shared.stats.try_borrow_mut().map(|mut stats| stats.text(format)).unwrap_or_default()
    });
    let answer = stream.with_facts(|facts| shared.pipeline.metrics_reply(facts, format, text));
    reply(&answer.unwrap_or_else(LocalReply::unavailable))
}

/// Refuses a request that was to go on.
pub fn give_up(shared: &Shared, stream: &Stream) -> Action {
    match stream.with_facts(|facts| shared.pipeline.give_up(facts)) {
        Some(Step::Reply(answer)) => reply(&answer),
        _ => reply(&LocalReply::unavailable()),
    }
}

/// Shows a part of a body, of `size` bytes, to who wants to see it.
pub fn look_at(shared: &Shared, stream: &Stream, side: Side, size: usize) {
    stream.with_facts(|facts| {
        let room = shared.pipeline.body_room(facts, side);
        if room > 0 && size > 0 {
            // What cannot be read is shorter than it is said to be, and so is none.
            let read = host::body(side == Side::Request, room.min(size)).unwrap_or_default();
            shared.pipeline.on_body(facts, side, &read, size);
        }
    });
}

/// The same for what has come of a request's body while the request was held: nobody says how much that is.
pub fn look_at_held(shared: &Shared, stream: &Stream) {
    stream.with_facts(|facts| {
        let room = shared.pipeline.body_room(facts, Side::Request);
        if room > 0 {
            let read = host::body(true, room).unwrap_or_default();
            shared.pipeline.on_body(facts, Side::Request, &read, read.len());
        }
    });
}

/// Makes the changes, up to one that the host refuses; whether it refused none.
pub fn apply(map: Map, ops: &HeaderOps) -> bool {
    let removed = ops.remove.iter().map(|name| host::remove_header(map, name));
    let set = ops.set.iter().map(|(name, value)| host::set_header(map, name.as_bytes(), value));
    let added = ops.add.iter().map(|(name, value)| host::add_header(map, name.as_bytes(), value));
    let state = ops.state.iter().map(|(name, value)| host::set_property(name, value));
    let failed = removed.chain(set).chain(added).chain(state).find(Result::is_err);
    failed.into_iter().for_each(|failed| warn_if_failed(failed, "change a header"));
    failed.is_none()
}

/// Answers, or, if the host will not, ends the stream: a client is never left waiting, and never let through.
fn reply(answer: &LocalReply) -> Action {
    let done = host::send_reply(answer);
    if done.is_err() {
        warn_if_failed(host::close_stream(), "end a stream");
    }
    warn_if_failed(done, "answer a request");
    Action::Pause
}

/// Logs what the host refused to do.
pub fn warn_if_failed(done: Result<(), HostError>, what: &str) {
    if let Err(HostError(status)) = done {
        host::log(LogLevel::Warn, &format!("portcullis: the host refused to {what} (status {status})"));
    }
}
