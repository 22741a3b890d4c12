//! Hours of work.

use super::shown;
use chrono_tz::{TZ_VARIANTS, Tz};
use deserr::Deserr;
use portcullis_edge_core::{ConfigError, ConfigErrors, Node};
use schemars::JsonSchema;

/// Hours of work.
#[derive(Clone, Debug, Deserr, JsonSchema, serde::Serialize)]
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
    /// End, `HH:MM`; `24:00` is that of the day (default `17:00`).
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

impl BusinessHours {
    pub(super) fn mistakes(&self, at: &Node) -> Vec<ConfigError> {
        let mut errors = Vec::new();
        for (name, time) in [("from", &self.from), ("to", &self.to)] {
            if minutes(time).is_none() {
                errors.push(at.key(name).error(shown(time), "a time such as `09:00`"));
            }
        }
        if errors.is_empty() && minutes(&self.from) >= minutes(&self.to) {
            errors.push(at.key("to").error(shown(&self.to), format!("a time after `{}`", self.from)));
        }
        errors.extend(wrong_days(&self.days, &at.key("days")));
        errors.extend(self.unknown_zone(&at.key("time_zone")));
        errors
    }

    fn unknown_zone(&self, at: &Node) -> Option<ConfigError> {
        let is_known = self.time_zone.parse::<Tz>().is_ok();
        (!is_known).then(|| {
            at.error(shown(&self.time_zone), "a time zone of the IANA database, such as `Europe/Berlin`")
                .near(&self.time_zone, TZ_VARIANTS.iter().map(|zone| zone.name()))
        })
    }
}

/// One day, or two with a colon between them, in the order of the week.
fn wrong_days(days: &str, at: &Node) -> Option<ConfigError> {
    let place = |day: &str| DAYS.iter().position(|known| *known == day);
    let ends: Vec<&str> = days.split(':').collect();
    if let Some(day) = ends.iter().find(|day| place(day).is_none()) {
        return Some(at.error(shown(day), "days such as `monday:friday`").near(day, DAYS));
    }
    let in_order = ends.len() <= 2 && ends.first().map(|day| place(day)) <= ends.last().map(|day| place(day));
    (!in_order).then(|| at.error(shown(days), "two days in the order of the week, which begins on Sunday"))
}

fn minutes(time: &str) -> Option<u32> {
    let (hours, minutes) = time.split_once(':').filter(|(h, m)| h.len() == 2 && m.len() == 2)?;
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60 || hours == 24 && minutes == 0).then_some(hours * 60 + minutes)
}
