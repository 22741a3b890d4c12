//! Shared data.

use wasmtime::Linker;

use super::{Guest, HostResult, define};
use crate::Status;
use crate::vm::VmData;

pub(super) fn link(linker: &mut Linker<VmData>) -> wasmtime::Result<()> {
    define! { linker,
        "proxy_get_shared_data" => get, (key: u32, key_len: u32, ptr: u32, len: u32, cas: u32);
        "proxy_set_shared_data" => set, (key: u32, key_len: u32, value: u32, value_len: u32, cas: u32);
    }
    Ok(())
}

fn get(guest: &mut Guest, key: u32, key_len: u32, ptr: u32, len: u32, cas_ptr: u32) -> HostResult {
    let data = guest.data();
    let key = guest.read(key, key_len)?;
    let found = data.process.shared_data.borrow().get(&data.settings.vm_id, key).cloned();
    let (value, cas) = found.ok_or(Status::NotFound)?;
    guest.give(&value, ptr, len)?;
    guest.write_u32(cas_ptr, cas)?;
    Ok(())
}

/// Between a guest's read and this write, other workers may run: that is what compare-and-swap is for.
fn set(guest: &mut Guest, key: u32, key_len: u32, value: u32, value_len: u32, cas: u32) -> HostResult {
    guest.keep()?;
    let data = guest.data();
    let (key, value) = (guest.read(key, key_len)?, guest.read(value, value_len)?);
    if let Some(world) = data.world.upgrade() {
        world.let_others_run(data.worker);
    }
    let process = &data.process;
    if cas != 0 && process.faults.borrow_mut().takes_cas_conflict() {
        process.shared_data.borrow_mut().touch(&data.settings.vm_id, key);
    }
    Ok(process.shared_data.borrow_mut().set(&data.settings.vm_id, key, value, cas)?)
}
