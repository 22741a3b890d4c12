//! From bytes to a module that is ready to be instantiated in microseconds, with every reason why not spelled out.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use wasmtime::{ExternType, InstancePre, Linker, Module, Store};

use crate::coverage::{Covered, Functions};
use crate::engine;
use crate::host;
use crate::snapshot::Snapshots;
use crate::snapshot::module::Opened;
use crate::vm::{VmData, exports, idle_data};
use crate::{AbiVersion, LoadError};

/// Bytes of a page of wasm memory.
const PAGE: u64 = 65536;

/// A compiled module, its imports resolved. Loading is the slow part; share this between proxies.
#[derive(Clone)]
pub struct LoadedModule {
    pub(crate) pre: InstancePre<VmData>,
    pub(crate) abi: AbiVersion,
    pub(crate) initial_memory: u64,
    /// Tells one module from another.
    pub(crate) key: u64,
    pub(crate) opened: Arc<Opened>,
    pub(crate) snapshots: Arc<Snapshots>,
    /// What tells which functions were reached, if it was loaded for that.
    pub(crate) functions: Option<Arc<Functions>>,
}

impl LoadedModule {
    /// Reads, compiles and checks a module.
    ///
    /// # Errors
    /// Every `LoadError`.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, LoadError> {
        let path = path.as_ref();
        let bytes =
            std::fs::read(path).map_err(|source| LoadError::Unreadable { path: path.to_owned(), source })?;
        Self::from_bytes(&bytes)
    }

    /// Compiles and checks a module.
    ///
    /// # Errors
    /// Every `LoadError` but `Unreadable`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LoadError> {
        Self::new(bytes, engine::compile)
    }

    /// As `from_file`; `Proxy::coverage` then tells which functions were reached.
    ///
    /// # Errors
    /// Every `LoadError`.
    pub fn covered_from_file(path: impl AsRef<Path>) -> Result<Self, LoadError> {
        let path = path.as_ref();
        let bytes =
            std::fs::read(path).map_err(|source| LoadError::Unreadable { path: path.to_owned(), source })?;
        check_magic(&bytes)?;
        match Covered::of(&bytes) {
            Some(Covered { bytes, functions }) => {
                Ok(Self { functions: Some(Arc::new(functions)), ..Self::from_bytes(&bytes)? })
            }
            None => Self::from_bytes(&bytes),
        }
    }

    /// As `from_bytes`, without the cache: to see what a machine pays that has never met the module.
    ///
    /// # Errors
    /// As `from_bytes`.
    pub fn compiled(bytes: &[u8]) -> Result<Self, LoadError> {
        Self::new(bytes, engine::compile_anew)
    }

    fn new(bytes: &[u8], compile: fn(&[u8]) -> Result<Module, LoadError>) -> Result<Self, LoadError> {
        check_magic(bytes)?;
        let opened = Arc::new(Opened::new(bytes));
        let module = compile(opened.bytes())?;
        let abi = abi_version(&module)?;
        let linker = linker(abi);
        check_imports(&module, &linker, abi)?;
        check_exports(&module, abi)?;
        let pre = linker.pre(&module)?;
        let (initial_memory, key) = (initial_memory(&module), fingerprint(bytes));
        Ok(Self { pre, abi, initial_memory, key, opened, snapshots: Arc::default(), functions: None })
    }

    /// The ABI version that the module declares.
    pub fn abi(&self) -> AbiVersion {
        self.abi
    }
}

