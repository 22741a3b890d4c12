//! Header and trailer maps. Which of them a context can see, its `View` says.

use wasmtime::Linker;

use super::{Guest, HostResult, define};
use crate::headers::Kind;
use crate::pairs;
use crate::vm::VmData;
use crate::vm::context::{BodyView, Context};
use crate::{AbiVersion, HeaderMap, MapType, Status};

pub(super) fn link(linker: &mut Linker<VmData>) -> wasmtime::Result<()> {
    define! { linker,
        "proxy_get_header_map_pairs" => get_pairs, (map: u32, ptr: u32, len: u32);
        "proxy_set_header_map_pairs" => set_pairs, (map: u32, ptr: u32, len: u32);
        "proxy_get_header_map_value" => get, (map: u32, key: u32, key_len: u32, ptr: u32, len: u32);
        "proxy_add_header_map_value" => add, (map: u32, key: u32, key_len: u32, value: u32, value_len: u32);
        "proxy_replace_header_map_value" => replace, (map: u32, key: u32, key_len: u32, value: u32, value_len: u32);
        "proxy_remove_header_map_value" => remove, (map: u32, key: u32, key_len: u32);
        "proxy_get_header_map_size" => size, (map: u32, out: u32);
    }
    Ok(())
}

fn map_type(map: u32) -> Result<MapType, Status> {
    MapType::from_u32(map).ok_or(Status::BadArgument)
}

/// A map that cannot be seen has no pairs, which is not an error.
fn get_pairs(guest: &mut Guest, map: u32, ptr: u32, len: u32) -> HostResult {
    let map = map_type(map)?;
    let blob = with_read(guest.data_mut(), map, |map| match map {
        Some(map) if !map.is_empty() => pairs::serialize(map.iter().collect::<Vec<_>>().into_iter()),
        _ => Vec::new(),
    });
    guest.give(&blob, ptr, len)
}

fn set_pairs(guest: &mut Guest, map: u32, ptr: u32, len: u32) -> HostResult {
    let map = map_type(map)?;
    let pairs = pairs::parse(guest.read(ptr, len)?);
    with_write(guest.data_mut(), map, |map| {
        map.clear();
        pairs.iter().for_each(|(name, value)| map.add(name, value));
    })
}

fn get(guest: &mut Guest, map: u32, key: u32, key_len: u32, ptr: u32, len: u32) -> HostResult {
    let map = map_type(map)?;
    let key = guest.copy(key, key_len)?;
    let found = with_read(guest.data_mut(), map, |map| map.map(|map| map.get(&key).map(<[u8]>::to_vec)));
    let value = match found {
        Some(Some(value)) => value,
        Some(None) => absent(guest)?,
        None if in_access_log(guest) => absent(guest)?,
        None => return Err(Status::BadArgument.into()),
    };
    guest.give(&value, ptr, len)
}

/// ABI 0.1.0 knew no missing values.
fn absent(guest: &Guest) -> Result<Vec<u8>, Status> {
    if guest.data().abi == AbiVersion::V0_1_0 { Ok(Vec::new()) } else { Err(Status::NotFound) }
}

fn in_access_log(guest: &mut Guest) -> bool {
    guest.data_mut().context().is_some_and(|context| context.view.access_log)
}

fn add(guest: &mut Guest, map: u32, key: u32, key_len: u32, value: u32, value_len: u32) -> HostResult {
    let map = map_type(map)?;
    let (key, value) = (guest.copy(key, key_len)?, guest.copy(value, value_len)?);
    with_write(guest.data_mut(), map, |map| map.add(&key, &value))
}

fn replace(guest: &mut Guest, map: u32, key: u32, key_len: u32, value: u32, value_len: u32) -> HostResult {
    let map = map_type(map)?;
    let (key, value) = (guest.copy(key, key_len)?, guest.copy(value, value_len)?);
    with_write(guest.data_mut(), map, |map| map.set(&key, &value))
}

