//! What is a site's own: objectives, what is scraped, receivers of alerts, business hours, prices, retention.

mod hours;
mod kubernetes;
mod money;
mod objectives;
mod receivers;
mod scrape;

pub use hours::BusinessHours;
pub use kubernetes::Kubernetes;
pub use money::{Prices, Retention};
pub use objectives::{Objectives, Orders};
pub use receivers::{NOBODY, Receiver, Smtp, Tier, Tiers, Watchdog};
pub use scrape::{Scrape, Sources};

use deserr::Deserr;
use portcullis_edge_core::{ConfigError, ConfigErrors, Node};
use portcullis_policy::Policy;
use schemars::JsonSchema;
use serde_json::Value;

/// A settings file.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields, title = "Portcullis monitoring settings")]
pub struct Settings {
    /// What this site is called in alerts (default `development`): the label `environment`.
    #[deserr(default = Settings::default_environment())]
    #[schemars(default = "Settings::default_environment")]
    pub environment: String,
    /// What is promised.
    #[deserr(default)]
    #[schemars(default)]
    pub objectives: Objectives,
    /// How Prometheus finds and scrapes the gateways.
    #[deserr(default)]
    #[schemars(default)]
    pub scrape: Scrape,
    /// What else is scraped. Rules and panels on a source without targets are not written.
    #[deserr(default)]
    #[schemars(default)]
    pub sources: Sources,
    /// Where things are in a cluster; left out: nothing is written for Kubernetes.
    #[deserr(default)]
    #[schemars(default)]
    pub kubernetes: Option<Kubernetes>,
    /// Who hears of alerts, each with a name of its own.
    #[deserr(default = Receiver::defaults())]
    #[schemars(default = "Receiver::defaults")]
    pub receivers: Vec<Receiver>,
    /// How e-mail leaves.
    #[deserr(default)]
    #[schemars(default)]
    pub smtp: Smtp,
    /// Which receivers hear of which tier, and when.
    #[deserr(default)]
    #[schemars(default)]
    pub tiers: Tiers,
    /// Who raises an alarm when the alert `Watchdog` stops; left out: nobody.
    #[deserr(default)]
    #[schemars(default)]
    pub watchdog: Option<Watchdog>,
    /// When the team works.
    #[deserr(default)]
    #[schemars(default)]
    pub business_hours: BusinessHours,
    /// Which business events say how orders went; left out: there is no objective on orders.
    #[deserr(default)]
    #[schemars(default)]
    pub orders: Option<Orders>,
    /// What resources cost, for the cost panels.
    #[deserr(default)]
    #[schemars(default)]
    pub prices: Prices,
    /// How long metrics and logs are kept.
    #[deserr(default)]
    #[schemars(default)]
    pub retention: Retention,
    /// What Grafana's data sources are called.
    #[deserr(default)]
    #[schemars(default)]
    pub datasources: Datasources,
    /// Where dashboards are to be seen: their uids follow.
    #[deserr(default = Settings::default_dashboards())]
    #[schemars(default = "Settings::default_dashboards")]
    pub dashboards_url: String,
    /// Where the pages of `docs/runbooks` are to be read.
    #[deserr(default = Settings::default_runbooks())]
    #[schemars(default = "Settings::default_runbooks")]
    pub runbooks_url: String,
}

/// Names of data sources.
#[derive(Clone, Debug, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields, default)]
pub struct Datasources {
    /// That for metrics (default `Prometheus`).
    #[deserr(default = Datasources::default().prometheus)]
    pub prometheus: String,
    /// That for log lines (default `Loki`).
    #[deserr(default = Datasources::default().loki)]
    pub loki: String,
}

impl Default for Datasources {
    fn default() -> Self {
        Self { prometheus: "Prometheus".to_owned(), loki: "Loki".to_owned() }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            environment: Self::default_environment(),
            objectives: Objectives::default(),
            scrape: Scrape::default(),
            sources: Sources::default(),
            kubernetes: None,
            receivers: Receiver::defaults(),
            smtp: Smtp::default(),
            tiers: Tiers::default(),
            watchdog: None,
            business_hours: BusinessHours::default(),
            orders: None,
            prices: Prices::default(),
            retention: Retention::default(),
            datasources: Datasources::default(),
            dashboards_url: Self::default_dashboards(),
            runbooks_url: Self::default_runbooks(),
        }
    }
}

impl Settings {
    fn default_environment() -> String {
        "development".to_owned()
    }

    fn default_dashboards() -> String {
        "http://127.0.0.1:3000/d".to_owned()
    }

    fn default_runbooks() -> String {
        "https://github.com/portcullis-gateway/portcullis/blob/main/docs/runbooks".to_owned()
    }

    /// Where dashboards are, without a slash at the end.
    #[must_use]
    pub fn dashboards(&self) -> &str {
        self.dashboards_url.trim_end_matches('/')
    }

    /// Where the page of an alert is to be read.
    #[must_use]
    pub fn runbook(&self, alert: &str) -> String {
        format!("{}/{alert}.md", self.runbooks_url.trim_end_matches('/'))
    }

    /// Reads and checks a settings file from its JSON form.
    ///
    /// # Errors
    /// Every mistake in it, each with its place.
    pub fn from_value(value: &Value) -> Result<Self, Vec<ConfigError>> {
        let settings: Self =
            deserr::deserialize::<_, _, ConfigErrors>(value.clone()).map_err(|errors| errors.0)?;
        let errors = settings.mistakes();
        if errors.is_empty() { Ok(settings) } else { Err(errors) }
    }

    fn mistakes(&self) -> Vec<ConfigError> {
        let at = Node::top();
        let mut errors = self.objectives.mistakes(&at.key("objectives"));
        errors.extend(self.scrape.mistakes(&at.key("scrape")));
        errors.extend(self.sources.mistakes(&at.key("sources")));
        errors.extend(self.kubernetes.iter().flat_map(|it| it.mistakes(&at.key("kubernetes"))));
        errors.extend(receivers::mistakes(&self.receivers, &at.key("receivers")));
        errors.extend(self.smtp.mistakes(&at.key("smtp")));
        errors.extend(self.tiers.mistakes(&self.receivers, &at.key("tiers")));
        errors.extend(self.business_hours.mistakes(&at.key("business_hours")));
        errors.extend(self.prices.mistakes(&at.key("prices")));
        errors.extend(self.retention.mistakes(&at.key("retention")));
        for (name, url) in [("dashboards_url", &self.dashboards_url), ("runbooks_url", &self.runbooks_url)] {
            errors.extend(not_an_address(url, &at.key(name)));
        }
        errors
    }

    /// Names in the settings that the policy does not define.
    #[must_use]
    pub fn mistakes_with(&self, policy: &Policy) -> Vec<ConfigError> {
        self.orders
            .iter()
            .flat_map(|orders| orders.mistakes_with(policy, &Node::top().key("orders")))
            .collect()
    }
}

fn not_an_address(text: &str, at: &Node) -> Option<ConfigError> {
    let is_one = ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme));
    (!is_one).then(|| at.error(shown(text), "an address that begins with `http://` or `https://`"))
}

/// `host:port` of a target.
fn not_a_target(text: &str, at: &Node) -> Option<ConfigError> {
    let port =
        text.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
    let is_one = matches!(port, Some(Ok(1..)));
    (!is_one).then(|| at.error(shown(text), "`host:port`"))
}

fn shown(text: &str) -> String {
    format!("`{}`", text.escape_debug())
}

#[cfg(test)]
mod tests;
