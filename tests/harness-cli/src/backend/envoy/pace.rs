//! Time on an Envoy whose clocks stand still: it moves from one timer to the next, so that none is passed over, and each
//! fires at its own instant.

use std::time::Duration;

use super::peer::Peers;
use super::proxy::{Broken, Proxy};
use crate::backend::LONGEST;

/// So many timers fire in one step at most.
const MOST_TIMERS: usize = 100_000;

/// The clock of a scenario on Envoy.
pub struct Pace<'a> {
    pub proxy: &'a Proxy,
    pub peers: &'a Peers,
    /// Envoy's clock since the start.
    now: Duration,
    fired: usize,
}

impl<'a> Pace<'a> {
    pub fn new(proxy: &'a Proxy, peers: &'a Peers) -> Self {
        Self { proxy, peers, now: Duration::ZERO, fired: 0 }
    }

    pub fn now(&self) -> Duration {
        self.now
    }

    /// A step begins.
    pub fn begin(&mut self) {
        self.fired = 0;
    }

    /// Waits until nothing moves any more: every loop rests, and every request that is still open waits for a reply that is
    /// held back. Then, how long until the next timer is due.
    pub fn settle(&self) -> Result<Option<Duration>, Broken> {
        loop {
            let next = self.proxy.rest()?;
            if self.peers.answer_questions() && self.proxy.open_questions()? > 0 {
                continue;
            }
            // Envoy counts TCP connections as requests that are open.
            if !self.peers.answer_requests() {
                return Ok(next);
            }
            if self.proxy.open_requests()? <= self.peers.held() {
                // Who was asked has worked.
                return self.proxy.rest();
            }
        }
    }

    /// Whether nothing will happen before time passes: Envoy has the requests of so many clients, and every request that it has open
    /// itself waits for a reply that is held back.
    pub fn everybody_waits(&self, clients: u64) -> Result<bool, Broken> {
        self.settle()?;
        Ok(self.proxy.active_streams()? >= clients && self.peers.held() == self.proxy.open_requests()?)
    }

    /// Whether Envoy does something that is no timer: a client sends more, an upstream answers.
    pub fn is_still_at_it(&self) -> Result<bool, Broken> {
        Ok(self.proxy.active_streams()? > 0 && self.peers.held() != self.proxy.open_requests()?)
    }

    /// Time passes until the next timer or the next reply is due, but not beyond `until`.
    pub fn advance_to_next(&mut self, until: Duration) -> Result<(), Broken> {
        let timer = self.settle()?.map(|next| self.now.saturating_add(next.max(Duration::from_micros(1))));
        let reply = self.peers.next_due();
        let next = [timer, reply].into_iter().flatten().min().unwrap_or(until);
        self.fired += 1;
        if self.fired > MOST_TIMERS {
            return Err(Broken::Failed(format!(
                "more than {MOST_TIMERS} timers in one step: let less time pass in it"
            )));
        }
        self.travel(next.clamp(self.now, until))
    }

    /// Time passes up to this instant.
    pub fn advance_to(&mut self, until: Duration) -> Result<(), Broken> {
        while self.now < until {
            self.advance_to_next(until)?;
        }
        Ok(())
    }

    /// So much time passes.
    pub fn advance(&mut self, by: Duration) -> Result<(), Broken> {
        self.advance_to(self.now.saturating_add(by))
    }

    /// As long as a step may last, from `since` on.
    pub fn limit(since: Duration) -> Duration {
        since.saturating_add(LONGEST)
    }

    /// Moves Envoy's clock, lets its timers fire, then lets replies that are due go out.
    fn travel(&mut self, to: Duration) -> Result<(), Broken> {
        self.proxy.envoy.travel(to.saturating_sub(self.now));
        self.now = to;
        self.settle()?;
        self.peers.set_time(self.now);
        self.settle().map(drop)
    }
}
