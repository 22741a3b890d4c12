//! What is counted of business events.

use crate::Business;
use portcullis_metrics::{Condition, Row, Vocabulary, labels, metrics, policy_labels};
use std::borrow::Cow;

/// Where there are events.
pub static EVENTS: Condition = Condition("the policy has a section `business`");

policy_labels! {
    /// the name of the event in the policy
    pub struct EventName;
    /// the name of the event, and what its `by` found: one of the values that the policy lists, else `other`; empty without `by`
    pub struct EventValue;
    /// the same for events that have an amount, and the unit of the amount
    pub struct EventAmount;
}

labels! {
    /// why a body said nothing: larger than `business.max_body_bytes`, compressed, no JSON, cut off before its end, one too
    /// many for `business.max_held_bytes`, without the value that was looked for, or with one that is no amount
    pub enum Skipped {
        TooLarge = "too_large",
        Encoded = "encoded",
        NotJson = "not_json",
        Cut = "cut",
        NoRoom = "no_room",
        Absent = "absent",
        NotAnAmount = "not_an_amount",
    }
}

metrics! {
    /// What is counted of business events.
    pub struct BusinessMetrics {
        /// Business events, as the policy declares them.
        business_events_total: Counter { event/value: EventValue },
            when EVENTS, promql "sum by (event) (increase(business_events_total[1h]))";
        /// Sum of the amounts of business events, in the unit that the policy names.
        business_amount_total: Counter { event/value/unit: EventAmount },
            when EVENTS, promql "sum by (event, unit) (increase(business_amount_total[1h]))";
        /// Business events of which a value or an amount could not be read, by why; the event itself is counted.
        business_events_unread_total: Counter { event: EventName, reason: Skipped },
            when EVENTS, promql "sum by (event, reason) (increase(business_events_unread_total[1h]))";
    }
}

impl Business {
    /// Tells the events of a policy.
    pub fn describe(&self, vocabulary: &mut Vocabulary) {
        if self.is_empty() {
            return;
        }
        vocabulary.allow(&EVENTS);
        let text = |text: &str| Cow::Owned(text.to_owned());
        vocabulary.define::<EventName>(self.names().map(|name| -> Row { vec![text(name)] }));
        let rows = self.rows().map(|(name, value, _)| -> Row { vec![text(name), text(value)] });
        vocabulary.define::<EventValue>(rows);
        let amounts =
            self.rows().filter_map(|(name, value, unit)| Some(vec![text(name), text(value), text(unit?)]));
        vocabulary.define::<EventAmount>(amounts);
    }
}
