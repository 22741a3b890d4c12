//! Shared queues.

use wasmtime::Linker;

use super::{Guest, HostResult, define};
use crate::Status;
use crate::process::Process;
use crate::process::events::{Event, WorkerId};
use crate::process::queues::Owner;
use crate::vm::VmData;

pub(super) fn link(linker: &mut Linker<VmData>) -> wasmtime::Result<()> {
    define! { linker,
        "proxy_register_shared_queue" => register, (name: u32, name_len: u32, out: u32);
        "proxy_resolve_shared_queue" => resolve, (vm: u32, vm_len: u32, name: u32, name_len: u32, out: u32);
        "proxy_enqueue_shared_queue" => enqueue, (queue: u32, ptr: u32, len: u32);
        "proxy_dequeue_shared_queue" => dequeue, (queue: u32, ptr: u32, len: u32);
    }
    Ok(())
}

fn register(guest: &mut Guest, name: u32, name_len: u32, out: u32) -> HostResult {
    let data = guest.data();
    let owner = Owner { vm: data.id, root: data.root_id() };
    let name = guest.read(name, name_len)?;
    let id = data.process.queues.borrow_mut().register(&data.settings.vm_id, name, owner);
    Ok(guest.write_u32(out, id)?)
}

fn resolve(guest: &mut Guest, vm: u32, vm_len: u32, name: u32, name_len: u32, out: u32) -> HostResult {
    let data = guest.data();
    let vm = String::from_utf8_lossy(guest.read(vm, vm_len)?);
    let vm = if vm.is_empty() { data.settings.vm_id.as_str().into() } else { vm };
    let name = guest.read(name, name_len)?;
    let id = data.process.queues.borrow().resolve(&vm, name).ok_or(Status::NotFound)?;
    Ok(guest.write_u32(out, id)?)
}

/// The owner is told by an event of its own worker, later.
fn enqueue(guest: &mut Guest, queue: u32, ptr: u32, len: u32) -> HostResult {
    guest.keep()?;
    let data = guest.data();
    let message = guest.read(ptr, len)?;
    let Some(owner) = data.process.queues.borrow_mut().enqueue(queue, message)? else { return Ok(()) };
    let worker = data.world.upgrade().map(|world| world.worker_of(owner.vm)).unwrap_or(data.worker);
    tell(&data.process, worker, owner, queue);
    Ok(())
}

/// The owner of a queue hears that something is in it, when its worker comes to it.
pub(crate) fn tell(process: &Process, worker: WorkerId, owner: Owner, queue: u32) {
    let event = Event::QueueReady { vm: owner.vm, root: owner.root, queue };
    process.events.borrow_mut().push(process.clock.get().mono, worker, event);
}

fn dequeue(guest: &mut Guest, queue: u32, ptr: u32, len: u32) -> HostResult {
    let message = guest.data().process.queues.borrow_mut().dequeue(queue)?;
    guest.give(&message, ptr, len)
}
