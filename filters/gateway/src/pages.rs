//! The page of metrics in one worker: whoever reads it may cost no more than others can spare.
//!
//! Making the text costs as much as some hundreds of requests, and the proxy holds each copy until its client has read it. So the text is
//! made a few times in a flush interval and the last one shared after that, and few copies are out at once. Those of the metrics' own
//! listener count apart: who fills the places on the gateway's keeps no monitoring from its own.

use core::cell::{Cell, RefCell};
use core::time::Duration;
use portcullis_edge_core::Mono;
use portcullis_metrics::Format;

/// How often the text is made in one flush interval.
const TEXTS: u32 = 8;

/// How many copies of it may be out at once, on each listener.
const COPIES: u32 = 16;

/// Which listener a copy is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// The gateway's.
    Gateway,
    /// The metrics' own.
    Monitoring,
}

/// What is out, and what was made when.
#[derive(Default)]
pub struct Pages {
    /// By format.
    texts: [RefCell<String>; 2],
    /// When the current interval began.
    since: Cell<Option<Mono>>,
    /// How often the text was made in it.
    made: Cell<u32>,
    on_gateway: Cell<u32>,
    on_own: Cell<u32>,
}

impl Pages {
    /// Takes a place for a copy; `false` if as many are out as may. Give it back with [`Pages::give_back`].
    pub fn take(&self, reader: Reader) -> bool {
        let out = self.out(reader);
        let has_place = out.get() < COPIES;
        if has_place {
            out.set(out.get().saturating_add(1));
        }
        has_place
    }

    /// The copy has been read, or its client has left.
    pub fn give_back(&self, reader: Reader) {
        let out = self.out(reader);
        out.set(out.get().saturating_sub(1));
    }

    /// The text: what `make` gives, or what it gave last where it has been made often enough since `interval` ago.
    pub fn text(
        &self,
        format: Format,
        now: Mono,
        interval: Duration,
        make: impl FnOnce() -> String,
    ) -> String {
        let is_over = self.since.get().is_none_or(|since| now.since(since) >= interval);
        if is_over {
            self.since.set(Some(now));
            self.made.set(0);
        }
        let [plain, open] = &self.texts;
        let text = if format == Format::Text { plain } else { open };
        let Ok(mut text) = text.try_borrow_mut() else { return String::new() };
        // One that was never made is no last one.
        if self.made.get() < TEXTS || text.is_empty() {
            self.made.set(self.made.get().saturating_add(1));
            *text = make();
        }
        text.clone()
    }

    fn out(&self, reader: Reader) -> &Cell<u32> {
        match reader {
            Reader::Gateway => &self.on_gateway,
            Reader::Monitoring => &self.on_own,
        }
    }
}
