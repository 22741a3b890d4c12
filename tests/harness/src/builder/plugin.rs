//! A plugin of the chain, described.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::driver;
use crate::vm::VmSettings;
use crate::{Error, LoadedModule};

/// What becomes of requests while a plugin's VM is down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailurePolicy {
    /// They are answered 503, for ever. Envoy's default.
    #[default]
    Closed,
    /// They pass the plugin by, for ever.
    Open,
    /// They are answered 503 until the VM has been restarted, with a backoff.
    Reload,
}

/// What VMs may use, and whether it is counted.
pub(super) struct Limits {
    pub fuel: u64,
    pub host_budget: u64,
    pub memory: u64,
    pub profile: bool,
}

/// A plugin of the chain, described.
#[derive(Clone)]
pub struct Plugin {
    source: Source,
    name: String,
    root_id: String,
    vm_id: String,
    vm_configuration: Vec<u8>,
    configuration: Vec<u8>,
    environment: Vec<(String, String)>,
    policy: FailurePolicy,
    allow_stop_iteration: bool,
}

#[derive(Clone)]
enum Source {
    File(PathBuf),
    Loaded(LoadedModule),
}

impl Plugin {
    /// A plugin from a module's file.
    pub fn file(path: impl AsRef<Path>) -> Self {
        let name = path.as_ref().file_stem().map(|stem| stem.to_string_lossy().into_owned());
        Self::new(Source::File(path.as_ref().to_owned()), name.unwrap_or_default())
    }

    /// A plugin from a module that is loaded already; tests share one so as to compile it once.
    pub fn loaded(module: &LoadedModule) -> Self {
        Self::new(Source::Loaded(module.clone()), "plugin".into())
    }

    fn new(source: Source, name: String) -> Self {
        Self {
            source,
            name,
            root_id: String::new(),
            vm_id: String::new(),
            vm_configuration: Vec::new(),
            configuration: Vec::new(),
            environment: Vec::new(),
            policy: FailurePolicy::default(),
            allow_stop_iteration: false,
        }
    }

    /// Name in messages and in the property `plugin_name`.
    pub fn name(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    /// Root id, by which a module tells its plugins apart.
    pub fn root_id(mut self, root_id: &str) -> Self {
        self.root_id = root_id.to_owned();
        self
    }

    /// VM id: shared data and queues are shared among VMs of the same id.
    pub fn vm_id(mut self, vm_id: &str) -> Self {
        self.vm_id = vm_id.to_owned();
        self
    }

    /// VM configuration.
    pub fn vm_config(mut self, configuration: impl AsRef<[u8]>) -> Self {
        self.vm_configuration = configuration.as_ref().to_vec();
        self
    }

    /// Plugin configuration.
    pub fn config(mut self, configuration: impl AsRef<[u8]>) -> Self {
        self.configuration = configuration.as_ref().to_vec();
        self
    }

    /// Adds an environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Failure policy.
    pub fn failure_policy(mut self, policy: FailurePolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Envoy's `allow_on_headers_stop_iteration`: a paused header phase lets the body callbacks go on.
    pub fn allow_on_headers_stop_iteration(mut self, allow: bool) -> Self {
        self.allow_stop_iteration = allow;
        self
    }

    /// Loads the module.
    pub(super) fn load(self, limits: &Limits) -> Result<driver::Plugin, Error> {
        let plugin = self;
        let module = match plugin.source {
            Source::File(path) => LoadedModule::from_file(path)?,
            Source::Loaded(module) => module,
        };
        if module.initial_memory > limits.memory {
            let asked = module.initial_memory;
            return Err(crate::LoadError::MemoryTooLarge { asked, limit: limits.memory }.into());
        }
        let settings = VmSettings {
            vm_id: plugin.vm_id,
            configuration: plugin.vm_configuration,
            environment: plugin.environment,
            memory_limit: limits.memory,
            fuel: limits.fuel,
            host_budget: limits.host_budget,
            profile: limits.profile,
        };
        Ok(driver::Plugin {
            module,
            settings: Rc::new(settings),
            name: plugin.name,
            root_id: plugin.root_id,
            policy: plugin.policy,
            allow_stop_iteration: plugin.allow_stop_iteration,
            configuration: plugin.configuration.into(),
            generation: Default::default(),
            instances: Default::default(),
        })
    }
}
