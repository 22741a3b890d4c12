//! Durations as the Gateway API writes them (GEP-2257): whole hours, minutes, seconds and milliseconds.

use core::time::Duration;
use serde_json::Value;

/// One of Envoy's, such as `0.5s`.
pub(crate) fn duration(envoys: &Value) -> Value {
    let seconds = envoys.as_str().and_then(|text| text.strip_suffix('s')?.parse::<f64>().ok());
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.map_or(Value::Null, |duration| milliseconds(duration).into())
}

/// Whole seconds as such, anything else in milliseconds.
pub(crate) fn milliseconds(duration: Duration) -> String {
    match duration.subsec_millis() {
        0 => format!("{}s", duration.as_secs()),
        _ => format!("{}ms", duration.as_millis()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_become_milliseconds() {
        for (envoys, expected) in [("15s", "15s"), ("0.5s", "500ms"), ("86400s", "86400s"), ("0s", "0s")] {
            assert_eq!(duration(&envoys.into()), expected);
        }
        assert_eq!(duration(&Value::Null), Value::Null);
    }
}
