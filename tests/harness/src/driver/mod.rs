//! The proxy around the modules: workers, VMs, streams, and the event loop that moves them.
//!
//! Everything runs on one thread. A VM is borrowed while one of its callbacks runs; what the callback asked for
//! (`Action`s) is carried out after it has returned, as in Envoy. While a callback of one worker runs, callbacks of
//! *other* workers may run nested in it: that is how races over shared data come about, at the seed's choice.

mod access_log;
mod dispatch;
mod filters;
mod finish;
mod flow;
mod leaving;
mod lifecycle;
mod refusal;
pub(crate) mod reply;
mod router;
mod tcp;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::{Rc, Weak};
use std::time::Duration;

use crate::process::Process;
use crate::process::events::WorkerId;
use crate::stream::tcp::Peer;
use crate::stream::{StreamId, StreamRef};
use crate::vm::{Action, Vm, VmId, VmRef, VmSettings};
use crate::{FailurePolicy, LoadedModule, Metadata, Node, Route, StreamType};

/// What the builder decided about the proxy as a whole.
#[derive(Debug)]
pub(crate) struct Options {
    pub workers: usize,
    /// Also run the VMs that Envoy only tries configurations with, and the main thread's.
    pub all_vms: bool,
    pub interleave: bool,
    pub buffer_limit: usize,
    pub route_timeout: Duration,
    pub idle_timeout: Duration,
    pub passes_server_header: bool,
    pub routes: Vec<Route>,
    pub cluster_metadata: BTreeMap<String, Metadata>,
    pub node: Node,
    pub access_log: Option<String>,
    pub local_address: String,
    /// The connection manager tells where requests come from: with this address of the machine's own in place of 127.0.0.1.
    pub facing_clients: Option<String>,
    /// VMs may be brought back from snapshots.
    pub snapshots: bool,
}

/// A plugin of the chain.
pub(crate) struct Plugin {
    pub module: LoadedModule,
    pub settings: Rc<VmSettings>,
    pub name: String,
    pub root_id: String,
    pub policy: FailurePolicy,
    pub allow_stop_iteration: bool,
    pub configuration: RefCell<Vec<u8>>,
    /// Counts reloads: another configuration is another root context.
    pub generation: Cell<u64>,
    /// Where the plugin runs, by worker.
    pub instances: RefCell<BTreeMap<WorkerId, Instance>>,
}

/// A plugin in the VM of one worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Instance {
    pub vm: VmId,
    pub root: u32,
    /// Not reloaded again before this instant.
    pub reload_at: u64,
}

/// The proxy.
pub(crate) struct World {
    pub process: Rc<Process>,
    pub options: Options,
    pub chain: Vec<Plugin>,
    me: Weak<World>,
    vms: RefCell<BTreeMap<VmId, VmRef>>,
    vm_workers: RefCell<BTreeMap<VmId, WorkerId>>,
    pub streams: RefCell<BTreeMap<StreamId, StreamRef>>,
    next_stream: Cell<u64>,
    running: RefCell<BTreeSet<WorkerId>>,
    /// VMs that were not started but brought back.
    pub brought_back: Cell<usize>,
}

impl World {
    pub fn new(process: Rc<Process>, options: Options, chain: Vec<Plugin>) -> Rc<World> {
        Rc::new_cyclic(|me| World {
            process,
            options,
            chain,
            me: me.clone(),
            vms: RefCell::default(),
            vm_workers: RefCell::default(),
            streams: RefCell::default(),
            next_stream: Cell::new(0),
            running: RefCell::default(),
            brought_back: Cell::new(0),
        })
    }

    pub fn vm(&self, id: VmId) -> Option<VmRef> {
        self.vms.borrow().get(&id).cloned()
    }

    pub fn vms(&self) -> Vec<VmRef> {
        self.vms.borrow().values().cloned().collect()
    }

    pub fn worker_of(&self, vm: VmId) -> WorkerId {
        self.vm_workers.borrow().get(&vm).copied().unwrap_or(0)
    }

    /// Runs something on a VM, and then carries out what its callbacks asked for.
    fn on_vm<T>(&self, id: VmId, run: impl FnOnce(&mut Vm) -> T) -> Option<T> {
        let (result, actions) = self.on_vm_raw(id, run)?;
        self.act(id, actions);
        Some(result)
    }

    /// As `on_vm`, but leaves the actions to the caller.
    fn on_vm_raw<T>(&self, id: VmId, run: impl FnOnce(&mut Vm) -> T) -> Option<(T, VecDeque<Action>)> {
        let vm = self.vm(id)?;
        let worker = self.worker_of(id);
        let first = self.running.borrow_mut().insert(worker);
        let mut vm = vm.borrow_mut();
        let result = run(&mut vm);
        let actions = std::mem::take(&mut vm.data().actions);
        drop(vm);
        if first {
            self.running.borrow_mut().remove(&worker);
        }
        Some((result, actions))
    }

    fn act(&self, vm: VmId, actions: VecDeque<Action>) {
        actions.into_iter().for_each(|action| self.act_one(vm, action));
    }

    fn act_one(&self, vm: VmId, action: Action) {
        match action {
            // A TCP connection has no answer, and only what its client sends can go on.
            Action::Reply { stream, .. } if stream.borrow().tcp.is_some() => {}
            Action::Continue { stream, context, which } if stream.borrow().tcp.is_some() => {
                if which == StreamType::Downstream {
                    self.continue_connection(&stream, vm, context);
                }
            }
            Action::Close { stream } if stream.borrow().tcp.is_some() => {
                self.close_connection(&stream, Peer::Local);
            }
            // A reply that is on its way ends the request.
            Action::Continue { stream, .. } if stream.borrow().prepared.is_some() => {}
            Action::Continue { stream, context, which } => self.continue_stream(&stream, vm, context, which),
            Action::Close { stream } => self.ask_reset(&stream),
            Action::Reply { stream, reply } => self.prepare_reply(&stream, reply),
            Action::RootDone { context } => self.delete_root(vm, context),
        }
    }

    /// Lets an event of another worker happen now, in the middle of this worker's callback.
    pub fn let_others_run(&self, _me: WorkerId) {
        if !self.options.interleave || self.process.rng.borrow_mut().below(2) == 0 {
            return;
        }
        let now = self.process.clock.get().mono;
        let idle = |worker: WorkerId| !self.running.borrow().contains(&worker);
        let next = self.process.events.borrow_mut().pop_for(now, idle);
        if let Some((_, worker, event)) = next {
            self.dispatch(worker, event);
        }
    }
}