fn fingerprint(bytes: &[u8]) -> u64 {
    use std::hash::{Hash, Hasher};
    let mut hasher = std::hash::DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

pub(crate) fn check_magic(bytes: &[u8]) -> Result<(), LoadError> {
    match bytes.get(..8) {
        Some([0, b'a', b's', b'm', 1, 0, 0, 0]) => Ok(()),
        Some([0, b'a', b's', b'm', _, _, 1, 0]) => Err(LoadError::NotAModule("it is a component".into())),
        Some([0, b'a', b's', b'm', ..]) => {
            Err(LoadError::NotAModule("unknown version of the binary format".into()))
        }
        _ => Err(LoadError::NotAModule(format!("the file has {} bytes and no wasm magic", bytes.len()))),
    }
}

/// The newest version that the module declares.
pub(crate) fn abi_version(module: &Module) -> Result<AbiVersion, LoadError> {
    let declared = |abi: &&AbiVersion| module.get_export(abi.marker()).is_some();
    AbiVersion::ALL.iter().rev().find(declared).copied().ok_or_else(|| LoadError::UnknownAbi {
        found: module
            .exports()
            .map(|e| e.name().to_owned())
            .find(|name| name.starts_with("proxy_abi_version_")),
    })
}

/// A linker of one ABI version, with the types of what it offers.
struct HostLinker {
    linker: Linker<VmData>,
    types: HashMap<(String, String), ExternType>,
}

impl HostLinker {
    fn pre(&self, module: &Module) -> Result<InstancePre<VmData>, LoadError> {
        self.linker.instantiate_pre(module).map_err(|error| LoadError::Invalid(format!("{error:#}")))
    }
}

/// Linkers are the same for every module; one of each per thread is enough.
fn linker(abi: AbiVersion) -> Rc<HostLinker> {
    thread_local!(static LINKERS: RefCell<HashMap<AbiVersion, Rc<HostLinker>>> = RefCell::default());
    LINKERS.with_borrow_mut(|linkers| linkers.entry(abi).or_insert_with(|| Rc::new(new_linker(abi))).clone())
}

fn new_linker(abi: AbiVersion) -> HostLinker {
    let mut linker = Linker::new(engine::engine());
    host::link(&mut linker, abi).expect("host functions are defined once each");
    let mut store = Store::new(engine::engine(), idle_data());
    let defined: Vec<_> = linker.iter(&mut store).map(|(m, n, e)| (m.to_owned(), n.to_owned(), e)).collect();
    let types = defined.into_iter().map(|(m, n, e)| ((m, n), e.ty(&store))).collect();
    HostLinker { linker, types }
}

fn check_imports(module: &Module, linker: &HostLinker, abi: AbiVersion) -> Result<(), LoadError> {
    let (mut missing, mut wrong) = (Vec::new(), Vec::new());
    for import in module.imports() {
        let name = format!("{}.{}", import.module(), import.name());
        match linker.types.get(&(import.module().to_owned(), import.name().to_owned())) {
            None => missing.push(name),
            Some(ours) => wrong.extend(signature_error(&name, &import.ty(), ours)),
        }
    }
    if !missing.is_empty() {
        return Err(LoadError::MissingImports { abi, names: missing });
    }
    if wrong.is_empty() { Ok(()) } else { Err(LoadError::WrongSignatures { names: wrong }) }
}

fn signature_error(name: &str, theirs: &ExternType, ours: &ExternType) -> Option<String> {
    match (theirs.func(), ours.func()) {
        (Some(a), Some(b)) if exports::show(a) == exports::show(b) => None,
        (Some(a), Some(b)) => {
            Some(format!("{name}: the module wants {}, the host has {}", exports::show(a), exports::show(b)))
        }
        _ => Some(format!("{name}: the host has a function of this name")),
    }
}

fn check_exports(module: &Module, abi: AbiVersion) -> Result<(), LoadError> {
    let function = |name: &str| module.get_export(name).is_some_and(|ty| ty.func().is_some());
    if module.get_export("memory").and_then(|ty| ty.memory().cloned()).is_none() {
        return Err(LoadError::NoMemory);
    }
    if !function("malloc") && !function("proxy_on_memory_allocate") {
        return Err(LoadError::NoAllocator);
    }
    exports::check(module, abi)
}

fn initial_memory(module: &Module) -> u64 {
    let memory = module.get_export("memory").and_then(|ty| ty.memory().cloned());
    memory.map(|memory| memory.minimum().saturating_mul(PAGE)).unwrap_or(0)
}
