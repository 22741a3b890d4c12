//! What resources cost, and how long data is kept.

use deserr::Deserr;
use portcullis_edge_core::{ConfigError, ConfigErrors, Node, PolicyDuration};
use schemars::JsonSchema;

/// Prices, in one currency.
#[derive(Clone, Debug, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields, default)]
pub struct Prices {
    /// The currency, as panels show it (default `USD`).
    #[deserr(default = Prices::default().currency)]
    pub currency: String,
    /// One processor core for an hour (default 0.032).
    #[deserr(default = Prices::default().cpu_core_hour)]
    pub cpu_core_hour: f64,
    /// One GiB of memory for an hour (default 0.0043).
    #[deserr(default = Prices::default().memory_gib_hour)]
    pub memory_gib_hour: f64,
    /// One GiB of log lines, taken in and kept (default 0.5).
    #[deserr(default = Prices::default().logs_gib)]
    pub logs_gib: f64,
    /// A thousand series of metrics for a month (default 0.5).
    #[deserr(default = Prices::default().thousand_series_month)]
    pub thousand_series_month: f64,
}

impl Default for Prices {
    fn default() -> Self {
        Self {
            currency: "USD".to_owned(),
            cpu_core_hour: 0.032,
            memory_gib_hour: 0.0043,
            logs_gib: 0.5,
            thousand_series_month: 0.5,
        }
    }
}

impl Prices {
    pub(super) fn mistakes(&self, at: &Node) -> Vec<ConfigError> {
        let all = [
            ("cpu_core_hour", self.cpu_core_hour),
            ("memory_gib_hour", self.memory_gib_hour),
            ("logs_gib", self.logs_gib),
            ("thousand_series_month", self.thousand_series_month),
        ];
        let wrong = all.into_iter().filter(|(_, price)| !price.is_finite() || *price < 0.0);
        wrong.map(|(name, price)| at.key(name).error(format!("`{price}`"), "a price of 0 or more")).collect()
    }
}

/// How long data is kept.
#[derive(Clone, Debug, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields, default)]
pub struct Retention {
    /// Metrics (default `45days`); objectives look back 30 days.
    #[deserr(default = Retention::default().metrics)]
    pub metrics: PolicyDuration,
    /// Log lines (default `7days`, for development; `30days` in production).
    #[deserr(default = Retention::default().logs)]
    pub logs: PolicyDuration,
}

const fn days(days: u64) -> PolicyDuration {
    PolicyDuration::secs(days * 86_400)
}

impl Default for Retention {
    fn default() -> Self {
        Self { metrics: days(45), logs: days(7) }
    }
}

impl Retention {
    /// How long metrics are kept, as Prometheus writes it.
    #[must_use]
    pub fn metrics_days(&self) -> String {
        format!("{}d", self.metrics.0.as_secs() / 86_400)
    }

    pub(super) fn mistakes(&self, at: &Node) -> Vec<ConfigError> {
        let metrics = self.metrics.outside(days(32), days(3_660), &at.key("metrics"));
        let logs = self.logs.outside(days(1), days(3_660), &at.key("logs"));
        metrics.into_iter().chain(logs).collect()
    }
}
