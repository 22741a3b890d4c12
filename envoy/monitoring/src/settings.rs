//! What is a site's own: objectives, receivers of alerts, business hours.

use deserr::Deserr;
use portcullis_edge_core::{ConfigError, ConfigErrors, Node, PolicyDuration};
use schemars::JsonSchema;
use serde_json::Value;

/// A settings file.
#[derive(Clone, Debug, Default, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields, title = "Portcullis monitoring settings")]
pub struct Settings {
    /// What is promised.
    #[deserr(default)]
    #[schemars(default)]
    pub objectives: Objectives,
    /// How Prometheus finds and scrapes the gateways.
    #[deserr(default)]
    #[schemars(default)]
    pub scrape: Scrape,
    /// Who hears of alerts.
    #[deserr(default)]
    #[schemars(default)]
    pub receivers: Receivers,
    /// When the team works. Alerts of the tier `warning` wait for these hours; those of the tier `critical` do not.
    #[deserr(default)]
    #[schemars(default)]
    pub business_hours: BusinessHours,
    /// Where the pages of `docs/runbooks` are to be read.
    #[deserr(default = Settings::default_runbooks())]
    #[schemars(default = "Settings::default_runbooks")]
    pub runbooks_url: String,
}

/// Objectives: shares of good events in per cent, below 100.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields, default)]
pub struct Objectives {
    /// Requests that do not end in a 5xx (default 99.9).
    #[deserr(default = Objectives::default().availability_percent)]
    pub availability_percent: f64,
    /// Requests that are answered within 250 ms (default 95).
    #[deserr(default = Objectives::default().latency_percent)]
    pub latency_percent: f64,
    /// Tokens that are good, of those that were sent (default 98).
    #[deserr(default = Objectives::default().authentication_percent)]
    pub authentication_percent: f64,
    /// Calls to the auth service that give a usable answer (default 99.5).
    #[deserr(default = Objectives::default().auth_service_percent)]
    pub auth_service_percent: f64,
}

impl Default for Objectives {
    fn default() -> Self {
        Self {
            availability_percent: 99.9,
            latency_percent: 95.0,
            authentication_percent: 98.0,
            auth_service_percent: 99.5,
        }
    }
}

/// Scraping.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields, default)]
pub struct Scrape {
    /// Time between scrapes (default `30s`).
    #[deserr(default = Scrape::default().interval)]
    pub interval: PolicyDuration,
    /// `host:port` of each gateway's metrics.
    #[deserr(default = Scrape::default().targets)]
    pub targets: Vec<String>,
}

impl Default for Scrape {
    fn default() -> Self {
        Self { interval: PolicyDuration::secs(30), targets: vec!["127.0.0.1:8080".to_owned()] }
    }
}

/// Who hears of alerts. Secrets stand in files that Alertmanager reads.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields, default)]
pub struct Receivers {
    /// A file with the address of the team's Slack webhook.
    #[deserr(default = Receivers::default().slack_url_file)]
    pub slack_url_file: String,
    /// The team's channel.
    #[deserr(default = Receivers::default().slack_channel)]
    pub slack_channel: String,
    /// Where critical alerts go by e-mail as well.
    #[deserr(default = Receivers::default().escalation_email)]
    pub escalation_email: String,
    /// The sender of e-mails.
    #[deserr(default = Receivers::default().email_from)]
    pub email_from: String,
    /// `host:port` of the SMTP server.
    #[deserr(default = Receivers::default().smtp_server)]
    pub smtp_server: String,
}

impl Default for Receivers {
    fn default() -> Self {
        Self {
            slack_url_file: "/etc/alertmanager/secrets/slack-url".to_owned(),
            slack_channel: "#gateway".to_owned(),
            escalation_email: "on-call@order-processor.example".to_owned(),
            email_from: "alerts@order-processor.example".to_owned(),
            smtp_server: "127.0.0.1:25".to_owned(),
        }
    }
}

/// Hours of work.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields, default)]
pub struct BusinessHours {
    /// A time zone's name of the IANA database (default `UTC`).
    #[deserr(default = BusinessHours::default().time_zone)]
    pub time_zone: String,
    /// Days, as Alertmanager writes them (default `monday:friday`).
    #[deserr(default = BusinessHours::default().days)]
    pub days: String,
    /// Beginning, `HH:MM` (default `09:00`).
    #[deserr(default = BusinessHours::default().from)]
    pub from: String,
    /// End, `HH:MM` (default `17:00`).
    #[deserr(default = BusinessHours::default().to)]
    pub to: String,
}

