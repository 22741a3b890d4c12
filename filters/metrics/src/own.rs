use crate::metrics;

metrics! {
    /// What the engine counts of itself.
    pub struct EngineMetrics {
        /// Events counted under `other` because metrics.max_series was reached, or because as many were named as may be.
        portcullis_metric_series_overflow_total: Counter {},
            promql "increase(portcullis_metric_series_overflow_total[1h])";
        /// Series that exist, as the worker sees it that said so last.
        portcullis_metric_series: Gauge {},
            promql "max(portcullis_metric_series) / max(portcullis_metric_series_limit)";
        /// Most series that may exist, metrics.max_series.
        portcullis_metric_series_limit: Gauge {},
            promql "max(portcullis_metric_series_limit)";
    }
}
