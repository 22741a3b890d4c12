use portcullis_metrics::{Condition, labels, metrics};

/// Where a route has rules.
pub static RULES: Condition = Condition("a route has `rules`");

labels! {
    /// whether the request may pass; `shadow_failure` is what enforce mode would have refused
    pub enum Permission { Success = "success", Failure = "failure", ShadowFailure = "shadow_failure" }
}

metrics! {
    /// What is counted of routes' rules.
    pub struct RuleMetrics {
        /// Requests checked against their route's rules; `shadow_failure` is what enforce mode would have refused.
        auth_permission_validation_total: Counter { status: Permission },
            when RULES, promql "sum by (status) (rate(auth_permission_validation_total[5m]))";
    }
}
