//! What monitoring costs: how long queries take on a day of data, how much of a core the rules take, how many series and bytes of log
//! lines there are. Printed and published, not judged: a machine under load is slower.

use crate::compare::with_variables;
use crate::script::Hour;
use portcullis_e2e::Labels;
use portcullis_monitoring::Group;
use portcullis_monitoring::dashboards::{Asked, Dashboard, Site, Source};
use portcullis_monitoring_tests::Prometheus;
use std::time::{Duration, Instant};

const HOURS: u32 = 24;

/// A Prometheus with the hour again and again for a day. Counters begin anew each hour.
fn a_day(hour: &Hour) -> Prometheus {
    let hours: Vec<_> =
        (0..HOURS).rev().map(|back| hour.scrapes.earlier(Duration::from_secs(3_600) * back)).collect();
    Prometheus::with(&hours.iter().collect::<Vec<_>>())
}

fn took(ask: impl FnOnce()) -> Duration {
    let began = Instant::now();
    ask();
    began.elapsed()
}

/// Prints it.
pub fn print(dashboards: &[Dashboard], site: &Site, rules: &[Group], hour: &Hour) {
    let prometheus = a_day(hour);
    let mut panels: Vec<(Duration, String)> = Vec::new();
    let mut slowest = (Duration::ZERO, "");
    for dashboard in dashboards {
        let mut whole = Duration::ZERO;
        for panel in dashboard.rows.iter().flat_map(|row| &row.panels) {
            for query in panel.queries.iter().filter(|query| query.source == Source::Metrics) {
                let text = with_variables(&query.text(site), "5m").replace("1h", "24h");
                let took = took(|| match query.asked {
                    Asked::OverTime => drop(prometheus.range(&text, (hour.end - 86_400, hour.end), 86)),
                    _ => drop(prometheus.query(&text, hour.end)),
                });
                whole += took;
                panels.push((took, format!("{} / {}", dashboard.title, panel.title)));
            }
        }
        slowest = slowest.max((whole, dashboard.title));
    }
    panels.sort();
    let over = panels.iter().filter(|(took, _)| *took >= Duration::from_secs(1)).count();
    let all: Duration = panels.iter().map(|(took, _)| *took).sum();
    println!(
        "24 h, {} queries of panels: mean {:?}, {over} of a second or more; slowest:",
        panels.len(),
        all / u32::try_from(panels.len()).expect("some")
    );
    panels.iter().rev().take(5).for_each(|(took, panel)| println!("  {took:?} {panel}"));
    println!("  the slowest dashboard, its queries one after the other: {:?} {}", slowest.0, slowest.1);
    rules_cost(&prometheus, rules, hour);
    let lines: usize =
        hour.lines.iter().filter(|line| !line.contains("\"/metrics\"")).map(|line| line.0.len() + 1).sum();
    let requests = hour.events.len();
    let count = |query: &str| {
        prometheus.query(query, hour.end).ok().and_then(|answer| answer.get(&Labels::new()).copied())
    };
    println!(
        "{:?} samples a scrape of the gateway; {} bytes of log lines for 1,000 requests",
        count("sum(scrape_samples_scraped)"),
        lines * 1_000 / requests
    );
}

fn rules_cost(prometheus: &Prometheus, rules: &[Group], hour: &Hour) {
    let all: Vec<_> = rules.iter().flat_map(|group| &group.rules).collect();
    let took = took(|| all.iter().for_each(|rule| drop(prometheus.query(&rule.expr, hour.end))));
    let share = took.as_secs_f64() / 30.0 * 100.0;
    println!(
        "{} rules evaluated one after the other: {took:?}, {share:.1} % of a core every 30 s",
        all.len()
    );
}
