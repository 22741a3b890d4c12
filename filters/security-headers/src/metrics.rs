use portcullis_metrics::metrics;

metrics! {
    /// What is counted of trust headers.
    pub struct TrustMetrics {
        /// Requests forwarded with the trust headers.
        gateway_security_headers_injected_total: Counter {},
            promql "rate(gateway_security_headers_injected_total[5m])";
    }
}
