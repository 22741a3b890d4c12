//! Service-level objectives, and alerts on how fast their error budget is spent: several windows and burn rates (Google's SRE workbook,
//! chapter 5, table 5-8). An alert needs a minimum of traffic: three errors among ten requests of a quiet night page nobody.

use crate::rule::Rule;
use crate::settings::Settings;

/// An objective on the share of good events.
pub struct Objective {
    /// Its name, as the label `slo`.
    pub name: &'static str,
    /// In words.
    pub title: &'static str,
    /// The share of good events that is promised, in per cent.
    pub percent: f64,
    /// Bad events in the window `{w}`, by job.
    bad: &'static str,
    /// All events in the window `{w}`, by job.
    total: &'static str,
}

/// Windows, from short to long.
const WINDOWS: [&str; 7] = ["5m", "30m", "1h", "2h", "6h", "1d", "3d"];

/// Long window, short window, burn rate, tier, how long it holds.
const BURN: [(&str, &str, f64, &str); 4] = [
    ("1h", "5m", 14.4, "critical"),
    ("6h", "30m", 6.0, "critical"),
    ("1d", "2h", 3.0, "warning"),
    ("3d", "6h", 1.0, "warning"),
];

/// Requests in the long window below which no burn-rate alert fires.
const LEAST_EVENTS: u32 = 100;

/// The objectives of a site.
pub fn all(settings: &Settings) -> Vec<Objective> {
    let objectives = &settings.objectives;
    vec![
        Objective {
            name: "availability",
            title: "requests that did not fail in the gateway or its services",
            percent: objectives.availability_percent,
            bad: r#"sum by (job) (rate(gateway_errors_total{status_code=~"5.."}[{w}]))"#,
            total: "sum by (job) (rate(gateway_requests_total[{w}]))",
        },
        Objective {
            name: "latency",
            title: "requests that were answered within 250 ms",
            percent: objectives.latency_percent,
            bad: r#"sum by (job) (rate(gateway_request_latency_seconds_count[{w}])) - sum by (job) (rate(gateway_request_latency_seconds_bucket{le="0.25"}[{w}]))"#,
            total: "sum by (job) (rate(gateway_request_latency_seconds_count[{w}]))",
        },
        Objective {
            name: "authentication",
            title: "tokens that were good, of those that were sent",
            percent: objectives.authentication_percent,
            bad: r#"sum by (job) (rate(auth_jwt_validation_total{status="failure",reason!="missing"}[{w}]))"#,
            total: r#"sum by (job) (rate(auth_jwt_validation_total{reason!="missing"}[{w}]))"#,
        },
        Objective {
            name: "auth_service",
            title: "calls to the auth service that gave a usable answer",
            percent: objectives.auth_service_percent,
            bad: r#"sum by (job) (rate(gateway_auth_service_calls_total{status="failure"}[{w}]))"#,
            total: "sum by (job) (rate(gateway_auth_service_calls_total[{w}]))",
        },
    ]
}

impl Objective {
    /// The series that holds the error ratio of a window.
    fn series(window: &str) -> String {
        format!("slo:errors:ratio_rate{window}")
    }

    /// Records the error ratio of every window, without a result where there was no event at all.
    pub fn recordings(&self) -> Vec<Rule> {
        let of = |window: &&str| {
            let [bad, total] = [self.bad, self.total].map(|query| query.replace("{w}", window));
            let expr = format!("(({bad}) or 0 * ({total})) / (({total}) > 0)");
            Rule::record(&Self::series(window), expr).label("slo", self.name)
        };
        WINDOWS.iter().map(of).collect()
    }

    /// The names that [`Objective::recordings`] records.
    pub fn recorded() -> Vec<String> {
        WINDOWS.iter().map(|window| Self::series(window)).collect()
    }

    /// Alerts on the burn rate. Their runbook is found below `runbooks`.
    pub fn alerts(&self, runbooks: &str) -> Vec<Rule> {
        let runbook = format!("{}/ErrorBudgetBurn.md", runbooks.trim_end_matches('/'));
        BURN.iter().map(|burn| self.alert(*burn).annotated("runbook_url", runbook.clone())).collect()
    }

    fn alert(&self, (long, short, rate, tier): (&str, &str, f64, &str)) -> Rule {
        let slo = self.name;
        let limit = rate * (100.0 - self.percent) / 100.0;
        let window = |window: &str| format!(r#"{}{{slo="{slo}"}} > {limit:.6}"#, Self::series(window));
        let seconds = seconds(long);
        let events = format!("({}) * {seconds} > {LEAST_EVENTS}", self.total.replace("{w}", long));
        let expr = format!("({} and {}) and on (job) ({events})", window(long), window(short));
        Rule { alert: "ErrorBudgetBurn".to_owned(), expr, ..Rule::default() }
            .label("slo", slo)
            .label("severity", tier)
            .label("window", long)
            .annotated("summary", format!("The error budget of {slo} is spent {rate} times as fast as it lasts"))
            .annotated(
                "description",
                format!(
                    "{{{{ $value | humanizePercentage }}}} of the events of the last {long} were bad; the objective is {} % of {}.",
                    self.percent, self.title
                ),
            )
    }
}

fn seconds(window: &str) -> u32 {
    let (number, unit) = window.split_at(window.len().saturating_sub(1));
    let unit = match unit {
        "m" => 60,
        "h" => 3_600,
        _ => 86_400,
    };
    number.parse::<u32>().unwrap_or(1).saturating_mul(unit)
}

impl Rule {
    /// The same with a text.
    pub fn annotated(mut self, name: &str, text: impl Into<String>) -> Self {
        self.annotations.insert(name.to_owned(), text.into());
        self
    }
}
