//! The wasmtime engine, and a cache of compiled modules on disk.
//!
//! Fuel is always metered: it is deterministic, so it serves as the budget against endless loops, and as a figure that
//! can be compared between runs and machines where time cannot.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};
use wasmtime::{Config, Engine, Module, Strategy};

use crate::LoadError;

/// Bytes of the wasm stack; V8 gives about as much.
const MAX_STACK: usize = 1024 * 1024;

/// Smaller modules compile in no time.
const SMALLEST_CACHED: usize = 16 * 1024;
/// So many modules stay in the cache; the oldest go first.
const MOST_CACHED: usize = 100;

/// The one engine of the process: modules and linkers made from it can be shared.
pub(crate) fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(&config()).expect("the fixed configuration suits this machine"))
}

fn config() -> Config {
    let mut config = Config::new();
    config.strategy(Strategy::Cranelift);
    config.consume_fuel(true);
    config.max_wasm_stack(MAX_STACK);
    config.wasm_backtrace_max_frames(std::num::NonZeroUsize::new(20));
    config
}

/// Compiles a module, or takes it from the cache.
pub(crate) fn compile(bytes: &[u8]) -> Result<Module, LoadError> {
    let worth_it = bytes.len() >= SMALLEST_CACHED;
    let file = cache_dir().filter(|_| worth_it).map(|dir| dir.join(cache_key(bytes)));
    if let Some(module) = file.as_deref().and_then(load_cached) {
        return Ok(module);
    }
    let module = compile_anew(bytes)?;
    if let Some(file) = file {
        store_cached(&file, &module);
    }
    Ok(module)
}

/// Compiles a module.
pub(crate) fn compile_anew(bytes: &[u8]) -> Result<Module, LoadError> {
    Module::new(engine(), bytes).map_err(|error| LoadError::Invalid(format!("{error:#}")))
}

/// The key holds all that changes the compiled code: the module, and the engine's version and settings.
fn cache_key(bytes: &[u8]) -> String {
    use std::hash::{Hash, Hasher};
    let mut engine_hash = std::hash::DefaultHasher::new();
    engine().precompile_compatibility_hash().hash(&mut engine_hash);
    let digest = Sha256::digest(bytes);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{hex}-{:016x}.cwasm", engine_hash.finish())
}

/// `PORTCULLIS_HARNESS_CACHE`, else the user's cache folder; empty switches the cache off.
fn cache_dir() -> Option<PathBuf> {
    let dir = match std::env::var_os("PORTCULLIS_HARNESS_CACHE") {
        Some(dir) if dir.is_empty() => return None,
        Some(dir) => PathBuf::from(dir),
        None => user_cache()?.join("portcullis-harness"),
    };
    private_dir(&dir).then_some(dir)
}

fn user_cache() -> Option<PathBuf> {
    let xdg = std::env::var_os("XDG_CACHE_HOME").filter(|dir| !dir.is_empty());
    xdg.map(PathBuf::from).or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
}

/// Compiled code is run as it is found, so nobody else may be able to put some there.
#[cfg(unix)]
fn private_dir(dir: &Path) -> bool {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt};
    if fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).is_err() {
        return false;
    }
    fs::metadata(dir).is_ok_and(|meta| meta.mode() & 0o022 == 0)
}

#[cfg(not(unix))]
fn private_dir(dir: &Path) -> bool {
    fs::create_dir_all(dir).is_ok()
}

fn load_cached(file: &Path) -> Option<Module> {
    if !file.exists() {
        return None;
    }
    // SAFETY: the file was written by `store_cached` into a folder that only this user may write to, under a name
    // that holds the hash of its source; wasmtime itself checks version and settings.
    unsafe { Module::deserialize_file(engine(), file) }.ok()
}

/// A cache that cannot be written costs time, and nothing else: errors are dropped on purpose.
fn store_cached(file: &Path, module: &Module) {
    let Ok(code) = module.serialize() else { return };
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let unique = (std::process::id(), WRITES.fetch_add(1, Ordering::Relaxed));
    let temporary = file.with_extension(format!("{}-{}.tmp", unique.0, unique.1));
    if fs::write(&temporary, code).is_ok() && fs::rename(&temporary, file).is_err() {
        let _ = fs::remove_file(&temporary);
    }
    file.parent().into_iter().for_each(drop_oldest);
}

/// Another process may be at the same work, so a file that is gone is no surprise.
fn drop_oldest(dir: &Path) {
    let age = |entry: fs::DirEntry| Some((entry.metadata().ok()?.modified().ok()?, entry.path()));
    let mut files: Vec<_> = fs::read_dir(dir).into_iter().flatten().flatten().filter_map(age).collect();
    files.sort();
    let too_many = files.len().saturating_sub(MOST_CACHED);
    files.iter().take(too_many).for_each(|(_, path)| drop(fs::remove_file(path)));
}
