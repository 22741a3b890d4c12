//! What is usual, and what is not: bands of median and median absolute deviation around four signals.
//!
//! A value is unusual if it is outside three bands: that of the same time of day on the three days before, that of the same hour a week and
//! two weeks ago, and that of the day times what the last six hours were of it. So a weekend is unusual by day and usual by week, a slow
//! trend is the other way round, and a level that a deployment changed for good is the new usual after three hours. Medians do not move for a single spike. Samples taken
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

    /// Its rules, in the order in which they need each other. What is clean is known at the end, and used from the next evaluation on.
    #[must_use]
    pub fn rules(&self) -> Vec<Rule> {
        let value = match self.needs_traffic {
            true => format!("{} and on (job) {} > 1", self.value, query!("gateway:requests:rate5m")),
            false => self.value.to_owned(),
        };
        let day = median_of(&self.selector(query!("anomaly:signal:clean")), &["1d", "2d", "3d"]);
        let week = median_of(&self.selector(query!("anomaly:signal:clean")), &["7d", "14d"]);
        vec![
            self.rule("anomaly:signal:value", value),
            self.rule("anomaly:signal:usual_day", day),
            self.rule("anomaly:signal:usual_week", week),
            self.factor(),
            self.recent(),
            self.margin(),
            self.edge("anomaly:signal:upper", "max", "+"),
            self.edge("anomaly:signal:lower", "min", "-"),
            self.out(),
            self.clean(),
            self.deviation(),
        ]
    }

    /// The usual of the day and that of the week, as the function makes something of each.
    fn of_both(&self, make: impl Fn(String) -> String) -> String {
        let usual =
            [("day", query!("anomaly:signal:usual_day")), ("week", query!("anomaly:signal:usual_week"))];
        any_of(&usual.map(|(of, usual)| (of, make(self.selector(usual)))))
    }

    /// How many times the usual of the day a value is; near nothing, that says nothing, so both are taken a bit larger.
    fn factor(&self) -> Rule {
        let (value, usual) = (
            self.selector(query!("anomaly:signal:value")),
            self.selector(query!("anomaly:signal:usual_day")),
        );
        let bit = self.least_margin;
        self.rule("anomaly:signal:factor", format!("({value} + {bit}) / ({usual} + {bit})"))
    }

    /// The usual of the day, times what the last six hours were of it.
    fn recent(&self) -> Rule {
        let usual = self.selector(query!("anomaly:signal:usual_day"));
        let factor = self.selector(query!("anomaly:signal:factor"));
        let bit = self.least_margin;
        let expr = format!("({usual} + {bit}) * quantile_over_time(0.5, {factor}[6h]) - {bit}");
        self.rule("anomaly:signal:usual_recent", expr)
    }

    /// How far a clean value was from what was usual by day or by week, whichever it was nearer to: a Monday is far from its day before.
    fn deviation(&self) -> Rule {
        let clean = self.selector(query!("anomaly:signal:clean"));
        let away = self.of_both(|usual| format!("abs({clean} - {usual})"));
        self.rule("anomaly:signal:deviation", format!("min by (job, signal) ({away})"))
    }

    /// Half the width of the bands: by the median deviation of the last day, but never less than is worth a look.
    fn margin(&self) -> Rule {
        let deviation = self.selector(query!("anomaly:signal:deviation"));
        let spread = format!("{WIDTH} * quantile_over_time(0.5, {deviation}[1d])");
        let share = self.of_both(|usual| format!("{LEAST_SHARE} * {usual}"));
        let widest = format!("max by (job, signal) ({} or {share})", any_of(&[("spread", spread)]));
        self.rule("anomaly:signal:margin", format!("clamp_min({widest}, {})", self.least_margin))
    }

    /// An edge of the bands, for panels: that of the day or of the week, whichever lets more pass.
    fn edge(&self, series: &str, which: &str, sign: &str) -> Rule {
        let margin = self.selector(query!("anomaly:signal:margin"));
        let usual = self.of_both(|usual| usual);
        self.rule(series, format!("{which} by (job, signal) ({usual}) {sign} {margin}"))
    }

    /// 1 while the value is outside all bands, else 0; nothing before they are there.
    fn out(&self) -> Rule {
        let value = self.selector(query!("anomaly:signal:value"));
        let margin = self.selector(query!("anomaly:signal:margin"));
        let of = |usual: &str| {
            let away = format!("{value} - {}", self.selector(usual));
            let away = if self.both_ways { format!("abs({away})") } else { format!("({away})") };
            format!("({away} > bool {margin})")
        };
        let [day, week, recent] = [
            query!("anomaly:signal:usual_day"),
            query!("anomaly:signal:usual_week"),
            query!("anomaly:signal:usual_recent"),
        ]
        .map(of);
        self.rule("anomaly:signal:out", format!("{day} * {week} * {recent}"))
    }

    /// The value, unless it is unusual.
    fn clean(&self) -> Rule {
        let (value, out) =
            (self.selector(query!("anomaly:signal:value")), self.selector(query!("anomaly:signal:out")));
        self.rule("anomaly:signal:clean", format!("{value} unless on (job, signal) ({out} == 1)"))
    }
}

/// All of these, told apart by a label `of`: without it, only the first of them would count.
fn any_of(parts: &[(&str, String)]) -> String {
    let part = |(of, expr): &(&str, String)| format!(r#"label_replace({expr}, "of", "{of}", "", "")"#);
    parts.iter().map(part).collect::<Vec<_>>().join(" or ")
}

/// The median of what was there in the hour around the same time, so long ago.
fn median_of(series: &str, ago: &[&'static str]) -> String {
    let of = |ago: &&'static str| {
        // The hour around: it ends half an hour later than so long ago.
        let offset = match *ago {
            "1d" => "1410m",
            "2d" => "2850m",
            "3d" => "4290m",
            "7d" => "10050m",
            _ => "20130m",
        };
        (*ago, format!("quantile_over_time(0.5, {series}[1h] offset {offset})"))
    };
    let parts: Vec<_> = ago.iter().map(of).collect();
    format!("quantile by (job, signal) (0.5, {})", any_of(&parts))
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
