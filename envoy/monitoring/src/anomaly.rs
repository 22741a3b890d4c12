//! What is usual, and what is not: bands of median and median absolute deviation around four signals.
//!
//! A value is unusual if it is outside three bands: that of the same time of day on the three days before, that of the same hour a week and
//! two weeks ago, and that of the last six hours. So a weekend is unusual by day and usual by week, a slow trend is the other way round, and a
//! level that a deployment changed for good is the new usual after three hours. Medians do not move for a single spike. Samples taken
//! while a signal is unusual are left out of the bands of day and week, so that one spike does not hide the next.
//!
//! Warm-up: the band of the day needs 23.5 hours, that of the week 7 days less half an hour. Until both are there nothing is unusual.

use crate::query;
use crate::rule::{Group, Rule};

/// A signal: what is watched.
pub struct Signal {
    /// Its name, as the label `signal`.
    pub name: &'static str,
    /// Its value now.
    pub value: &'static str,
    /// How far from the median a value is never unusual, in the signal's unit.
    pub least_margin: f64,
    /// Whether a fall is unusual too.
    pub both_ways: bool,
    /// Whether it says something at a request a second and more only.
    pub needs_traffic: bool,
}

/// The four signals.
pub const SIGNALS: [Signal; 4] = [
    Signal {
        name: "requests",
        value: query!("gateway:requests:rate5m"),
        least_margin: 2.0,
        both_ways: true,
        needs_traffic: false,
    },
    Signal {
        name: "errors",
        value: query!("gateway:server_errors:ratio_rate5m"),
        least_margin: 0.02,
        both_ways: false,
        needs_traffic: true,
    },
    Signal {
        name: "latency",
        value: query!("gateway:latency_seconds:p95_5m"),
        least_margin: 0.05,
        both_ways: false,
        needs_traffic: true,
    },
    Signal {
        name: "failed_logins",
        value: query!("gateway:failed_logins:rate5m"),
        least_margin: 0.1,
        both_ways: false,
        needs_traffic: false,
    },
];

/// A band is as wide as so many standard deviations of a normal distribution: the median deviation is 0.6745 of one.
const WIDTH: f64 = 4.0 * 1.4826;
/// And at least this share of the median.
const LEAST_SHARE: f64 = 0.25;

impl Signal {
    fn rule(&self, series: &str, expr: String) -> Rule {
        Rule::record(series, expr).label("signal", self.name)
    }

