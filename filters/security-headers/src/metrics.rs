use portcullis_metrics::metrics;

metrics! {
    /// What is counted of trust headers.
    pub struct TrustMetrics {
        /// Requests that a service answered, and so was to get with the trust headers.
        gateway_security_headers_due_total: Counter {},
            promql "rate(gateway_security_headers_due_total[5m])";
        /// Of those, the requests that had every trust header of the policy, with its value, as they went on.
        gateway_security_headers_injected_total: Counter {},
            promql "rate(gateway_security_headers_injected_total[5m]) / rate(gateway_security_headers_due_total[5m])";
    }
}
