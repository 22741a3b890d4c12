//! The section `business`.

use crate::budget::Budget;
use crate::business::{Amount, Business, By, Counted, Event};
use crate::pointer::Pointer;
use deserr::Deserr;
use portcullis_edge_core::{ConfigError, ConfigErrors, Named, Node, check_label_name};
use schemars::JsonSchema;

/// `business`: events that are seen in traffic.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawBusiness {
    /// How much of a body is looked at, in bytes (default 64 KiB, at most 1 MiB): what is larger says nothing, and is counted as unread.
    #[deserr(default = default_max_body_bytes())]
    #[schemars(default = "default_max_body_bytes", range(min = 1, max = 1_048_576))]
    pub max_body_bytes: u32,
    /// How many bytes of bodies a worker keeps at once, of all requests under way together (default 16 MiB, at most 1 GiB, at least
    /// `max_body_bytes`): a body for which there is no room says nothing, and is counted as unread.
    #[deserr(default = default_max_held_bytes())]
    #[schemars(default = "default_max_held_bytes", range(min = 1, max = 1_073_741_824))]
    pub max_held_bytes: u32,
    /// The events, by name: letters, digits and `_`. The name is the label `event` of the metrics.
    #[deserr(default)]
    #[schemars(default, extend("propertyNames" = { "pattern": "^[a-z][a-z0-9_]*$" }))]
    pub events: Named<RawEvent>,
}

impl Default for RawBusiness {
    fn default() -> Self {
        Self {
            max_body_bytes: default_max_body_bytes(),
            max_held_bytes: default_max_held_bytes(),
            events: Named::default(),
        }
    }
}

fn default_max_held_bytes() -> u32 {
    16_777_216
}

fn default_max_body_bytes() -> u32 {
    65_536
}

/// An event: a request that a service has answered.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawEvent {
    /// The path of the route, as it stands there.
    #[schemars(example = &"/orders")]
    pub route: String,
    /// Only these methods (default: all of the route).
    #[deserr(default)]
    #[schemars(default)]
    pub methods: Vec<String>,
    /// The statuses that make it happen (default: 200 to 299).
    #[deserr(default)]
    #[schemars(default)]
    pub statuses: Vec<u16>,
    /// What divides it.
    #[deserr(default)]
    #[schemars(default, skip_serializing_if = "Option::is_none", with = "RawBy")]
    pub by: Option<RawBy>,
    /// What it amounts to.
    #[deserr(default)]
    #[schemars(default, skip_serializing_if = "Option::is_none", with = "RawAmount")]
    pub amount: Option<RawAmount>,
}

/// The body that something is read from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, rename_all = lowercase)]
#[schemars(rename_all = "lowercase")]
pub enum Side {
    /// The request's.
    Request,
    /// The answer's.
    #[default]
    Response,
}

/// A value in a JSON body that divides an event.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawBy {
    /// Whose body (default `response`).
    #[deserr(default)]
    #[schemars(default)]
    pub from: Side,
    /// Where in it (JSON Pointer, RFC 6901).
    #[schemars(example = &"/data/asset_id")]
    pub pointer: String,
    /// The values that are counted under their own name, as text; all others are `other`.
    #[schemars(length(min = 1, max = 100))]
    pub values: Vec<String>,
}

/// An amount in a JSON body: a number that is not negative, or the same as text.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawAmount {
    /// Whose body (default `response`).
    #[deserr(default)]
    #[schemars(default)]
    pub from: Side,
    /// Where in it (JSON Pointer, RFC 6901).
    #[schemars(example = &"/amount")]
    pub pointer: String,
    /// Where in the same body a number is that it is to be multiplied by, such as a price (default: none).
    #[deserr(default)]
    #[schemars(default, skip_serializing_if = "Option::is_none", with = "String")]
    pub times: Option<String>,
    /// The unit that is counted, which is the label `unit`: `usd_cents`.
    #[schemars(example = &"usd_cents", regex(pattern = "^[a-z][a-z0-9_]*$"))]
    pub unit: String,
    /// How many decimal places of the number are whole units (default 0): 2 where `unit` is cents and bodies speak of dollars. What is
    /// finer is rounded to the nearest unit.
    #[deserr(default)]
    #[schemars(default, range(max = 18))]
    pub decimals: u8,
}

/// A route of the policy, as events name it.
pub type RouteName<'p> = (&'p str, &'p [String]);

const MOST_EVENTS: usize = 64;
const MOST_VALUES: usize = 100;
const MOST_DECIMALS: u8 = 18;
const LARGEST_BODY: u32 = 1 << 20;
const MOST_HELD: u32 = 1 << 30;