    fn selector(&self, series: &str) -> String {
        format!(r#"{series}{{signal="{}"}}"#, self.name)
    }

    /// Its rules, in the order in which they need each other. What is clean is known last, and used at the next evaluation.
    #[must_use]
    pub fn rules(&self) -> Vec<Rule> {
        let value = match self.needs_traffic {
            true => format!("{} and on (job) {} > 1", self.value, query!("gateway:requests:rate5m")),
            false => self.value.to_owned(),
        };
        let day = median_of(&self.selector(query!("anomaly:signal:clean")), &["1d", "2d", "3d"]);
        let week = median_of(&self.selector(query!("anomaly:signal:clean")), &["7d", "14d"]);
        let recent =
            format!("quantile_over_time(0.5, {}[6h])", self.selector(query!("anomaly:signal:value")));
        vec![
            self.rule("anomaly:signal:value", value),
            self.rule("anomaly:signal:usual_day", day),
            self.rule("anomaly:signal:usual_week", week),
            self.rule("anomaly:signal:usual_recent", recent),
            self.deviation(query!("anomaly:signal:usual_day"), "anomaly:signal:deviation_day"),
            self.deviation(query!("anomaly:signal:usual_week"), "anomaly:signal:deviation_week"),
            self.margin(
                query!("anomaly:signal:usual_day"),
                query!("anomaly:signal:deviation_day"),
                "anomaly:signal:margin_day",
            ),
            self.margin(
                query!("anomaly:signal:usual_week"),
                query!("anomaly:signal:deviation_week"),
                "anomaly:signal:margin_week",
            ),
            self.edge("anomaly:signal:upper", "max", "+"),
            self.edge("anomaly:signal:lower", "min", "-"),
            self.out(),
            self.clean(),
        ]
    }

    /// How far a clean value was from what was usual.
    fn deviation(&self, usual: &str, series: &str) -> Rule {
        let clean = self.selector(query!("anomaly:signal:clean"));
        self.rule(series, format!("abs({clean} - {})", self.selector(usual)))
    }

    /// Half the width of a band: by the median deviation of the last day, but never less than is worth a look.
    fn margin(&self, usual: &str, deviation: &str, series: &str) -> Rule {
        let by_spread = format!("{WIDTH} * quantile_over_time(0.5, {}[1d])", self.selector(deviation));
        let usual = self.selector(usual);
        let by_share = format!("{LEAST_SHARE} * abs({usual})");
        let least = format!("0 * {usual} + {}", self.least_margin);
        let [a, b, c] = [("spread", by_spread), ("share", by_share), ("least", least)]
            .map(|(of, expr)| format!(r#"label_replace({expr}, "of", "{of}", "", "")"#));
        self.rule(series, format!("max by (job, signal) ({a} or {b} or {c})"))
    }

    /// An edge of the band, for panels: that of the day or of the week, whichever lets more pass.
    fn edge(&self, series: &str, which: &str, sign: &str) -> Rule {
        let of = |usual: &str, margin: &str, of: &str| {
            let (usual, margin) = (self.selector(usual), self.selector(margin));
            format!(r#"label_replace({usual} {sign} {margin}, "of", "{of}", "", "")"#)
        };
        let day = of(query!("anomaly:signal:usual_day"), query!("anomaly:signal:margin_day"), "day");
        let week = of(query!("anomaly:signal:usual_week"), query!("anomaly:signal:margin_week"), "week");
        self.rule(series, format!("{which} by (job, signal) ({day} or {week})"))
    }

    /// 1 while the value is outside all bands, else 0; nothing before they are there.
    fn out(&self) -> Rule {
        let value = self.selector(query!("anomaly:signal:value"));
        let of = |usual: &str, margin: &str| {
            let away = format!("{value} - {}", self.selector(usual));
            let away = if self.both_ways { format!("abs({away})") } else { format!("({away})") };
            format!("({away} > bool {})", self.selector(margin))
        };
        let (margin_day, margin_week) =
            (query!("anomaly:signal:margin_day"), query!("anomaly:signal:margin_week"));
        let day = of(query!("anomaly:signal:usual_day"), margin_day);
        let week = of(query!("anomaly:signal:usual_week"), margin_week);
        let recent = of(query!("anomaly:signal:usual_recent"), margin_day);
        self.rule("anomaly:signal:out", format!("{day} * {week} * {recent}"))
    }

    /// The value, unless it is unusual.
    fn clean(&self) -> Rule {
        let (value, out) =
            (self.selector(query!("anomaly:signal:value")), self.selector(query!("anomaly:signal:out")));
        self.rule("anomaly:signal:clean", format!("{value} unless on (job, signal) ({out} == 1)"))
    }
}

/// The median of what was there in the hour around the same time, so long ago.
fn median_of(series: &str, ago: &[&str]) -> String {
    let of = |ago: &&str| {
        // The hour around: it ends half an hour later than so long ago.
        let offset = match *ago {
            "1d" => "1410m",
            "2d" => "2850m",
            "3d" => "4290m",
            "7d" => "10050m",
            _ => "20130m",
        };
        format!(
            r#"label_replace(quantile_over_time(0.5, {series}[1h] offset {offset}), "ago", "{ago}", "", "")"#
        )
    };
    let parts: Vec<String> = ago.iter().map(of).collect();
    format!("quantile by (job, signal) (0.5, {})", parts.join(" or "))
}

/// The group of one signal.
#[must_use]
pub fn group(signal: &Signal) -> Group {
    Group {
        name: format!("gateway-anomaly-{}", signal.name),
        interval: "1m".to_owned(),
        rules: signal.rules(),
    }
}
