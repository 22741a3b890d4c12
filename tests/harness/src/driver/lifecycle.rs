//! VMs and plugins: start, configuration, reload, recovery, shutdown.

use std::rc::Rc;
use std::time::Duration;

use super::{Instance, Plugin, World};
use crate::process::events::WorkerId;
use crate::snapshot::{Advice, Key, Moment, Recording, Snapshot};
use crate::vm::context::{Context, PluginInfo};
use crate::vm::{Vm, VmData, VmId};
use crate::{Coverage, Error, Failure, FailurePolicy};

/// Envoy's shortest wait before it restarts a failed VM; the longest is half as much again.
const RELOAD_BACKOFF: Duration = Duration::from_secs(1);

impl World {
    /// Starts every plugin as Envoy does: on the base VM, on a canary, on the main thread, on each worker.
    ///
    /// # Errors
    /// Whatever keeps a VM from starting or a plugin from accepting its configuration.
    pub fn start(&self) -> Result<(), Error> {
        (0..self.chain.len()).try_for_each(|index| self.start_plugin(index))
    }

    fn start_plugin(&self, index: usize) -> Result<(), Error> {
        let plugin = &self.chain[index];
        let workers = self.options.workers;
        if self.options.all_vms && !self.chain[..index].iter().any(|other| same_vm(other, plugin)) {
            self.discard(self.new_vm(plugin, workers + 2, true, None)?);
        }
        self.try_out(plugin)?;
        let main = self.options.all_vms.then_some(workers);
        main.into_iter().chain(0..workers).try_for_each(|worker| self.start_on(plugin, worker))
    }

    /// The canary: a VM of its own that shows whether the plugin accepts its configuration.
    fn try_out(&self, plugin: &Plugin) -> Result<(), Error> {
        if !self.options.all_vms {
            return Ok(());
        }
        let (vm, _) = self.new_root(plugin, self.options.workers + 1, true)?;
        self.discard(vm);
        Ok(())
    }

    fn start_on(&self, plugin: &Plugin, worker: WorkerId) -> Result<(), Error> {
        let (vm, root) = match self.shared_vm(plugin, worker) {
            Some(vm) => (vm, self.start_root(plugin, vm)?),
            None => self.new_root(plugin, worker, false)?,
        };
        plugin.instances.borrow_mut().insert(worker, Instance { vm, root, reload_at: 0 });
        Ok(())
    }

    /// Plugins with the same module, `vm_id` and VM configuration share the VM of a worker.
    fn shared_vm(&self, plugin: &Plugin, worker: WorkerId) -> Option<VmId> {
        let others = self.chain.iter().filter(|other| same_vm(other, plugin));
        let mut vms =
            others.filter_map(|other| other.instances.borrow().get(&worker).map(|instance| instance.vm));
        vms.find(|vm| self.vm(*vm).is_some_and(|vm| !vm.borrow().failed))
    }

    /// A new VM with the plugin's root context in it, started or brought back as one.
    fn new_root(&self, plugin: &Plugin, worker: WorkerId, ephemeral: bool) -> Result<(VmId, u32), Error> {
        // A fault may strike in the start.
        if !self.options.snapshots || !self.process.faults.borrow().none() {
            return self.started(plugin, worker, ephemeral, None);
        }
        let key = Key::new(&plugin.settings, &plugin_info(plugin), &self.process);
        let moment = Moment::now(&self.process);
        match plugin.module.snapshots.advice(&key, &moment) {
            Advice::Start => self.started(plugin, worker, ephemeral, None),
            Advice::BringBack(snapshot) => self.brought_back(plugin, worker, ephemeral, &snapshot),
            Advice::Keep => {
                let (id, root) = self.started(plugin, worker, ephemeral, Some(Recording::new(moment)))?;
                let snapshot = self.on_vm(id, |vm| Snapshot::of(vm, root, &plugin.module)).flatten();
                snapshot.into_iter().for_each(|snapshot| plugin.module.snapshots.keep(key.clone(), snapshot));
                Ok((id, root))
            }
        }
    }

    fn started(
        &self,
        plugin: &Plugin,
        worker: WorkerId,
        ephemeral: bool,
        recording: Option<Recording>,
    ) -> Result<(VmId, u32), Error> {
        let vm = self.new_vm(plugin, worker, ephemeral, recording)?;
        Ok((vm, self.start_root(plugin, vm)?))
    }

    fn brought_back(
        &self,
        plugin: &Plugin,
        worker: WorkerId,
        ephemeral: bool,
        snapshot: &Snapshot,
    ) -> Result<(VmId, u32), Error> {
        let id = VmId(self.vm_workers.borrow().len());
        self.vm_workers.borrow_mut().insert(id, worker);
        self.brought_back.set(self.brought_back.get() + 1);
        let metrics = snapshot.replay(&self.process, id, worker);
        // A VM that would be thrown away is not made: what it does to the process is all that there is to it.
        if !ephemeral {
            let data = self.vm_data(plugin, id, worker, false);
            let mut vm = Vm::instantiate(&plugin.module, data, self.vm_name(worker))
                .map_err(|failure| named(failure, plugin))?;
            snapshot
                .bring_back(&mut vm, metrics, plugin_info(plugin))
                .map_err(|error| Error::Setup(format!("no VM could be brought back: {error}")))?;
            self.vms.borrow_mut().insert(id, Rc::new(std::cell::RefCell::new(vm)));
        }
        Ok((id, snapshot.root))
    }

