//! Business events: bodies as they pass, and what happened at the end.

use crate::facts::{Answerer, Facts};
use crate::{HeaderOps, Pipeline};
use portcullis_business::{Bodies, Body, Happened, Side};
use portcullis_edge_core::Headers;
use portcullis_policy::BUSINESS;

const CODING: &str = "content-encoding";
const ACCEPTED_CODINGS: &str = "accept-encoding";

impl Pipeline {
    /// Prepares for the bodies that the events of the request's route look at.
    pub(crate) fn expect_bodies(&self, facts: &mut Facts) {
        if !BUSINESS || self.policy.business.is_empty() {
            return;
        }
        let Some(route) = facts.route() else { return };
        let needs = self.policy.business.needs(route, facts.head.method());
        if needs.request || needs.response {
            let request = needs.request.then(|| self.body(&facts.head.headers));
            let response = needs.response.then(|| self.policy.business.body());
            facts.bodies = Some(Box::new(Bodies { request, response }));
        }
    }

    /// An answer that is looked into comes as it is: else clients decide by asking for a coding whether anything is counted.
    pub(crate) fn ask_for_plain(&self, facts: &Facts, ops: &mut HeaderOps) {
        let is_read = facts.bodies.as_ref().is_some_and(|bodies| bodies.response.is_some());
        if is_read && facts.head.headers.all(ACCEPTED_CODINGS).next().is_some() {
            ops.set(ACCEPTED_CODINGS, b"identity");
        }
    }

    /// The answer's headers have come.
    pub(crate) fn expect_answer(&self, facts: &mut Facts, headers: impl FnOnce() -> Headers) {
        if !BUSINESS || facts.bodies.is_none() {
            return;
        }
        // What no event is made of is not kept until the client has read its answer, which may be long.
        let by_service = facts.answerer == Answerer::Service;
        let is_event = facts.route().zip(facts.status).is_some_and(|(route, status)| {
            by_service && self.policy.business.concerns((route, facts.head.method()), status)
        });
        if !is_event {
            facts.bodies = None;
            return;
        }
        let response = facts.bodies.as_mut().and_then(|bodies| bodies.response.as_mut());
        if let Some(response) = response {
            *response = self.body(&headers());
        }
        if facts.complete {
            self.read_bodies(facts);
        }
    }

    /// The answer has come to its end: what bodies say is known, and they need not be kept until the client has read it.
    pub(crate) fn read_bodies(&self, facts: &mut Facts) {
        if BUSINESS && facts.bodies.is_some() {
            let status = facts.status.unwrap_or(0);
            facts.happened = Some(self.read_events(facts, status));
            facts.bodies = None;
        }
    }

    /// How many bytes of the next part of a body somebody wants to see; 0 for nearly all.
    #[must_use]
    pub fn body_room(&self, facts: &Facts, side: Side) -> usize {
        facts.bodies.as_ref().and_then(|bodies| bodies.of(side)).map_or(0, |body| {
            // One more byte tells a body that is too large from one that just fits.
            body.room(self.policy.business.most()).saturating_add(usize::from(body.is_read()))
        })
    }

    /// Takes a part of `size` bytes of a body; `read` has as many of them as there was room for.
    pub fn on_body(&self, facts: &mut Facts, side: Side, read: &[u8], size: usize) {
        let most = self.policy.business.most();
        if let Some(body) = facts.bodies.as_mut().and_then(|bodies| bodies.of_mut(side)) {
            let fits = read.get(..body.room(most)).unwrap_or(read);
            body.take(fits, size);
        }
    }

    /// The events that a request was. Only what its service says makes one.
    pub(crate) fn happened(&self, facts: &Facts, status: u16) -> Vec<Happened> {
        facts.happened.clone().unwrap_or_else(|| self.read_events(facts, status))
    }

    fn body(&self, headers: &Headers) -> Body {
        let mut body = self.policy.business.body();
        headers.all(CODING).for_each(|coding| body.coded(coding));
        body
    }

    fn read_events(&self, facts: &Facts, status: u16) -> Vec<Happened> {
        let route = facts.forwarded_route().filter(|_| facts.answerer == Answerer::Service);
        let Some(route) = route.filter(|_| !self.policy.business.is_empty()) else { return Vec::new() };
        let none = Bodies::default();
        let bodies = facts.bodies.as_deref().unwrap_or(&none);
        self.policy.business.happened((route, facts.head.method()), status, bodies, facts.complete)
    }
}
