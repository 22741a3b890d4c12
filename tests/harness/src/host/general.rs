//! Log, time, timers, streams, local replies, contexts, status.

use wasmtime::Linker;

use super::{Guest, HostResult, define};
use crate::pairs;
use crate::process::logs::LogLine;
use crate::snapshot::Effect;
use crate::stream::LocalReply;
use crate::vm::{Action, VmData};
use crate::{AbiVersion, LogLevel, Status, StreamType};

pub(super) fn link(linker: &mut Linker<VmData>, abi: AbiVersion) -> wasmtime::Result<()> {
    define! { linker,
        "proxy_log" => log, (level: u32, ptr: u32, len: u32);
        "proxy_get_current_time_nanoseconds" => time, (out: u32);
        "proxy_set_tick_period_milliseconds" => tick_period, (ms: u32);
        "proxy_set_effective_context" => effective_context, (context: u32);
        "proxy_done" => done, ();
        "proxy_get_status" => get_status, (code: u32, ptr: u32, len: u32);
        "proxy_send_local_response" => local_response,
            (code: u32, details: u32, details_len: u32, body: u32, body_len: u32, headers: u32, headers_len: u32,
             grpc: u32);
    }
    // For modules made with emscripten; not host calls, so they are neither restricted nor counted.
    linker.func_wrap("env", "pthread_equal", |a: u32, b: u32| u32::from(a == b))?;
    linker.func_wrap("env", "emscripten_notify_memory_growth", |_: u32| {})?;
    if abi == AbiVersion::V0_1_0 {
        return link_old(linker);
    }
    define! { linker,
        "proxy_continue_stream" => continue_stream, (stream: u32);
        "proxy_close_stream" => close_stream, (stream: u32);
    }
    if abi == AbiVersion::V0_2_1 {
        define! { linker, "proxy_get_log_level" => log_level, (out: u32); }
    }
    Ok(())
}

fn link_old(linker: &mut Linker<VmData>) -> wasmtime::Result<()> {
    define! { linker,
        "proxy_get_configuration" => super::buffers::get_configuration, (ptr: u32, len: u32);
        "proxy_continue_request" => continue_request, ();
        "proxy_continue_response" => continue_response, ();
        "proxy_clear_route_cache" => clear_route_cache, ();
    }
    Ok(())
}

fn log(guest: &mut Guest, level: u32, ptr: u32, len: u32) -> HostResult {
    let level = LogLevel::from_u32(level).ok_or(Status::BadArgument)?;
    let message = guest.copy(ptr, len)?;
    Ok(write_log(guest, level, &message)?)
}

/// Keeps a line, unless the log level hides it.
pub(super) fn write_log(guest: &mut Guest, level: LogLevel, message: &[u8]) -> Result<(), Status> {
    if level < guest.data().process.log_level.get() {
        return Ok(());
    }
    guest.keep()?;
    guest.count_line(message.len())?;
    let data = guest.data_mut();
    let message = String::from_utf8_lossy(message).into_owned();
    let line = LogLine { level, plugin: data.plugin_name(), worker: data.worker, message };
    data.record(|| Effect::Log(line.clone()));
    data.process.logs.borrow_mut().push(line);
    Ok(())
}

fn log_level(guest: &mut Guest, out: u32) -> HostResult {
    let level = guest.data().process.log_level.get();
    Ok(guest.write_u32(out, level as u32)?)
}

fn time(guest: &mut Guest, out: u32) -> HostResult {
    let now = guest.data().process.clock.get().wall;
    Ok(guest.write_u64(out, now)?)
}

/// A new period replaces the running timer; zero stops it.
fn tick_period(guest: &mut Guest, ms: u32) -> HostResult {
    let data = guest.data_mut();
    let root = data.root_id();
    let timer = data.timers.entry(root).or_default();
    timer.period_ms = ms;
    timer.generation += 1;
    let timer = *timer;
    data.record(|| Effect::Tick { root, timer });
    schedule_tick(data, root);
    Ok(())
}

/// Puts a root's next tick into the event queue.
pub(crate) fn schedule_tick(data: &VmData, root: u32) {
    if let Some(timer) = data.timers.get(&root) {
        timer.schedule(&data.process, data.worker, data.id, root);
    }
}

fn effective_context(guest: &mut Guest, context: u32) -> HostResult {
    // 0 is the VM itself; it means "whoever was called".
    if context != 0 && !guest.data().contexts.contains_key(&context) {
        return Err(Status::BadArgument.into());
    }
    guest.data_mut().effective = context;
    Ok(())
}

