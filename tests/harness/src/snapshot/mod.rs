//! Snapshots: what an equal start would do again is not done again.
//!
//! Tests start the same module with the same configuration over and over, and a start takes a thousand times what a request
//! does. So the second of two equal starts leaves a snapshot behind (memory, globals, what the host keeps for the VM, and
//! what the start did outside of the VM: log lines, metrics, timers), and the next one is brought back from it. Nobody may be
//! able to tell: a start that read a clock or random bytes comes back only where it would read the same again, and one that did
//! anything that depends on more than that (shared data, queues, callouts, foreign functions) leaves no snapshot.

mod image;
pub(crate) mod module;
mod recording;

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use crate::process::Process;
use crate::process::clock::Clock;
use crate::process::metrics::{Index, MetricIds};
use crate::process::rng::Rng;
use crate::vm::context::PluginInfo;
use crate::vm::{Timer, Vm, VmSettings};
use crate::{BufferType, LoadedModule};
pub(crate) use image::Image;
pub(crate) use recording::{Effect, Recording};

/// Bytes of the snapshots of one module; beyond, the oldest go.
const MOST_BYTES: usize = 128 * 1024 * 1024;
/// Starts that are remembered without a snapshot.
const MOST_SEEN: usize = 4096;

/// What makes two starts of a module equal, but for clocks and chance.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    settings: VmSettings,
    plugin: PluginInfo,
    log_level: u32,
}

impl Key {
    pub fn new(settings: &VmSettings, plugin: &PluginInfo, process: &Process) -> Self {
        Self { settings: settings.clone(), plugin: plugin.clone(), log_level: process.log_level.get() as u32 }
    }
}

/// Clocks and chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Moment {
    pub clock: Clock,
    pub rng: Rng,
}

impl Moment {
    pub fn now(process: &Process) -> Self {
        Self { clock: process.clock.get(), rng: *process.rng.borrow() }
    }
}

/// A VM with one root context, as its start left it.
pub(crate) struct Snapshot {
    image: Image,
    began: Moment,
    /// Random numbers go on from here, if the start drew any.
    rng: Rng,
    recording: Recording,
    /// All metrics of the process behind the start.
    index: Arc<Index>,
    ids: MetricIds,
    /// The root context.
    pub root: u32,
    last_buffer: Option<BufferType>,
    timer: Option<Timer>,
}

impl Snapshot {
    /// A VM as it is now; `None` if there is more to it than a snapshot holds.
    pub fn of(vm: &mut Vm, root: u32, module: &LoadedModule) -> Option<Self> {
        let recording = vm.data().recording.take().filter(|recording| !recording.unfit)?;
        let image = Image::of(vm, module)?;
        let data = vm.data();
        let context = data.contexts.get(&root)?;
        let index = data.process.metrics.borrow().index().clone();
        let rng = *data.process.rng.borrow();
        Some(Self {
            image,
            began: recording.began,
            rng,
            index,
            ids: data.metrics.clone(),
            root,
            last_buffer: context.last_buffer,
            timer: data.timers.get(&root).copied(),
            recording,
        })
    }

    fn fits(&self, moment: &Moment) -> bool {
        (!self.recording.reads_clock || self.began.clock == moment.clock)
            && (!self.recording.reads_rng || self.began.rng == moment.rng)
    }

    /// Does to the process what the start did to it. Gives the ids of metrics.
    pub fn replay(&self, process: &Process, vm: crate::vm::VmId, worker: usize) -> MetricIds {
        if self.recording.reads_rng {
            *process.rng.borrow_mut() = self.rng;
        }
        let known = process.metrics.borrow_mut().take_over(&self.index);
        let mut ids = if known { self.ids.clone() } else { MetricIds::default() };
        let defines = |effect: &&Effect| matches!(effect, Effect::Define { .. });
        for effect in self.recording.effects.iter().filter(|effect| !known || !defines(effect)) {
            effect.again(process, &mut ids, vm, worker);
        }
        ids
    }

    /// Makes a VM that was only just instantiated what this one was.
    pub fn bring_back(&self, vm: &mut Vm, ids: MetricIds, plugin: PluginInfo) -> wasmtime::Result<()> {
        self.image.write(vm)?;
        let data = vm.data();
        data.restricted = false;
        data.metrics = ids;
        data.timers.extend(self.timer.map(|timer| (self.root, timer)));
        let mut context = crate::vm::context::Context::root(std::rc::Rc::new(plugin));
        context.created = true;
        context.last_buffer = self.last_buffer;
        data.next_context = self.root;
        data.add_context(context);
        Ok(())
    }
}

/// The snapshots of a module.
#[derive(Default)]
pub(crate) struct Snapshots(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    seen: HashSet<u64>,
    snapshots: VecDeque<(Key, Arc<Snapshot>)>,
    bytes: usize,
}

/// What to do about a start.
pub(crate) enum Advice {
    /// There was none like it: start.
    Start,
    /// It was seen before: start, and leave a snapshot.
    Keep,
    /// Come back.
    BringBack(Arc<Snapshot>),
}

impl Snapshots {
    /// What to do about a start at this moment.
    pub fn advice(&self, key: &Key, moment: &Moment) -> Advice {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let equal = |(other, snapshot): &&(Key, Arc<Snapshot>)| other == key && snapshot.fits(moment);
        if let Some((_, snapshot)) = kept.snapshots.iter().find(equal) {
            return Advice::BringBack(snapshot.clone());
        }
        let mut hasher = DefaultHasher::new();
        (key, moment).hash(&mut hasher);
        if kept.seen.len() >= MOST_SEEN {
            kept.seen.clear();
        }
        if kept.seen.insert(hasher.finish()) { Advice::Start } else { Advice::Keep }
    }

    /// Keeps a snapshot.
    pub fn keep(&self, key: Key, mut snapshot: Snapshot) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Where equal sets of metrics are one, a proxy with several VMs takes them over at once.
        if let Some((_, other)) = kept.snapshots.iter().find(|(_, other)| other.index == snapshot.index) {
            snapshot.index = other.index.clone();
        }
        kept.bytes += snapshot.image.bytes();
        kept.snapshots.push_back((key, Arc::new(snapshot)));
        while kept.bytes > MOST_BYTES && kept.snapshots.len() > 1 {
            let oldest = kept.snapshots.pop_front();
            kept.bytes -= oldest.map_or(0, |(_, oldest)| oldest.image.bytes());
        }
    }
}
