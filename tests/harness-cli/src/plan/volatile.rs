//! What is left out of the comparison, ready to use.

use regex::Regex;

use crate::model;

/// What stands in the place of what is left out.
const PLACE: &str = "<volatile>";

/// What differs from run to run.
#[derive(Clone, Debug, Default)]
pub struct Volatile {
    /// Headers and metrics, in lower case.
    names: Vec<String>,
    bodies: Vec<Regex>,
    logs: Vec<Regex>,
}

impl Volatile {
    /// As the scenario has it.
    #[must_use]
    pub fn of(entries: &[model::Volatile]) -> Self {
        let mut volatile = Self::default();
        for entry in entries {
            match entry {
                model::Volatile::Name(name) => volatile.names.push(name.to_ascii_lowercase()),
                model::Volatile::Body(expression) => volatile.bodies.extend(Regex::new(expression)),
                model::Volatile::Log(expression) => volatile.logs.extend(Regex::new(expression)),
            }
        }
        volatile
    }

    /// Whether the values of this header are left out.
    #[must_use]
    pub fn is_header(&self, name: &str) -> bool {
        self.names.iter().any(|own| own == name)
    }

    /// Whether this metric is left out.
    #[must_use]
    pub fn is_metric(&self, name: &str) -> bool {
        let name = name.split('{').next().unwrap_or_default();
        self.names.iter().any(|own| own.eq_ignore_ascii_case(name))
    }

    /// A body without what is left out.
    #[must_use]
    pub fn body(&self, text: &str) -> String {
        without(&self.bodies, text)
    }

    /// A line of a log without what is left out.
    #[must_use]
    pub fn log(&self, text: &str) -> String {
        without(&self.logs, text)
    }
}

fn without(expressions: &[Regex], text: &str) -> String {
    expressions
        .iter()
        .fold(text.to_owned(), |text, expression| expression.replace_all(&text, PLACE).into_owned())
}
