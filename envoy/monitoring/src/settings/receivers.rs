//! Who hears of alerts, of which, and when.

use super::{not_a_target, shown};
use deserr::Deserr;
use portcullis_edge_core::{ConfigError, ConfigErrors, Node};
use schemars::JsonSchema;
use std::collections::BTreeSet;

/// Somebody who hears of alerts, by Slack, by e-mail or by both. Secrets stand in files that Alertmanager reads.
#[derive(Clone, Debug, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct Receiver {
    /// The name that `tiers` uses.
    pub name: String,
    /// A channel of Slack.
    #[deserr(default)]
    pub slack: Option<Slack>,
    /// An e-mail address.
    #[deserr(default)]
    pub email: Option<Email>,
}

/// A channel of Slack.
#[derive(Clone, Debug, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct Slack {
    /// A file with the address of the webhook, which is a secret.
    pub url_file: String,
    /// The channel.
    pub channel: String,
}

/// An e-mail address.
#[derive(Clone, Debug, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct Email {
    /// The address.
    pub to: String,
}

impl Receiver {
    pub(super) fn defaults() -> Vec<Self> {
        let slack = Slack {
            url_file: "/etc/alertmanager/secrets/slack-url".to_owned(),
            channel: "#gateway".to_owned(),
        };
        let email = Email { to: "on-call@order-processor.example".to_owned() };
        vec![
            Self { name: "team".to_owned(), slack: Some(slack), email: None },
            Self { name: "on-call".to_owned(), slack: None, email: Some(email) },
        ]
    }
}

pub(super) fn mistakes(receivers: &[Receiver], at: &Node) -> Vec<ConfigError> {
    let mut names = BTreeSet::new();
    let mut errors = Vec::new();
    for (index, receiver) in receivers.iter().enumerate() {
        let at = at.index(index);
        if !names.insert(&receiver.name) {
            errors.push(at.key("name").error(shown(&receiver.name), "a name that no receiver before it has"));
        }
        if receiver.name.is_empty() || receiver.name == NOBODY {
            let expected = format!("a name, other than `{NOBODY}`");
            errors.push(at.key("name").error(shown(&receiver.name), expected));
        }
        errors.extend(receiver.mistakes(&at));
    }
    errors
}

/// The receiver of alerts that are sent to nobody.
pub const NOBODY: &str = "nobody";

impl Receiver {
    fn mistakes(&self, at: &Node) -> Vec<ConfigError> {
        let mut errors = Vec::new();
        if self.slack.as_ref().is_some_and(|slack| slack.url_file.contains("://")) {
            let expected = "the name of a file that holds the address, which is a secret";
            errors.push(at.key("slack").key("url_file").error("an address", expected));
        }
        if let Some(email) = self.email.as_ref().filter(|email| !email.to.contains('@')) {
            errors.push(at.key("email").key("to").error(shown(&email.to), "an e-mail address"));
        }
        if self.slack.is_none() && self.email.is_none() {
            errors.push(at.error("neither", "`slack`, `email` or both"));
        }
        errors
    }
}

/// A service outside that expects a message again and again, and raises an alarm when none comes. Needs Alertmanager 0.26.
#[derive(Clone, Debug, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct Watchdog {
    /// A file with its address, which is a secret.
    pub url_file: String,
}

/// How e-mail leaves.
#[derive(Clone, Debug, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields, default)]
pub struct Smtp {
    /// `host:port` of the SMTP server (default `127.0.0.1:25`).
    #[deserr(default = Smtp::default().server)]
    pub server: String,
    /// The sender.
    #[deserr(default = Smtp::default().from)]
    pub from: String,
    /// Who logs in there; left out: nobody does.
    #[deserr(default)]
    pub username: Option<String>,
    /// A file with the password.
    #[deserr(default)]
    pub password_file: Option<String>,
    /// Whether the server must speak TLS (default true).
    #[deserr(default = Smtp::default().require_tls)]
    pub require_tls: bool,
}

impl Default for Smtp {
    fn default() -> Self {
        Self {
            server: "127.0.0.1:25".to_owned(),
            from: "alerts@order-processor.example".to_owned(),
            username: None,
            password_file: None,
            require_tls: true,
        }
    }
}

impl Smtp {
    pub(super) fn mistakes(&self, at: &Node) -> Vec<ConfigError> {
        let mut errors = Vec::from_iter(not_a_target(&self.server, &at.key("server")));
        if !self.from.contains('@') {
            errors.push(at.key("from").error(shown(&self.from), "an e-mail address"));
        }
        if self.username.is_some() != self.password_file.is_some() {
            errors.push(at.error("one of them", "`username` and `password_file`, or neither"));
        }
        errors
    }
}

/// Which receivers hear of which tier. Alerts that nobody hears of are to be seen on Alertmanager's page.
#[derive(Clone, Debug, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields, default)]
pub struct Tiers {
    /// Somebody must look now (default: always `team` and `on-call`).
    #[deserr(default = Tiers::default().critical)]
    pub critical: Tier,
    /// Somebody must look on the same working day (default: `team` in business hours).
    #[deserr(default = Tiers::default().warning)]
    pub warning: Tier,
    /// Nobody is called (default).
    #[deserr(default = Tiers::default().info)]
    pub info: Tier,
}

/// Receivers of a tier, by name.
#[derive(Clone, Debug, Default, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields, default)]
pub struct Tier {
    /// At any hour.
    #[deserr(default)]
    pub always: Vec<String>,
    /// In business hours; what fires outside them is held back until they begin.
    #[deserr(default)]
    pub business_hours: Vec<String>,
    /// Outside them.
    #[deserr(default)]
    pub off_hours: Vec<String>,
}

impl Default for Tiers {
    fn default() -> Self {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            critical: Tier { always: names(&["team", "on-call"]), ..Tier::default() },
            warning: Tier { business_hours: names(&["team"]), ..Tier::default() },
            info: Tier::default(),
        }
    }
}

impl Tiers {
    /// Each with the text that stands in the label `severity`.
    #[must_use]
    pub fn all(&self) -> [(&'static str, &Tier); 3] {
        [("critical", &self.critical), ("warning", &self.warning), ("info", &self.info)]
    }

    pub(super) fn mistakes(&self, receivers: &[Receiver], at: &Node) -> Vec<ConfigError> {
        self.all().iter().flat_map(|(name, tier)| tier.mistakes(receivers, &at.key(name))).collect()
    }
}

impl Tier {
    /// The receivers by hours: always, in business hours, outside them.
    #[must_use]
    pub fn all(&self) -> [(&'static str, &[String]); 3] {
        [("always", &self.always), ("business_hours", &self.business_hours), ("off_hours", &self.off_hours)]
    }

    fn mistakes(&self, receivers: &[Receiver], at: &Node) -> Vec<ConfigError> {
        let known: Vec<&str> = receivers.iter().map(|receiver| receiver.name.as_str()).collect();
        let named = self.all().into_iter().flat_map(|(field, names)| {
            let at = at.key(field);
            names.iter().enumerate().map(move |(index, name)| (at.index(index), name))
        });
        named
            .filter(|(_, name)| !known.contains(&name.as_str()))
            .map(|(at, name)| {
                at.error(shown(name), "the name of a receiver under `receivers`")
                    .near(name, known.iter().copied())
            })
            .collect()
    }
}
