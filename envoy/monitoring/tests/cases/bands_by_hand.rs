//! The bands again, computed from what they are said to be and not by PromQL: what each rule must record at every step of seventeen days
//! whose values are known.

use super::Case;
use std::collections::BTreeMap;

/// Minutes between samples. No window begins and no offset ends at a multiple of it, so Prometheus 2 and 3, which differ in whether a
/// window has its first moment, see the same samples.
const STEP: usize = 28;
const DAY: usize = 1_440;
const DAYS: usize = 17;

/// A sample for each step, or none.
type Samples = Vec<Option<f64>>;

/// What is watched.
#[derive(Clone, Copy)]
struct Signal {
    name: &'static str,
    series: &'static str,
    least_margin: f64,
    both_ways: bool,
    needs_traffic: bool,
}

const fn signal(name: &'static str, series: &'static str, least_margin: f64) -> Signal {
    Signal { name, series, least_margin, both_ways: false, needs_traffic: true }
}

const REQUESTS: &str = r#"gateway:requests:rate5m{job="gateway"}"#;

const SIGNALS: [Signal; 4] = [
    Signal { both_ways: true, needs_traffic: false, ..signal("requests", REQUESTS, 2.0) },
    signal("errors", r#"gateway:server_errors:ratio_rate5m{job="gateway"}"#, 0.02),
    signal("latency", r#"gateway:latency_seconds:p95_5m{job="gateway"}"#, 0.05),
    Signal {
        needs_traffic: false,
        ..signal("failed_logins", r#"gateway:failed_logins:rate5m{job="gateway"}"#, 0.1)
    },
];

/// What is recorded of a signal, step by step.
struct Bands {
    signal: Signal,
    recorded: BTreeMap<&'static str, Samples>,
}

impl Bands {
    fn of(signal: Signal, values: &[Option<f64>]) -> Self {
        let mut bands = Self { signal, recorded: BTreeMap::new() };
        values.iter().enumerate().for_each(|(now, value)| bands.step(now, *value));
        bands
    }

    fn record(&mut self, series: &'static str, value: Option<f64>) -> Option<f64> {
        self.recorded.entry(series).or_default().push(value);
        value
    }

    fn step(&mut self, now: usize, value: Option<f64>) {
        let least = self.signal.least_margin;
        self.record("value", value);
        let day = self.usual(now, &[1, 2, 3]);
        let week = self.usual(now, &[7, 14]);
        self.record("usual_day", day);
        self.record("usual_week", week);
        let factor = value.zip(day).map(|(value, day)| (value + least) / (day + least));
        self.record("factor", factor);
        let of_late = day.zip(self.median(now, "factor", 360, 0));
        let recent = self.record("usual_recent", of_late.map(|(day, factor)| (day + least) * factor - least));
        let usual: Vec<f64> = [day, week].into_iter().flatten().collect();
        let margin = self.margin(now, &usual);
        self.edges(&usual, margin);
        let out = self.is_out(value, [day, week, recent], margin);
        self.record("out", out.map(|out| f64::from(u8::from(out))));
        let clean = self.record("clean", value.filter(|_| out != Some(true)));
        let away = clean.and_then(|clean| usual.iter().map(|usual| (clean - usual).abs()).reduce(f64::min));
        self.record("deviation", away);
    }

    /// The median of the medians of an hour around the same time of the day, so many days ago.
    fn usual(&self, now: usize, days: &[usize]) -> Option<f64> {
        let hour = |days: &usize| self.median(now, "clean", days * DAY + 30, days * DAY - 30);
        median(days.iter().filter_map(hour).collect())
    }

    /// The median of what was recorded from so many minutes before now until so many.
    fn median(&self, now: usize, series: &str, from: usize, to: usize) -> Option<f64> {
        let samples = self.recorded.get(series).map(Vec::as_slice).unwrap_or_default();
        let first = now.saturating_sub(from / STEP);
        let is_within = |at: &usize| (now - at) * STEP >= to;
        median((first..samples.len()).filter(is_within).filter_map(|at| samples[at]).collect())
    }

    /// Four standard deviations, of which a median deviation is 0.6745; a quarter of what is usual; the least: the most of these.
    fn margin(&mut self, now: usize, usual: &[f64]) -> Option<f64> {
        let spread = self.median(now, "deviation", DAY, 0).map(|deviation| 4.0 * 1.4826 * deviation);
        let widest = usual.iter().map(|usual| 0.25 * usual).chain(spread).reduce(f64::max);
        self.record("margin", widest.map(|widest| widest.max(self.signal.least_margin)))
    }

    fn edges(&mut self, usual: &[f64], margin: Option<f64>) {
        let of = |which: fn(f64, f64) -> f64| usual.iter().copied().reduce(which).zip(margin);
        self.record("upper", of(f64::max).map(|(usual, margin)| usual + margin));
        self.record("lower", of(f64::min).map(|(usual, margin)| usual - margin));
    }

    fn is_out(&self, value: Option<f64>, usual: [Option<f64>; 3], margin: Option<f64>) -> Option<bool> {
        let (value, margin) = value.zip(margin)?;
        let away = usual.map(|usual| usual.map(|usual| value - usual));
        let away = away.map(|away| away.map(|away| if self.signal.both_ways { away.abs() } else { away }));
        away.into_iter().try_fold(true, |all, away| {
            let away = away?;
            Some(all && away > margin)
        })
    }

    /// The case: what is recorded is there when it should be, and only then, and is what is computed here.
    fn case(&self, given: &[(&str, String)]) -> Case {
        let expected =
            self.recorded.iter().map(|(name, samples)| (format!("expected:{name}"), text(samples)));
        let given = given.iter().map(|(series, values)| ((*series).to_owned(), values.clone()));
        let series: Vec<(String, String)> = given.chain(expected).collect();
        let series: Vec<(&str, &str)> =
            series.iter().map(|(series, values)| (&**series, &**values)).collect();
        let case = Case::new(&format!("anomaly:{}", self.signal.name), "28m", &series);
        self.recorded.iter().fold(case, |case, (name, samples)| self.look_at(case, name, samples))
    }

    fn look_at(&self, case: Case, name: &str, samples: &[Option<f64>]) -> Case {
        let (end, near) = (format!("{}m", (samples.len() - 1) * STEP), self.signal.least_margin / 1e6);
        let there = u32::try_from(samples.iter().flatten().count()).expect("some hundreds").into();
        let all =
            |of: &str| format!("sum(count_over_time({of}[{}m:{STEP}m])) or vector(0)", samples.len() * STEP);
        let recorded = format!("anomaly:signal:{name}");
        let is_near = format!("(abs({recorded} - on () group_left () expected:{name}) <= {near})");
        case.look(&end, all(&recorded), there).look(&end, all(&is_near), there)
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 1 { upper } else { f64::midpoint(values[middle - 1], upper) })
}

fn text(samples: &[Option<f64>]) -> String {
    let of = |sample: &Option<f64>| sample.map_or("_".to_owned(), |value| format!("{value:.12}"));
    samples.iter().map(of).collect::<Vec<_>>().join(" ")
}

/// Numbers between -1 and 1 without a pattern, the same each time.
fn noise(mut seed: u32) -> impl FnMut() -> f64 {
    const MOST: u32 = 1 << 31;
    move || {
        seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12_345) % MOST;
        2.0 * f64::from(seed) / f64::from(MOST) - 1.0
    }
}

/// Seventeen days from a Monday on, busiest in the afternoon and less so at weekends, as the story changes them by day and noise.
fn days(seed: u32, story: impl Fn(f64, f64, f64) -> Option<f64>) -> Samples {
    let mut noise = noise(seed);
    let sample = |step: usize| {
        let day = (step * STEP) as f64 / DAY as f64;
        let by_hour = 100.0 + 60.0 * ((day.fract() * 24.0 - 15.0) * std::f64::consts::PI / 12.0).cos();
        let by_day = if day % 7.0 >= 5.0 { 0.4 } else { 1.0 };
        story(day, by_hour * by_day, noise())
    };
    (0..DAYS * DAY / STEP).map(sample).collect()
}

fn is_in(day: f64, from: f64, to: f64) -> bool {
    from < day && day < to
}

/// Two spikes, a fall, and an hour without samples, in little noise: bands are a share of what is usual. Before that, two days and a half
/// at twice the level of working days, which are usual for an hour of the day after, and neither for its week nor for its last hours.
fn calm() -> Samples {
    days(7, |day, usual, noise| {
        let times = match day {
            _ if is_in(day, 4.2, 4.25) => return None,
            _ if is_in(day, 4.3, 5.0) || is_in(day, 7.5, 7.55) => 2.0,
            // At the weekend, too.
            _ if is_in(day, 5.0, 7.0) => 5.0,
            _ if is_in(day, 10.4, 10.45) || is_in(day, 15.5, 15.55) => 5.0,
            _ if is_in(day, 11.5, 11.6) => 0.2,
            _ => 1.0,
        };
        Some(usual * times * (1.0 + 0.03 * noise))
    })
}

/// Values that vary by a third, and for three days by nine tenths: bands are as wide as the deviation.
fn varying() -> Samples {
    days(11, |day, usual, noise| {
        let by = if is_in(day, 6.0, 9.0) { 0.9 } else { 0.3 };
        let times = if is_in(day, 10.4, 10.45) { 3.0 } else { 1.0 };
        Some(usual * times * (1.0 + by * noise))
    })
}

/// Little of everything, and much more of it from one evening on: bands are the least that is worth a look.
fn little() -> Samples {
    days(23, |day, usual, noise| {
        let times = if day > 15.6 { 0.09 } else { 0.01 };
        Some(usual * times * (1.0 + 0.5 * noise))
    })
}

/// A request and a half a second, but for two spells of less than one.
fn traffic() -> Samples {
    days(1, |day, _, _| Some(if is_in(day, 3.0, 3.3) || is_in(day, 12.0, 12.1) { 0.7 } else { 1.5 }))
}

impl Signal {
    /// What happens, in this signal's unit: everything is to its least margin as it is to that of requests.
    fn case(self, story: &[Option<f64>]) -> Case {
        let by = self.least_margin / SIGNALS[0].least_margin;
        let values: Samples = story.iter().map(|value| value.map(|value| value * by)).collect();
        let mut given = vec![(self.series, text(&values))];
        let traffic = traffic();
        if self.series != REQUESTS {
            given.push((REQUESTS, text(&traffic)));
        }
        let is_busy = |at: usize| !self.needs_traffic || traffic[at].is_some_and(|rate| rate > 1.0);
        let seen: Samples =
            values.iter().enumerate().map(|(at, value)| value.filter(|_| is_busy(at))).collect();
        Bands::of(self, &seen).case(&given)
    }
}

pub fn cases() -> Vec<Case> {
    let stories = [calm(), varying(), little()];
    SIGNALS.iter().flat_map(|signal| stories.iter().map(move |story| signal.case(story))).collect()
}
