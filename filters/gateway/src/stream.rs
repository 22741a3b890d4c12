//! A request on its way through this filter, and what its host says of it.

use crate::host::{self, Map};
use core::cell::{Cell, RefCell};
use portcullis_edge_core::{Headers, Wall};
use portcullis_pipeline::{Facts, Reader};

/// A request on its way.
pub struct Stream {
    /// Its context.
    pub context: u32,
    /// What it turned out to be; nothing before its headers came.
    pub facts: RefCell<Option<Facts>>,
    /// Whether it waits.
    pub held: Cell<bool>,
    /// How many bytes have come of a body that the proxy keeps.
    pub seen: Cell<usize>,
    /// Whether its body has come to its end.
    pub ended: Cell<bool>,
    /// Whose place it has among the copies of the page of metrics that are out.
    pub page: Cell<Option<Reader>>,
    /// When it is ended, if its token expires before it does.
    pub ends: Cell<Option<Wall>>,
}

impl Stream {
    /// A request of which nothing is known yet.
    pub fn new(context: u32) -> Self {
        Self {
            context,
            facts: RefCell::new(None),
            held: Cell::new(false),
            seen: Cell::new(0),
            ended: Cell::new(false),
            page: Cell::new(None),
            ends: Cell::new(None),
        }
    }

    /// Does something with the facts; nothing where there are none, or a callback inside another has them.
    pub fn with_facts<T>(&self, run: impl FnOnce(&mut Facts) -> T) -> Option<T> {
        self.facts.try_borrow_mut().ok()?.as_mut().map(run)
    }
}

/// What the host says of the stream whose callback is running.
pub struct HostStream;

impl portcullis_pipeline::Stream for HostStream {
    fn response_headers(&mut self) -> Headers {
        host::headers(Map::Response).unwrap_or_default()
    }

    fn code_details(&mut self) -> Vec<u8> {
        host::property("response\0code_details").unwrap_or_default()
    }

    fn response_flags(&mut self) -> u64 {
        integer("response\0flags").unwrap_or(0)
    }

    fn response_code(&mut self) -> Option<u16> {
        let code = integer("response\0code")?;
        u16::try_from(code).ok().filter(|code| *code > 0)
    }

    fn client_tls(&mut self) -> bool {
        host::property("connection\0tls_version").is_ok_and(|version| !version.is_empty())
    }

    fn upstream_nanos(&mut self) -> Option<u64> {
        integer("response\0backend_latency")
    }

    fn upstream_host(&mut self) -> Vec<u8> {
        host::property("upstream\0address").unwrap_or_default()
    }

    fn request_bytes(&mut self) -> Option<u64> {
        integer("request\0size")
    }

    fn response_bytes(&mut self) -> Option<u64> {
        integer("response\0size")
    }

    fn sent_header(&mut self, name: &str) -> Option<Vec<u8>> {
        host::header(Map::Request, name).ok()
    }

    fn duration_nanos(&mut self) -> u64 {
        integer("request\0duration").unwrap_or(0)
    }
}

/// An integer property: 8 bytes, little-endian.
fn integer(path: &str) -> Option<u64> {
    let bytes = host::property(path).ok()?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}
