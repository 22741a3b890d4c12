//! Reading a request body field by field, collecting every problem before refusing it.

use axum::body::Bytes;
use rust_decimal::Decimal;
use serde_json::{Map, Value};

use crate::reply::{Failure, Problem};

/// A rule for a text: `Err` says what is wrong.
pub(crate) type TextRule = fn(&str) -> Result<(), String>;

/// A JSON object under examination.
pub(crate) struct Form {
    fields: Map<String, Value>,
    problems: Vec<Problem>,
}

impl Form {
    /// Parses a body; an absent, malformed or non-object body is refused at once.
    pub(crate) fn parse(body: &Bytes) -> Result<Self, Failure> {
        if body.is_empty() {
            return Err(refuse("missing", "Field required"));
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self { fields, problems: Vec::new() }),
            Ok(_) => Err(refuse("model_attributes_type", "Input should be a valid dictionary")),
            Err(_) => Err(refuse("json_invalid", "JSON decode error")),
        }
    }

    /// A required text that satisfies `rule`.
    pub(crate) fn text(&mut self, name: &str, rule: TextRule) -> Option<String> {
        let value = self.required(name)?;
        self.checked_text(name, value, rule)
    }

    /// A text that may be absent or null.
    pub(crate) fn optional_text(&mut self, name: &str, rule: TextRule) -> Option<String> {
        let value = self.present(name)?;
        self.checked_text(name, value, rule)
    }

    /// A required decimal, greater than zero and at most `max`; numbers and numeric strings are both taken.
    pub(crate) fn positive(&mut self, name: &str, max: Decimal) -> Option<Decimal> {
        let value = self.required(name)?;
        self.checked_decimal(name, &value, max)
    }

    /// A decimal as in [`Form::positive`] that may be absent or null.
    pub(crate) fn optional_positive(&mut self, name: &str, max: Decimal) -> Option<Decimal> {
        let value = self.present(name)?;
        self.checked_decimal(name, &value, max)
    }

    /// Notes a problem that only the handler can see.
    pub(crate) fn complain(&mut self, name: &str, kind: &'static str, msg: impl Into<String>) {
        self.problems.push(Problem::at("body", name, kind, msg));
    }

    /// The fields that were read, if nothing was wrong with any.
    pub(crate) fn accept<T>(self, fields: Option<T>) -> Result<T, Failure> {
        match fields {
            Some(fields) if self.problems.is_empty() => Ok(fields),
            _ => Err(Failure::unprocessable(self.problems)),
        }
    }

    fn present(&mut self, name: &str) -> Option<Value> {
        self.fields.remove(name).filter(|value| !value.is_null())
    }

    fn required(&mut self, name: &str) -> Option<Value> {
        let value = self.fields.remove(name);
        if value.is_none() {
            self.complain(name, "missing", "Field required");
        }
        value
    }

    fn checked_text(&mut self, name: &str, value: Value, rule: TextRule) -> Option<String> {
        let Value::String(text) = value else {
            self.complain(name, "string_type", "Input should be a valid string");
            return None;
        };
        match rule(&text) {
            Ok(()) => Some(text),
            Err(why) => {
                self.complain(name, "value_error", format!("Value error, {why}"));
                None
            }
        }
    }

    fn checked_decimal(&mut self, name: &str, value: &Value, max: Decimal) -> Option<Decimal> {
        let Some(number) = decimal(value) else {
            self.complain(name, "decimal_parsing", "Input should be a valid decimal");
            return None;
        };
        if number <= Decimal::ZERO {
            self.complain(name, "greater_than", "Input should be greater than 0");
            return None;
        }
        if number > max {
            self.complain(name, "less_than_equal", format!("Input should be less than or equal to {max}"));
            return None;
        }
        Some(number)
    }
}

fn refuse(kind: &'static str, msg: &str) -> Failure {
    Failure::unprocessable(vec![Problem::body(kind, msg)])
}

/// The exact decimal that was written, to the precision of a JSON number.
fn decimal(value: &Value) -> Option<Decimal> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return None,
    };
    text.parse().or_else(|_| Decimal::from_scientific(&text)).ok()
}
