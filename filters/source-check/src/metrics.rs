//! What is counted of the check.

use crate::{SourceCheck, Wrong};
use portcullis_metrics::{Condition, Vocabulary, labels, metrics, policy_labels};
use std::borrow::Cow;

/// Where requests are checked.
pub static REQUIRED: Condition = Condition("the policy has a section `source.require`");

policy_labels! {
    /// the header that was looked at last: the one that says where a request comes from, or that with its signature
    pub struct Header;
}

labels! {
    /// what the check found; `shadow_` is what enforce mode would have refused
    pub enum CheckResult {
        Valid = "valid",
        Missing = "missing",
        Invalid = "invalid",
        Expired = "expired",
        ShadowMissing = "shadow_missing",
        ShadowInvalid = "shadow_invalid",
        ShadowExpired = "shadow_expired",
    }
}

metrics! {
    /// What is counted of the check.
    pub struct SourceMetrics {
        /// Requests that were checked for the headers by which a backend knows its gateway.
        gateway_security_header_validation_total: Counter { header: Header, result: CheckResult },
            when REQUIRED, promql "sum by (header, result) (rate(gateway_security_header_validation_total[5m]))";
    }
}

impl SourceCheck {
    /// Tells the headers of a policy.
    pub fn describe(&self, vocabulary: &mut Vocabulary) {
        let Some(required) = &self.require else { return };
        vocabulary.allow(&REQUIRED);
        vocabulary.define::<Header>(required.headers().map(|name| vec![Cow::Owned(name.to_owned())]));
    }

    /// What a check is counted under: the header that decided it, and how.
    #[must_use]
    pub fn counted(&self, result: Result<(), Wrong>, shadow: bool) -> (Header, CheckResult) {
        let is_signed = self.require.as_ref().is_some_and(|required| required.headers().count() > 1);
        match result {
            Ok(()) => (Header(usize::from(is_signed)), CheckResult::Valid),
            Err(wrong) => {
                let second = matches!(wrong, Wrong::Unsigned | Wrong::Signature | Wrong::Expired);
                (Header(usize::from(second)), refused(wrong, shadow))
            }
        }
    }
}

fn refused(wrong: Wrong, shadow: bool) -> CheckResult {
    match (wrong, shadow) {
        (Wrong::Missing | Wrong::Unsigned, false) => CheckResult::Missing,
        (Wrong::Missing | Wrong::Unsigned, true) => CheckResult::ShadowMissing,
        (Wrong::Value | Wrong::Signature, false) => CheckResult::Invalid,
        (Wrong::Value | Wrong::Signature, true) => CheckResult::ShadowInvalid,
        (Wrong::Expired, false) => CheckResult::Expired,
        (Wrong::Expired, true) => CheckResult::ShadowExpired,
    }
}
