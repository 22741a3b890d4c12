//! The builder: a proxy, described.

mod plugin;
mod shared;

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use crate::callout::Clusters;
use crate::driver::{Options, World};
use crate::host::dns::asked;
use crate::process::clock::Clock;
use crate::process::{ForeignFunction, Process};
use crate::{Dns, Error, LogLevel, LogLine, Metadata, Node, Proxy, Route, Status, Upstream};
pub use plugin::{FailurePolicy, Plugin};
use shared::Shared;

/// Envoy's limit for the memory of a VM.
const MEMORY_LIMIT: u64 = 1024 * 1024 * 1024;
/// About two seconds of instructions: far beyond any callback that is not lost.
const FUEL: u64 = 2_000_000_000;
/// What a callback may hand to the host: far beyond any that is not lost.
const HOST_BUDGET: u64 = 128 * 1024 * 1024;
/// Envoy's default for `per_connection_buffer_limit_bytes`.
const BUFFER_LIMIT: usize = 1024 * 1024;
/// Envoy's default route timeout.
const ROUTE_TIMEOUT: Duration = Duration::from_secs(15);
/// Envoy's default `stream_idle_timeout`.
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// Describes a proxy.
pub struct Builder {
    plugins: Vec<Plugin>,
    clusters: Clusters,
    routes: Vec<Route>,
    default_route: Option<String>,
    node: Node,
    workers: usize,
    all_vms: bool,
    interleave: bool,
    seed: Option<u64>,
    clock: Clock,
    fuel: u64,
    host_budget: u64,
    memory_limit: u64,
    buffer_limit: usize,
    route_timeout: Duration,
    idle_timeout: Duration,
    passes_server_header: bool,
    log_level: LogLevel,
    access_log: Option<String>,
    profile: bool,
    properties: Vec<(Vec<u8>, Vec<u8>)>,
    foreign: Vec<(String, ForeignFunction)>,
    names: Vec<(String, Dns)>,
    shared: Vec<Shared>,
    cluster_metadata: BTreeMap<String, Metadata>,
    facing_clients: Option<String>,
    snapshots: bool,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            plugins: Vec::new(),
            clusters: Clusters::default(),
            routes: Vec::new(),
            default_route: None,
            node: Node::default(),
            workers: 1,
            all_vms: true,
            interleave: false,
            seed: None,
            clock: Clock::default(),
            fuel: FUEL,
            host_budget: HOST_BUDGET,
            memory_limit: MEMORY_LIMIT,
            buffer_limit: BUFFER_LIMIT,
            route_timeout: ROUTE_TIMEOUT,
            idle_timeout: IDLE_TIMEOUT,
            passes_server_header: false,
            log_level: LogLevel::Trace,
            access_log: None,
            profile: false,
            properties: Vec::new(),
            foreign: Vec::new(),
            names: Vec::new(),
            shared: Vec::new(),
            cluster_metadata: BTreeMap::new(),
            facing_clients: None,
            snapshots: true,
        }
    }
}

impl Builder {
    /// Adds a plugin from a module's file; the methods named like those of `Plugin` then speak of it.
    pub fn module(self, path: impl AsRef<Path>) -> Self {
        self.plugin(Plugin::file(path))
    }

    /// Adds a plugin to the end of the chain.
    pub fn plugin(mut self, plugin: Plugin) -> Self {
        self.plugins.push(plugin);
        self
    }

    /// Configuration of the plugin added last.
    pub fn config(self, configuration: impl AsRef<[u8]>) -> Self {
        self.last(|plugin| plugin.config(configuration))
    }

    /// Name of the plugin added last.
    pub fn name(self, name: &str) -> Self {
        self.last(|plugin| plugin.name(name))
    }

    /// Failure policy of the plugin added last.
    pub fn failure_policy(self, policy: FailurePolicy) -> Self {
        self.last(|plugin| plugin.failure_policy(policy))
    }

    fn last(mut self, change: impl FnOnce(Plugin) -> Plugin) -> Self {
        if let Some(plugin) = self.plugins.pop() {
            self.plugins.push(change(plugin));
        }
        self
    }

    /// Adds a cluster. The first one also gets the requests that no route claims.
    pub fn upstream(mut self, name: &str, upstream: impl Into<Upstream>) -> Self {
        self.default_route.get_or_insert_with(|| name.to_owned());
        self.clusters.insert(name, upstream.into());
        self
    }

