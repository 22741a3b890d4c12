//! What the filter says of itself.

use crate::GatewayMetrics;
use portcullis_edge_core::Namespace;
use portcullis_metrics::{labels, metrics, policy_labels};

/// The version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

policy_labels! {
    /// the version of the module
    pub struct Build;
    /// a hash of the policy, which the log lines of security events name as `policy`
    pub struct InForce;
}

labels! {
    /// what a line is of: a request that has ended, or a security event
    pub enum LineKind { Request = "request", Security = "security" }
}

labels! {
    /// why: the policy keeps only a share of such lines, or the proxy did not take it
    pub enum DropReason { Sampled = "sampled", Refused = "refused" }
}

metrics! {
    /// What the filter says of itself.
    pub struct HealthMetrics {
        /// 1, for the version of the module that runs.
        portcullis_build_info: Gauge { version: Build },
            promql "count by (version) (portcullis_build_info)";
        /// 1, for the policy in force; 0 for one that was.
        portcullis_policy_info: Gauge { policy: InForce },
            promql "count by (policy) (portcullis_policy_info == 1)";
        /// Policies that were handed over and rejected; the one before serves on.
        portcullis_policy_rejections_total: Counter {},
            promql "increase(portcullis_policy_rejections_total[1h])";
        /// Log lines that were handed to the proxy.
        portcullis_log_lines_total: Counter { kind: LineKind },
            promql "sum by (kind) (rate(portcullis_log_lines_total[5m]))";
        /// Log lines that were not handed to the proxy, by why.
        portcullis_log_lines_dropped_total: Counter { reason: DropReason },
            promql "sum by (reason) (increase(portcullis_log_lines_dropped_total[1h]))";
        /// Ticks of a worker that came a flush interval late or later: it was busy, or did not run.
        portcullis_ticks_late_total: Counter {},
            promql "increase(portcullis_ticks_late_total[5m])";
    }
}

/// How many log lines a request has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineCounts {
    /// Its own: one, or none where only a share is kept.
    pub request: u64,
    /// Of its security events.
    pub security: u64,
    /// Left out, because only a share is kept.
    pub sampled: u64,
}

impl GatewayMetrics {
    /// Counts the lines of a request, and whether the proxy took them.
    pub fn lines(&mut self, lines: LineCounts, taken: bool) {
        let (registry, health) = self.health();
        health.portcullis_log_lines_dropped_total.add(registry, DropReason::Sampled, lines.sampled);
        if taken {
            health.portcullis_log_lines_total.add(registry, LineKind::Request, lines.request);
            health.portcullis_log_lines_total.add(registry, LineKind::Security, lines.security);
        } else {
            let lost = lines.request.saturating_add(lines.security);
            health.portcullis_log_lines_dropped_total.add(registry, DropReason::Refused, lost);
        }
    }

    /// Says which module and which policy run. Said again and again: another worker may say of the same
    /// policy that it has ended.
    pub fn alive(&mut self) {
        self.in_force(1);
    }

    /// Says that the policy ends in this worker.
    pub fn ends(&mut self) {
        self.in_force(0);
    }

    fn in_force(&mut self, level: i64) {
        let (registry, health) = self.health();
        health.portcullis_build_info.set(registry, Build(0), 1);
        health.portcullis_policy_info.set(registry, InForce(0), level);
    }

    /// Counts a tick that came late.
    pub fn late_tick(&mut self) {
        let (registry, health) = self.health();
        health.portcullis_ticks_late_total.inc(registry, ());
    }
}

/// The instance that a policy names, whatever else is wrong with it; `""` for the only one.
#[must_use]
pub fn instance_of(policy: &[u8]) -> String {
    let policy: serde_json::Value = serde_json::from_slice(policy).unwrap_or_default();
    let name = policy.get("gateway").and_then(|gateway| gateway.get("instance")?.as_str());
    name.filter(|name| Namespace::is_name(name) && *name != Namespace::DEFAULT).unwrap_or_default().to_owned()
}

/// The stat of [`HealthMetrics::portcullis_policy_rejections_total`] of an instance, for where there is no policy to build metrics of.
#[must_use]
pub fn rejections_stat(instance: &str) -> String {
    let name = "portcullis_policy_rejections_total";
    if instance.is_empty() { name.to_owned() } else { portcullis_metrics::instance_stat(instance, name) }
}
