//! What all VMs of the process share: clock, events, shared data, queues, metrics, logs, clusters, faults.

pub(crate) mod clock;
pub(crate) mod events;
pub(crate) mod faults;
pub(crate) mod logs;
pub(crate) mod metrics;
pub(crate) mod queues;
pub(crate) mod rng;
pub(crate) mod shared_data;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::callout::Clusters;
use crate::{Dns, Failure, LogLevel, Status};
use clock::Clock;
use events::EventQueue;
use faults::Faults;
use logs::LogLine;
use metrics::Metrics;
use queues::Queues;
use rng::Rng;
use shared_data::SharedData;

/// A foreign function of a test's own: what comes of its arguments.
pub(crate) type ForeignFunction = Rc<dyn Fn(&[u8]) -> Result<Vec<u8>, Status>>;

/// The process, as VMs and driver see it. One thread, so cells are enough.
pub(crate) struct Process {
    pub clock: Cell<Clock>,
    pub events: RefCell<EventQueue>,
    pub shared_data: RefCell<SharedData>,
    pub queues: RefCell<Queues>,
    pub metrics: RefCell<Metrics>,
    pub logs: RefCell<Vec<LogLine>>,
    /// Bytes of the lines in it, and what keeping them costs.
    pub logged: Cell<u64>,
    /// Lines of the access log, of all streams in the order in which they ended.
    pub access_log: RefCell<Vec<String>>,
    pub clusters: RefCell<Clusters>,
    pub faults: RefCell<Faults>,
    pub failures: RefCell<Vec<Failure>>,
    pub rng: RefCell<Rng>,
    pub log_level: Cell<LogLevel>,
    /// What a test gives where Envoy would know: paths (segments joined by NUL) and values.
    pub properties: RefCell<BTreeMap<Vec<u8>, Vec<u8>>>,
    /// Foreign functions of the test's own.
    pub foreign: RefCell<BTreeMap<String, ForeignFunction>>,
    /// What the resolver says of names.
    pub names: RefCell<BTreeMap<String, Dns>>,
    /// Names that `declare_property` made read-only.
    pub read_only_properties: RefCell<BTreeSet<String>>,
}

impl Process {
    pub fn new(clock: Clock, seed: Option<u64>, clusters: Clusters) -> Self {
        Self {
            clock: Cell::new(clock),
            events: RefCell::new(EventQueue::new(seed)),
            shared_data: RefCell::default(),
            queues: RefCell::default(),
            metrics: RefCell::default(),
            logs: RefCell::default(),
            logged: Cell::new(0),
            access_log: RefCell::default(),
            clusters: RefCell::new(clusters),
            faults: RefCell::default(),
            failures: RefCell::default(),
            rng: RefCell::new(Rng::new(seed.unwrap_or(0))),
            log_level: Cell::new(LogLevel::Trace),
            properties: RefCell::default(),
            foreign: RefCell::default(),
            names: RefCell::default(),
            read_only_properties: RefCell::default(),
        }
    }

    /// Milliseconds from now, as an instant of the event queue.
    pub fn after(&self, delay: std::time::Duration) -> u64 {
        self.clock.get().mono.saturating_add(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX))
    }
}
