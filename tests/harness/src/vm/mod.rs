//! A VM: one instance of a module, its contexts, and the calls into it.

pub(crate) mod accounting;
pub(crate) mod call;
pub(crate) mod context;
pub(crate) mod exports;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wasmtime::{Instance, Memory, ResourceLimiter, Store, TypedFunc};

use crate::driver::World;
use crate::host::foreign::cel::Expressions;
use crate::process::Process;
use crate::process::events::{Event, WorkerId};
use crate::process::metrics::MetricIds;
use crate::snapshot::{Effect, Recording};
use crate::stream::{LocalReply, StreamRef};
use crate::{AbiVersion, Failure, StreamType};
use accounting::Accounting;
use context::{Context, PluginInfo};
use exports::{Exports, OldExports};

/// Number of a VM, in the order of their making.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct VmId(pub usize);

/// What a callback asked for that must wait until it has returned.
#[derive(Debug)]
pub(crate) enum Action {
    Continue { stream: StreamRef, context: u32, which: StreamType },
    Close { stream: StreamRef },
    Reply { stream: StreamRef, reply: LocalReply },
    RootDone { context: u32 },
}

/// A timer of a root context.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Timer {
    pub period_ms: u32,
    pub generation: u64,
}

impl Timer {
    /// Puts the next tick of a root into the event queue; a period of zero has none.
    pub fn schedule(&self, process: &Process, worker: WorkerId, vm: VmId, root: u32) {
        if self.period_ms > 0 {
            let time = process.after(Duration::from_millis(self.period_ms.into()));
            let event = Event::Tick { vm, root, generation: self.generation };
            process.events.borrow_mut().push(time, worker, event);
        }
    }
}

/// A gRPC stream that a root context has opened.
#[derive(Clone, Debug)]
pub(crate) struct GrpcStream {
    pub root: u32,
    pub cluster: String,
    pub request: crate::Received,
    pub sent_end: bool,
}

/// What all VMs of one plugin group have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct VmSettings {
    pub vm_id: String,
    pub configuration: Vec<u8>,
    pub environment: Vec<(String, String)>,
    pub memory_limit: u64,
    pub fuel: u64,
    /// Bytes that a callback may hand to the host.
    pub host_budget: u64,
    pub profile: bool,
}

/// Keeps memory within the limit, so that a greedy guest gets its -1 and the harness lives on.
pub(crate) struct Limiter {
    limit: u64,
    fault: Arc<AtomicU64>,
    /// The limit at which the guest was last refused memory.
    pub refused: Option<u64>,
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let limit = self.limit.min(self.fault.load(Ordering::Relaxed));
        if desired as u64 > limit {
            self.refused = Some(limit);
        }
        Ok(desired as u64 <= limit)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= 1_000_000)
    }
}

/// The state behind an instance's host calls.
pub(crate) struct VmData {
    pub process: Rc<Process>,
    pub world: Weak<World>,
    pub settings: Rc<VmSettings>,
    pub id: VmId,
    pub worker: WorkerId,
    pub abi: AbiVersion,
    pub contexts: HashMap<u32, Context>,
    pub next_context: u32,
    pub current: u32,
    pub effective: u32,
    pub actions: VecDeque<Action>,
    pub memory: Option<Memory>,
    pub malloc: Option<TypedFunc<u32, u32>>,
    pub on_resolve_dns: Option<TypedFunc<(u32, u32, u32), ()>>,
    /// How many names were looked up, and one.
    pub dns_token: u32,
    /// What a callback within this callback has trapped with: the allocator, or the answer to a name.
    pub nested_trap: Option<(&'static str, wasmtime::Error)>,
    /// Before the VM has started, few calls are allowed.
    pub restricted: bool,
    pub metrics: MetricIds,
    /// How many HTTP calls, gRPC calls and gRPC streams there were.
    pub callouts: [u32; 3],
    /// The VM only tries a configuration out: what it asks for is never carried out.
    pub ephemeral: bool,
    pub http_calls: HashMap<u32, u32>,
    pub grpc_calls: HashMap<u32, u32>,
    pub grpc_streams: HashMap<u32, GrpcStream>,
    pub timers: BTreeMap<u32, Timer>,
    pub stop_next_iteration: bool,
    /// What `declare_property` has declared, by root context.
    pub declared: BTreeSet<(u32, String)>,
    /// CEL expressions, by root context.
    pub expressions: HashMap<u32, Expressions>,
    pub accounting: Accounting,
    pub limiter: Limiter,
    /// What is left of the callback's `host_budget`.
    pub host_budget: Cell<u64>,
    /// What the start has done so far, if a snapshot is to be made of it.
    pub recording: Option<Recording>,
}

impl VmData {
    pub fn new(process: Rc<Process>, world: Weak<World>, settings: Rc<VmSettings>, abi: AbiVersion) -> Self {
        let fault = process.faults.borrow().memory();
        Self {
            world,
            id: VmId(0),
            worker: 0,
            abi,
            contexts: HashMap::new(),
            next_context: 1,
            current: 0,
            effective: 0,
            actions: VecDeque::new(),
            memory: None,
            malloc: None,
            on_resolve_dns: None,
            dns_token: 1,
            nested_trap: None,
            restricted: true,
            metrics: MetricIds::default(),
            callouts: [0; 3],
            ephemeral: false,
            http_calls: HashMap::new(),
            grpc_calls: HashMap::new(),
            grpc_streams: HashMap::new(),
            timers: BTreeMap::new(),
            stop_next_iteration: false,
            declared: BTreeSet::new(),
            expressions: HashMap::new(),
            accounting: Accounting::new(settings.profile),
            limiter: Limiter { limit: settings.memory_limit, fault, refused: None },
            host_budget: Cell::new(settings.host_budget),
            recording: None,
            settings,
            process,
        }
    }

