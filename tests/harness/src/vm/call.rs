//! Calls into the guest: fuel, accounting, and a name for whatever goes wrong.

use std::rc::Rc;

use wasmtime::{Instance, Store, Trap, TypedFunc, WasmBacktrace, WasmParams, WasmResults};

use super::exports::{Exports, OldExports};
use super::{Vm, VmData};
use crate::engine;
use crate::host::RestrictedCall;
use crate::host::budget::Exhausted;
use crate::loader::LoadedModule;
use crate::{AbiVersion, Failure, FailureKind};

/// Envoy prints no more frames than this.
const MAX_FRAMES: usize = 20;

impl Vm {
    /// Instantiates a module, and runs its initialisers.
    ///
    /// # Errors
    /// The failure of the instantiation or of an initialiser.
    pub fn start(module: &LoadedModule, data: VmData, name: String) -> Result<Vm, Box<Failure>> {
        let mut vm = Vm::instantiate(module, data, name)?;
        vm.initialise()?;
        vm.data().restricted = false;
        Ok(vm)
    }

    /// Instantiates a module; of the guest, only its start section has run then, if it has one.
    ///
    /// # Errors
    /// The failure of the instantiation.
    pub fn instantiate(module: &LoadedModule, data: VmData, name: String) -> Result<Vm, Box<Failure>> {
        let mut store = Store::new(engine::engine(), data);
        store.limiter(|data| &mut data.limiter);
        refuel(&mut store);
        let instance = module.pre.instantiate(&mut store).map_err(|error| {
            Box::new(Failure {
                plugin: String::new(),
                vm: name.clone(),
                callback: "(instantiation)".into(),
                kind: instantiation_kind(&store, &error),
                backtrace: frames(&error),
                refused_memory: store.data().limiter.refused,
            })
        })?;
        Ok(Vm::around(module, store, instance, name))
    }

    fn around(module: &LoadedModule, mut store: Store<VmData>, instance: Instance, name: String) -> Vm {
        store.data_mut().memory = instance.get_memory(&mut store, "memory");
        let malloc = instance.get_typed_func(&mut store, "malloc");
        let malloc = malloc.or_else(|_| instance.get_typed_func(&mut store, "proxy_on_memory_allocate"));
        store.data_mut().malloc = malloc.ok();
        let resolved = instance.get_typed_func(&mut store, "envoy_on_resolve_dns");
        store.data_mut().on_resolve_dns = resolved.ok();
        let old = module.abi == AbiVersion::V0_1_0;
        let exports = Rc::new(Exports::of(&instance, &mut store));
        let old_exports =
            Rc::new(if old { OldExports::of(&instance, &mut store) } else { OldExports::default() });
        Vm { store, instance, exports, old_exports, failed: false, name }
    }

    /// A reactor's `_initialize` and then its `main`, or a command's `_start`.
    fn initialise(&mut self) -> Result<(), Box<Failure>> {
        let instance = &self.instance.clone();
        if instance.get_func(&mut self.store, "_initialize").is_none() {
            return self.initialiser::<(), ()>(instance, "_start", ());
        }
        self.initialiser::<(), ()>(instance, "_initialize", ())?;
        if instance.get_func(&mut self.store, "main").is_some() {
            return self.initialiser::<(u32, u32), u32>(instance, "main", (0, 0));
        }
        self.initialiser::<(), u32>(instance, "__main_void", ())
    }

    fn initialiser<P: WasmParams, R: WasmResults>(
        &mut self,
        instance: &Instance,
        name: &'static str,
        params: P,
    ) -> Result<(), Box<Failure>> {
        let Ok(function) = instance.get_typed_func::<P, R>(&mut self.store, name) else { return Ok(()) };
        match self.call(0, name, Some(&function), params) {
            Some(_) => Ok(()),
            None => Err(Box::new(self.last_failure())),
        }
    }