    fn new_vm(
        &self,
        plugin: &Plugin,
        worker: WorkerId,
        ephemeral: bool,
        recording: Option<Recording>,
    ) -> Result<VmId, Error> {
        let id = VmId(self.vm_workers.borrow().len());
        let data = VmData { recording, ..self.vm_data(plugin, id, worker, ephemeral) };
        let vm = Vm::start(&plugin.module, data, self.vm_name(worker))
            .map_err(|failure| named(failure, plugin))?;
        self.vm_workers.borrow_mut().insert(id, worker);
        self.vms.borrow_mut().insert(id, Rc::new(std::cell::RefCell::new(vm)));
        Ok(id)
    }

    fn vm_data(&self, plugin: &Plugin, id: VmId, worker: WorkerId, ephemeral: bool) -> VmData {
        let (process, world) = (self.process.clone(), self.me.clone());
        let data = VmData::new(process, world, plugin.settings.clone(), plugin.module.abi());
        VmData { id, worker, ephemeral, ..data }
    }

    fn vm_name(&self, worker: WorkerId) -> String {
        match worker.checked_sub(self.options.workers) {
            None => format!("worker {worker}"),
            Some(0) => "main thread".into(),
            Some(1) => "canary".into(),
            Some(_) => "base".into(),
        }
    }

    fn discard(&self, vm: VmId) {
        self.vms.borrow_mut().remove(&vm);
    }

    /// Makes a root context: `proxy_on_context_create`, `proxy_on_vm_start`, `proxy_on_configure`.
    fn start_root(&self, plugin: &Plugin, vm: VmId) -> Result<u32, Error> {
        let logged = self.process.logs.borrow().len();
        let info = Rc::new(plugin_info(plugin));
        let started = self.on_vm(vm, |vm| start_vm(vm, info)).ok_or_else(|| gone(plugin))??;
        if !started.1 {
            return Err(Error::VmStartRefused { plugin: plugin.name.clone(), logs: self.logs_since(logged) });
        }
        let accepted = self.on_vm(vm, |vm| configure(vm, started.0)).ok_or_else(|| gone(plugin))??;
        if !accepted {
            return Err(Error::ConfigurationRefused {
                plugin: plugin.name.clone(),
                logs: self.logs_since(logged),
            });
        }
        Ok(started.0)
    }

    fn logs_since(&self, from: usize) -> Vec<String> {
        self.process.logs.borrow()[from..].iter().map(|line| line.message.clone()).collect()
    }

    /// Gives a plugin a new configuration. If any VM refuses it, the old one stays in force everywhere.
    ///
    /// # Errors
    /// As `start`.
    pub fn reload(&self, index: usize, configuration: Vec<u8>) -> Result<(), Error> {
        let plugin = &self.chain[index];
        let old = plugin.configuration.replace(configuration);
        if let Err(error) = self.try_out(plugin) {
            plugin.configuration.replace(old);
            return Err(error);
        }
        plugin.generation.set(plugin.generation.get() + 1);
        let before = plugin.instances.borrow().clone();
        let main = self.options.all_vms.then_some(self.options.workers);
        let started = main
            .into_iter()
            .chain(0..self.options.workers)
            .try_for_each(|worker| self.start_on(plugin, worker));
        before.values().for_each(|instance| self.close_root(*instance));
        started
    }

    /// Restarts a plugin whose VM has failed, if its policy says so and the time has come.
    pub fn recover(&self, plugin: &Plugin, worker: WorkerId) {
        let Some(instance) = plugin.instances.borrow().get(&worker).copied() else { return };
        let failed = self.vm(instance.vm).is_none_or(|vm| vm.borrow().failed);
        let now = self.process.clock.get().mono;
        if plugin.policy != FailurePolicy::Reload || !failed || now < instance.reload_at {
            return;
        }
        let restarted = self.start_on(plugin, worker);
        let next = now + self.reload_backoff();
        if let Some(instance) = plugin.instances.borrow_mut().get_mut(&worker) {
            instance.reload_at = next;
        }
        if restarted.is_ok() {
            self.discard(instance.vm);
        }
    }

    fn reload_backoff(&self) -> u64 {
        let base = RELOAD_BACKOFF.as_nanos() as u64;
        base + self.process.rng.borrow_mut().next() % (base / 2)
    }

    /// A plugin is gone from the configuration; its root ends with its last stream.
    fn close_root(&self, instance: Instance) {
        let idle = self.on_vm(instance.vm, |vm| {
            let Some(context) = vm.context(instance.root) else { return false };
            context.root.closing = true;
            context.root.streams == 0
        });
        if idle == Some(true) {
            self.end_root(instance.vm, instance.root);
        }
    }

