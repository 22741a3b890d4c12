//! What happens, and what follows from it: which alert is raised or is not, which value is recorded.

mod bands;
mod bands_by_hand;
mod burn;
mod filter;
mod measured;
mod security;
mod traffic;

use serde_json::{Value, json};

/// What is looked at, and when.
#[derive(Clone)]
pub struct Look {
    at: String,
    expr: String,
    value: f64,
}

/// A situation for the rules with a key: series, and looks at what follows from them.
#[derive(Clone)]
pub struct Case {
    /// The alert, or what else the rules are for.
    pub key: String,
    /// The time between samples, and between evaluations.
    pub interval: &'static str,
    pub series: Vec<(String, String)>,
    looks: Vec<Look>,
}

impl Case {
    fn new(key: &str, interval: &'static str, series: &[(&str, &str)]) -> Self {
        let series = series.iter().map(|(series, values)| ((*series).to_owned(), (*values).to_owned()));
        Self { key: key.to_owned(), interval, series: series.collect(), looks: Vec::new() }
    }

    fn look(mut self, at: &str, expr: String, value: f64) -> Self {
        self.looks.push(Look { at: at.to_owned(), expr, value });
        self
    }

    fn alert(self, at: &str, fires: bool) -> Self {
        // A key may have a window behind the alert's name.
        let (name, window) = self.key.split_once('/').unwrap_or((&self.key, ""));
        let window = if window.is_empty() { String::new() } else { format!(r#",window="{window}""#) };
        let firing = format!(r#"ALERTS{{alertname="{name}",alertstate="firing"{window}}}"#);
        self.look(at, format!("clamp_max(count({firing}), 1) or vector(0)"), f64::from(u8::from(fires)))
    }

    /// At this time the alert fires.
    fn fires(self, at: &str) -> Self {
        self.alert(at, true)
    }

    /// At this time it does not.
    fn silent(self, at: &str) -> Self {
        self.alert(at, false)
    }

    /// At this time a query has this value, to a thousandth.
    fn value(self, at: &str, query: &str, value: f64) -> Self {
        let near = format!("count(abs(({query}) - {value}) <= {}) or vector(0)", value.abs() / 1000.0 + 1e-9);
        self.look(at, near, 1.0)
    }

    /// At this time a query has no result.
    fn nothing(self, at: &str, query: &str) -> Self {
        self.look(at, format!("count({query}) or vector(0)"), 0.0)
    }

    /// Whether some look finds the alert firing; with none, the rules are not those of an alert.
    pub fn sees(&self, fires: bool) -> bool {
        let wanted = f64::from(u8::from(fires));
        self.looks.iter().any(|look| look.expr.contains("ALERTS{") && (look.value - wanted).abs() < 0.5)
    }

    pub fn to_json(&self) -> Value {
        let series: Vec<Value> = self
            .series
            .iter()
            .map(|(series, values)| json!({ "series": series, "values": values }))
            .collect();
        let look = |look: &Look| {
            json!({
                "expr": look.expr,
                "eval_time": look.at,
                "exp_samples": [{ "labels": "{}", "value": look.value }],
            })
        };
        json!({
            "interval": self.interval,
            "input_series": series,
            "promql_expr_test": self.looks.iter().map(look).collect::<Vec<_>>(),
        })
    }
}

/// A situation with a sample every 30 s.
fn case(key: &str, series: &[(&str, &str)]) -> Case {
    Case::new(key, "30s", series)
}

/// A counter whose increase over some minutes raises an alert at once. The first event counts, because the series is there at 0; it is seen for as
/// long as the window says; a reset is no event, nor is what another series counts.
fn event(key: &str, series: &str, other: &str, minutes: u32) -> Vec<Case> {
    let at_once = case(key, &[(series, "0x8 1x90")]).silent("4m").fires("4m30s");
    [vec![at_once], event_held(key, series, other, minutes)].concat()
}

/// The same for an alert that waits a minute more.
fn event_held(key: &str, series: &str, other: &str, minutes: u32) -> Vec<Case> {
    let (seen, gone) = (format!("{}s", 270 + 48 * minutes), format!("{}s", 285 + 60 * minutes));
    vec![
        case(key, &[(series, "0x8 1x90")]).silent("4m").fires("5m30s").fires(&seen).silent(&gone),
        case(key, &[(series, "5x8 0x90")]).silent("4m30s").silent("5m"),
        case(key, &[(series, "7x90")]).silent("5m"),
        case(key, &[(other, "0x8 1x90")]).silent("5m"),
        case(key, &[]).silent("5m"),
    ]
}

/// All situations.
pub fn cases() -> Vec<Case> {
    let all = [
        traffic::cases(),
        security::cases(),
        filter::cases(),
        burn::cases(),
        measured::cases(),
        bands_by_hand::cases(),
        bands::cases(),
    ];
    all.into_iter().flatten().collect()
}
