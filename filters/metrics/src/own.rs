use crate::metrics;

metrics! {
    /// What the engine counts of itself.
    pub struct EngineMetrics {
        /// Events counted under `other` because metrics.max_series was reached, or because as many were named as may be.
        portcullis_metric_series_overflow_total: Counter {},
            promql "increase(portcullis_metric_series_overflow_total[1h])";
    }
}
