//! The compiled section: which events a request is.

use crate::amount::Decimal;
use crate::body::{Bodies, Body};
use crate::budget::Budget;
use crate::metrics::{EventAmount, EventName, EventValue, Skipped};
use crate::pointer::{Pointer, scalar};
use crate::section::Side;
use portcullis_metrics::OTHER;
use serde_json::value::RawValue;

/// All events of a policy.
#[derive(Clone, Debug, Default)]
pub struct Business {
    events: Vec<Event>,
    most: usize,
    budget: Budget,
}

#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub name: String,
    /// By route.
    pub routes: Vec<bool>,
    /// All, if empty.
    pub methods: Vec<String>,
    /// 200 to 299, if empty.
    pub statuses: Vec<u16>,
    pub by: Option<By>,
    pub amount: Option<Amount>,
    /// What it is counted under.
    pub counted: Counted,
}

/// Where the labels of an event begin among those of all events.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    name: usize,
    value: usize,
    amount: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct By {
    pub side: Side,
    pub pointer: Pointer,
    pub values: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Amount {
    pub side: Side,
    pub pointer: Pointer,
    pub times: Option<Pointer>,
    pub unit: String,
    pub decimals: u8,
}

/// Which bodies a route's events look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The request's.
    pub request: bool,
    /// The answer's.
    pub response: bool,
}

/// An event that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    /// What it is counted under.
    pub value: EventValue,
    /// What its amount is counted under, and the amount.
    pub amount: Option<(EventAmount, u64)>,
    /// What could not be read.
    pub unread: Vec<(EventName, Skipped)>,
}

/// One value, or why there is none.
type Read<T> = Result<T, Skipped>;

impl Business {
    pub(crate) fn new(mut events: Vec<Event>, most: usize, budget: Budget) -> Self {
        let mut next = Counted::default();
        for event in &mut events {
            event.counted = next;
            let values = event.values().len();
            next.name = next.name.saturating_add(1);
            next.value = next.value.saturating_add(values);
            next.amount = next.amount.saturating_add(if event.amount.is_some() { values } else { 0 });
        }
        Self { events, most, budget }
    }

    /// Whether there is no event.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// How many bytes of a body are looked at.
    #[must_use]
    pub fn most(&self) -> usize {
        self.most
    }

    /// A body of which nothing has come yet.
    #[must_use]
    pub fn body(&self) -> Body {
        Body::new(&self.budget)
    }

    /// The names of the events.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.events.iter().map(|event| event.name.as_str())
    }

    /// Every event with each of its values, and its unit if it has one; event by event.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&str, &str, Option<&str>)> {
        self.events.iter().flat_map(|event| {
            let unit = event.amount.as_ref().map(|amount| amount.unit.as_str());
            event.values().into_iter().map(move |value| (event.name.as_str(), value, unit))
        })
    }

    /// Which bodies the events of a route look at.
    #[must_use]
    pub fn needs(&self, route: usize, method: &[u8]) -> Needs {
        let mut needs = Needs::default();
        for event in self.of(route, method) {
            let by = event.by.as_ref().map(|by| by.side);
            let amount = event.amount.as_ref().map(|amount| amount.side);
            for side in [by, amount].into_iter().flatten() {
                needs.request |= side == Side::Request;
                needs.response |= side == Side::Response;
            }
        }
        needs
    }

    fn of(&self, route: usize, method: &[u8]) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(move |event| event.is_of(route, method))
    }

    /// Whether any event of a route happens with this status.
    #[must_use]
    pub fn concerns(&self, (route, method): (usize, &[u8]), status: u16) -> bool {
        self.of(route, method).any(|event| event.has(status))
    }

    /// The events that a request is which its service has answered. `complete` is whether the answer came to its end.
    #[must_use]
    pub fn happened(
        &self,
        (route, method): (usize, &[u8]),
        status: u16,
        bodies: &Bodies,
        complete: bool,
    ) -> Vec<Happened> {
        let events = self.of(route, method).filter(|event| event.has(status));
        events.map(|event| event.read(bodies, complete)).collect()
    }
}

impl Event {
    /// Its values, in the order in which they are counted.
    fn values(&self) -> Vec<&str> {
        match &self.by {
            Some(by) => by.values.iter().map(String::as_str).chain([OTHER]).collect(),
            None => vec![""],
        }
    }

    fn is_of(&self, route: usize, method: &[u8]) -> bool {
        // Who asks for the headers alone (HEAD) does nothing that a business counts, unless the policy names it.
        let has_method = || match self.methods.is_empty() {
            true => method != b"HEAD",
            false => self.methods.iter().any(|own| own.as_bytes() == method),
        };
        self.routes.get(route).copied().unwrap_or(false) && has_method()
    }

    fn has(&self, status: u16) -> bool {
        if self.statuses.is_empty() { (200..300).contains(&status) } else { self.statuses.contains(&status) }
    }

    fn read(&self, bodies: &Bodies, complete: bool) -> Happened {
        let first = self.counted;
        let mut unread = Vec::new();
        let mut keep = |why| unread.push((EventName(first.name), why));
        let place = self.by.as_ref().map_or(0, |by| {
            by.place(bodies, complete).unwrap_or_else(|why| {
                keep(why);
                by.values.len()
            })
        });
        let amount =
            self.amount.as_ref().and_then(|amount| amount.read(bodies, complete).map_err(&mut keep).ok());
        Happened {
            value: EventValue(first.value.saturating_add(place)),
            amount: amount.map(|amount| (EventAmount(first.amount.saturating_add(place)), amount)),
            unread,
        }
    }
}

impl Bodies {
    fn json(&self, side: Side, complete: bool) -> Read<&RawValue> {
        if side == Side::Response && !complete {
            return Err(Skipped::Cut);
        }
        self.of(side).ok_or(Skipped::Absent)?.json()
    }
}

impl By {
    fn place(&self, bodies: &Bodies, complete: bool) -> Read<usize> {
        let found =
            self.pointer.find(bodies.json(self.side, complete)?).and_then(scalar).ok_or(Skipped::Absent)?;
        Ok(self.values.iter().position(|value| *value == found).unwrap_or(self.values.len()))
    }
}

impl Amount {
    fn read(&self, bodies: &Bodies, complete: bool) -> Read<u64> {
        let body = bodies.json(self.side, complete)?;
        let number = |pointer: &Pointer| {
            let text = pointer.find(body).and_then(scalar).ok_or(Skipped::Absent)?;
            Decimal::parse(&text).ok_or(Skipped::NotAnAmount)
        };
        let mut amount = number(&self.pointer)?;
        if let Some(times) = &self.times {
            amount = amount.times(number(times)?).ok_or(Skipped::NotAnAmount)?;
        }
        amount.units(self.decimals).ok_or(Skipped::NotAnAmount)
    }
}

#[cfg(test)]
#[path = "business_tests.rs"]
#[allow(clippy::arithmetic_side_effects, reason = "in tests an overflow is a failure")]
mod tests;
