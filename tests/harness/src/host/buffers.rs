//! Bodies, configurations, and the payloads of callouts.

use wasmtime::Linker;

use super::{Guest, HostResult, define};
use crate::stream::Half;
use crate::vm::VmData;
use crate::vm::context::{BodyView, Context};
use crate::{BufferType, Status};

pub(super) fn link(linker: &mut Linker<VmData>) -> wasmtime::Result<()> {
    define! { linker,
        "proxy_get_buffer_bytes" => get, (buffer: u32, start: u32, max: u32, ptr: u32, len: u32);
        "proxy_get_buffer_status" => status, (buffer: u32, len: u32, flags: u32);
        "proxy_set_buffer_bytes" => set, (buffer: u32, start: u32, size: u32, ptr: u32, len: u32);
    }
    Ok(())
}

fn buffer_type(buffer: u32) -> Result<BufferType, Status> {
    BufferType::from_u32(buffer).ok_or(Status::BadArgument)
}

/// Reads at most what is there; nothing to read is not an error.
fn get(guest: &mut Guest, buffer: u32, start: u32, max: u32, ptr: u32, len: u32) -> HostResult {
    let buffer = buffer_type(buffer)?;
    let bytes = with_bytes(guest.data_mut(), buffer, |bytes| clip(bytes, start, max).to_vec())?;
    guest.give(&bytes, ptr, len)
}

fn clip(bytes: &[u8], start: u32, max: u32) -> &[u8] {
    let rest = bytes.get(start as usize..).unwrap_or_default();
    &rest[..rest.len().min(max as usize)]
}

fn status(guest: &mut Guest, buffer: u32, len: u32, flags: u32) -> HostResult {
    let buffer = buffer_type(buffer)?;
    let size = with_bytes(guest.data_mut(), buffer, <[u8]>::len)?;
    guest.write_u32(len, size as u32)?;
    guest.write_u32(flags, 0)?;
    Ok(())
}

/// ABI 0.1.0: the plugin's configuration while configuring, else the VM's.
pub(super) fn get_configuration(guest: &mut Guest, ptr: u32, len: u32) -> HostResult {
    let configuring = guest.data_mut().context().filter(|context| context.root.configuring);
    let bytes = match configuring.map(|context| context.plugin.configuration.clone()) {
        Some(bytes) => bytes,
        None => guest.data().settings.configuration.clone(),
    };
    guest.give(&bytes, ptr, len)
}

/// Outside of `proxy_on_foreign_function` Envoy shows, as its arguments, whatever buffer the context found before.
fn with_bytes<T>(data: &mut VmData, buffer: BufferType, read: impl FnOnce(&[u8]) -> T) -> Result<T, Status> {
    if let (BufferType::CallData, Some(bytes)) =
        (buffer, data.context().and_then(|context| context.root.call_data.as_deref()))
    {
        return Ok(read(bytes));
    }
    let last = data.context().and_then(|context| context.last_buffer);
    let buffer = if buffer == BufferType::CallData { last.unwrap_or(buffer) } else { buffer };
    let found = with_found(data, buffer, read)?;
    if let Some(context) = data.context() {
        context.last_buffer = Some(buffer);
        context.root.call_data = None;
    }
    Ok(found)
}

fn with_found<T>(data: &mut VmData, buffer: BufferType, read: impl FnOnce(&[u8]) -> T) -> Result<T, Status> {
    match buffer {
        BufferType::RequestBody | BufferType::ResponseBody => Ok(with_body(data.context(), buffer, read)),
        BufferType::VmConfiguration => Ok(read(&data.settings.configuration)),
        BufferType::PluginConfiguration => {
            let context =
                data.context().filter(|context| context.root.configuring).ok_or(Status::NotFound)?;
            Ok(read(&context.plugin.configuration))
        }
        BufferType::CalloutBody => {
            let response =
                data.root().and_then(|root| root.root.response.as_ref()).ok_or(Status::NotFound)?;
            Ok(read(&response.body))
        }
        BufferType::GrpcMessage => {
            Ok(read(data.root().and_then(|root| root.root.grpc_message.as_deref()).unwrap_or_default()))
        }
        BufferType::DownstreamData | BufferType::UpstreamData => {
            Ok(with_pipe(data.context(), buffer, |pipe| read(pipe.map_or(&[], |bytes| bytes.as_slice()))))
        }
        BufferType::CallData => Ok(read(&[])),
    }
}

