//! One stream, HTTP or TCP: what Envoy's connection manager and filter manager know about it.

pub(crate) mod info;
pub(crate) mod tcp;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use crate::callout::Stand;
use crate::message::Part;
use crate::process::events::WorkerId;
use crate::vm::VmId;
use crate::{HeaderMap, Received};
use info::StreamInfo;
use tcp::Tcp;

/// Number of a stream, in the order of their arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StreamId(pub u64);

/// A stream is looked at by the driver and by host calls in turn.
pub(crate) type StreamRef = Rc<RefCell<Stream>>;

/// Requests flow from the first filter to the last, responses from the last to the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Request,
    Response,
}

/// Whether a filter lets the stream pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Iteration {
    #[default]
    Continue,
    /// Later parts still reach this filter.
    StopSingle,
    /// Later parts are kept back, and are too many at the buffer limit.
    StopAllBuffer,
    /// Later parts are kept back, and the sender is slowed down at the buffer limit.
    StopAllWatermark,
}

/// What the filter manager knows about one filter in one direction.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    pub iteration: Iteration,
    pub headers_passed: bool,
    pub saw_end: bool,
}

impl Progress {
    pub fn stopped_all(&self) -> bool {
        matches!(self.iteration, Iteration::StopAllBuffer | Iteration::StopAllWatermark)
    }
}

/// A filter of the chain, on this stream.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub plugin: usize,
    /// `None` if the VM was down when the stream began.
    pub vm: Option<VmId>,
    pub context: u32,
    pub request: Progress,
    pub response: Progress,
}

/// One direction of a stream.
#[derive(Debug, Default)]
pub(crate) struct Half {
    pub headers: Option<HeaderMap>,
    pub trailers: Option<HeaderMap>,
    /// What filters keep back.
    pub buffered: Option<Vec<u8>>,
    /// The bytes that filters are looking at just now.
    pub chunk: Vec<u8>,
    /// The sender has sent everything.
    pub complete: bool,
    /// Nothing passes any more: a local reply has taken over, or the stream has ended.
    pub aborted: bool,
    /// Parts that have not arrived yet.
    pub to_come: VecDeque<Part>,
}

/// A reply by a filter or by Envoy itself.
#[derive(Clone, Debug)]
pub(crate) struct LocalReply {
    pub status: u32,
    pub body: Vec<u8>,
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub grpc: Option<u32>,
    pub details: String,
}

/// What reached the client.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientSide {
    pub headers: Option<HeaderMap>,
    pub body: Vec<u8>,
    pub chunks: Vec<usize>,
    pub trailers: Option<HeaderMap>,
    pub complete: bool,
    pub reset: bool,
}

/// What the router does with the request.
#[derive(Debug, Default)]
pub(crate) struct RouterSide {
    pub cluster: Option<String>,
    pub request: Option<Received>,
    /// The request went out entirely.
    pub sent: bool,
    pub started: bool,
    /// What a filter has set it to, in place of the route's.
    pub timeout: Option<std::time::Duration>,
    /// What Envoy answers itself when the upstream event comes.
    pub stand_in: Option<Stand>,
}

/// The whole.
#[derive(Debug)]
pub(crate) struct Stream {
    pub id: StreamId,
    pub worker: WorkerId,
    pub filters: Vec<Slot>,
    pub request: Half,
    pub response: Half,
    pub info: StreamInfo,
    pub router: RouterSide,
    pub client: ClientSide,
    pub prepared: Option<LocalReply>,
    pub reset_asked: bool,
    /// How many of its filters' callbacks are running: actions wait until none is.
    pub depth: u32,
    pub finished: bool,
    /// Lines that the access log made of it.
    pub access_log: Vec<Vec<u8>>,
    pub last_activity: u64,
    /// It is a TCP connection, and nothing else of it is used but the filters and the info.
    pub tcp: Option<Tcp>,
}

impl Stream {
    /// One of which nothing has arrived yet.
    pub fn new(id: StreamId, worker: WorkerId, info: StreamInfo) -> Self {
        Self {
            id,
            worker,
            filters: Vec::new(),
            request: Half::default(),
            response: Half::default(),
            info,
            router: RouterSide::default(),
            client: ClientSide::default(),
            prepared: None,
            reset_asked: false,
            depth: 0,
            finished: false,
            access_log: Vec::new(),
            last_activity: 0,
            tcp: None,
        }
    }

    pub fn half(&mut self, direction: Direction) -> &mut Half {
        match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        }
    }

    /// The filter at a position of the direction's own order.
    pub fn index(&self, direction: Direction, position: usize) -> usize {
        match direction {
            Direction::Request => position,
            Direction::Response => self.filters.len() - 1 - position,
        }
    }

    pub fn progress(&mut self, direction: Direction, position: usize) -> &mut Progress {
        let index = self.index(direction, position);
        match direction {
            Direction::Request => &mut self.filters[index].request,
            Direction::Response => &mut self.filters[index].response,
        }
    }
}
