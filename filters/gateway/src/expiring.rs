//! Streams that end when their tokens expire: WebSockets, and whatever else is open for long.

use crate::host;
use crate::perform::warn_if_failed;
use crate::shared::Shared;
use crate::stream::Stream;
use core::cell::RefCell;
use portcullis_edge_core::Wall;
use std::collections::BTreeSet;

/// How many streams are ended in one callback; see `held::AT_ONCE`.
const AT_ONCE: usize = 16;

/// Streams under way, by when they end. As many as there are streams at most.
#[derive(Default)]
pub struct Expiring(RefCell<BTreeSet<(Wall, u32)>>);

impl Shared {
    /// A stream has been sent on.
    pub fn watch(&self, stream: &Stream) {
        let ends = stream.with_facts(|facts| self.pipeline.ends_at(facts)).flatten();
        if let (Some(ends), Ok(mut streams)) = (ends, self.expiring.0.try_borrow_mut()) {
            stream.ends.set(Some(ends));
            streams.insert((ends, stream.context));
        }
    }

    /// A stream is over.
    pub fn unwatch(&self, stream: &Stream) {
        if let (Some(ends), Ok(mut streams)) = (stream.ends.take(), self.expiring.0.try_borrow_mut()) {
            streams.remove(&(ends, stream.context));
        }
    }

    /// Ends streams whose time has come; whether there may be more. `current` is the context whose callback is running.
    pub fn end_expired(&self, current: u32) -> bool {
        for _ in 0..AT_ONCE {
            let Some(context) = self.next_expired() else { return false };
            // A stream that is gone has no context any more.
            if host::switch_to(context).is_ok() {
                warn_if_failed(host::close_stream(), "end a stream whose token has expired");
            }
            warn_if_failed(host::switch_to(current), "go back to a context");
        }
        true
    }

    fn next_expired(&self) -> Option<u32> {
        let mut streams = self.expiring.0.try_borrow_mut().ok()?;
        let (ends, context) = *streams.first()?;
        (ends <= host::now().wall).then_some(())?;
        streams.remove(&(ends, context));
        Some(context)
    }
}
