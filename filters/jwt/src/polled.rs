//! What the fetching of documents leads to, as values.

use crate::keys::Skipped;
use crate::remote::FetchFailure;
use portcullis_edge_core::HttpCall;

/// Under which an answer comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallId {
    pub(crate) source: usize,
    pub(crate) id: u32,
}

/// What a poll or an answer led to.
#[derive(Debug, Default)]
pub struct Polled {
    /// Calls to make now.
    pub calls: Vec<(CallId, HttpCall)>,
    /// Requests that wait should be authenticated again.
    pub wakes: bool,
    /// Keys that are not used, of a set that this worker has fetched and that is another than before, by the index of the fetch in
    /// `Tokens::facts`.
    pub skipped: Vec<(usize, Skipped)>,
    /// Fetches of this worker that have ended, by their index in `Tokens::facts`, and why they failed if they did.
    pub ended: Vec<(usize, Option<FetchFailure>)>,
}

/// Something that is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// For which provider.
    pub provider: String,
    /// `keys` or `deny_list`.
    pub what: &'static str,
}
