//! What became of a request.

use std::collections::BTreeMap;

use crate::stream::Stream;
use crate::stream::info::flag_names;
use crate::{ClientResponse, Failure, LogLine, Received};

/// What became of a request: its answer, what the upstream saw of it, what was left behind.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What the client got.
    pub client: ClientResponse,
    /// What the upstream of the route saw; `None` if the request never got there.
    pub upstream: Option<Received>,
    /// Cluster of the route.
    pub cluster: Option<String>,
    /// Worker that served it.
    pub worker: usize,
    /// Lines logged from its arrival to its end, by whichever context.
    pub logs: Vec<LogLine>,
    /// Metrics that moved meanwhile, and by how much.
    pub moved: BTreeMap<String, i64>,
    /// Lines of the access log.
    pub access_log: Vec<String>,
    /// VMs that failed meanwhile.
    pub failures: Vec<Failure>,
    /// `%RESPONSE_CODE_DETAILS%`.
    pub details: Option<String>,
    /// `%RESPONSE_FLAGS%`.
    pub flags: String,
    filter_state: BTreeMap<String, Vec<u8>>,
}

impl Outcome {
    /// Filter state by Envoy's key: what a module sets as property `x` is `wasm.x`.
    pub fn filter_state(&self, key: &str) -> Option<&[u8]> {
        self.filter_state.get(key).map(Vec::as_slice)
    }

    /// True if some line of the log contains the text.
    pub fn logged(&self, text: &str) -> bool {
        self.logs.iter().any(|line| line.message.contains(text))
    }

    pub(crate) fn of(stream: &Stream) -> Self {
        let state = stream.info.filter_state.iter().map(|(key, state)| (key.clone(), state.value.clone()));
        Self {
            client: ClientResponse::of(stream),
            upstream: stream.router.request.clone(),
            cluster: stream.router.cluster.clone(),
            worker: stream.worker,
            logs: Vec::new(),
            moved: BTreeMap::new(),
            access_log: stream
                .access_log
                .iter()
                .map(|line| String::from_utf8_lossy(line).into_owned())
                .collect(),
            failures: Vec::new(),
            details: stream.info.details.clone(),
            flags: flag_names(stream.info.flags),
            filter_state: state.collect(),
        }
    }
}