fn remove(guest: &mut Guest, map: u32, key: u32, key_len: u32) -> HostResult {
    let map = map_type(map)?;
    let key = guest.copy(key, key_len)?;
    with_write(guest.data_mut(), map, |map| map.remove(&key))
}

fn size(guest: &mut Guest, map: u32, out: u32) -> HostResult {
    let map = map_type(map)?;
    let mut size = 0;
    with_write(guest.data_mut(), map, |map| size = map.byte_size())?;
    Ok(guest.write_u32(out, size as u32)?)
}

/// Reads a map, `None` if the context cannot see it.
fn with_read<T>(data: &mut VmData, map: MapType, read: impl FnOnce(Option<&HeaderMap>) -> T) -> T {
    match map {
        MapType::GrpcInitialMetadata => read(data.root().and_then(|root| root.root.grpc_initial.as_ref())),
        MapType::GrpcTrailingMetadata => read(data.root().and_then(|root| root.root.grpc_trailing.as_ref())),
        MapType::CalloutHeaders => {
            read(data.root().and_then(|root| root.root.response.as_ref()).map(|response| &response.headers))
        }
        MapType::CalloutTrailers => read(
            data.root()
                .and_then(|root| root.root.response.as_ref())
                .and_then(|response| response.trailers.as_ref()),
        ),
        of_stream => read_stream(data.context(), of_stream, read),
    }
}

fn read_stream<T>(
    context: Option<&mut Context>,
    map: MapType,
    read: impl FnOnce(Option<&HeaderMap>) -> T,
) -> T {
    let Some(context) = context else { return read(None) };
    let view = context.view;
    let Some(stream) = &context.stream else { return read(None) };
    let stream = stream.borrow();
    let (seen, found) = match map {
        MapType::RequestHeaders => (view.request_headers || view.access_log, stream.request.headers.as_ref()),
        MapType::RequestTrailers => {
            (view.request_trailers && !view.access_log, stream.request.trailers.as_ref())
        }
        MapType::ResponseHeaders => {
            (view.response_headers || view.access_log, stream.response.headers.as_ref())
        }
        _ => (view.response_trailers || view.access_log, stream.response.trailers.as_ref()),
    };
    read(found.filter(|_| seen))
}

/// Changes a map of the context's own stream; no other can be written, nor asked for its size.
fn with_write(data: &mut VmData, map: MapType, write: impl FnOnce(&mut HeaderMap)) -> HostResult {
    let context = data.context().ok_or(Status::BadArgument)?;
    let stream = context.stream.clone().ok_or(Status::BadArgument)?;
    let mut stream = stream.borrow_mut();
    let view = &mut context.view;
    stream.info.route_stale |= map == MapType::RequestHeaders;
    let map = match map {
        MapType::RequestHeaders if view.request_headers => stream.request.headers.as_mut(),
        MapType::ResponseHeaders if view.response_headers => stream.response.headers.as_mut(),
        MapType::RequestTrailers => {
            let may_add = view.request_body != BodyView::None && view.end_of_stream;
            let kind = Kind::RequestTrailers;
            trailers(&mut view.request_trailers, may_add, &mut stream.request.trailers, kind)
        }
        MapType::ResponseTrailers => {
            let may_add = view.response_body != BodyView::None && view.end_of_stream;
            let kind = Kind::ResponseTrailers;
            trailers(&mut view.response_trailers, may_add, &mut stream.response.trailers, kind)
        }
        _ => None,
    };
    write(map.ok_or(Status::BadArgument)?);
    Ok(())
}

/// At the end of a body without trailers, looking for them makes them.
fn trailers<'a>(
    seen: &mut bool,
    may_add: bool,
    trailers: &'a mut Option<HeaderMap>,
    kind: Kind,
) -> Option<&'a mut HeaderMap> {
    if !*seen && may_add {
        *seen = true;
        trailers.get_or_insert_with(|| HeaderMap::of(kind));
    }
    trailers.as_mut().filter(|_| *seen)
}
