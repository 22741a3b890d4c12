//! Headers on their way out, to upstreams and to clients.

use std::time::Duration;

use crate::headers::ROUTER_HEADERS;
use crate::request::HTTP1;
use crate::stream::{Stream, StreamRef};

/// Takes off what a filter has told the router; gives the request's own timeout.
pub(super) fn take_own(headers: &mut crate::HeaderMap) -> Option<Duration> {
    let timeout = headers.text("x-envoy-upstream-rq-timeout-ms").and_then(|text| text.parse().ok());
    ROUTER_HEADERS.iter().for_each(|name| headers.remove(name.as_bytes()));
    timeout.map(Duration::from_millis)
}

/// The header that a request to an upstream lacks.
pub(super) fn missing(stream: &StreamRef) -> Option<&'static str> {
    let stream = stream.borrow();
    match stream.request.headers.as_ref().and_then(|headers| headers.get(":method")) {
        None => Some(":method"),
        Some(b"CONNECT") => Some(":protocol"),
        Some(_) => None,
    }
}

/// The status, as Envoy reads it: blanks around it and a sign before it do not matter.
pub(super) fn status(headers: &crate::HeaderMap) -> Option<u64> {
    let text = headers.text(":status")?;
    text.trim().parse().ok()
}

/// HTTP/1 says of an empty body that it is empty, where there could be one.
pub(super) fn with_length(mut headers: crate::HeaderMap, stream: &Stream) -> crate::HeaderMap {
    let status = headers.text(":status").unwrap_or_default();
    let bodiless = status.starts_with('1') || status == "204" || status == "304";
    let head = stream.info.asked == b"HEAD";
    if stream.info.protocol == HTTP1 && !bodiless && !head && !headers.contains("content-length") {
        headers.add(b"content-length", b"0");
    }
    headers
}

/// `Tue, 24 Nov 2026 19:36:19 GMT`
pub(super) fn http_date(unix_nanos: u64) -> String {
    const FORMAT: &[time::format_description::BorrowedFormatItem<'_>] = time::macros::format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let date = time::OffsetDateTime::from_unix_timestamp((unix_nanos / 1_000_000_000) as i64);
    date.ok().and_then(|date| date.format(FORMAT).ok()).unwrap_or_default()
}
