//! Alerts, each with its tier, its texts, the dashboard that shows it and the runbook that says what to do.

mod filter;
mod security;
mod tokens;
mod traffic;
mod watchers;

use crate::rule::Rule;
use crate::settings::Settings;

/// How soon somebody must look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Now, at any hour.
    Critical,
    /// On the same working day.
    Warning,
    /// Nobody is called; it inhibits others, or proves that alerting works.
    Info,
}

/// An alert, as written here.
#[derive(Clone, Debug)]
pub struct Alert {
    /// Its name.
    pub name: &'static str,
    /// How soon somebody must look.
    pub tier: Tier,
    /// When it is raised.
    pub expr: String,
    /// How long that must hold.
    pub hold: &'static str,
    /// What is wrong, in a line.
    pub summary: &'static str,
    /// What is wrong, with values.
    pub description: &'static str,
    /// The uid of the dashboard that shows it.
    pub dashboard: &'static str,
    /// Which security events are its evidence: a query for series with a label `request_id`; empty where no request is.
    pub evidence: &'static str,
}

impl Tier {
    /// As the label `severity` says it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

const fn raised(name: &'static str, tier: Tier, expr: String, hold: &'static str) -> Alert {
    Alert { name, tier, expr, hold, summary: "", description: "", dashboard: "", evidence: "" }
}

/// A message can name only what a rule has in its hands when it fires, and metrics know no request. So the ruler of the log store records
/// the id of the newest request of each action and reason; a rule with evidence waits for it.
const WITH_EVIDENCE: &str = "1m";

impl Alert {
    fn says(self, summary: &'static str, description: &'static str, dashboard: &'static str) -> Self {
        Self { summary, description, dashboard, ..self }
    }

    fn seen_in(self, evidence: &'static str) -> Self {
        Self { evidence, ..self }
    }

    /// The ids of requests, and the address of their log lines, as templates of annotations.
    fn evidence(&self, settings: &Settings) -> [(&'static str, String); 2] {
        let each = |between: &str| {
            format!(
                "{{{{ range $at, $seen := . }}}}{{{{ if $at }}}}{between}{{{{ end }}}}{{{{ $seen.Labels.request_id }}}}{{{{ end }}}}"
            )
        };
        let where_known =
            |text: String| format!("{{{{ with query `{}` }}}}{text}{{{{ end }}}}", self.evidence);
        let lines = format!("{}/security-events?var-request_id={}", settings.dashboards(), each("%7C"));
        [("request_ids", where_known(each(" "))), ("lines_url", where_known(lines))]
    }

    /// Its rule.
    #[must_use]
    pub fn rule(&self, settings: &Settings) -> Rule {
        let rule = Rule {
            alert: self.name.to_owned(),
            expr: self.expr.clone(),
            hold: self.hold.to_owned(),
            ..Rule::default()
        };
        // It inhibits others by the name that they have for its service.
        let rule = match self.name {
            "ServiceDown" => rule.label("service", "{{ $labels.target_service }}"),
            _ => rule,
        };
        let rule = rule
            .label("severity", self.tier.as_str())
            .annotated("summary", self.summary)
            .annotated("description", self.description)
            .annotated("dashboard_url", format!("{}/{}", settings.dashboards(), self.dashboard))
            .annotated("runbook_url", settings.runbook(self.name));
        match self.evidence {
            "" => rule,
            _ => self
                .evidence(settings)
                .into_iter()
                .fold(rule, |rule, (name, text)| rule.annotated(name, text)),
        }
    }
}

/// All alerts but those on error budgets.
#[must_use]
pub fn all() -> Vec<Alert> {
    [traffic::all(), security::all(), tokens::all(), filter::all(), watchers::all()].concat()
}

fn critical(name: &'static str, hold: &'static str, expr: &str) -> Alert {
    raised(name, Tier::Critical, expr.to_owned(), hold)
}

fn warning(name: &'static str, hold: &'static str, expr: &str) -> Alert {
    raised(name, Tier::Warning, expr.to_owned(), hold)
}
