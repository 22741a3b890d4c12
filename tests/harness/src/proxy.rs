//! The proxy that tests hold.

use std::cell::Ref;
use std::rc::Rc;
use std::time::Duration;

use crate::driver::World;
use crate::message::Part;
use crate::process::clock::nanos;
use crate::process::events::Event;
use crate::process::metrics::Numbers;
use crate::stream::StreamRef;
use crate::{
    Builder, ConnectionHandle, ConnectionOutcome, Coverage, Error, Failure, Faults, LogLine, Metrics,
    Outcome, Profile, Received, Request, Upstream,
};

/// A running proxy.
pub struct Proxy {
    world: Rc<World>,
    next_worker: usize,
}

/// A stream that is under way.
#[derive(Clone)]
pub struct StreamHandle {
    stream: StreamRef,
    mark: Mark,
}

/// Where logs, metrics and failures stood when a stream began.
#[derive(Clone)]
struct Mark {
    logs: usize,
    failures: usize,
    metrics: Numbers,
}

impl Proxy {
    /// Describes a proxy.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn around(world: Rc<World>) -> Self {
        Self { world, next_worker: 0 }
    }

    /// Sends a request and follows it to its end. Time moves as far as answers and timeouts need.
    ///
    /// # Errors
    /// A callback that used up its fuel: there is no telling what Envoy would do, but to hang.
    pub fn send(&mut self, request: Request) -> Result<Outcome, Error> {
        let handle = self.start(request);
        self.finish(&handle)
    }

    /// Lets a client open a stream; nothing happens before `run`, `advance` or `finish`.
    pub fn start(&mut self, request: Request) -> StreamHandle {
        let worker = self.choose_worker(&request);
        let mark = self.mark();
        StreamHandle { stream: self.world.open(request, worker), mark }
    }

    fn choose_worker(&mut self, request: &Request) -> usize {
        let workers = self.world.options.workers;
        request.worker.unwrap_or_else(|| {
            self.next_worker += 1;
            (self.next_worker - 1) % workers
        })
    }

    /// Handles everything that is due now. Time does not move.
    pub fn run(&mut self) {
        self.world.run_until(self.now());
    }

    /// Moves time, and handles everything that becomes due.
    pub fn advance(&mut self, by: Duration) {
        self.world.run_until(self.now().saturating_add(nanos(by)));
    }

    /// Follows a stream to its end. Time moves as far as answers and timeouts need.
    ///
    /// # Errors
    /// As `send`; and `Error::Stuck` for a stream that nothing can end any more.
    pub fn finish(&mut self, handle: &StreamHandle) -> Result<Outcome, Error> {
        while !handle.stream.borrow().finished {
            if !self.world.step(u64::MAX) {
                return Err(Error::Stuck("no event is left".into()));
            }
            self.check_fuel(handle.mark.failures)?;
        }
        self.run();
        self.check_fuel(handle.mark.failures)?;
        Ok(self.outcome(handle))
    }

    /// As `finish`, but no longer than this, by the clock: a stream that has not ended then is left as it is.
    ///
    /// # Errors
    /// A callback that used up its fuel.
    pub fn finish_within(&mut self, handle: &StreamHandle, longest: Duration) -> Result<Outcome, Error> {
        let until = self.now().saturating_add(nanos(longest));
        while !handle.stream.borrow().finished && self.world.step(until) {
            self.check_fuel(handle.mark.failures)?;
        }
        if !handle.stream.borrow().finished {
            self.world.run_until(until);
        }
        self.run();
        self.check_fuel(handle.mark.failures)?;
        Ok(self.outcome(handle))
    }

    /// An endless loop would hang Envoy: no outcome could be the right one.
    fn check_fuel(&self, from: usize) -> Result<(), Error> {
        let failures = self.world.process.failures.borrow();
        let looped = failures[from..].iter().find(|failure| failure.kind.is_endless());
        looped.map_or(Ok(()), |failure| Err(failure.clone().into()))
    }

    /// What has become of a stream so far.
    pub fn outcome(&self, handle: &StreamHandle) -> Outcome {
        let mut outcome = Outcome::of(&handle.stream.borrow());
        outcome.logs = self.world.process.logs.borrow()[handle.mark.logs..].to_vec();
        outcome.moved = self.world.process.metrics.borrow().since(&handle.mark.metrics);
        outcome.failures = self.world.process.failures.borrow()[handle.mark.failures..].to_vec();
        outcome
    }

    /// Whether a stream has ended, however.
    pub fn has_ended(&self, handle: &StreamHandle) -> bool {
        handle.stream.borrow().finished
    }

    /// The client sends more of a body; `end` ends the stream with it. Handled at the next `run`.
    pub fn send_chunk(&mut self, handle: &StreamHandle, chunk: impl AsRef<[u8]>, end: bool) {
        self.client_part(handle, Part::Data { bytes: chunk.as_ref().to_vec(), end });
    }

    /// The client goes away.
    pub fn client_leaves(&mut self, handle: &StreamHandle) {
        self.run();
        if !handle.stream.borrow().finished {
            self.world.request_part(&handle.stream, Part::Reset);
        }
    }

    /// Lets a client open a TCP connection; the plugins are then network filters, and Envoy's TCP proxy stands behind them. It
    /// goes to the cluster of the first route.
    pub fn connect(&mut self) -> ConnectionHandle {
        self.run();
        let worker = self.next_worker % self.world.options.workers;
        self.next_worker += 1;
        ConnectionHandle(self.world.connect("127.0.0.1:50000", worker))
    }

    /// The client of a TCP connection sends.
    pub fn client_sends(&mut self, connection: &ConnectionHandle, bytes: impl AsRef<[u8]>) {
        self.world.client_bytes(&connection.0, bytes.as_ref(), false);
        self.run();
    }

    /// The client of a TCP connection ends its half.
    pub fn client_ends(&mut self, connection: &ConnectionHandle) {
        self.world.client_bytes(&connection.0, &[], true);
        self.run();
    }

    /// The client of a TCP connection breaks it off.
    pub fn client_resets(&mut self, connection: &ConnectionHandle) {
        self.world.client_resets(&connection.0);
        self.run();
    }

    /// The upstream of a TCP connection sends.
    pub fn upstream_sends(&mut self, connection: &ConnectionHandle, bytes: impl AsRef<[u8]>) {
        self.world.upstream_bytes(&connection.0, bytes.as_ref(), false);
        self.run();
    }

    /// The upstream of a TCP connection ends its half.
    pub fn upstream_ends(&mut self, connection: &ConnectionHandle) {
        self.world.upstream_bytes(&connection.0, &[], true);
        self.run();
    }

    /// The upstream of a TCP connection breaks it off.
    pub fn upstream_resets(&mut self, connection: &ConnectionHandle) {
        self.world.upstream_resets(&connection.0);
        self.run();
    }

    /// What has become of a TCP connection so far.
    pub fn connection(&self, connection: &ConnectionHandle) -> ConnectionOutcome {
        connection.0.borrow().tcp.as_ref().map(ConnectionOutcome::of).unwrap_or_default()
    }

    fn client_part(&mut self, handle: &StreamHandle, part: Part) {
        let mut stream = handle.stream.borrow_mut();
        stream.request.to_come.push_back(part);
        if stream.request.to_come.len() == 1 {
            let event = Event::Client { stream: stream.id };
            self.world.process.events.borrow_mut().push(self.now(), stream.worker, event);
        }
    }

    /// Gives the first plugin of the chain a new configuration; a refused one leaves the old in force.
    ///
    /// # Errors
    /// `ConfigurationRefused`, `VmStartRefused` or `Failed`.
    pub fn reload(&mut self, configuration: impl AsRef<[u8]>) -> Result<(), Error> {
        self.reload_plugin(0, configuration)
    }

    /// As `reload`, for any plugin of the chain, counted from 0.
    ///
    /// # Errors
    /// As `reload`; `Setup` if there is no such plugin.
    pub fn reload_plugin(&mut self, index: usize, configuration: impl AsRef<[u8]>) -> Result<(), Error> {
        if index >= self.world.chain.len() {
            return Err(Error::Setup(format!("there is no plugin number {index}")));
        }
        self.world.reload(index, configuration.as_ref().to_vec())
    }

    /// Calls `proxy_on_foreign_function` of the first plugin, on every worker, as a host of one's own would: its foreign functions
    /// answer so when their time has come. A stock Envoy never does.
    pub fn call_foreign(&mut self, function: u32, arguments: impl AsRef<[u8]>) {
        if let Some(plugin) = self.world.chain.first() {
            self.world.call_foreign(plugin, function, arguments.as_ref());
        }
        self.run();
    }

    /// Changes what a cluster answers from now on.
    pub fn set_upstream(&mut self, name: &str, upstream: impl Into<Upstream>) {
        self.world.process.clusters.borrow_mut().insert(name, upstream.into());
    }

    /// Everything that a cluster has received, from routes and callouts.
    pub fn received(&self, cluster: &str) -> Vec<Received> {
        self.world.process.clusters.borrow().received(cluster).to_vec()
    }

    /// How many requests a cluster has received, from routes and callouts.
    pub fn received_count(&self, cluster: &str) -> usize {
        self.world.process.clusters.borrow().received(cluster).len()
    }

    /// As `received`, without the first `from`.
    pub fn received_since(&self, cluster: &str, from: usize) -> Vec<Received> {
        self.world.process.clusters.borrow().received(cluster).get(from..).unwrap_or_default().to_vec()
    }

    /// All metrics.
    pub fn metrics(&self) -> Ref<'_, Metrics> {
        self.world.process.metrics.borrow()
    }

    /// All lines logged so far, from the start of the VMs on.
    pub fn logs(&self) -> Ref<'_, Vec<LogLine>> {
        self.world.process.logs.borrow()
    }

    /// All lines of the access log so far, in the order in which their streams ended.
    pub fn access_log(&self) -> Ref<'_, Vec<String>> {
        self.world.process.access_log.borrow()
    }

    /// All failures of VMs so far.
    pub fn failures(&self) -> Ref<'_, Vec<Failure>> {
        self.world.process.failures.borrow()
    }

    /// Sets faults.
    pub fn faults(&mut self, set: impl FnOnce(&mut Faults)) {
        set(&mut self.world.process.faults.borrow_mut());
    }

    /// A value of shared data, and its compare-and-swap number.
    pub fn shared_data(&self, vm_id: &str, key: impl AsRef<[u8]>) -> Option<(Vec<u8>, u32)> {
        self.world.process.shared_data.borrow().get(vm_id, key.as_ref()).cloned()
    }

    /// Writes a value of shared data, as another plugin with this `vm_id` would.
    pub fn set_shared_data(&mut self, vm_id: &str, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let mut data = self.world.process.shared_data.borrow_mut();
        // Without a compare-and-swap number nothing can be in the way.
        let _ = data.set(vm_id, key.as_ref(), value.as_ref(), 0);
    }

    /// Puts a message in a shared queue, as another plugin with this `vm_id` would; the plugin that has registered the queue hears of
    /// it at the next `run`.
    pub fn enqueue(&mut self, vm_id: &str, queue: impl AsRef<[u8]>, message: impl AsRef<[u8]>) {
        let process = &self.world.process;
        let id = process.queues.borrow_mut().made(vm_id, queue.as_ref());
        let owner = process.queues.borrow_mut().enqueue(id, message.as_ref());
        if let Ok(Some(owner)) = owner {
            crate::host::queues::tell(process, self.world.worker_of(owner.vm), owner, id);
        }
    }

    /// Takes the first message out of a shared queue; `None` if it is empty, or nobody has made it.
    pub fn dequeue(&mut self, vm_id: &str, queue: impl AsRef<[u8]>) -> Option<Vec<u8>> {
        let mut queues = self.world.process.queues.borrow_mut();
        let id = queues.resolve(vm_id, queue.as_ref())?;
        queues.dequeue(id).ok()
    }

    /// Number of keys in shared data, and the bytes of names and values.
    pub fn shared_data_size(&self, vm_id: &str) -> (usize, usize) {
        self.world.process.shared_data.borrow().size(vm_id)
    }

    /// Wall clock, as the time since 1970.
    pub fn wall_clock(&self) -> Duration {
        Duration::from_nanos(self.world.process.clock.get().wall)
    }

    /// How many VMs were not started, but brought back from a snapshot of an equal start: of the same loaded module with the same
    /// configuration, which read the same clock and random bytes, if it read any, and did nothing that depends on more.
    pub fn brought_back(&self) -> usize {
        self.world.brought_back.get()
    }

    /// Bytes of memory of each VM that lives.
    pub fn memory(&self) -> Vec<u64> {
        self.world.vms().iter().map(|vm| vm.borrow().memory_size()).collect()
    }

    /// Costs of all callbacks so far, all VMs together; empty unless the builder was told to profile.
    pub fn profile(&self) -> Profile {
        let mut sum = Profile::new();
        for vm in self.world.vms() {
            for (name, cost) in vm.borrow().store.data().accounting.profile().into_iter().flatten() {
                sum.entry(name).or_default().add(cost);
            }
        }
        sum
    }

    /// Which functions were reached, by plugin, in all VMs that live; of modules that were loaded for it.
    pub fn coverage(&self) -> Vec<Coverage> {
        self.world.chain.iter().map(|plugin| self.world.coverage(plugin)).collect()
    }

    /// Forgets the costs so far, for instance those of the start.
    pub fn reset_profile(&mut self) {
        self.world.vms().iter().for_each(|vm| vm.borrow_mut().data().accounting.reset());
    }

    /// Ends every plugin, as at the shutdown of the process.
    pub fn shut_down(&mut self) {
        self.run();
        self.world.shut_down();
    }

    fn now(&self) -> u64 {
        self.world.process.clock.get().mono
    }

    fn mark(&self) -> Mark {
        let process = &self.world.process;
        Mark {
            logs: process.logs.borrow().len(),
            failures: process.failures.borrow().len(),
            metrics: process.metrics.borrow().numbers(),
        }
    }
}
