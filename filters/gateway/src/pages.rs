//! The page of metrics in one worker: whoever reads it may cost no more than others can spare.
//!
//! Making the text costs as much as some hundreds of requests, and the proxy holds each copy until its client has read it. So the text is
//! made a few times in a flush interval and worker and the last one given out again after that, and few copies are out at once. Those of
//! the metrics' own listener count apart: who fills the places on the gateway's keeps no monitoring from its own.
//!
//! The last text is that of whichever worker made it: with one of its own, a worker would show a counter lower than another has
//! shown it before, which Prometheus takes for a restart.

use crate::host;
use core::cell::{Cell, RefCell};
use core::time::Duration;
use portcullis_edge_core::{Mono, Namespace};
use portcullis_metrics::Format;

/// Where the last text is, by format. Shared data never forgets, so each is one value, and as bounded as the registry.
const TEXT: &str = "page.text";
const OPEN_METRICS: &str = "page.open_metrics";

/// How often the text is made in one flush interval.
const TEXTS: u32 = 8;

/// How many copies of it may be out at once, on each listener.
const COPIES: u32 = 16;

/// How often it is tried to share a text.
const TRIES: usize = 8;

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
    /// The keys of the last texts, by format.
    keys: [String; 2],
    /// The policy whose series the texts show; others' are no texts of ours.
    policy: String,
    /// What this worker made last, by format: for when another policy's text stands in the shared place.
    own: [RefCell<Option<Text>>; 2],
    /// When the current interval began.
    since: Cell<Option<Mono>>,
    /// How often the text was made in it.
    made: Cell<u32>,
    on_gateway: Cell<u32>,
    on_own: Cell<u32>,
}

impl Pages {
    /// None is out, none was made: of this instance, under the policy with this hash.
    pub fn new(namespace: &Namespace, policy: &str) -> Self {
        Self {
            keys: [TEXT, OPEN_METRICS].map(|name| namespace.key(name)),
            policy: policy.to_owned(),
            own: <_>::default(),
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
        now: Mono,
        interval: Duration,
        make: impl FnOnce() -> String,
    ) -> String {
        let ([text, open_metrics], [own_text, own_open]) = (&self.keys, &self.own);
        let (key, own) = if format == Format::Text { (text, own_text) } else { (open_metrics, own_open) };
        let is_young = |(begun, _): &Text| now.since(*begun) < interval;
        if !self.may_make(now, interval) {
            let own = || own.try_borrow().ok()?.clone();
            if let Some((_, last)) = self.last(key).filter(is_young).or_else(|| own().filter(is_young)) {
                return last;
            }
        }
        let made = make();
        self.share(key, now, &made);
        if let Ok(mut own) = own.try_borrow_mut() {
            *own = Some((now, made.clone()));
        }
        made
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

    /// The last text under this policy, and when it was begun.
    fn last(&self, key: &str) -> Option<Text> {
        let (value, _) = host::shared(key).ok()?;
        read(value, &self.policy)
    }

    /// Shares a text that was begun at `now`, unless there is one that was begun later.
    fn share(&self, key: &str, now: Mono, text: &str) {
        let mut value = [&now.0.to_string(), " ", &self.policy, "\n"].concat();
        value.push_str(text);
        for _ in 0..TRIES {
            let Ok((last, version)) = host::shared(key) else { return };
            let is_newer = read(last, &self.policy).is_none_or(|(begun, _)| begun < now);
            if !is_newer || host::swap_shared(key, value.as_bytes(), version).is_ok() {
                return;
            }
        }
    }

    fn out(&self, reader: Reader) -> &Cell<u32> {
        match reader {
            Reader::Gateway => &self.on_gateway,
            Reader::Monitoring => &self.on_own,
        }
    }
}

/// A shared text of this policy, and when it was begun: after a line that says both.
fn read(value: Vec<u8>, policy: &str) -> Option<Text> {
    let value = String::from_utf8(value).ok()?;
    let (head, text) = value.split_once('\n')?;
    let (begun, of) = head.split_once(' ')?;
    (of == policy).then_some((Mono(begun.parse().ok()?), text.to_owned()))
}
