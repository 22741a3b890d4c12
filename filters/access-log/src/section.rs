//! The section `logs`: what stands in lines, and which lines are written.

use crate::field::{FieldSource, Form, LogField, RESERVED};
use crate::security::ACTIONS;
use crate::shown::{LogKey, Users};
use deserr::Deserr;
use portcullis_edge_core::{ConfigError, ConfigErrors, Env, Named, Node, SecretText, check_label_name};
use schemars::JsonSchema;

/// `logs`: what stands in lines, and which lines are written. Left out, every request has its line, with the user as it is.
#[derive(Clone, Debug, Default, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawLogs {
    /// How users stand in lines (default `plain`).
    #[deserr(default)]
    #[schemars(default)]
    pub user: RawUsers,
    /// The key of the hashes, 32 bytes or more: `${ENV:NAME}`. Lines of gateways that share it can be joined by user.
    #[deserr(default)]
    #[schemars(default, skip_serializing_if = "Option::is_none", with = "SecretText")]
    pub hash_key: Option<SecretText>,
    /// More fields of a request's line, in `extra`, by name; 16 at most.
    #[deserr(default)]
    #[schemars(default)]
    pub fields: Named<RawField>,
    /// Which lines are left out (default: none). What is left out is counted.
    #[deserr(default)]
    #[schemars(default)]
    pub sampling: RawSampling,
    /// Leave the facts of a refusal as filter state as well, for access logs of Envoy's own (`wasm.portcullis_reason`, `_stage`, `_rule`,
    /// `_mode`, `_policy`).
    #[deserr(default)]
    #[schemars(default)]
    pub filter_state: bool,
}

/// How users stand in lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, rename_all = lowercase)]
#[schemars(rename_all = "lowercase")]
pub enum RawUsers {
    /// As tokens name them.
    #[default]
    Plain,
    /// Hashed with `hash_key`: the same user is the same text, which says nothing to who has not the key.
    Hashed,
    /// Not at all.
    None,
}

/// One more field of a request's line.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawField {
    /// Where its value comes from.
    pub from: FieldSource,
    /// How it is shown (default `text`).
    #[deserr(default, rename = "as")]
    #[schemars(default, rename = "as")]
    pub form: Form,
    /// Longest text in bytes (default 128); what is longer is cut.
    #[deserr(default = longest())]
    #[schemars(default = "longest", range(min = 1, max = 512))]
    pub max_bytes: u32,
}

/// Which lines are left out.
#[derive(Clone, Debug, Default, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawSampling {
    /// Percent of good requests whose line is written (default 100): those that ended below 400, to their end, and without a security
    /// event. All others have their line always.
    #[deserr(default)]
    #[schemars(default, skip_serializing_if = "Option::is_none", with = "f64", range(min = 0, max = 100))]
    pub good: Option<f64>,
    /// The same for single routes, by path.
    #[deserr(default)]
    #[schemars(default)]
    pub routes: Vec<RawRouteShare>,
    /// Percent of the lines of security events that are written, by their `action` (default 100: every security event has its line). The
    /// next line of the same action says how many were left out.
    #[deserr(default)]
    #[schemars(default)]
    pub security: Named<f64>,
}

/// The share of a route's lines.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawRouteShare {
    /// The path of the route, as it stands there.
    pub path: String,
    /// Percent of its good requests whose line is written.
    #[schemars(range(min = 0, max = 100))]
    pub percent: f64,
}

fn longest() -> u32 {
    128
}

/// Most fields.
const MOST_FIELDS: usize = 16;
/// Longest text of a field.
const LONGEST_FIELD: u32 = 512;

/// The section, compiled.
#[derive(Clone, Debug, Default)]
pub struct Logs {
    /// How users stand in lines.
    pub users: Users,
    /// More fields, in the order of their names.
    pub fields: Vec<LogField>,
    /// Which lines are left out.
    pub sampling: Sampling,
    /// Whether a refusal's facts are left as filter state.
    pub filter_state: bool,
    pub(crate) key: Option<LogKey>,
}

/// Which lines are left out.
#[derive(Clone, Debug)]
pub struct Sampling {
    /// Of good requests.
    pub good: Share,
    /// By route, where it has one of its own.
    pub routes: Vec<Option<Share>>,
    /// Of security events, in the order of [`ACTIONS`].
    pub security: [Share; ACTIONS.len()],
}

impl Default for Sampling {
    fn default() -> Self {
        Self { good: Share::ALL, routes: Vec::new(), security: [Share::ALL; ACTIONS.len()] }
    }
}

impl Sampling {
    /// Whether the line of a good request may be left out.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.good != Share::ALL || self.routes.iter().flatten().any(|share| *share != Share::ALL)
    }
}

/// A share, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(u32);

/// All millionths.
const WHOLE: u32 = 1_000_000;

impl Share {
    /// Everything.
    pub const ALL: Self = Self(WHOLE);

    fn of_percent(percent: f64) -> Option<Self> {
        let millionths = (0.0..=100.0).contains(&percent).then_some(percent * 10_000.0)?;
        // Between 0 and 1,000,000: nothing is cut but what is less than a millionth.
        Some(Self(millionths as u32))
    }

