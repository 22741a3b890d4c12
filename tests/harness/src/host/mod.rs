//! The host functions that a module may import, as Envoy implements them.

pub(crate) mod budget;
mod buffers;
mod callouts;
pub(crate) mod dns;
pub(crate) mod foreign;
mod general;
mod guest;
mod maps;
mod metrics;
mod properties;
pub(crate) mod queues;
mod shared_data;
mod wasi;

use std::fmt;

use wasmtime::{Caller, Linker};

use crate::vm::VmData;
use crate::{AbiVersion, Status};
pub(crate) use general::schedule_tick;
pub(crate) use guest::Guest;

/// A host call that did not succeed: with a status for the guest, or because the guest's own allocator trapped.
pub(crate) enum Stop {
    Status(Status),
    /// An error number of WASI.
    Errno(u32),
    Trap(wasmtime::Error),
}

impl From<Status> for Stop {
    fn from(status: Status) -> Self {
        Stop::Status(status)
    }
}

pub(crate) type HostResult<T = ()> = Result<T, Stop>;

/// A call that is not allowed before the VM has started; Envoy traps.
#[derive(Debug)]
pub(crate) struct RestrictedCall(pub &'static str);

impl fmt::Display for RestrictedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is restricted before the VM has started", self.0)
    }
}

impl std::error::Error for RestrictedCall {}

/// Runs a host call with all that every one of them needs: restriction, forced statuses, accounting.
fn enter(
    caller: Caller<'_, VmData>,
    name: &'static str,
    allowed_at_start: bool,
    call: impl FnOnce(&mut Guest<'_>) -> HostResult,
) -> wasmtime::Result<u32> {
    let mut guest = Guest(caller);
    if guest.data().restricted && !allowed_at_start {
        return Err(RestrictedCall(name).into());
    }
    if let Some(status) = forced(&guest, name) {
        return Ok(status as u32);
    }
    guest.data_mut().note_call(name);
    let began = guest.data().accounting.start();
    let result = guest.spend(budget::CALL).map_err(Stop::from).and_then(|()| call(&mut guest));
    guest.data_mut().accounting.host_call(name, began);
    guest.stop_if_exhausted()?;
    match result {
        Ok(()) => Ok(Status::Ok as u32),
        Err(Stop::Status(status)) => Ok(status as u32),
        Err(Stop::Errno(errno)) => Ok(errno),
        Err(Stop::Trap(error)) => Err(error),
    }
}

fn forced(guest: &Guest<'_>, name: &str) -> Option<Status> {
    let mut faults = guest.data().process.faults.borrow_mut();
    if faults.none_forced() { None } else { faults.forced_status(name) }
}

/// Defines `env.<name>`: a function of the guest and its own arguments.
macro_rules! define {
    ($linker:ident, $($name:literal => $function:path, ($($arg:ident: $ty:ty),*);)*) => {
        $($linker.func_wrap("env", $name, |caller: wasmtime::Caller<'_, crate::vm::VmData>, $($arg: $ty),*| {
            crate::host::enter(caller, $name, $name == "proxy_log", |guest| $function(guest, $($arg),*))
        })?;)*
    };
}
pub(crate) use define;

/// Links every function that modules of this ABI version may import.
pub(crate) fn link(linker: &mut Linker<VmData>, abi: AbiVersion) -> wasmtime::Result<()> {
    general::link(linker, abi)?;
    maps::link(linker)?;
    buffers::link(linker)?;
    properties::link(linker)?;
    shared_data::link(linker)?;
    queues::link(linker)?;
    metrics::link(linker)?;
    callouts::link(linker)?;
    foreign::link(linker)?;
    dns::link(linker)?;
    wasi::link(linker)
}
