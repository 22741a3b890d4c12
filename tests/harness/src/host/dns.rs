//! `envoy_resolve_dns`. What needs no server (addresses, `localhost`) is answered before the call returns, by a callback within it.

use std::net::{IpAddr, Ipv6Addr};

use wasmtime::Linker;

use super::{Guest, HostResult, define};
use crate::Dns;
use crate::process::events::Event;
use crate::vm::VmData;

pub(super) fn link(linker: &mut Linker<VmData>) -> wasmtime::Result<()> {
    define! { linker, "envoy_resolve_dns" => resolve, (name: u32, name_len: u32, out: u32); }
    Ok(())
}

fn resolve(guest: &mut Guest, name: u32, name_len: u32, out: u32) -> HostResult {
    let name = String::from_utf8_lossy(guest.read(name, name_len)?).into_owned();
    let data = guest.data_mut();
    data.dns_token += 1;
    let (token, root) = (data.dns_token, data.root_id());
    guest.write_u32(out, token)?;
    if let Some(known) = known_without_a_server(&name) {
        return answer_now(guest, root, token, known.serialized());
    }
    let data = guest.data();
    if !data.ephemeral {
        let asked = asked(&name);
        let found = data.process.names.borrow().get(&asked).cloned().unwrap_or_default();
        let event = Event::Resolved { vm: data.id, root, token, found: found.serialized() };
        let now = data.process.clock.get().mono;
        data.process.events.borrow_mut().push(now, data.worker, event);
    }
    Ok(())
}

/// Letters of any case are one name, with a dot at the end or without.
pub(crate) fn asked(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Addresses, the names of this machine (RFC 6761, section 6.3), and what can be no name.
fn known_without_a_server(name: &str) -> Option<Dns> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Some(Dns::addresses([address]));
    }
    let lower = name.to_ascii_lowercase();
    // With a dot at the end a server is asked.
    if lower == "localhost" || lower.ends_with(".localhost") {
        return Some(Dns::addresses([IpAddr::V6(Ipv6Addr::LOCALHOST)]));
    }
    (!is_name(&asked(name))).then(Dns::fails)
}

/// RFC 1035, section 2.3.4.
fn is_name(asked: &str) -> bool {
    let label = |label: &str| (1..=63).contains(&label.len());
    asked.is_empty() || (asked.len() <= 253 && asked.split('.').all(label))
}

/// A callback within the call. If it traps, the VM has failed, which shows when the outer one has returned.
fn answer_now(guest: &mut Guest, root: u32, token: u32, found: Vec<u8>) -> HostResult {
    let data = guest.data_mut();
    let Some(callback) = data.on_resolve_dns.clone() else { return Ok(()) };
    let Some(context) = data.contexts.get_mut(&root) else { return Ok(()) };
    let size = found.len() as u32;
    context.root.call_data = Some(found);
    let before = (data.current, data.effective);
    (data.current, data.effective) = (root, 0);
    let result = callback.call(&mut guest.0, (root, token, size));
    let data = guest.data_mut();
    (data.current, data.effective) = before;
    match result {
        Ok(()) => Ok(()),
        Err(error) => guest.nested_trap("envoy_on_resolve_dns", error),
    }
}