    /// `proxy_on_done`, and `proxy_on_delete` at once unless the plugin wants to finish something first.
    pub fn end_root(&self, vm: VmId, root: u32) {
        let done = self.on_vm(vm, |vm| {
            let exports = vm.exports.clone();
            let done =
                vm.call(root, "proxy_on_done", exports.done.as_ref(), root).is_none_or(|done| done != 0);
            if let Some(context) = vm.context(root) {
                context.root.done_pending = !done;
            }
            done
        });
        if done == Some(true) {
            self.delete_root(vm, root);
        }
    }

    pub fn delete_root(&self, vm: VmId, root: u32) {
        self.on_vm(vm, |vm| {
            let exports = vm.exports.clone();
            vm.call(root, "proxy_on_delete", exports.delete.as_ref(), root);
            vm.data().contexts.remove(&root);
            vm.data().timers.remove(&root);
        });
    }

    /// `proxy_on_foreign_function` of a plugin, on every worker.
    pub fn call_foreign(&self, plugin: &Plugin, function: u32, arguments: &[u8]) {
        let instances: Vec<_> = plugin.instances.borrow().clone().into_iter().collect();
        for (_, Instance { vm, root, .. }) in
            instances.into_iter().filter(|(worker, _)| *worker < self.options.workers)
        {
            self.on_vm(vm, |vm| {
                let exports = vm.exports.clone();
                let Some(context) = vm.context(root) else { return };
                context.root.call_data = Some(arguments.to_vec());
                let name = "proxy_on_foreign_function";
                let parameters = (root, function, arguments.len() as u32);
                vm.call(root, name, exports.foreign_function.as_ref(), parameters);
                if let Some(context) = vm.context(root) {
                    context.root.call_data = None;
                }
            });
        }
    }

    /// Which functions of a plugin were reached.
    pub fn coverage(&self, plugin: &Plugin) -> Coverage {
        let mut coverage = Coverage::new();
        let Some(functions) = &plugin.module.functions else { return coverage };
        let vms: Vec<VmId> = plugin.instances.borrow().values().map(|instance| instance.vm).collect();
        for vm in vms.into_iter().filter_map(|id| self.vm(id)) {
            functions.note(&mut vm.borrow_mut(), &mut coverage);
        }
        coverage
    }

    /// Ends every root, as at the shutdown of the process.
    pub fn shut_down(&self) {
        for plugin in &self.chain {
            let instances: Vec<Instance> = plugin.instances.borrow().values().copied().collect();
            instances.into_iter().for_each(|instance| self.end_root(instance.vm, instance.root));
        }
    }
}

fn plugin_info(plugin: &Plugin) -> PluginInfo {
    PluginInfo {
        name: plugin.name.clone(),
        root_id: plugin.root_id.clone(),
        configuration: plugin.configuration.borrow().clone(),
    }
}

fn same_vm(a: &Plugin, b: &Plugin) -> bool {
    a.module.key == b.module.key
        && a.settings.vm_id == b.settings.vm_id
        && a.settings.configuration == b.settings.configuration
}

fn named(mut failure: Box<Failure>, plugin: &Plugin) -> Error {
    failure.plugin = plugin.name.clone();
    failure.into()
}

fn gone(plugin: &Plugin) -> Error {
    Error::Setup(format!("the VM of plugin {} is gone", plugin.name))
}

/// The new root's id, and whether the VM started.
fn start_vm(vm: &mut Vm, info: Rc<PluginInfo>) -> Result<(u32, bool), Box<Failure>> {
    let exports = vm.exports.clone();
    let root = vm.data().add_context(Context::root(info));
    let size = vm.data().settings.configuration.len() as u32;
    set_configuring(vm, root, true);
    vm.call(root, "proxy_on_context_create", exports.context_create.as_ref(), (root, 0));
    set_configuring(vm, root, false);
    if let Some(context) = vm.context(root) {
        context.created = true;
    }
    let started =
        vm.call(root, "proxy_on_vm_start", exports.vm_start.as_ref(), (root, size)).is_none_or(|ok| ok != 0);
    alive(vm)?;
    Ok((root, started))
}

fn configure(vm: &mut Vm, root: u32) -> Result<bool, Box<Failure>> {
    let exports = vm.exports.clone();
    let size = vm.plugin(root).configuration.len() as u32;
    set_configuring(vm, root, true);
    let accepted = vm
        .call(root, "proxy_on_configure", exports.configure.as_ref(), (root, size))
        .is_none_or(|ok| ok != 0);
    set_configuring(vm, root, false);
    alive(vm)?;
    Ok(accepted)
}

fn set_configuring(vm: &mut Vm, root: u32, on: bool) {
    if let Some(context) = vm.context(root) {
        context.root.configuring = on;
    }
}

fn alive(vm: &mut Vm) -> Result<(), Box<Failure>> {
    if vm.failed { Err(Box::new(vm.last_failure())) } else { Ok(()) }
}
