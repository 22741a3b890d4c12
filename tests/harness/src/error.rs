//! Everything that can go wrong, by name. A module that misbehaves is an error value, never a panic of the harness.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

use crate::host::budget::CALL;

/// Why a module could not be loaded. Nothing of it has run yet.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The bytes do not begin as a wasm module does.
    #[error("not a WebAssembly module: {0}")]
    NotAModule(String),
    /// The bytes begin as a module, and then break its rules.
    #[error("invalid WebAssembly module: {0}")]
    Invalid(String),
    /// No export tells the ABI version.
    #[error(
        "missing or unknown proxy-wasm ABI version: the module exports none of proxy_abi_version_0_1_0, _0_2_0 and _0_2_1{}",
        found.as_ref().map(|name| format!(" (it exports {name})")).unwrap_or_default()
    )]
    UnknownAbi {
        /// A version marker that the module does export.
        found: Option<String>,
    },
    /// Imports that the host does not have in this ABI version.
    #[error("the host has no such function in ABI {abi}: {}", names.join(", "))]
    MissingImports {
        /// The module's ABI version.
        abi: crate::AbiVersion,
        /// `module.name` of each.
        names: Vec<String>,
    },
    /// Imports with another signature than the host's.
    #[error("imported with a wrong signature: {}", names.join("; "))]
    WrongSignatures {
        /// `module.name: wants .., the host has ..` of each.
        names: Vec<String>,
    },
    /// Callbacks exported with another signature than the host calls.
    #[error("exported with a wrong signature: {}", names.join("; "))]
    WrongExports {
        /// `name: is .., the host calls ..` of each.
        names: Vec<String>,
    },
    /// The host could not hand over any data.
    #[error("the module exports neither malloc nor proxy_on_memory_allocate")]
    NoAllocator,
    /// The host could not read any data.
    #[error("the module exports no memory called \"memory\"")]
    NoMemory,
    /// More memory at the start than the limit allows.
    #[error("the module asks for {asked} bytes of memory at the start; the limit is {limit}")]
    MemoryTooLarge {
        /// Bytes asked for.
        asked: u64,
        /// Bytes allowed.
        limit: u64,
    },
}

/// What made a VM fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The guest trapped: `unreachable` (a Rust panic), out of bounds, ...
    Trap(String),
    /// The callback used up its fuel: most likely an endless loop.
    OutOfFuel {
        /// What it was given.
        budget: u64,
    },
    /// The callback handed the host more than it may: most likely an endless loop of host calls.
    TooMuchForHost {
        /// How many bytes it was allowed.
        budget: u64,
    },
    /// The modules logged more, all together, than the harness keeps.
    TooMuchLogged {
        /// How many bytes are kept.
        limit: u64,
    },
    /// The callback ran deeper than the stack allows.
    StackOverflow,
    /// A host call that `_initialize` and `_start` may not make.
    Restricted(String),
    /// The guest could not be instantiated.
    Instantiation(String),
}

impl FailureKind {
    /// Whether the callback was stopped because it would have gone on, most likely for ever: on Envoy it never comes back.
    #[must_use]
    pub fn is_endless(&self) -> bool {
        matches!(self, Self::OutOfFuel { .. } | Self::TooMuchForHost { .. } | Self::TooMuchLogged { .. })
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FailureKind::Trap(message) => write!(f, "trapped: {message}"),
            FailureKind::OutOfFuel { budget } => {
                write!(f, "used up its budget of {budget} units of fuel (an endless loop?)")
            }
            FailureKind::TooMuchForHost { budget } => write!(
                f,
                "used up its budget of {budget} bytes handed to the host, {CALL} or more for each host call (an endless loop?)"
            ),
            FailureKind::TooMuchLogged { limit } => {
                write!(f, "used up the budget of {limit} bytes of log lines that are kept (an endless loop?)")
            }
            FailureKind::StackOverflow => write!(f, "overflowed its stack"),
            FailureKind::Restricted(name) => {
                write!(f, "called {name}, which is restricted before the VM has started")
            }
            FailureKind::Instantiation(message) => write!(f, "could not be instantiated: {message}"),
        }
    }
}

/// A VM that failed: where, why, and the guest's own backtrace, innermost frame first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Name of the plugin whose callback ran.
    pub plugin: String,
    /// Which VM.
    pub vm: String,
    /// The export that was called.
    pub callback: String,
    /// What happened.
    pub kind: FailureKind,
    /// Function names, at most 20, innermost first.
    pub backtrace: Vec<String>,
    /// The limit in bytes at which the guest was refused memory, if that has happened before.
    pub refused_memory: Option<u64>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plugin {} ({}): {} {}", self.plugin, self.vm, self.callback, self.kind)?;
        self.backtrace.iter().try_for_each(|frame| write!(f, "\n    at {frame}"))?;
        self.refused_memory.map_or(Ok(()), |limit| write!(f, "\n    {}", refusal(limit)))
    }
}

/// What a guest can do that is given no more memory, is its own affair; most trap.
fn refusal(limit: u64) -> String {
    format!("it had been refused more memory than {limit} bytes")
}

impl std::error::Error for Failure {}

/// Whatever stops the harness from answering.
#[derive(Debug, Error)]
pub enum Error {
    /// The module was not loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A VM failed while it started or was configured, or looped for ever.
    #[error(transparent)]
    Failed(Box<Failure>),
    /// `proxy_on_vm_start` returned false.
    #[error("plugin {plugin}: proxy_on_vm_start returned false{}", hint(.logs))]
    VmStartRefused {
        /// Name of the plugin.
        plugin: String,
        /// What it logged meanwhile.
        logs: Vec<String>,
    },
    /// `proxy_on_configure` returned false: Envoy refuses such a configuration.
    #[error("plugin {plugin}: proxy_on_configure returned false{}", hint(.logs))]
    ConfigurationRefused {
        /// Name of the plugin.
        plugin: String,
        /// What it logged meanwhile.
        logs: Vec<String>,
    },
    /// The builder was asked for something impossible.
    #[error("{0}")]
    Setup(String),
    /// No event is left that could end the stream.
    #[error("the stream can never end: {0}")]
    Stuck(String),
}

impl From<Box<Failure>> for Error {
    fn from(failure: Box<Failure>) -> Self {
        Error::Failed(failure)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Error::Failed(Box::new(failure))
    }
}

fn hint(logs: &[String]) -> String {
    logs.iter().map(|line| format!("\n    {line}")).collect()
}
