//! Asks a query, and says where its answer differs from what must be.

use crate::expected::Expected;
use portcullis_e2e::Labels;
use portcullis_monitoring::dashboards::{Asked, Dashboard, Panel, Query, Site, Source};
use portcullis_monitoring_tests::{Answer, Prometheus};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

/// What a value may deviate by: a scrape is each 30 s of an hour, and Prometheus extrapolates to the hour's ends.
pub const SCRAPE_ERROR: f64 = 30.0 / 3_570.0;

/// What was asked, and what was wrong.
#[derive(Default)]
pub struct Tally {
    pub panels: usize,
    pub queries: usize,
    pub differences: Vec<String>,
    /// What each title asks.
    pub titles: BTreeMap<String, Vec<String>>,
}

impl Tally {
    /// Asks every panel of a dashboard that Prometheus answers.
    pub fn ask(
        &mut self,
        dashboard: &Dashboard,
        site: &Site,
        asker: &Asker<'_>,
        expected: &dyn Fn(&str) -> Option<Vec<Expected>>,
    ) {
        for panel in dashboard.rows.iter().flat_map(|row| &row.panels) {
            self.panels += 1;
            let queries: Vec<&Query> =
                panel.queries.iter().filter(|query| query.source == Source::Metrics).collect();
            let place = format!("{} / {}", dashboard.title, panel.title);
            self.name(panel, queries.iter().map(|query| query.text(site)).collect());
            match expected(&panel.title) {
                _ if queries.is_empty() => {}
                Some(expected) if expected.len() == queries.len() => {
                    for (query, expected) in queries.iter().zip(&expected) {
                        self.queries += 1;
                        let found = asker.differences(query, site, expected).into_iter();
                        self.differences
                            .extend(found.map(|found| format!("{place} / {}: {found}", query.legend)));
                    }
                }
                Some(expected) => self.differences.push(format!(
                    "{place}: {} answers expected of {} queries",
                    expected.len(),
                    queries.len()
                )),
                None => self.differences.push(format!("{place}: nothing is expected of it")),
            }
        }
    }

    /// Panels of one title ask the same.
    fn name(&mut self, panel: &Panel, asks: Vec<String>) {
        let before = self.titles.insert(panel.title.clone(), asks.clone());
        if before.is_some_and(|before| before != asks) {
            self.differences.push(format!("two panels are called {}", panel.title));
        }
    }

    /// The figures.
    pub fn print(&self, asker: &Asker<'_>) {
        println!(
            "{} panels, {} queries, {} differ; the largest deviation of the others is {:.3} %",
            self.panels,
            self.queries,
            self.differences.len(),
            100.0 * asker.deviation.get()
        );
    }
}

/// Asks at the end of the hour.
pub struct Asker<'a> {
    pub prometheus: &'a Prometheus,
    pub end: i64,
    pub deviation: Cell<f64>,
}

impl<'a> Asker<'a> {
    /// One that has asked nothing yet.
    pub fn new(prometheus: &'a Prometheus, end: i64) -> Self {
        Self { prometheus, end, deviation: Cell::new(0.0) }
    }

    /// What is wrong with a query's answers: over the whole hour, and at each step.
    pub fn differences(&self, query: &Query, site: &Site, expected: &Expected) -> Vec<String> {
        let text = with_variables(&query.text(site), "1h");
        match self.prometheus.query(&text, self.end) {
            Err(error) => vec![format!("{error}: {text}")],
            Ok(answer) => {
                let mut all = self.compare(&answer, expected);
                if query.asked == Asked::OverTime {
                    all.extend(self.steps(query, site));
                }
                all
            }
        }
    }

    /// Each step can be asked.
    fn steps(&self, query: &Query, site: &Site) -> Option<String> {
        let text = with_variables(&query.text(site), "2m");
        self.prometheus.range(&text, (self.end - 3_600, self.end), 30).err()
    }

    /// How an answer differs from what must be.
    pub fn compare(&self, answer: &Answer, expected: &Expected) -> Vec<String> {
        let real: Answer =
            answer.iter().filter(|(_, value)| !value.is_nan()).map(|(l, v)| (l.clone(), *v)).collect();
        match expected {
            Expected::Empty if real.is_empty() => Vec::new(),
            Expected::Empty => vec![format!("expected nothing, found {real:?}")],
            Expected::Is(expected) => {
                let series: BTreeSet<&Labels> = real.keys().chain(expected.keys()).collect();
                series.into_iter().filter_map(|labels| self.differs(labels, &real, expected)).collect()
            }
        }
    }

    fn differs(&self, labels: &Labels, real: &Answer, expected: &Answer) -> Option<String> {
        let value = |answer: &Answer| answer.get(labels).copied().unwrap_or(0.0);
        let (found, wanted) = (value(real), value(expected));
        let deviation = (found - wanted).abs() / wanted.abs().max(1e-9);
        if found == wanted || deviation <= SCRAPE_ERROR {
            let deviation = if found == wanted { 0.0 } else { deviation };
            self.deviation.set(self.deviation.get().max(deviation));
            return None;
        }
        Some(format!("{labels:?}: found {found}, expected {wanted}"))
    }
}

/// A query as Grafana would send it.
pub fn with_variables(query: &str, interval: &str) -> String {
    query
        .replace("$__rate_interval", interval)
        .replace("$__range", "1h")
        .replace("$job", "gateway")
        .replace("$instance", ".+")
}
