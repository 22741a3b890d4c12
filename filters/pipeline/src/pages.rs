//! The page of metrics in one worker: whoever reads it may cost no more than others can spare.
//!
//! Making the text costs as much as some hundreds of requests, and the proxy holds each copy until its client has read it. So the text is
//! made a few times in a flush interval and worker and the last one given out again after that, and few copies are out at once. Those of
//! the metrics' own listener count apart: who fills the places on the gateway's keeps no monitoring from its own.
//!
//! The last text is that of whichever worker made it: with one of its own, a worker would show a counter lower than another has
//! shown it before, which Prometheus takes for a restart.

use core::cell::{Cell, RefCell};
use core::time::Duration;
use portcullis_edge_core::{Host, Mono, Namespace, update};
use portcullis_metrics::Format;

/// Where the last text is, by format. Shared data never forgets, so each is one value, and as bounded as the registry.
const TEXT: &str = "page.text";
const OPEN_METRICS: &str = "page.open_metrics";

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

/// A text, and when it was begun.
type Text = (Mono, String);

/// What is out, and what was made when.
pub struct Pages {
    text: Last,
    open_metrics: Last,
    /// When the current interval began.
    since: Cell<Option<Mono>>,
    /// How often the text was made in it.
    made: Cell<u32>,
    on_gateway: Cell<u32>,
    on_own: Cell<u32>,
}

impl Pages {
    /// None is out, none was made: of this instance, under the policy with this hash.
    #[must_use]
    pub fn new(namespace: &Namespace, policy: &str) -> Self {
        Self {
            text: Last::new(namespace.key(TEXT), policy),
            open_metrics: Last::new(namespace.key(OPEN_METRICS), policy),
            since: Cell::default(),
            made: Cell::default(),
            on_gateway: Cell::default(),
            on_own: Cell::default(),
        }
    }

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

    /// The text: what `make` gives, or what it gave last, here or in another worker, where that is younger than `interval` and this
    /// worker has made it often enough in the current one.
    pub fn text(
        &self,
        format: Format,
        interval: Duration,
        host: &dyn Host,
        make: impl FnOnce() -> String,
    ) -> String {
        let now = host.mono();
        let last = if format == Format::Text { &self.text } else { &self.open_metrics };
        let given = if self.may_make(now, interval) { None } else { last.read(now, interval, host) };
        given.unwrap_or_else(|| last.keep(now, make(), host))
    }

    /// Counts one that is made.
    fn may_make(&self, now: Mono, interval: Duration) -> bool {
        if self.since.get().is_none_or(|since| now.since(since) >= interval) {
            self.since.set(Some(now));
            self.made.set(0);
        }
        let may = self.made.get() < TEXTS;
        self.made.set(self.made.get().saturating_add(1));
        may
    }

    fn out(&self, reader: Reader) -> &Cell<u32> {
        match reader {
            Reader::Gateway => &self.on_gateway,
            Reader::Monitoring => &self.on_own,
        }
    }
}

/// The last text of one format.
struct Last {
    /// The key of shared data under which it is.
    key: String,
    /// The policy whose series the texts show; others' are no texts of ours.
    policy: String,
    /// What this worker made last: for when another policy's text stands in the shared place.
    own: RefCell<Option<Text>>,
}

impl Last {
    fn new(key: String, policy: &str) -> Self {
        Self { key, policy: policy.to_owned(), own: RefCell::default() }
    }

    /// The last text, if it is younger than `interval`.
    fn read(&self, now: Mono, interval: Duration, host: &dyn Host) -> Option<String> {
        let is_young = |(begun, _): &Text| now.since(*begun) < interval;
        let own = || self.own.try_borrow().ok()?.clone();
        let last = self.shared(host).filter(is_young).or_else(|| own().filter(is_young));
        last.map(|(_, text)| text)
    }

    fn shared(&self, host: &dyn Host) -> Option<Text> {
        let mut value = host.shared(&self.key).ok()??.value;
        let (begun, head) = head(&value, &self.policy)?;
        value.drain(..head);
        Some((begun, String::from_utf8(value).ok()?))
    }

    /// Keeps a text that was begun at `now` for all workers, unless there is one that was begun later, and gives it back.
    fn keep(&self, now: Mono, text: String, host: &dyn Host) -> String {
        let line = [&now.0.to_string(), " ", &self.policy, "\n"].concat();
        let shared = update(host, &self.key, |value| {
            let is_newer = head(value, &self.policy).is_none_or(|(begun, _)| begun <= now);
            if is_newer {
                *value = [line.as_bytes(), text.as_bytes()].concat();
            }
            ((), is_newer)
        });
        // Without shared data each worker has its own.
        shared.unwrap_or_default();
        if let Ok(mut own) = self.own.try_borrow_mut() {
            *own = Some((now, text.clone()));
        }
        text
    }
}

/// Of a shared text of this policy: when it was begun, and how long the line is that says both.
fn head(value: &[u8], policy: &str) -> Option<(Mono, usize)> {
    let end = value.iter().position(|byte| *byte == b'\n')?;
    let (begun, of) = core::str::from_utf8(value.get(..end)?).ok()?.split_once(' ')?;
    (of == policy).then_some((Mono(begun.parse().ok()?), end.saturating_add(1)))
}

#[cfg(test)]
#[path = "pages_tests.rs"]
mod tests;