    /// The failure that made this VM fail; only meaningful right after a call that gave none.
    pub fn last_failure(&mut self) -> Failure {
        let failures = self.store.data().process.failures.borrow();
        failures.last().cloned().unwrap_or_else(|| Failure {
            plugin: String::new(),
            vm: self.name.clone(),
            callback: String::new(),
            kind: FailureKind::Trap("unknown".into()),
            backtrace: Vec::new(),
            refused_memory: None,
        })
    }

    /// Calls a callback on behalf of a context. `None` if there is none, the VM has failed, or fails now.
    pub fn call<P: WasmParams, R: WasmResults>(
        &mut self,
        context: u32,
        name: &'static str,
        function: Option<&TypedFunc<P, R>>,
        params: P,
    ) -> Option<R> {
        let function = function?;
        if self.failed {
            return None;
        }
        let data = self.store.data_mut();
        (data.current, data.effective, data.stop_next_iteration) = (context, 0, false);
        let began = data.accounting.start();
        let memory = self.memory_size();
        refuel(&mut self.store);
        let result = function.call(&mut self.store, params);
        self.settle_account(name, began, memory);
        if let Some((name, error)) = self.data().nested_trap.take() {
            self.note_failure(context, name, &error);
            return None;
        }
        result.map_err(|error| self.note_failure(context, name, &error)).ok()
    }

    fn settle_account(&mut self, name: &'static str, began: Option<std::time::Instant>, memory: u64) {
        if began.is_none() {
            return;
        }
        let left = self.store.get_fuel().unwrap_or(0);
        let used = self.store.data().settings.fuel.saturating_sub(left);
        let growth = self.memory_size().saturating_sub(memory);
        self.store.data_mut().accounting.callback(name, began, used, growth);
    }

    pub fn memory_size(&self) -> u64 {
        self.store.data().memory.map(|memory| memory.data_size(&self.store) as u64).unwrap_or(0)
    }

    fn note_failure(&mut self, context: u32, name: &str, error: &wasmtime::Error) {
        let plugin = self.plugin(context).name.clone();
        let failure = Failure {
            plugin,
            vm: self.name.clone(),
            callback: name.to_owned(),
            kind: kind(&self.store, error),
            backtrace: frames(error),
            refused_memory: self.store.data().limiter.refused,
        };
        self.fail(failure);
    }
}

fn refuel(store: &mut Store<VmData>) {
    let fuel = store.data().settings.fuel;
    store.set_fuel(fuel).expect("the engine meters fuel");
    store.data().host_budget.set(store.data().settings.host_budget);
}

fn kind(store: &Store<VmData>, error: &wasmtime::Error) -> FailureKind {
    if let Some(restricted) = error.downcast_ref::<RestrictedCall>() {
        return FailureKind::Restricted(restricted.0.to_owned());
    }
    if let Some(Exhausted(kind)) = error.downcast_ref() {
        return kind.clone();
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => FailureKind::OutOfFuel { budget: store.data().settings.fuel },
        Some(Trap::StackOverflow) => FailureKind::StackOverflow,
        Some(trap) => FailureKind::Trap(trap.to_string().trim_start_matches("wasm trap: ").to_owned()),
        None => FailureKind::Trap(error.root_cause().to_string()),
    }
}

fn instantiation_kind(store: &Store<VmData>, error: &wasmtime::Error) -> FailureKind {
    match error.is::<Trap>() {
        true => kind(store, error),
        false => FailureKind::Instantiation(error.root_cause().to_string()),
    }
}

/// Names of the guest's functions, demangled, innermost first.
fn frames(error: &wasmtime::Error) -> Vec<String> {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return Vec::new() };
    backtrace.frames().iter().take(MAX_FRAMES).map(frame_name).collect()
}

fn frame_name(frame: &wasmtime::FrameInfo) -> String {
    let symbol = frame.symbols().first().and_then(|symbol| symbol.name());
    match symbol.or_else(|| frame.func_name()) {
        Some(name) => demangled(name),
        None => format!("function {}", frame.func_index()),
    }
}

/// Rust's names, without their hash; others as they are.
fn demangled(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}
