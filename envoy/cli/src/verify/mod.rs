//! Whether a running Envoy guards what it should: read from its own configuration dump and stats, so that nobody's word is taken for it.

mod admin;
mod discovery;
mod dump;
mod instances;
mod manager;
mod plugin;
mod policy;
mod proxy;

pub use admin::{Ask, AskError};

use dump::Dump;
use plugin::Plugin;
use serde_json::Value;
use std::fmt;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where in Envoy's configuration.
    pub at: String,
    /// What is there.
    pub found: String,
    /// What should be there; nothing where all is well.
    pub expected: Option<String>,
}

impl Finding {
    pub(crate) fn good(at: impl Into<String>, found: impl Into<String>) -> Self {
        Self { at: at.into(), found: found.into(), expected: None }
    }

    pub(crate) fn wrong(
        at: impl Into<String>,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self { at: at.into(), found: found.into(), expected: Some(expected.into()) }
    }

    /// Whether it is as it should be.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.expected.is_none()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, found, expected } = self;
        match expected {
            None => write!(f, "ok     {at}: {found}"),
            Some(expected) => write!(f, "WRONG  {at}: found {found}, expected {expected}"),
        }
    }
}

/// All findings about an Envoy, from the JSON of `/config_dump` and the text of `/stats`. `policy` is the document that it should run.
#[must_use]
pub fn verify(config_dump: &Value, stats: &str, policy: Option<&Value>) -> Vec<Finding> {
    let dump = Dump::of(config_dump);
    let mut findings = dump.refusals();
    findings.extend(discovery::check(&dump, stats));
    // A listener's filters are one element.
    let mut plugins: Vec<Vec<Plugin>> = Vec::new();
    for listener in dump.listeners() {
        let (own, found) = plugin::of(&listener, &dump);
        findings.extend(found);
        findings.extend(own.first().iter().flat_map(|plugin| manager::check(&listener, plugin, &dump)));
        plugins.extend((!own.is_empty()).then_some(own));
    }
    if plugins.is_empty() {
        findings.push(absent(&dump));
    }
    // Of filters with a concern each, `policy` can be one; the others have theirs.
    for plugin in plugins.iter().filter_map(|own| own.first()) {
        findings.extend(policy::check(plugin, policy));
    }
    findings.extend(instances::check(&plugins));
    findings.extend(proxy::check(&dump, stats, !plugins.is_empty()));
    let mut told: Vec<Finding> = Vec::new();
    findings.into_iter().for_each(|finding| {
        if !told.contains(&finding) {
            told.push(finding)
        }
    });
    told
}

fn absent(dump: &Dump) -> Finding {
    let listeners = dump.listeners().count();
    let expected = "the filter on every listener for clients: look at the plugin's selector or targetRefs, at its ports, and \
        whether its url has a scheme (`oci://`)";
    Finding::wrong(
        "listeners",
        format!("{listeners} that serve HTTP, none of them with the filter"),
        expected,
    )
}
