//! Domains that the families of several stages have: what a policy's routes, services and statuses make possible.

use crate::{About, Axis, Domain, OTHER, Values, Vocabulary, labels, policy_labels};
use std::borrow::Cow;

policy_labels! {
    /// the route's path template with its prefix, never a raw path; `unmatched` for what has no route
    pub struct Endpoint;
    /// a name under `services` in the policy
    pub struct Service;
    /// a service, and the template of a route that leads to it or of an endpoint under its `calls`
    pub struct Served;
}

/// The HTTP status of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u16);

/// The HTTP status of an answer that is an error: 400 and above. Others are not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorStatus(pub u16);

/// The place of a value that has no room for its name.
const NO_CODE: u16 = 0;

/// An axis of statuses that ends with `other`.
fn statuses(statuses: impl Iterator<Item = u16> + Clone) -> Axis {
    let texts = statuses.clone().map(|status| Cow::from(status.to_string()));
    let codes = statuses.chain([NO_CODE]).collect();
    Axis::of(texts.chain([Cow::from(OTHER)])).with_codes(codes)
}

/// Whether a text is a status of at least `least`.
#[must_use]
pub fn is_status(text: &str, least: u16) -> bool {
    let plain = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
    plain && text.parse::<u16>().is_ok_and(|status| (least..=999).contains(&status))
}

impl Domain for Status {
    type Value<'v> = Self;
    const ABOUT: &'static About = &About {
        what: "the status as text; `499` if the client left before it was answered",
        values: Values::Open,
    };

    fn axis(vocabulary: &Vocabulary) -> Axis {
        statuses(vocabulary.statuses().iter().copied())
    }

    fn place(value: &Self, axis: &Axis) -> Option<usize> {
        axis.place_of(value.0)
    }

    fn text<'v>(value: &'v Self) -> Option<Cow<'v, str>> {
        Some(value.0.to_string().into())
    }

    fn admits(text: &str) -> bool {
        is_status(text, 100)
    }
}

impl Domain for ErrorStatus {
    type Value<'v> = Self;
    const ABOUT: &'static About = &About {
        what: "the status as text, 400 and above; `499` if the client left before it was answered",
        values: Values::Open,
    };

    fn axis(vocabulary: &Vocabulary) -> Axis {
        statuses(vocabulary.statuses().iter().copied().filter(|status| *status >= 400))
    }

    fn place(value: &Self, axis: &Axis) -> Option<usize> {
        axis.place_of(value.0)
    }

    fn text<'v>(value: &'v Self) -> Option<Cow<'v, str>> {
        (value.0 >= 400).then(|| value.0.to_string().into())
    }

    fn admits(text: &str) -> bool {
        is_status(text, 400)
    }
}

labels! {
    /// how it went
    pub enum Outcome { Success = "success", Failure = "failure" }
}

impl Outcome {
    /// The outcome of something that succeeded or did not.
    #[must_use]
    pub const fn of(succeeded: bool) -> Self {
        if succeeded { Self::Success } else { Self::Failure }
    }
}
