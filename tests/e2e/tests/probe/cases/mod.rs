//! The cases.

mod callouts;
mod flow;
mod reads;
mod state;
mod writes;

use crate::case::{Ask, Case};

/// Callbacks of a stream in which a plugin may still change what happens.
const STREAM_PHASES: [&str; 6] = [
    "request_headers",
    "request_body",
    "request_trailers",
    "response_headers",
    "response_body",
    "response_trailers",
];

/// Every case; the name says which host calls it is about.
pub fn all() -> Vec<Case> {
    [reads::cases(), writes::cases(), flow::cases(), state::cases(), callouts::cases()]
        .into_iter()
        .flatten()
        .collect()
}

/// Lines that run in every phase.
fn everywhere<S: AsRef<str>>(operations: impl IntoIterator<Item = S>) -> String {
    during("*", operations)
}

/// Lines that run in a phase.
fn during<S: AsRef<str>>(phase: &str, operations: impl IntoIterator<Item = S>) -> String {
    operations.into_iter().map(|operation| format!("{phase} {}\n", operation.as_ref())).collect()
}

/// Operations with `N` replaced by each of the numbers.
fn numbered(numbers: std::ops::Range<u32>, operations: &[&str]) -> Vec<String> {
    let one =
        |number: u32| operations.iter().map(move |operation| operation.replace('N', &number.to_string()));
    numbers.flat_map(one).collect()
}

/// A request that has everything.
fn full() -> Ask {
    Ask::new("POST", "/trailers?x=1&y=2")
        .header("x-one", "1")
        .header("x-dup", "a")
        .header("x-dup", "b")
        .header("user-agent", "probe/1")
        .header("referer", "http://elsewhere/")
        .chunk("body")
        .trailer("x-req-trailer", "rt")
}
