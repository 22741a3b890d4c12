//! The wall clock, in the forms that the services answer with.

use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};

/// RFC 3339 in UTC with milliseconds: what every client's parser takes.
const FORMAT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// Now, as RFC 3339 in UTC.
pub(crate) fn timestamp() -> String {
    // The format is fixed and needs nothing that a date lacks, so formatting cannot fail.
    OffsetDateTime::now_utc().format(FORMAT).unwrap_or_default()
}

/// Seconds since the Unix epoch.
pub(crate) fn unix_seconds() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}