    /// Adds a cluster that only callouts use.
    pub fn peer(mut self, name: &str, upstream: impl Into<Upstream>) -> Self {
        self.clusters.insert(name, upstream.into());
        self
    }

    /// Adds a route behind those that there are: the first that fits a request is its own.
    pub fn routed(mut self, route: Route) -> Self {
        self.routes.push(route);
        self
    }

    /// Sends paths that begin so to a cluster.
    pub fn route(self, prefix: &str, cluster: &str) -> Self {
        self.routed(Route::to(cluster).prefix(prefix))
    }

    /// Answers paths that begin so without any upstream.
    pub fn direct_response(self, prefix: &str, status: u16, body: impl AsRef<[u8]>) -> Self {
        self.routed(Route::respond(status, body).prefix(prefix))
    }

    /// Metadata of a cluster: a value under a namespace (`xds.cluster_metadata.filter_metadata.NAMESPACE`).
    pub fn cluster_metadata(mut self, cluster: &str, namespace: &str, value: serde_json::Value) -> Self {
        self.cluster_metadata.entry(cluster.to_owned()).or_default().set(namespace, value);
        self
    }

    /// What Envoy's bootstrap says of the process (`xds.node`).
    pub fn node(mut self, node: Node) -> Self {
        self.node = node;
        self
    }

    /// Number of worker threads, each with its own VM. 1 unless set.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// Leaves out the VMs that Envoy runs beside the workers (base, canary, main thread): a quicker start.
    pub fn only_worker_vms(mut self) -> Self {
        self.all_vms = false;
        self
    }

    /// Starts every VM, even where one that started equally could be brought back (see `Proxy::brought_back`).
    pub fn without_snapshots(mut self) -> Self {
        self.snapshots = false;
        self
    }

    /// Decides all that Envoy leaves to chance: the order of workers, random bytes, request ids.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Lets other workers run in the middle of callbacks, where those write shared data, as the seed decides.
    pub fn interleaved(mut self, seed: u64) -> Self {
        self.interleave = true;
        self.seed(seed)
    }

    /// Wall clock at the start, as the time since 1970.
    pub fn starting_at(mut self, unix: Duration) -> Self {
        self.clock = Clock::starting_at(unix);
        self
    }

    /// Fuel of each callback (about one unit an instruction); what uses it up is a `FailureKind::OutOfFuel`.
    pub fn fuel(mut self, fuel: u64) -> Self {
        self.fuel = fuel;
        self
    }

    /// Bytes that each callback may hand to the host, 64 for each host call, 192 for what is kept of it, and those that it reads of
    /// the guest's memory: what uses them up is a `FailureKind::TooMuchForHost`. 128 MiB unless set.
    pub fn host_budget(mut self, bytes: u64) -> Self {
        self.host_budget = bytes;
        self
    }