    /// The context that host calls speak for: the effective one while it exists, else the one that was called.
    pub fn context_id(&self) -> u32 {
        let effective = self.effective != 0 && self.contexts.contains_key(&self.effective);
        if effective { self.effective } else { self.current }
    }

    pub fn context(&mut self) -> Option<&mut Context> {
        let id = self.context_id();
        self.contexts.get_mut(&id)
    }

    /// The root of the context that host calls speak for.
    pub fn root_id(&self) -> u32 {
        let id = self.context_id();
        match self.contexts.get(&id) {
            Some(context) if context.parent != 0 => context.parent,
            _ => id,
        }
    }

    pub fn root(&mut self) -> Option<&mut Context> {
        let id = self.root_id();
        self.contexts.get_mut(&id)
    }

    /// The plugin that the running callback belongs to.
    pub fn plugin_name(&self) -> String {
        self.contexts.get(&self.context_id()).map(|context| context.plugin.name.clone()).unwrap_or_default()
    }

    /// Notes for a snapshot that a host function was called.
    pub fn note_call(&mut self, name: &'static str) {
        if let Some(recording) = &mut self.recording {
            recording.called(name);
        }
    }

    /// Notes for a snapshot what a host function has done.
    pub fn record(&mut self, effect: impl FnOnce() -> Effect) {
        if let Some(recording) = &mut self.recording {
            recording.effects.push(effect());
        }
    }

    /// Notes that what was read depends on more than a snapshot knows.
    pub fn no_snapshot(&mut self) {
        if let Some(recording) = &mut self.recording {
            recording.unfit = true;
        }
    }

    pub fn add_context(&mut self, context: Context) -> u32 {
        let id = self.next_context;
        self.next_context += 1;
        self.contexts.insert(id, context);
        id
    }

    /// Ids of callouts: their number times four plus their kind (0 HTTP, 1 gRPC call, 2 gRPC stream).
    pub fn next_callout(&mut self, kind: u32) -> u32 {
        let count = &mut self.callouts[kind as usize];
        *count += 1;
        *count * 4 + kind
    }
}

/// Data for a store that never runs anything: the loader needs one to ask a linker for types.
pub(crate) fn idle_data() -> VmData {
    let process = Rc::new(Process::new(Default::default(), None, Default::default()));
    let settings = VmSettings {
        vm_id: String::new(),
        configuration: Vec::new(),
        environment: Vec::new(),
        memory_limit: 0,
        fuel: 0,
        host_budget: 0,
        profile: false,
    };
    VmData::new(process, Weak::new(), Rc::new(settings), AbiVersion::V0_2_1)
}

/// A VM is borrowed while one of its callbacks runs.
pub(crate) type VmRef = Rc<RefCell<Vm>>;

/// A VM.
pub(crate) struct Vm {
    pub store: Store<VmData>,
    pub instance: Instance,
    pub exports: Rc<Exports>,
    pub old_exports: Rc<OldExports>,
    pub failed: bool,
    pub name: String,
}

impl Vm {
    pub fn data(&mut self) -> &mut VmData {
        self.store.data_mut()
    }

    pub fn context(&mut self, id: u32) -> Option<&mut Context> {
        self.store.data_mut().contexts.get_mut(&id)
    }

    pub fn plugin(&mut self, id: u32) -> Rc<PluginInfo> {
        match self.context(id) {
            Some(context) => context.plugin.clone(),
            None => {
                Rc::new(PluginInfo { name: String::new(), root_id: String::new(), configuration: Vec::new() })
            }
        }
    }

    pub fn fail(&mut self, failure: Failure) {
        self.failed = true;
        self.store.data().process.failures.borrow_mut().push(failure);
    }
}
