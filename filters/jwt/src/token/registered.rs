//! The registered claims (RFC 7519 section 4.1): a wrong type is a refusal, never a claim skipped.

use super::issuer::IssuedBy;
use super::json::{Json, JsonRef, Value};
use crate::error::{Refusal, TokenError, refuse};
use portcullis_edge_core::Wall;

/// The last second of the year 9999. A later date is milliseconds by mistake, and would never expire.
const LAST_SECOND: u64 = 253_402_300_799;
const NANOS: u64 = 1_000_000_000;

/// Registered claims with their types checked.
#[derive(Clone, Copy, Default)]
pub(crate) struct Registered<'j> {
    pub(crate) iss: Option<&'j str>,
    pub(crate) sub: Option<&'j str>,
    /// The tenant, as Microsoft's identity platform writes it.
    pub(crate) tid: Option<&'j str>,
    /// Text, or a list of texts.
    pub(crate) aud: Option<JsonRef<'j>>,
    pub(crate) exp: Option<Wall>,
    pub(crate) nbf: Option<Wall>,
    pub(crate) iat: Option<Wall>,
    pub(crate) has_cnf: bool,
}

impl<'j> Registered<'j> {
    /// Reads the claims.
    pub(crate) fn read(json: &'j Json) -> Result<Self, Refusal> {
        let mut claims = Self::default();
        for (name, value) in json.root().children() {
            match name {
                "iss" => claims.iss = Some(text(value, "`iss` is not text")?),
                "sub" => claims.sub = Some(text(value, "`sub` is not text")?),
                "tid" => claims.tid = value.text(),
                "jti" => drop(text(value, "`jti` is not text")?),
                "aud" => claims.aud = Some(audience(value)?),
                "exp" => claims.exp = Some(date(value, "`exp` is not a date (seconds, 0 to the year 9999)")?),
                "nbf" => claims.nbf = Some(date(value, "`nbf` is not a date (seconds, 0 to the year 9999)")?),
                "iat" => claims.iat = Some(date(value, "`iat` is not a date (seconds, 0 to the year 9999)")?),
                "cnf" => claims.has_cnf = true,
                _ => {}
            }
        }
        Ok(claims)
    }

    /// What the token says of its issuer.
    pub(crate) fn issued_by(&self) -> IssuedBy<'j> {
        IssuedBy { iss: self.iss, tenant: self.tid }
    }

    /// Whether `aud` is, or has among its elements, one of `wanted`.
    pub(crate) fn is_for(&self, wanted: &[String]) -> bool {
        let Some(aud) = self.aud else { return false };
        let is_wanted =
            |value: JsonRef<'_>| value.text().is_some_and(|text| wanted.iter().any(|w| w == text));
        is_wanted(aud) || aud.children().any(|(_, element)| is_wanted(element))
    }
}

fn text<'j>(value: JsonRef<'j>, detail: &'static str) -> Result<&'j str, Refusal> {
    value.text().ok_or(refuse(TokenError::Malformed, detail))
}

fn audience(value: JsonRef<'_>) -> Result<JsonRef<'_>, Refusal> {
    let fine = match value.value() {
        Value::Text(_) => true,
        Value::List => value.children().all(|(_, element)| element.text().is_some()),
        _ => false,
    };
    fine.then_some(value).ok_or(refuse(TokenError::Malformed, "`aud` is not text or a list of texts"))
}

/// A NumericDate (RFC 7519 section 2): seconds since the epoch, fractions allowed.
fn date(value: JsonRef<'_>, detail: &'static str) -> Result<Wall, Refusal> {
    numeric_date(value).ok_or(refuse(TokenError::Malformed, detail))
}

/// The value as a date; later than the clock can tell (year 2554) becomes its end.
pub(crate) fn numeric_date(value: JsonRef<'_>) -> Option<Wall> {
    match value.value() {
        Value::UInt(seconds) if seconds <= LAST_SECOND => Some(Wall(seconds.saturating_mul(NANOS))),
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Value::Float(seconds) if (0.0..=LAST_SECOND as f64).contains(&seconds) => {
            // A float-to-integer cast saturates; it cannot wrap.
            Some(Wall((seconds * NANOS as f64) as u64))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn dates_take_fractions_and_the_far_future_but_nothing_else() {
        let date = |text: &str| numeric_date(Json::parse(text.as_bytes()).unwrap().root());
        assert_eq!(date("1300819380"), Some(Wall(1_300_819_380 * NANOS)));
        assert_eq!(date("1.5"), Some(Wall(1_500_000_000)));
        assert_eq!(date("1e3"), Some(Wall(1000 * NANOS)));
        assert_eq!(date("253402300799"), Some(Wall(u64::MAX)));
        for bad in
            ["-1", "-0.5", "1700000000000", "1e300", "18446744073709551616", "\"1\"", "true", "null", "[1]"]
        {
            assert_eq!(date(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_audience_is_one_of_ours_or_has_one_of_ours() {
        let is_for = |claims: &str| {
            let json = Json::parse(claims.as_bytes()).unwrap();
            Registered::read(&json).unwrap().is_for(&["a".to_owned(), "b".to_owned()])
        };
        assert!(is_for(r#"{"aud":"a"}"#));
        assert!(is_for(r#"{"aud":["x","b"]}"#));
        for other in [r#"{"aud":"x"}"#, r#"{"aud":[]}"#, r#"{"aud":"a b"}"#, "{}", r#"{"aud":["A"]}"#] {
            assert!(!is_for(other), "{other}");
        }
    }
}
