//! What is left of error budgets: the hour of the ledger on each of thirty days, with nothing bad on ten of them, through the rules of long
//! windows and into the panels that show budgets.

use crate::compare::{Asker, Tally};
use crate::expected::{Expected, Ledger, last_minutes};
use crate::script::Hour;
use portcullis_e2e::Labels;
use portcullis_monitoring::dashboards::{Dashboard, Site};
use portcullis_monitoring::{Indicator, Rule, Rules};
use portcullis_monitoring_tests::{Prometheus, Timeline};
use std::collections::BTreeMap;
use std::ops::Range;

const DAY: i64 = 86_400;
const DAYS: i64 = 30;
/// So many days ago nothing was bad.
const QUIET: Range<i64> = 10..20;
/// Between two scrapes, and two evaluations.
const EVERY: i64 = 30;
/// A rate looks so far back: what happened in the last moments of the hour is seen until then.
const RATE: i64 = 300;

/// Windows that reach over the last of the hours and not into the one before, and those over days.
const WHOLE_HOUR: [&str; 4] = ["2h", "6h", "1d", "3d"];

/// An objective that is measured by events: its target, and how much of what there is in the hour is bad.
struct Measured<'r> {
    name: &'r str,
    target: f64,
    ratio: f64,
}

/// Objectives whose events the ledger knows.
fn measured<'r>(rules: &'r Rules, hour: &Hour) -> Vec<Measured<'r>> {
    let expected = last_minutes(&Ledger(hour));
    let count = |series: &str, name: &str| match expected.get(&*format!("{series}{name}")) {
        Some(Expected::Is(answer)) => answer.values().next().copied(),
        _ => None,
    };
    let of_events =
        rules.documents.iter().filter(|it| matches!(it.indicator("5m"), Indicator::Events { .. }));
    let of = |document: &'r portcullis_monitoring::Document| {
        let name = document.name();
        let (bad, total) = count("slo:bad:rate5m", name).zip(count("slo:total:rate5m", name))?;
        Some(Measured { name, target: document.target(), ratio: bad / total })
    };
    of_events.filter_map(of).collect()
}

/// The hour, and what is scraped after it if nothing happens any more.
fn with_a_quiet_end(hour: &Hour) -> Timeline {
    let mut scrapes = hour.scrapes.clone();
    scrapes.stay(hour.end, (1..=RATE / EVERY).map(|step| step * EVERY));
    scrapes
}

/// What is bad and what there is in all, as recorded of the hour, on each of the days.
fn recorded(rules: &[&Rule], objectives: &[Measured<'_>], hour: &Hour) -> Timeline {
    let prometheus = Prometheus::with(&[&with_a_quiet_end(hour)]);
    let mut timeline = Timeline::default();
    for Measured { name, target, .. } in objectives {
        let rule = |series: &str| {
            let is_it = |rule: &&&Rule| rule.record == series && rule.labels["slo"] == *name;
            rules.iter().find(is_it).expect("both are recorded").expr.clone()
        };
        let total = rule("slo:total:rate5m");
        let bad = rule("slo:bad:rate5m")
            .replace(&format!("slo:total:rate5m{{slo=\"{name}\"}}"), &format!("({total})"));
        for (series, expr) in [("slo:bad:rate5m", bad), ("slo:total:rate5m", total)] {
            let samples = prometheus.range(&expr, (hour.end - 3_600, hour.end + RATE), EVERY);
            let samples = samples.expect("a sound query").into_values().next().unwrap_or_default();
            on_each_day(&mut timeline, series, name, &samples);
        }
        let labels = Labels::from([("slo".to_owned(), (*name).to_owned())]);
        timeline.add(hour.end + RATE, "slo:objective:ratio", labels, *target);
    }
    timeline
}

fn on_each_day(timeline: &mut Timeline, series: &str, slo: &str, samples: &[(i64, f64)]) {
    let labels = Labels::from([("job", "gateway"), ("slo", slo)].map(|(k, v)| (k.to_owned(), v.to_owned())));
    for day in (0..DAYS).rev() {
        let is_good = series.contains("bad") && QUIET.contains(&day);
        for (at, value) in samples {
            timeline.add(at - day * DAY, series, labels.clone(), if is_good { 0.0 } else { *value });
        }
    }
}

/// Evaluates rules, and keeps what they record.
fn evaluate(prometheus: &mut Prometheus, rules: &[&Rule], begins: &str, at: i64) {
    let mut timeline = Timeline::default();
    for rule in rules.iter().filter(|rule| rule.record.starts_with(begins)) {
        for (labels, value) in prometheus.query(&rule.expr, at).expect("a sound rule") {
            timeline.add(at, &rule.record, labels, value);
        }
    }
    prometheus.add(&timeline);
}

/// Asks for the ratios of all long windows, and every panel of a budget.
pub fn ask(rules: &Rules, dashboards: &[Dashboard], site: &Site, hour: &Hour) -> Tally {
    let objectives = measured(rules, hour);
    let all: Vec<&Rule> = rules.groups.iter().flat_map(|group| &group.rules).collect();
    let mut prometheus = Prometheus::with(&[&recorded(&all, &objectives, hour)]);
    let at = hour.end + RATE;
    evaluate(&mut prometheus, &all, "slo:errors:ratio_rate", at);
    evaluate(&mut prometheus, &all, "slo:error_budget:", at);
    let asker = Asker::new(&prometheus, at);
    let mut tally = Tally::default();
    let bad_days = (DAYS - (QUIET.end - QUIET.start)) as f64 / DAYS as f64;
    for Measured { name, target, ratio } in &objectives {
        let ratios = WHOLE_HOUR.map(|window| (window, *ratio)).into_iter().chain([("30d", ratio * bad_days)]);
        for (window, ratio) in ratios {
            let query = format!("sum(slo:errors:ratio_rate{window}{{slo=\"{name}\"}})");
            compare(&mut tally, &asker, &format!("{name} {window}"), &query, ratio);
        }
        let title = format!("Budget left: {}", name.replace('_', " "));
        let spent = ratio * bad_days / (1.0 - target);
        ask_panels(&mut tally, &asker, (dashboards, site), &title, spent);
    }
    tally
}

/// Every panel with this title, on whichever dashboards, says what is left.
fn ask_panels(
    tally: &mut Tally,
    asker: &Asker<'_>,
    (dashboards, site): (&[Dashboard], &Site),
    title: &str,
    spent: f64,
) {
    let panels = dashboards.iter().flat_map(|dashboard| dashboard.rows.iter().flat_map(|row| &row.panels));
    let before = tally.panels;
    for panel in panels.filter(|panel| panel.title == title) {
        tally.panels += 1;
        let query = panel.queries[0].text(site);
        // What is spent: near nothing left, a small error of that would be a large one of what is left.
        compare(tally, asker, title, &format!("1 - ({query})"), spent);
    }
    if tally.panels == before {
        tally.differences.push(format!("no panel is called {title}"));
    }
}

fn compare(tally: &mut Tally, asker: &Asker<'_>, place: &str, query: &str, wanted: f64) {
    tally.queries += 1;
    let expected = Expected::Is(BTreeMap::from([(Labels::new(), wanted)]));
    match asker.prometheus.query(query, asker.end) {
        Err(error) => tally.differences.push(format!("{place}: {error}")),
        Ok(answer) => {
            let found = asker.compare(&answer, &expected);
            tally.differences.extend(found.into_iter().map(|found| format!("{place}: {found}")));
        }
    }
}
