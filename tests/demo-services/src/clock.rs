//! The wall clock, in the forms that the services answer with.

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Now, as RFC 3339 in UTC.
pub(crate) fn timestamp() -> String {
    // The format is fixed and the year has four digits, so formatting cannot fail.
    OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default()
}

/// Seconds since the Unix epoch.
pub(crate) fn unix_seconds() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}