    /// Whether something is in the share; the same text always is or is not.
    #[must_use]
    pub fn has(self, text: &[&[u8]]) -> bool {
        self == Self::ALL
            || crate::shown::spread(text)
                .checked_rem(u64::from(WHOLE))
                .is_some_and(|at| at < u64::from(self.0))
    }
}

impl RawLogs {
    /// Checks the section, which stands at `at`; `routes` are the paths of the policy's routes, by index, and `secret_headers` those that
    /// carry secrets.
    ///
    /// # Errors
    /// Every mistake.
    pub fn compile(
        &self,
        at: &Node,
        routes: &[&str],
        secret_headers: &[&str],
        env: Env<'_>,
    ) -> Result<Logs, Vec<ConfigError>> {
        let mut errors = Vec::new();
        let needs_key =
            self.user == RawUsers::Hashed || self.fields.values().any(|field| field.form == Form::Hash);
        let key = self.key(&at.key("hash_key"), needs_key, env, &mut errors);
        let fields = self.fields(&at.key("fields"), secret_headers, &mut errors);
        let sampling = self.sampling.compile(&at.key("sampling"), routes, &mut errors);
        let users = match self.user {
            RawUsers::Plain => Users::Plain,
            RawUsers::Hashed => Users::Hashed,
            RawUsers::None => Users::Hidden,
        };
        let logs = Logs { users, fields, sampling, filter_state: self.filter_state, key };
        if errors.is_empty() { Ok(logs) } else { Err(errors) }
    }

    fn key(&self, at: &Node, is_needed: bool, env: Env<'_>, errors: &mut Vec<ConfigError>) -> Option<LogKey> {
        let Some(raw) = &self.hash_key else {
            if is_needed {
                errors.push(at.error("nothing", "a key, because something is hashed"));
            }
            return None;
        };
        let key = raw.hmac_key(at, env, errors);
        (!key.is_empty()).then(|| LogKey::new(&key))
    }

    fn fields(&self, at: &Node, secret: &[&str], errors: &mut Vec<ConfigError>) -> Vec<LogField> {
        if self.fields.len() > MOST_FIELDS {
            errors.push(at.error(format!("{} fields", self.fields.len()), format!("{MOST_FIELDS} at most")));
        }
        for (name, raw) in self.fields.iter() {
            let at = at.key(name);
            errors.extend(check_label_name(name, &at));
            if RESERVED.contains(&name.as_str()) {
                errors.push(at.error(format!("`{name}`"), "a name that lines do not have yet"));
            }
            if !(1..=LONGEST_FIELD).contains(&raw.max_bytes) {
                let expected = format!("a whole number from 1 to {LONGEST_FIELD}");
                errors.push(at.key("max_bytes").error(format!("`{}`", raw.max_bytes), expected));
            }
            errors.extend(raw.from.check(raw.form, secret, &at));
        }
        let field = |(name, raw): (&String, &RawField)| LogField {
            name: name.clone(),
            from: raw.from.clone(),
            form: raw.form,
            max_bytes: usize::try_from(raw.max_bytes).unwrap_or(usize::MAX),
        };
        self.fields.iter().map(field).collect()
    }
}

impl RawSampling {
    fn compile(&self, at: &Node, routes: &[&str], errors: &mut Vec<ConfigError>) -> Sampling {
        let good = self.good.and_then(|percent| share(percent, &at.key("good"), errors));
        let mut sampling = Sampling { good: good.unwrap_or(Share::ALL), ..Sampling::default() };
        sampling.routes = vec![None; if self.routes.is_empty() { 0 } else { routes.len() }];
        for (index, raw) in self.routes.iter().enumerate() {
            let at = at.key("routes").index(index);
            let share = share(raw.percent, &at.key("percent"), errors);
            if !routes.contains(&raw.path.as_str()) {
                let found = format!("`{}`", raw.path.escape_debug());
                let error = at.key("path").error(found, "the path of a route, as it stands there");
                errors.push(error.near(&raw.path, routes.iter().copied()));
            }
            let of_path = sampling.routes.iter_mut().zip(routes).filter(|(_, path)| **path == raw.path);
            of_path.for_each(|(place, _)| *place = share);
        }
        for (action, percent) in self.security.iter() {
            let at = at.key("security").key(action);
            let share = share(*percent, &at, errors);
            match sampling.security.iter_mut().zip(ACTIONS).find(|(_, known)| known == action) {
                Some((place, _)) => *place = share.unwrap_or(Share::ALL),
                None => {
                    let error =
                        at.error(format!("`{}`", action.escape_debug()), "the action of a security event");
                    errors.push(error.near(action, ACTIONS));
                }
            }
        }
        sampling
    }
}

fn share(percent: f64, at: &Node, errors: &mut Vec<ConfigError>) -> Option<Share> {
    let share = Share::of_percent(percent);
    if share.is_none() {
        errors.push(at.error(format!("`{percent}`"), "a number from 0 to 100"));
    }
    share
}

#[cfg(test)]
#[path = "section_tests.rs"]
mod tests;
