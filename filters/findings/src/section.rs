//! The section `findings`.

use crate::seal::{Publisher, Reader};
use deserr::Deserr;
use portcullis_edge_core::{ConfigError, ConfigErrors, Env, Mode, Namespace, Node, SecretText};
use schemars::JsonSchema;

/// `findings`: what this instance found out about a request is left for a later one in the same proxy, or taken from an earlier one.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawFindings {
    /// The secrets, of 32 bytes or more, that both instances have: the first one seals, and while it is replaced findings sealed with any are
    /// taken. `${ENV:NAME}` takes one from the proxy's environment.
    #[schemars(length(min = 1, max = 4))]
    pub secrets: Vec<SecretText>,
    /// Leave findings for later instances: the client's address and whether proxies sent it, TLS, the request's id, and whose token was
    /// good.
    #[deserr(default)]
    #[schemars(default)]
    pub publish: bool,
    /// Take the findings of the instance with this name (its `gateway.instance`) in place of what this one would find out itself. Its
    /// user, roles and claims serve limits, rules and log lines here where the route does not check a token itself.
    #[deserr(default)]
    #[schemars(default)]
    pub from: Option<String>,
    /// Enforcement mode (default `enforce`): a request without findings that can be believed is answered with 503. In mode `shadow` that is
    /// logged and counted, and the request judged by what this instance finds out itself.
    #[deserr(default)]
    #[schemars(default)]
    pub mode: Mode,
}

/// The compiled section.
#[derive(Clone, Debug, Default)]
pub struct FindingsPolicy {
    /// Leaves findings.
    pub publisher: Option<Publisher>,
    /// Takes findings.
    pub reader: Option<Reader>,
}

const MOST_SECRETS: usize = 4;

impl RawFindings {
    /// Checks the section of the instance `own`, which stands at `at`; secrets are looked up in `env`.
    ///
    /// # Errors
    /// Every mistake.
    pub fn compile(&self, own: &str, at: &Node, env: Env<'_>) -> Result<FindingsPolicy, Vec<ConfigError>> {
        let mut errors = self.check_names(own, at);
        let secrets = self.secrets(&at.key("secrets"), env, &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        let first = secrets.first().cloned().unwrap_or_default();
        let publisher = self.publish.then(|| Publisher::new(own, first));
        let from = self.from.as_ref().filter(|_| self.mode != Mode::Off);
        let reader = from.map(|from| Reader::new(from, secrets, self.mode));
        Ok(FindingsPolicy { publisher, reader })
    }

    /// Whether an earlier instance says who asks.
    #[must_use]
    pub fn takes(&self) -> bool {
        self.from.is_some() && self.mode != Mode::Off
    }

    fn check_names(&self, own: &str, at: &Node) -> Vec<ConfigError> {
        let mut errors = Vec::new();
        match &self.from {
            None if !self.publish => {
                errors
                    .push(at.error("neither `publish` nor `from`", "one of them, or no section `findings`"));
            }
            Some(from) if !Namespace::is_name(from) => {
                let found = format!("`{}`", from.escape_debug());
                let expected = "the name of an instance: up to 32 of a-z, 0-9, `_` and `-`, a letter first";
                errors.push(at.key("from").error(found, expected));
            }
            Some(from) if from == own => {
                let found = format!("`{from}`, the name of this instance");
                errors.push(
                    at.key("from").error(found, "the name of an instance before this one in the chain"),
                );
            }
            _ => {}
        }
        errors
    }

    fn secrets(&self, at: &Node, env: Env<'_>, errors: &mut Vec<ConfigError>) -> Vec<Vec<u8>> {
        let count = self.secrets.len();
        if !(1..=MOST_SECRETS).contains(&count) {
            errors.push(at.error(format!("{count} secrets"), format!("1 to {MOST_SECRETS}")));
        }
        let secrets = self.secrets.iter().enumerate();
        secrets.map(|(index, raw)| raw.hmac_key(&at.index(index), env, errors)).collect()
    }
}

#[cfg(test)]
#[path = "section_tests.rs"]
mod tests;