/// Only a root that has deferred its end can be done.
fn done(guest: &mut Guest) -> HostResult {
    let data = guest.data_mut();
    let id = data.context_id();
    let pending = data.context().is_some_and(|context| std::mem::take(&mut context.root.done_pending));
    if !pending {
        return Err(Status::NotFound.into());
    }
    data.actions.push_back(Action::RootDone { context: id });
    Ok(())
}

fn get_status(guest: &mut Guest, code_ptr: u32, ptr: u32, len: u32) -> HostResult {
    let (code, message) = guest.data_mut().root().map(|root| root.status.clone()).unwrap_or_default();
    guest.write_u32(code_ptr, code)?;
    guest.give(message.as_bytes(), ptr, len)
}

fn continue_stream(guest: &mut Guest, stream: u32) -> HostResult {
    match StreamType::from_u32(stream).ok_or(Status::BadArgument)? {
        StreamType::Upstream => Err(Status::Unimplemented.into()),
        StreamType::Downstream => continue_downstream(guest),
        which => resume(guest, which),
    }
}

/// What a TCP connection's client has sent goes on; an HTTP stream has nothing of the kind.
fn continue_downstream(guest: &mut Guest) -> HostResult {
    let data = guest.data_mut();
    let id = data.context_id();
    let stream = data.context().and_then(|context| context.stream.clone());
    if let Some(stream) = stream.filter(|stream| stream.borrow().tcp.is_some()) {
        data.actions.push_back(Action::Continue { stream, context: id, which: StreamType::Downstream });
    }
    Ok(())
}

/// Whichever direction goes on, the request's maps and body are out of sight from here.
fn resume(guest: &mut Guest, which: StreamType) -> HostResult {
    let data = guest.data_mut();
    let id = data.context_id();
    let Some(context) = data.context() else { return Ok(()) };
    context.view.request_headers = false;
    context.view.request_trailers = false;
    context.view.request_body = Default::default();
    if let Some(stream) = context.stream.clone() {
        data.actions.push_back(Action::Continue { stream, context: id, which });
    }
    Ok(())
}

fn continue_request(guest: &mut Guest) -> HostResult {
    resume(guest, StreamType::Request)
}

fn continue_response(guest: &mut Guest) -> HostResult {
    resume(guest, StreamType::Response)
}

pub(super) fn clear_route_cache(guest: &mut Guest) -> HostResult {
    if let Some(stream) = guest.data_mut().context().and_then(|context| context.stream.clone()) {
        stream.borrow_mut().info.route_stale = true;
    }
    Ok(())
}

fn close_stream(guest: &mut Guest, stream: u32) -> HostResult {
    let which = StreamType::from_u32(stream).ok_or(Status::BadArgument)?;
    let data = guest.data_mut();
    let Some(stream) = data.context().and_then(|context| context.stream.clone()) else { return Ok(()) };
    let of_http = matches!(which, StreamType::Request | StreamType::Response);
    // Nothing is closed by the name of another kind of stream.
    if of_http == stream.borrow().tcp.is_none() {
        let details = if of_http { "wasm_close_stream" } else { "wasm_downstream_close" };
        stream.borrow_mut().info.details.get_or_insert_with(|| details.into());
        data.actions.push_back(Action::Close { stream });
    }
    Ok(())
}

#[allow(clippy::too_many_arguments)] // the ABI's own
fn local_response(
    guest: &mut Guest,
    code: u32,
    details: u32,
    details_len: u32,
    body: u32,
    body_len: u32,
    headers: u32,
    headers_len: u32,
    grpc: u32,
) -> HostResult {
    let details = guest.copy(details, details_len)?;
    let reply = LocalReply {
        status: code,
        body: guest.copy(body, body_len)?,
        headers: pairs::parse(guest.read(headers, headers_len)?),
        // SDKs say -1 for "none"; 16 is the last code there is.
        grpc: (grpc <= 16).then_some(grpc),
        details: without_spaces(&details),
    };
    let data = guest.data_mut();
    if let Some(stream) = data.context().and_then(|context| context.stream.clone()) {
        data.actions.push_back(Action::Reply { stream, reply });
    }
    data.stop_next_iteration = true;
    Ok(())
}

/// Access logs separate their fields by spaces, so Envoy keeps them out of the details.
fn without_spaces(details: &[u8]) -> String {
    let text = String::from_utf8_lossy(details);
    text.chars().map(|c| if c.is_ascii_whitespace() || c == '\x0b' { '_' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn details_have_no_spaces() {
        assert_eq!(super::without_spaces(b"no such\troute"), "no_such_route");
    }
}