    /// Bytes of memory that a VM may have. 1 GiB unless set.
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.memory_limit = bytes;
        self
    }

    /// Bytes of body that filters may keep back. 1 MiB unless set.
    pub fn buffer_limit(mut self, bytes: usize) -> Self {
        self.buffer_limit = bytes;
        self
    }

    /// How long upstreams of routes may take. 15 s unless set.
    pub fn route_timeout(mut self, timeout: Duration) -> Self {
        self.route_timeout = timeout;
        self
    }

    /// Leaves the header `server` to the upstream (Envoy's `server_header_transformation: PASS_THROUGH`) instead of writing
    /// `envoy` over it.
    pub fn pass_server_header_through(mut self) -> Self {
        self.passes_server_header = true;
        self
    }

    /// How long nothing may happen on a stream. 5 min unless set.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// Lines below this level are not kept, and `proxy_get_log_level` tells it. Trace unless set.
    pub fn log_level(mut self, level: LogLevel) -> Self {
        self.log_level = level;
        self
    }

    /// Envoy's access log format: each stream leaves a line in its `Outcome`.
    pub fn access_log(mut self, format: &str) -> Self {
        self.access_log = Some(format.to_owned());
        self
    }

    /// Envoy's `use_remote_address`: the connection manager itself tells where a request came from (`x-forwarded-for`), and
    /// what a client says of that is not believed. As in Envoy, `own_address`, the machine's, stands for 127.0.0.1.
    pub fn facing_clients(mut self, own_address: &str) -> Self {
        self.facing_clients = Some(own_address.to_owned());
        self
    }

    /// Counts and times host calls, and counts fuel, for `Proxy::profile`.
    pub fn profiled(mut self) -> Self {
        self.profile = true;
        self
    }

    /// A property that the harness does not know by itself (`node`, `metadata`, ...), as its serialized bytes.
    pub fn property<S: AsRef<[u8]>>(
        mut self,
        path: impl IntoIterator<Item = S>,
        value: impl AsRef<[u8]>,
    ) -> Self {
        let segments: Vec<Vec<u8>> = path.into_iter().map(|segment| segment.as_ref().to_vec()).collect();
        self.properties.push((segments.join(&0), value.as_ref().to_vec()));
        self
    }

    /// A foreign function that a host of one's own would have, or one in the place of Envoy's.
    pub fn foreign_function(
        mut self,
        name: &str,
        function: impl Fn(&[u8]) -> Result<Vec<u8>, Status> + 'static,
    ) -> Self {
        self.foreign.push((name.to_owned(), Rc::new(function)));
        self
    }

    /// What the resolver says of a name (`envoy_resolve_dns`). It knows no others, but for addresses and `localhost`.
    pub fn dns(mut self, name: &str, dns: Dns) -> Self {
        self.names.push((asked(name), dns));
        self
    }

    /// A value of shared data that is there before any plugin starts.
    pub fn shared_data(mut self, vm_id: &str, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.shared.push(Shared::Data {
            vm_id: vm_id.to_owned(),
            key: key.as_ref().to_vec(),
            value: value.as_ref().to_vec(),
        });
        self
    }

    /// A message in a shared queue that is there before any plugin starts: nobody is told of it.
    pub fn queued(mut self, vm_id: &str, queue: impl AsRef<[u8]>, message: impl AsRef<[u8]>) -> Self {
        self.shared.push(Shared::Message {
            vm_id: vm_id.to_owned(),
            queue: queue.as_ref().to_vec(),
            message: message.as_ref().to_vec(),
        });
        self
    }

    /// Loads, starts and configures everything.
    ///
    /// # Errors
    /// A module that does not load, a VM that does not start, a configuration that is refused.
    pub fn build(self) -> Result<Proxy, Error> {
        self.build_or_logs().map_err(|(error, _)| error)
    }

    /// As `build`; where it fails, with what was logged until then.
    ///
    /// # Errors
    /// As `build`.
    pub fn build_or_logs(mut self) -> Result<Proxy, (Error, Vec<LogLine>)> {
        let chain = self.load_all().map_err(|error| (error, Vec::new()))?;
        let process = Rc::new(Process::new(self.clock, self.seed, std::mem::take(&mut self.clusters)));
        process.log_level.set(self.log_level);
        process.properties.borrow_mut().extend(self.properties.drain(..));
        process.foreign.borrow_mut().extend(self.foreign.drain(..));
        process.names.borrow_mut().extend(self.names.drain(..));
        self.shared.drain(..).for_each(|shared| shared.put(&process));
        let world = World::new(process, self.options(), chain);
        match world.start() {
            Ok(()) => Ok(Proxy::around(world)),
            Err(error) => Err((error, world.process.logs.take())),
        }
    }

    fn load_all(&mut self) -> Result<Vec<crate::driver::Plugin>, Error> {
        if self.workers == 0 {
            return Err(Error::Setup("a proxy needs at least one worker".into()));
        }
        let limits = plugin::Limits {
            fuel: self.fuel,
            host_budget: self.host_budget,
            memory: self.memory_limit,
            profile: self.profile,
        };
        let chain = self.plugins.drain(..).map(|plugin| plugin.load(&limits));
        let chain = chain.collect::<Result<Vec<_>, Error>>()?;
        if let Some(cluster) = self.default_route.take() {
            self.routes.push(Route::to(&cluster));
        }
        Ok(chain)
    }

    fn options(self) -> Options {
        Options {
            workers: self.workers,
            all_vms: self.all_vms,
            interleave: self.interleave,
            buffer_limit: self.buffer_limit,
            route_timeout: self.route_timeout,
            idle_timeout: self.idle_timeout,
            passes_server_header: self.passes_server_header,
            routes: self.routes,
            cluster_metadata: self.cluster_metadata,
            node: self.node,
            access_log: self.access_log,
            local_address: "127.0.0.1:8080".into(),
            facing_clients: self.facing_clients,
            // A profile wants to see the start.
            snapshots: self.snapshots && !self.profile,
        }
    }
}
