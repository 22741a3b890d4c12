//! What Envoy remembers about a stream beside its messages: for properties and access logs.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::{Metadata, Route, Tls};

/// Who set a filter state, and what may read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FilterState {
    pub value: Vec<u8>,
    pub read_only: bool,
}

/// Facts of a stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamInfo {
    pub start_wall: u64,
    pub start_mono: u64,
    pub end_mono: Option<u64>,
    pub request_end_mono: Option<u64>,
    pub upstream_start_mono: Option<u64>,
    pub upstream_first_byte_mono: Option<u64>,
    pub protocol: String,
    /// The method, as the client has sent it.
    pub asked: Vec<u8>,
    pub peer: String,
    pub local: String,
    pub connection_id: u64,
    /// What the handshake has shown; `None` over plain TCP.
    pub tls: Option<Arc<Tls>>,
    /// The name of the virtual host, once the request's headers are there.
    pub virtual_host: Option<String>,
    pub route: Option<Rc<Route>>,
    /// The cluster of the route, if there is one of that name.
    pub cluster: Option<String>,
    pub cluster_metadata: Option<Metadata>,
    pub upstream_address: Option<String>,
    pub response_code: Option<u32>,
    pub details: Option<String>,
    pub flags: u64,
    pub bytes_received: u64,
    pub bytes_sent: u64,
    /// Keys as Envoy knows them: `wasm.` stands before what `set_property` wrote.
    pub filter_state: BTreeMap<String, FilterState>,
    /// The route must be looked up again: a header has changed.
    pub route_stale: bool,
}

impl StreamInfo {
    /// Of a request that was refused before, only the virtual host is known.
    pub fn forget_route(&mut self) {
        (self.route, self.cluster, self.cluster_metadata) = (None, None, None);
    }

    pub fn route_name(&self) -> Option<&str> {
        self.route.as_ref().map(|route| route.name.as_str())
    }

    /// Nanoseconds from the first byte of the request to the end of the stream, or to `now` before that.
    pub fn duration(&self, now: u64) -> u64 {
        self.end_mono.unwrap_or(now).saturating_sub(self.start_mono)
    }
}

/// The short names of response flags, as access logs print them.
pub(crate) fn flag_names(flags: u64) -> String {
    const NAMES: [(u64, &str); 15] = [
        (0x1, "LH"),
        (0x2, "UH"),
        (0x4, "UT"),
        (0x8, "LR"),
        (0x10, "UR"),
        (0x20, "UF"),
        (0x40, "UC"),
        (0x80, "UO"),
        (0x100, "NR"),
        (0x4000, "DC"),
        (0x10000, "SI"),
        (0x4_0000, "DPE"),
        (0x80_0000, "UPE"),
        (0x100_0000, "NC"),
        (0x1000_0000, "DR"),
    ];
    let set: Vec<&str> = NAMES.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name).collect();
    if set.is_empty() { "-".to_owned() } else { set.join(",") }
}