impl RawBusiness {
    /// Checks the section, which stands at `at`; `routes` are the paths and methods of the policy's routes, by index.
    ///
    /// # Errors
    /// Every mistake.
    pub fn compile(&self, at: &Node, routes: &[RouteName<'_>]) -> Result<Business, Vec<ConfigError>> {
        let mut errors = self.check_sizes(at);
        let count = self.events.iter().count();
        if count > MOST_EVENTS {
            errors.push(at.key("events").error(format!("{count} events"), format!("{MOST_EVENTS} at most")));
        }
        let mut events = Vec::new();
        for (name, raw) in self.events.iter() {
            let at = at.key("events").key(name);
            match raw.compile(name, routes, &at) {
                Ok(event) => events.push(event),
                Err(wrong) => errors.extend(wrong),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let bytes = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
        Ok(Business::new(events, bytes(self.max_body_bytes), Budget::new(bytes(self.max_held_bytes))))
    }

    fn check_sizes(&self, at: &Node) -> Vec<ConfigError> {
        let body = ("max_body_bytes", self.max_body_bytes, 1, LARGEST_BODY);
        let held = ("max_held_bytes", self.max_held_bytes, self.max_body_bytes.min(LARGEST_BODY), MOST_HELD);
        let odd = [body, held].into_iter().filter(|(_, found, least, most)| !(least..=most).contains(&found));
        odd.map(|(name, found, least, most)| {
            let expected = format!("a number of bytes from {least} to {most}");
            at.key(name).error(format!("`{found}`"), expected)
        })
        .collect()
    }
}

impl RawEvent {
    fn compile(&self, name: &str, routes: &[RouteName<'_>], at: &Node) -> Result<Event, Vec<ConfigError>> {
        let mut errors: Vec<_> = check_label_name(name, at).into_iter().collect();
        errors.extend(self.check_route(routes, at));
        let odd = self.statuses.iter().enumerate().filter(|(_, status)| !(100..=599).contains(*status));
        errors.extend(odd.map(|(index, status)| {
            at.key("statuses").index(index).error(format!("`{status}`"), "a status from 100 to 599")
        }));
        let by = self.by.as_ref().map(|raw| raw.compile(&at.key("by"), &mut errors));
        let amount = self.amount.as_ref().map(|raw| raw.compile(&at.key("amount"), &mut errors));
        if !errors.is_empty() {
            return Err(errors);
        }
        let is_named = |(path, methods): &RouteName<'_>| {
            let has = |method: &String| self.methods.is_empty() || self.methods.contains(method);
            *path == self.route && methods.iter().any(has)
        };
        Ok(Event {
            name: name.to_owned(),
            routes: routes.iter().map(is_named).collect(),
            methods: self.methods.clone(),
            statuses: self.statuses.clone(),
            by: by.flatten(),
            amount: amount.flatten(),
            counted: Counted::default(),
        })
    }

    fn check_route(&self, routes: &[RouteName<'_>], at: &Node) -> Vec<ConfigError> {
        let same: Vec<&RouteName<'_>> = routes.iter().filter(|(path, _)| *path == self.route).collect();
        if same.is_empty() {
            let found = format!("`{}`", self.route.escape_debug());
            let error = at.key("route").error(found, "the path of a route, as it stands there");
            return vec![error.near(&self.route, routes.iter().map(|(path, _)| *path))];
        }
        let known = |method: &&String| same.iter().any(|(_, methods)| methods.contains(method));
        let unknown = self.methods.iter().enumerate().filter(|(_, method)| !known(method));
        unknown
            .map(|(index, method)| {
                let found = format!("`{}`", method.escape_debug());
                at.key("methods").index(index).error(found, "a method of the route")
            })
            .collect()
    }
}

fn pointer(text: &str, at: &Node, errors: &mut Vec<ConfigError>) -> Option<Pointer> {
    let found = Pointer::parse(text);
    if found.is_none() {
        let expected = "a JSON Pointer of 16 steps at most, such as `/data/asset_id`";
        errors.push(at.error(format!("`{}`", text.escape_debug()), expected));
    }
    found
}

impl RawBy {
    fn compile(&self, at: &Node, errors: &mut Vec<ConfigError>) -> Option<By> {
        let count = self.values.len();
        if !(1..=MOST_VALUES).contains(&count) {
            errors.push(at.key("values").error(format!("{count} values"), format!("1 to {MOST_VALUES}")));
        }
        for (index, value) in self.values.iter().enumerate() {
            let is_taken = value == portcullis_metrics::OTHER
                || self.values.iter().take(index).any(|other| other == value);
            if is_taken || value.is_empty() || value.len() > MOST_VALUES {
                let found = format!("`{}`", value.escape_debug());
                let expected = "each value once, of 1 to 100 bytes, and not `other`";
                errors.push(at.key("values").index(index).error(found, expected));
            }
        }
        let pointer = pointer(&self.pointer, &at.key("pointer"), errors)?;
        Some(By { side: self.from, pointer, values: self.values.clone() })
    }
}

impl RawAmount {
    fn compile(&self, at: &Node, errors: &mut Vec<ConfigError>) -> Option<Amount> {
        errors.extend(check_label_name(&self.unit, &at.key("unit")));
        if self.decimals > MOST_DECIMALS {
            errors.push(
                at.key("decimals").error(format!("`{}`", self.decimals), "a whole number from 0 to 18"),
            );
        }
        let times = self.times.as_ref().map(|times| pointer(times, &at.key("times"), errors));
        let pointer = pointer(&self.pointer, &at.key("pointer"), errors)?;
        let times = times.map_or(Some(None), |times| times.map(Some))?;
        Some(Amount { side: self.from, pointer, times, unit: self.unit.clone(), decimals: self.decimals })
    }
}
