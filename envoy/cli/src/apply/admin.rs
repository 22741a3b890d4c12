//! What a running Envoy says of the files that it watches.

use crate::render::dynamic::{File, Kind};
use std::io;
use std::time::{Duration, Instant};

/// The admin interface of a running Envoy.
#[derive(Clone, Debug)]
pub struct Admin {
    url: String,
    agent: ureq::Agent,
    gateway: String,
}

/// What Envoy says of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// It has taken it.
    Accepted,
    /// It refuses it, and goes on with what it had.
    Rejected,
    /// Nothing, as yet.
    None,
}

/// How often a subscription has succeeded and failed, and the version it is at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    accepted: u64,
    rejected: u64,
    version: Option<String>,
}

const LOOK_EVERY: Duration = Duration::from_millis(20);
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

impl Admin {
    /// The interface at `address` (`ip:port`) of the Envoy that runs the gateway `gateway`.
    #[must_use]
    pub fn at(address: &str, gateway: &str) -> Self {
        let config = ureq::Agent::config_builder().timeout_global(Some(ANSWER_WITHIN)).build();
        Self { url: format!("http://{address}"), agent: config.into(), gateway: gateway.to_owned() }
    }

    pub(super) fn check(&self) -> io::Result<()> {
        self.get("/ready").map(drop)
    }

    fn get(&self, path: &str) -> io::Result<String> {
        let failed = |error: ureq::Error| io::Error::other(format!("{}: {error}", self.url));
        let mut answer = self.agent.get(format!("{}{path}", self.url)).call().map_err(failed)?;
        answer.body_mut().read_to_string().map_err(failed)
    }

    /// Where in Envoy's stats the word on a file stands; nothing for one that Envoy reads at its start only, or does not know yet.
    pub(super) fn subscription(&self, file: &File) -> io::Result<Option<String>> {
        let name = match file.kind {
            Kind::Bootstrap => return Ok(None),
            Kind::Clusters => "cluster_manager.cds".to_owned(),
            Kind::Listeners => "listener_manager.lds".to_owned(),
            Kind::Filter => "extension_config_discovery.http_filter.portcullis".to_owned(),
            Kind::Routes => format!("http.{0}.rds.{0}", self.gateway),
            // A certificate that no listener refers to yet is read with the listener.
            Kind::Secret => return Ok(None),
        };
        Ok(Some(name))
    }

    pub(super) fn counts(&self, subscription: &str) -> io::Result<Counts> {
        let stats = self.get(&format!("/stats?filter=^{}\\.", subscription.replace('.', "\\.")))?;
        let value = |name: &str| {
            let line = |line: &str| {
                Some(
                    line.strip_prefix(subscription)?
                        .strip_prefix('.')?
                        .strip_prefix(name)?
                        .strip_prefix(": ")?
                        .trim()
                        .to_owned(),
                )
            };
            stats.lines().find_map(line)
        };
        let count = |name: &str| value(name).and_then(|text| text.parse().ok()).unwrap_or(0);
        Ok(Counts {
            accepted: count("update_success"),
            rejected: count("update_rejected"),
            version: value("version_text").map(|text| text.trim_matches('"').to_owned()),
        })
    }

    /// Waits for what Envoy says of a subscription's new version, `before` being what it said before that was written.
    pub(super) fn wait(
        &self,
        subscription: &str,
        before: Counts,
        version: &str,
        patience: Duration,
    ) -> io::Result<Word> {
        let deadline = Instant::now() + patience;
        loop {
            let word = word(&before, &self.counts(subscription)?, version);
            if word != Word::None || Instant::now() >= deadline {
                return Ok(word);
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

fn word(before: &Counts, now: &Counts, version: &str) -> Word {
    let is_there = now.version.as_deref() == Some(version);
    match (now.rejected > before.rejected, now.accepted > before.accepted && is_there) {
        (true, _) => Word::Rejected,
        (false, true) => Word::Accepted,
        (false, false) => Word::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(accepted: u64, rejected: u64, version: &str) -> Counts {
        Counts { accepted, rejected, version: Some(version.to_owned()) }
    }

    #[test]
    fn a_success_is_the_new_version_and_a_rejection_is_told_by_its_count() {
        let before = counts(3, 1, "old");
        assert_eq!(word(&before, &counts(3, 1, "old"), "new"), Word::None);
        assert_eq!(word(&before, &counts(4, 1, "old"), "new"), Word::None);
        assert_eq!(word(&before, &counts(4, 1, "new"), "new"), Word::Accepted);
        assert_eq!(word(&before, &counts(4, 2, "new"), "new"), Word::Rejected);
    }
}