impl Default for BusinessHours {
    fn default() -> Self {
        let [time_zone, days, from, to] = ["UTC", "monday:friday", "09:00", "17:00"].map(str::to_owned);
        Self { time_zone, days, from, to }
    }
}

const DAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

impl Settings {
    fn default_runbooks() -> String {
        "https://github.com/portcullis-gateway/portcullis/blob/main/docs/runbooks".to_owned()
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
        let (least, most) = (PolicyDuration::secs(5), PolicyDuration::secs(60));
        errors.extend(self.scrape.interval.outside(least, most, &at.key("scrape").key("interval")));
        errors.extend(self.business_hours.mistakes(&at.key("business_hours")));
        errors.extend(self.receivers.mistakes(&at.key("receivers")));
        errors
    }
}

impl Objectives {
    fn mistakes(&self, at: &Node) -> Vec<ConfigError> {
        let all = [
            ("availability_percent", self.availability_percent),
            ("latency_percent", self.latency_percent),
            ("authentication_percent", self.authentication_percent),
            ("auth_service_percent", self.auth_service_percent),
        ];
        let is_good = |percent: f64| (50.0..=99.999).contains(&percent);
        let wrong = all.into_iter().filter(|(_, percent)| !is_good(*percent));
        let expected = "a share from 50 to 99.999 (100 leaves no error budget to watch)";
        wrong.map(|(name, percent)| at.key(name).error(format!("`{percent}`"), expected)).collect()
    }
}

impl BusinessHours {
    fn mistakes(&self, at: &Node) -> Vec<ConfigError> {
        let mut errors = Vec::new();
        for (name, time) in [("from", &self.from), ("to", &self.to)] {
            if minutes(time).is_none() {
                errors
                    .push(at.key(name).error(format!("`{}`", time.escape_debug()), "a time such as `09:00`"));
            }
        }
        if minutes(&self.from) >= minutes(&self.to) && errors.is_empty() {
            errors
                .push(at.key("to").error(format!("`{}`", self.to), format!("a time after `{}`", self.from)));
        }
        let unknown = self.days.split(':').find(|day| !DAYS.contains(day));
        errors.extend(unknown.map(|day| {
            at.key("days")
                .error(format!("`{}`", day.escape_debug()), "days such as `monday:friday`")
                .near(day, DAYS)
        }));
        let is_zone = |c: char| c.is_ascii_alphanumeric() || "/_+-".contains(c);
        if self.time_zone.is_empty() || !self.time_zone.chars().all(is_zone) {
            let found = format!("`{}`", self.time_zone.escape_debug());
            errors.push(at.key("time_zone").error(found, "a time zone such as `Europe/Berlin`"));
        }
        errors
    }
}

fn minutes(time: &str) -> Option<u32> {
    let (hours, minutes) = time.split_once(':').filter(|(h, m)| h.len() == 2 && m.len() == 2)?;
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

impl Receivers {
    fn mistakes(&self, at: &Node) -> Vec<ConfigError> {
        let mut errors = Vec::new();
        if !self.escalation_email.contains('@') {
            let found = format!("`{}`", self.escalation_email.escape_debug());
            errors.push(at.key("escalation_email").error(found, "an e-mail address"));
        }
        if self.slack_url_file.starts_with("http") {
            let expected = "the name of a file that holds the address, which is a secret";
            errors.push(at.key("slack_url_file").error("an address", expected));
        }
        errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn mistakes_are_found_together_each_with_its_place_and_a_secret_is_not_shown() {
        let settings = json!({
            "objectives": { "availability_percent": 100, "latency_percent": 95 },
            "business_hours": { "from": "9", "days": "mondy:friday" },
            "receivers": { "slack_url_file": "https://hooks.example/T0/s3cret" }
        });
        let errors = Settings::from_value(&settings).unwrap_err();
        let places: Vec<_> = errors.iter().map(|error| error.at.to_string()).collect();
        assert_eq!(
            places,
            [
                "objectives.availability_percent",
                "business_hours.from",
                "business_hours.days",
                "receivers.slack_url_file"
            ]
        );
        assert_eq!(errors[2].nearest.as_deref(), Some("monday"));
        assert!(!format!("{errors:?}").contains("s3cret"));
    }

    #[test]
    fn nothing_need_be_set() {
        assert!(Settings::from_value(&json!({})).is_ok());
    }
}
