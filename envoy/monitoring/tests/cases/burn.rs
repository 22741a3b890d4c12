//! Burn rates: for each pair of windows, just above and just below its rate, and what happened within and before each window.

use super::Case;

/// A pair of windows, in samples of ten minutes (0: the short window is the last sample), and its burn rate.
struct Pair {
    window: &'static str,
    long: u32,
    short: u32,
    rate: f64,
}

const PAIRS: [Pair; 4] = [
    Pair { window: "1h", long: 6, short: 0, rate: 14.4 },
    Pair { window: "6h", long: 36, short: 3, rate: 6.0 },
    Pair { window: "1d", long: 144, short: 12, rate: 3.0 },
    Pair { window: "3d", long: 432, short: 36, rate: 1.0 },
];

pub fn cases() -> Vec<Case> {
    PAIRS.iter().flat_map(of).collect()
}

/// A length of time in samples, and how many times the rate is burnt in it.
type Span = (u32, f64);

impl Pair {
    /// The objective is 99.9 % of ten events a second.
    fn case(&self, spans: &[Span]) -> Case {
        self.with_traffic(spans, 10.0)
    }

    fn with_traffic(&self, spans: &[Span], total: f64) -> Case {
        let samples: u32 = spans.iter().map(|(samples, _)| samples).sum();
        let part = |(samples, times): &Span| {
            let bad = times * self.rate * 0.001 * total;
            format!("{bad}x{}", samples.saturating_sub(1))
        };
        let bad: Vec<String> = spans.iter().map(part).collect();
        let key = format!("ErrorBudgetBurn/{}", self.window);
        Case::new(
            &key,
            "10m",
            &[
                (r#"slo:bad:rate5m{job="gateway",slo="s"}"#, &bad.join(" ")),
                (r#"slo:total:rate5m{job="gateway",slo="s"}"#, &format!("{total}x{}", samples - 1)),
                (r#"slo:objective:ratio{slo="s",dashboard="d"}"#, &format!("0.999x{}", samples - 1)),
            ],
        )
    }
}

fn minutes(samples: u32) -> String {
    format!("{}m", (samples - 1) * 10)
}

fn of(pair: &Pair) -> Vec<Case> {
    let Pair { long, short, .. } = *pair;
    let end = |spans: &[Span]| minutes(spans.iter().map(|(samples, _)| samples).sum());
    let fires = |spans: &[Span]| pair.case(spans).fires(&end(spans));
    let silent = |spans: &[Span]| pair.case(spans).silent(&end(spans));
    let last = short.max(1);
    let mut cases = vec![
        fires(&[(2 * long, 1.3)]),
        silent(&[(2 * long, 0.8)]),
        silent(&[(2 * long, 0.0)]),
        // Within half of the long window; within all of it; before it.
        silent(&[(2 * long, 0.0), (long / 2, 1.6)]),
        fires(&[(2 * long, 0.0), (long, 1.3)]),
        silent(&[(long - 2, 9.0), (long + 3 - last, 0.0), (last, 1.5)]),
        // It has stopped longer ago than the short window.
        silent(&[(2 * long, 6.0), (short + short / 2 + 1, 0.0)]),
        // Just enough events, and just too few. A window has a sample at either end.
        events(pair, 130.0).fires(&minutes(2 * long)),
        events(pair, 70.0).silent(&minutes(2 * long)),
        two_objectives(pair),
        Case::new(&format!("ErrorBudgetBurn/{}", pair.window), "10m", &[]).silent("10m"),
    ];
    if short > 1 {
        // It has stopped, but within the short window, whose first sample counts in Prometheus 2 alone.
        cases.push(fires(&[(2 * long, 4.0), (short / 2 + 1, 0.0)]));
    }
    cases
}

fn events(pair: &Pair, events: f64) -> Case {
    pair.with_traffic(&[(2 * pair.long, 1.5)], events / (30.0 * f64::from(pair.long + 1)))
}

/// One burns in the long window alone, the other in the short one alone: neither burns.
fn two_objectives(pair: &Pair) -> Case {
    let (long, quiet) = (pair.long, pair.short * 2 + 1);
    let mut case = pair.case(&[(2 * long, 6.0), (quiet, 0.0)]);
    let samples = 2 * long + quiet;
    let last = pair.short.max(1);
    let other = pair.case(&[(samples - last, 0.0), (last, 1.5)]);
    let renamed =
        other.series.into_iter().map(|(series, values)| (series.replace(r#""s""#, r#""t""#), values));
    case.series.extend(renamed);
    case.silent(&minutes(samples))
}
