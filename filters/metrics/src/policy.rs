use deserr::Deserr;
use portcullis_edge_core::{ConfigError, ConfigErrors, Networks, Node, PolicyDuration};
use schemars::JsonSchema;

/// The name of the proxy's route whose requests may read the metrics, whoever sends them: that of the metrics' own listener.
pub const METRICS_ROUTE: &str = "portcullis_metrics";

/// `metrics`: what is counted, how long it may stay in a worker, and how much room it may take.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawMetrics {
    /// Where the gateway itself answers with all of them (default `/metrics`).
    #[deserr(default = RawMetrics::default().path)]
    #[schemars(default = "default_path")]
    pub path: String,
    /// Address and port of a listener that answers with them and nothing else (default `127.0.0.1:9902`): keep it where only your
    /// monitoring gets. Used by `portcullis render`.
    #[deserr(default = RawMetrics::default().listen)]
    #[schemars(default = "default_listen")]
    pub listen: String,
    /// Networks whose clients are answered at `path` on the gateway's own listener as well (default: none). To all others there is no
    /// such page. Reading it costs more than most requests.
    #[deserr(default)]
    #[schemars(default)]
    pub networks: Vec<String>,
    /// Paths that are answered or refused like any other and never counted.
    #[deserr(default = RawMetrics::default().uncounted)]
    #[schemars(default = "default_uncounted")]
    pub uncounted: Vec<String>,
    /// Statuses whose series exist, at 0, from the start; any other gets its series when it first occurs.
    #[deserr(default = RawMetrics::default().statuses)]
    #[schemars(default = "default_statuses", inner(range(min = 100, max = 599)))]
    pub statuses: Vec<u16>,
    /// How long counts may stay in a worker before they are added to the proxy's own (default `1s`): what a crash can lose.
    #[deserr(default = RawMetrics::default().flush_interval)]
    #[schemars(default = "default_flush_interval")]
    pub flush_interval: PolicyDuration,
    /// Most series that may exist (default 20000). What would be one more is counted as endpoint `other`, status `other`,
    /// and in `portcullis_metric_series_overflow_total`.
    #[deserr(default = RawMetrics::default().max_series)]
    #[schemars(default = "default_max_series")]
    pub max_series: u32,
}

impl Default for RawMetrics {
    fn default() -> Self {
        Self {
            path: default_path(),
            listen: default_listen(),
            networks: Vec::new(),
            uncounted: default_uncounted(),
            statuses: default_statuses(),
            flush_interval: default_flush_interval(),
            max_series: default_max_series(),
        }
    }
}

fn default_path() -> String {
    "/metrics".to_owned()
}

fn default_listen() -> String {
    "127.0.0.1:9902".to_owned()
}

fn default_uncounted() -> Vec<String> {
    ["/health", "/metrics", "/internal/metrics"].map(str::to_owned).into()
}

fn default_statuses() -> Vec<u16> {
    vec![200, 201, 204, 400, 401, 403, 404, 422, 429, 499, 500, 502, 503, 504]
}

fn default_flush_interval() -> PolicyDuration {
    PolicyDuration::secs(1)
}

fn default_max_series() -> u32 {
    20_000
}

/// The compiled section.
#[derive(Clone, Debug)]
pub struct MetricsPolicy {
    /// Where the text is served.
    pub path: String,
    /// Listener address of their own, `ip:port`.
    pub listen: String,
    /// Who may read them on the gateway's own listener.
    pub networks: Networks,
    /// Paths that are not counted.
    pub uncounted: Vec<String>,
    /// Statuses with series from the start.
    pub statuses: Vec<u16>,
    /// Flush interval in milliseconds.
    pub flush_millis: u64,
    /// Most series.
    pub max_series: usize,
}

const SHORTEST_FLUSH: PolicyDuration = PolicyDuration::millis(100);
const LONGEST_FLUSH: PolicyDuration = PolicyDuration::secs(60);

impl RawMetrics {
    /// Checks the section, which stands at `at`; that its paths are some is for whoever knows what a path is.
    ///
    /// # Errors
    /// Numbers that are no status, an interval outside 100 ms to 60 s.
    pub fn compile(&self, at: &Node) -> Result<MetricsPolicy, Vec<ConfigError>> {
        let mut errors = self.check_statuses(&at.key("statuses"));
        let interval = self.flush_interval;
        errors.extend(interval.outside(SHORTEST_FLUSH, LONGEST_FLUSH, &at.key("flush_interval")));
        let networks = Networks::compile(&self.networks, &at.key("networks"), &mut errors);
        let policy = MetricsPolicy {
            path: self.path.clone(),
            listen: self.listen.clone(),
            networks,
            uncounted: self.uncounted.clone(),
            statuses: self.statuses.clone(),
            flush_millis: u64::try_from(interval.0.as_millis()).unwrap_or(u64::MAX),
            max_series: usize::try_from(self.max_series).unwrap_or(usize::MAX),
        };
        if errors.is_empty() { Ok(policy) } else { Err(errors) }
    }

    fn check_statuses(&self, at: &Node) -> Vec<ConfigError> {
        let wrong = self.statuses.iter().enumerate().filter(|(_, status)| !(100..=599).contains(*status));
        wrong
            .map(|(i, status)| at.index(i).error(format!("`{status}`"), "a status from 100 to 599"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn mistakes_are_told_together() {
        let raw = RawMetrics {
            statuses: vec![200, 20],
            flush_interval: PolicyDuration::millis(5),
            ..Default::default()
        };
        let errors = raw.compile(&Node::top().key("metrics")).unwrap_err();
        let places: Vec<_> = errors.iter().map(|e| e.at.to_string()).collect();
        assert_eq!(places, ["metrics.statuses[1]", "metrics.flush_interval"]);
    }
}
