//! Properties and filter state.

use wasmtime::Linker;

use super::{Guest, HostResult, define};
use crate::Status;
use crate::property::{Value, of_node, of_stream, segments};
use crate::stream::StreamRef;
use crate::stream::info::FilterState;
use crate::vm::VmData;

pub(super) fn link(linker: &mut Linker<VmData>) -> wasmtime::Result<()> {
    define! { linker,
        "proxy_get_property" => get, (path: u32, path_len: u32, ptr: u32, len: u32);
        "proxy_set_property" => set, (path: u32, path_len: u32, value: u32, value_len: u32);
    }
    Ok(())
}

fn get(guest: &mut Guest, path: u32, path_len: u32, ptr: u32, len: u32) -> HostResult {
    let path = guest.copy(path, path_len)?;
    let value = find(guest.data_mut(), &path)?;
    guest.give(&value, ptr, len)
}

/// What the stream or the plugin has; where both have nothing, what the test has set.
fn find(data: &mut VmData, path: &[u8]) -> Result<Vec<u8>, Status> {
    let segments = segments(path);
    if segments.is_empty() {
        return Err(Status::SerializationFailure);
    }
    let now = data.process.clock.get().mono;
    if let Some(value) = of_plugin(data, &segments) {
        return value.serialize();
    }
    data.no_snapshot();
    if let [b"xds", b"node", rest @ ..] = segments.as_slice() {
        let node = data.world.upgrade().ok_or(Status::NotFound)?;
        let found = of_node(&node.options.node, rest).and_then(|value| value.serialize());
        return found.or_else(|status| injected(data, &segments).ok_or(status));
    }
    look_up_route(data, &segments);
    let context = data.context().ok_or(Status::NotFound)?;
    if context.stream.is_none() && segments == [b"xds"] {
        return Err(Status::SerializationFailure);
    }
    let of_stream = match &context.stream {
        Some(stream) => of_stream(&stream.borrow(), context.view, now, &segments),
        None => Err(Status::NotFound),
    };
    let found = of_stream.and_then(|value| value.serialize());
    found.or_else(|status| injected(data, &segments).ok_or(status))
}

/// What a test has set.
fn injected(data: &VmData, segments: &[&[u8]]) -> Option<Vec<u8>> {
    data.process.properties.borrow().get(&segments.join(&0)).cloned()
}

/// A changed header makes Envoy forget the route: whoever asks for it next makes it look again.
fn look_up_route(data: &mut VmData, path: &[&[u8]]) {
    let stream = data.context().and_then(|context| context.stream.clone());
    let Some(stream) = stream.filter(|stream| path.first() == Some(&&b"xds"[..]) && has_stale_route(stream))
    else {
        return;
    };
    if let Some(world) = data.world.upgrade() {
        world.look_up_route(&stream);
    }
}

/// A TCP connection has no route.
fn has_stale_route(stream: &StreamRef) -> bool {
    let stream = stream.borrow();
    stream.info.route_stale && stream.tcp.is_none()
}

fn of_plugin(data: &mut VmData, path: &[&[u8]]) -> Option<Value> {
    let [name] = path else { return None };
    let text = match *name {
        b"plugin_name" => data.context()?.plugin.name.clone(),
        b"plugin_root_id" => data.context()?.plugin.root_id.clone(),
        b"plugin_vm_id" => data.settings.vm_id.clone(),
        _ => return None,
    };
    Some(Value::Bytes(text.into_bytes()))
}

/// Without a stream there is nowhere to keep it; nor after the stream's own end.
fn set(guest: &mut Guest, path: u32, path_len: u32, value: u32, value_len: u32) -> HostResult {
    let name = String::from_utf8_lossy(guest.read(path, path_len)?).into_owned();
    let value = guest.copy(value, value_len)?;
    let context = guest.data_mut().context().ok_or(Status::NotFound)?;
    let stream = context.stream.clone().ok_or(Status::NotFound)?;
    let mut stream = stream.borrow_mut();
    let key = format!("wasm.{name}");
    if stream.info.filter_state.get(&key).is_some_and(|state| state.read_only) {
        return Err(Status::BadArgument.into());
    }
    let read_only = guest.data().process.read_only_properties.borrow().contains(&name);
    stream.info.filter_state.insert(key, FilterState { value, read_only });
    Ok(())
}
