//! Rules from OpenSLO documents: error ratios over several windows, and alerts on how fast the error budget is spent (Google's SRE
//! workbook, chapter 5, table 5-8).
//!
//! For each objective two series are recorded, what is bad and what there is in all, a second. Every longer window is summed from these, so
//! a ratio weighs events (not minutes), thirty days cost two series an objective, and a restart of the gateway changes nothing. The
//! ratios and the alerts are the same rules for all objectives; the label `slo` tells them apart.

use super::{Document, Indicator, record};
use crate::query;
use crate::rule::{Group, Rule};
use crate::settings::Settings;

/// Windows, from short to long, with the series of their error ratios.
const WINDOWS: [(&str, &str); 8] = [
    ("5m", query!("slo:errors:ratio_rate5m")),
    ("30m", query!("slo:errors:ratio_rate30m")),
    ("1h", query!("slo:errors:ratio_rate1h")),
    ("2h", query!("slo:errors:ratio_rate2h")),
    ("6h", query!("slo:errors:ratio_rate6h")),
    ("1d", query!("slo:errors:ratio_rate1d")),
    ("3d", query!("slo:errors:ratio_rate3d")),
    ("30d", query!("slo:errors:ratio_rate30d")),
];

/// Long window, short window, burn rate, tier.
const BURN: [(&str, &str, f64, &str); 4] = [
    ("1h", "5m", 14.4, "critical"),
    ("6h", "30m", 6.0, "critical"),
    ("1d", "2h", 3.0, "warning"),
    ("3d", "6h", 1.0, "warning"),
];

/// The groups for documents with a budget: what is recorded, the long windows (which may be late), the alerts.
#[must_use]
pub fn rules(documents: &[Document], settings: &Settings) -> Vec<Group> {
    let with_budget = || documents.iter().filter(|document| document.target() < 1.0);
    if with_budget().next().is_none() {
        return Vec::new();
    }
    let mut recorded: Vec<Rule> = with_budget().flat_map(measured).collect();
    let (short, long): (Vec<_>, Vec<_>) = WINDOWS.iter().partition(|(window, _)| !window.ends_with('d'));
    recorded.extend(short.into_iter().map(|(window, series)| ratio(window, series)));
    let mut slow: Vec<Rule> = long.into_iter().map(|(window, series)| ratio(window, series)).collect();
    slow.push(Rule::record("slo:error_budget:remaining_ratio30d", REMAINING));
    let interval = settings.scrape.interval.0.as_secs();
    let alerts = BURN.iter().map(|burn| alert(*burn, interval, settings)).collect();
    let group =
        |name: &str, every: &str, rules| Group { name: name.to_owned(), interval: every.to_owned(), rules };
    vec![
        group("gateway-objectives", "", recorded),
        group("gateway-objectives-long", "2m", slow),
        group("gateway-objectives-alerts", "", alerts),
    ]
}

/// The share of the error budget of thirty days that is left; below 0 when more than all is spent.
const REMAINING: &str =
    query!("1 - slo:errors:ratio_rate30d / on (slo) group_left () (1 - slo:objective:ratio)");

/// What is recorded of an objective: its target, what is bad, what there is.
fn measured(document: &Document) -> Vec<Rule> {
    let name = document.name();
    let target = format!("vector({})", document.target());
    let objective = record("slo:objective:ratio", name, target).label("dashboard", document.dashboard());
    let recorded = |series: &str| format!("{series}{{slo=\"{name}\"}}");
    let (bad, total) = (query!("slo:bad:rate5m"), query!("slo:total:rate5m"));
    // Rules of a group are evaluated in their order, so the second may name what the first has recorded.
    let (first, second) = match document.indicator("5m") {
        Indicator::Events { bad: some, total: all } => {
            // Where what is bad is a part of the total, it is there whenever the total is.
            let bad_or_none = match all.contains(&some) {
                true => some,
                false => format!("({some}) or 0 * sum by (job) ({})", recorded(total)),
            };
            ((total, all), (bad, bad_or_none))
        }
        Indicator::Time { bad: some } => {
            ((bad, some), (total, format!("group by (job) ({})", recorded(bad))))
        }
        Indicator::Invariant { .. } => return Vec::new(),
    };
    vec![objective, record(first.0, name, first.1), record(second.0, name, second.1)]
}

/// The error ratio of a window: nothing where there was no event at all.
fn ratio(window: &str, series: &str) -> Rule {
    let (bad, total) = (query!("slo:bad:rate5m"), query!("slo:total:rate5m"));
    let expr = match window {
        "5m" => format!("{bad} / ({total} > 0)"),
        _ => format!("sum_over_time({bad}[{window}]) / (sum_over_time({total}[{window}]) > 0)"),
    };
    Rule::record(series, expr)
}

fn series_of(wanted: &str) -> &'static str {
    WINDOWS.iter().find(|(window, _)| *window == wanted).map_or("", |(_, series)| series)
}

fn alert((long, short, rate, tier): (&str, &str, f64, &str), interval: u64, settings: &Settings) -> Rule {
    let limit = format!("{rate} * (1 - {})", query!("slo:objective:ratio"));
    let burns = |window: &str, labels: &str| {
        format!("{} > on (slo) group_left ({labels}) ({limit})", series_of(window))
    };
    let events = format!(
        "sum_over_time({}[{long}]) * {interval} > {}",
        query!("slo:total:rate5m"),
        settings.objectives.least_events
    );
    let expr = format!(
        "({}) and on (job, slo) ({}) and on (job, slo) ({events})",
        burns(long, "dashboard"),
        burns(short, "")
    );
    let rule = Rule { alert: "ErrorBudgetBurn".to_owned(), expr, ..Rule::default() };
    rule.label("severity", tier)
        .label("window", long)
        .annotated(
            "summary",
            format!("The error budget of {{{{ $labels.slo }}}} is spent {rate} times as fast as it lasts"),
        )
        .annotated(
            "description",
            format!(
                "Of what the objective {{{{ $labels.slo }}}} measures, {{{{ $value | humanizePercentage }}}} was bad within {long}, \
                 and it goes on. At this rate the budget of 30 days is spent in {}.",
                lasts(rate)
            ),
        )
        .annotated("dashboard_url", format!("{}/{{{{ $labels.dashboard }}}}", settings.dashboards()))
        .annotated("runbook_url", settings.runbook("ErrorBudgetBurn"))
}

/// How long a budget of thirty days lasts at a burn rate.
fn lasts(rate: f64) -> String {
    let hours = 720.0 / rate;
    if hours < 72.0 { format!("{hours:.0} hours") } else { format!("{:.0} days", hours / 24.0) }
}

/// The group of what must be 0 at any time; alerts on it stand among the others.
#[must_use]
pub fn invariants(documents: &[Document]) -> Option<Group> {
    let rules: Vec<Rule> = documents
        .iter()
        .filter_map(|document| match document.indicator("5m") {
            Indicator::Invariant { difference } => {
                Some(record("slo:invariant:difference", document.name(), difference))
            }
            Indicator::Events { .. } | Indicator::Time { .. } => None,
        })
        .collect();
    let name = "gateway-invariants".to_owned();
    (!rules.is_empty()).then_some(Group { name, interval: String::new(), rules })
}
