//! What is counted of findings.

use crate::{FindingsPolicy, Unusable};
use portcullis_metrics::{Condition, Vocabulary, labels, metrics};

/// Where findings are taken.
pub static TAKEN: Condition = Condition("the policy has `findings.from`");

labels! {
    /// what came of the findings of the instance before: taken, or why not
    pub enum FindingsResult {
        Taken = "taken",
        Absent = "absent",
        OtherVersion = "other_version",
        Refused = "refused",
    }
}

metrics! {
    /// What is counted of findings.
    pub struct FindingsMetrics {
        /// Requests that were to come with findings of an instance of the filter before this one.
        portcullis_findings_total: Counter { result: FindingsResult },
            when TAKEN, promql "sum by (result) (rate(portcullis_findings_total[5m]))";
    }
}

impl FindingsPolicy {
    /// Tells whether findings are taken.
    pub fn describe(&self, vocabulary: &mut Vocabulary) {
        if self.reader.is_some() {
            vocabulary.allow(&TAKEN);
        }
    }
}

impl From<Result<(), Unusable>> for FindingsResult {
    fn from(result: Result<(), Unusable>) -> Self {
        match result {
            Ok(()) => Self::Taken,
            Err(Unusable::Absent) => Self::Absent,
            Err(Unusable::OtherVersion) => Self::OtherVersion,
            Err(Unusable::Refused) => Self::Refused,
        }
    }
}