fn with_body<T>(context: Option<&mut Context>, buffer: BufferType, read: impl FnOnce(&[u8]) -> T) -> T {
    let Some(context) = context else { return read(&[]) };
    let Some(stream) = &context.stream else { return read(&[]) };
    let stream = stream.borrow();
    match buffer {
        BufferType::RequestBody => read(body(&stream.request, context.view.request_body)),
        _ => read(body(&stream.response, context.view.response_body)),
    }
}

/// What passes on a TCP connection in one direction, if the context may see it just now.
fn with_pipe<T>(
    context: Option<&mut Context>,
    buffer: BufferType,
    run: impl FnOnce(Option<&mut Vec<u8>>) -> T,
) -> T {
    let Some(context) = context else { return run(None) };
    let Some(stream) = context.stream.clone() else { return run(None) };
    let mut stream = stream.borrow_mut();
    let pipe = stream.tcp.as_mut().and_then(|tcp| match buffer {
        BufferType::DownstreamData if context.view.downstream_data => Some(&mut tcp.from_client.buffer),
        BufferType::UpstreamData if context.view.upstream_data => Some(&mut tcp.from_upstream.buffer),
        _ => None,
    });
    run(pipe)
}

fn body(half: &Half, view: BodyView) -> &[u8] {
    match view {
        BodyView::None => &[],
        BodyView::Chunk => &half.chunk,
        BodyView::Buffered => half.buffered.as_deref().unwrap_or_default(),
    }
}

/// Replaces a prefix, prepends or appends; the middle cannot be written, nor anything but a body that passes.
fn set(guest: &mut Guest, buffer: u32, start: u32, size: u32, ptr: u32, len: u32) -> HostResult {
    let buffer = buffer_type(buffer)?;
    with_bytes(guest.data_mut(), buffer, |_| ())?;
    let bytes = guest.copy(ptr, len)?;
    if matches!(buffer, BufferType::DownstreamData | BufferType::UpstreamData) {
        let write = |pipe: Option<&mut Vec<u8>>| {
            pipe.ok_or(Status::BadArgument).and_then(|pipe| splice(pipe, start, size, &bytes))
        };
        return Ok(with_pipe(guest.data_mut().context(), buffer, write)?);
    }
    let context = guest.data_mut().context().ok_or(Status::BadArgument)?;
    let stream = context.stream.clone().ok_or(Status::BadArgument)?;
    let mut stream = stream.borrow_mut();
    let (half, view) = match buffer {
        BufferType::RequestBody => (&mut stream.request, context.view.request_body),
        BufferType::ResponseBody => (&mut stream.response, context.view.response_body),
        _ => return Err(Status::BadArgument.into()),
    };
    let body = match view {
        BodyView::None => return Err(Status::BadArgument.into()),
        BodyView::Chunk => &mut half.chunk,
        BodyView::Buffered => half.buffered.get_or_insert_default(),
    };
    Ok(splice(body, start, size, &bytes)?)
}

fn splice(body: &mut Vec<u8>, start: u32, size: u32, bytes: &[u8]) -> Result<(), Status> {
    if start == 0 {
        let end = body.len().min(size as usize);
        body.splice(..end, bytes.iter().copied());
        return Ok(());
    }
    if (start as usize) < body.len() {
        return Err(Status::BadArgument);
    }
    body.extend_from_slice(bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_too_much_gives_what_is_there() {
        assert_eq!(clip(b"hello", 1, 100), b"ello");
        assert_eq!(clip(b"hello", 9, 1), b"");
        assert_eq!(clip(b"hello", u32::MAX, u32::MAX), b"");
    }

    #[test]
    fn a_body_takes_a_new_prefix_or_an_end_but_no_middle() {
        let mut body = b"world".to_vec();
        splice(&mut body, 0, 0, b"hello ").unwrap();
        splice(&mut body, 999, 0, b"!").unwrap();
        splice(&mut body, 0, 6, b"").unwrap();
        assert_eq!(body, b"world!");
        assert_eq!(splice(&mut body, 1, 0, b"x"), Err(Status::BadArgument));
    }
}
