//! Sixteen days of a signal with a rhythm of days and weeks, every half hour: what is unusual in it, and what is not.

use super::Case;

/// Samples in a day.
const DAY: usize = 48;

/// A value by day (0 is a Monday) and half hour, with a noise of 2 % that is the same each time.
fn rhythm(day: usize, at: usize) -> f64 {
    let hour = at as f64 / 2.0;
    let by_hour = 100.0 + 60.0 * ((hour - 15.0) * std::f64::consts::PI / 12.0).cos();
    // A day is as its neighbour at first, and then itself.
    let of_day = |day: usize| if day % 7 >= 5 { 0.4 } else { 1.0 };
    let own = (hour / 3.0).min(1.0);
    let by_day = of_day(day) * own + of_day(day + 6) * (1.0 - own);
    let noise = 1.0 + 0.02 * (((day * 31 + at * 17) % 13) as f64 / 6.0 - 1.0);
    by_hour * by_day * noise
}

/// The signal, changed by what happens.
fn days(days: usize, change: impl Fn(usize, usize, f64) -> f64) -> String {
    let all = (0..days).flat_map(|day| (0..DAY).map(move |at| (day, at)));
    let values: Vec<String> =
        all.map(|(day, at)| format!("{:.4}", change(day, at, rhythm(day, at)))).collect();
    values.join(" ")
}

fn time(day: usize, half_hours: usize) -> String {
    format!("{}m", (day * DAY + half_hours) * 30)
}

const OUT: &str = "anomaly:signal:out";

fn requests(values: &str) -> Case {
    Case::new("anomaly:requests", "30m", &[(r#"gateway:requests:rate5m{job="gateway"}"#, values)])
}

pub fn cases() -> Vec<Case> {
    let all_of = |from: &str| format!("sum_over_time({OUT}[{from}])");
    let spike = |day: usize, at: usize, usual: f64| match (day, at) {
        // Thursday of the second week at ten, and again two hours later; then a fall at noon of Friday.
        (10, 20 | 24) => usual * 5.0,
        (11, 24..=25) => usual * 0.2,
        // A small one is within the band.
        (11, 30) => usual * 1.15,
        _ => usual,
    };
    let shift = |day: usize, _: usize, usual: f64| if day >= 9 { usual * 2.0 } else { usual };
    let mut cases = vec![
        requests(&days(13, spike))
            .value(&time(10, 19), OUT, 0.0)
            .value(&time(10, 20), OUT, 1.0)
            .value(&time(10, 21), OUT, 0.0)
            .value(&time(10, 24), OUT, 1.0)
            .value(&time(11, 20), OUT, 0.0)
            .value(&time(11, 25), OUT, 1.0)
            .value(&time(11, 30), OUT, 0.0)
            // The spikes are no part of what is usual a day later.
            .value(&time(10, 20), "anomaly:signal:clean > bool 0 or vector(0)", 0.0)
            .value(&time(12, 47), &all_of("62h"), 4.0)
            .value(&time(11, 20), "anomaly:signal:upper < bool 250", 1.0)
            .value(&time(11, 20), "anomaly:signal:upper > bool 140", 1.0)
            .value(&time(11, 20), "anomaly:signal:lower < bool 120", 1.0)
            .value(&time(11, 20), "anomaly:signal:lower > bool 50", 1.0),
        // A deployment doubles it for good: unusual for some hours, and usual from then on.
        requests(&days(13, shift)).value(&time(9, 1), OUT, 1.0).value(&time(9, 12), OUT, 0.0).value(
            &time(12, 47),
            &format!("{} < bool 20", all_of("4d")),
            1.0,
        ),
        // Where values vary by half, the bands are wide, and no value is unusual.
        requests(&days(10, |day, at, usual| {
            usual * (1.0 + 0.5 * (((day * 29 + at * at * 5) % 11) as f64 / 5.0 - 1.0))
        }))
        .value(&time(9, 28), "anomaly:signal:margin > bool 60", 1.0)
        .value(&time(9, 28), "anomaly:signal:margin < bool 250", 1.0)
        .value(&time(9, 47), &format!("max_over_time({OUT}[2d])"), 0.0),
        requests(&days(16, |_, _, usual| usual))
            // It warms up for a week, less half an hour, and knows the second weekend.
            .nothing(&time(6, 20), OUT)
            .value(&time(7, 2), OUT, 0.0)
            .value(&time(15, 40), &format!("max_over_time({OUT}[8d])"), 0.0),
        requests("").nothing(&time(8, 0), OUT),
    ];
    cases.extend(others());
    cases
}

/// The other signals rise only, and two of them need traffic.
fn others() -> Vec<Case> {
    let of = |signal: &str, series: &str, usual: f64, now: f64, traffic: &str| {
        let values =
            days(10, |day, at, value| if (day, at) == (8, 20) { now } else { usual * value / 100.0 });
        Case::new(
            &format!("anomaly:{signal}"),
            "30m",
            &[(series, &values), (r#"gateway:requests:rate5m{job="gateway"}"#, traffic)],
        )
    };
    let errors = r#"gateway:server_errors:ratio_rate5m{job="gateway"}"#;
    let latency = r#"gateway:latency_seconds:p95_5m{job="gateway"}"#;
    let logins = r#"gateway:failed_logins:rate5m{job="gateway"}"#;
    let at = time(8, 20);
    vec![
        of("errors", errors, 0.001, 0.05, "10x480").value(&at, OUT, 1.0),
        of("errors", errors, 0.001, 0.015, "10x480").value(&at, OUT, 0.0),
        of("errors", errors, 0.001, 0.05, "0.6x480").nothing(&at, OUT),
        of("latency", latency, 0.08, 0.3, "10x480").value(&at, OUT, 1.0),
        of("latency", latency, 0.08, 0.09, "10x480").value(&at, OUT, 0.0),
        of("latency", latency, 0.08, 0.001, "10x480").value(&at, OUT, 0.0),
        of("failed_logins", logins, 0.01, 1.0, "0.1x480").value(&at, OUT, 1.0),
        of("failed_logins", logins, 0.01, 0.08, "10x480").value(&at, OUT, 0.0),
    ]
}
