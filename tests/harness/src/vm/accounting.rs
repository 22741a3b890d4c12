//! What callbacks cost: fuel, time, host calls, allocations. Kept only when a profile was asked for.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Host calls of one name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostCallCost {
    /// How many.
    pub count: u64,
    /// Time in the host, guest allocations included.
    pub time: Duration,
}

/// All runs of one callback.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallbackCost {
    /// How many.
    pub count: u64,
    /// Fuel: about one unit for each instruction. The same on every machine.
    pub fuel: u64,
    /// Time, host calls included.
    pub time: Duration,
    /// Host calls by name.
    pub host_calls: BTreeMap<&'static str, HostCallCost>,
    /// Allocations in the guest on behalf of the host.
    pub allocations: u64,
    /// Bytes so allocated.
    pub allocated: u64,
    /// Bytes by which the guest's memory grew.
    pub memory_growth: u64,
}

impl CallbackCost {
    /// Adds another VM's figures.
    pub fn add(&mut self, other: &CallbackCost) {
        self.count += other.count;
        self.fuel += other.fuel;
        self.time += other.time;
        self.allocations += other.allocations;
        self.allocated += other.allocated;
        self.memory_growth += other.memory_growth;
        for (name, cost) in &other.host_calls {
            let sum = self.host_calls.entry(name).or_default();
            sum.count += cost.count;
            sum.time += cost.time;
        }
    }
}

/// Costs by callback.
pub type Profile = BTreeMap<&'static str, CallbackCost>;

/// The running account of a VM.
pub(crate) struct Accounting {
    profile: Option<Profile>,
    current: CallbackCost,
}

impl Accounting {
    pub fn new(on: bool) -> Self {
        Self { profile: on.then(Profile::new), current: CallbackCost::default() }
    }

    /// Starts a clock, if anybody is going to look at it.
    pub fn start(&self) -> Option<Instant> {
        self.profile.as_ref().map(|_| Instant::now())
    }

    pub fn host_call(&mut self, name: &'static str, began: Option<Instant>) {
        let Some(began) = began else { return };
        let cost = self.current.host_calls.entry(name).or_default();
        cost.count += 1;
        cost.time += began.elapsed();
    }

    pub fn allocation(&mut self, bytes: u32) {
        self.current.allocations += 1;
        self.current.allocated += u64::from(bytes);
    }

    pub fn callback(&mut self, name: &'static str, began: Option<Instant>, fuel: u64, memory_growth: u64) {
        let mut cost = std::mem::take(&mut self.current);
        let (Some(profile), Some(began)) = (&mut self.profile, began) else { return };
        cost.count = 1;
        cost.fuel = fuel;
        cost.time = began.elapsed();
        cost.memory_growth = memory_growth;
        profile.entry(name).or_default().add(&cost);
    }

    pub fn profile(&self) -> Option<&Profile> {
        self.profile.as_ref()
    }

    pub fn reset(&mut self) {
        self.profile.iter_mut().for_each(Profile::clear);
    }
}
