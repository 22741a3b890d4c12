//! Foreign functions: those of the official Envoy build.

pub(crate) mod cel;
mod crypto;

use std::io::{Read, Write};

use wasmtime::Linker;

use super::general::clear_route_cache;
use super::{Guest, HostResult, Stop, define};
use crate::stream::info::FilterState;
use crate::vm::VmData;
use crate::{Status, protobuf};

/// What `uncompress` gives at most: a few bytes must not fill the machine.
const MAX_UNCOMPRESSED: u64 = 64 * 1024 * 1024;

/// Filter-state objects that Envoy can make from bytes. The list is Envoy's own, and stock.
const KNOWN_OBJECTS: &[&str] = &[
    "envoy.network.upstream_server_name",
    "envoy.network.upstream_subject_alt_names",
    "envoy.network.application_protocols",
    "envoy.network.transport_socket.original_dst_address",
    "envoy.tcp_proxy.cluster",
    "envoy.tcp_proxy.disable_tunneling",
    "envoy.upstream.dynamic_host",
    "envoy.upstream.dynamic_port",
    "envoy.string",
    "envoy.hashable_string",
];

pub(super) fn link(linker: &mut Linker<VmData>) -> wasmtime::Result<()> {
    define! { linker,
        "proxy_call_foreign_function" => call,
            (name: u32, name_len: u32, args: u32, args_len: u32, ptr: u32, len: u32);
    }
    Ok(())
}

/// Pointer and length are written whatever the outcome, unless the caller did not ask for them.
fn call(
    guest: &mut Guest,
    name: u32,
    name_len: u32,
    args: u32,
    args_len: u32,
    ptr: u32,
    len: u32,
) -> HostResult {
    let name = String::from_utf8_lossy(guest.read(name, name_len)?).into_owned();
    let args = guest.copy(args, args_len)?;
    if guest.data().process.faults.borrow().lacks_function(&name) {
        return Err(Status::NotFound.into());
    }
    let own = guest.data().process.foreign.borrow().get(&name).cloned();
    let is_own = own.is_some();
    let result = match own {
        Some(function) => function(&args).map_err(Stop::from),
        None => dispatch(guest, &name, &args),
    };
    if let Err(Stop::Status(Status::NotFound)) = result
        && !is_own
        && !is_known(&name)
    {
        return Err(Status::NotFound.into());
    }
    let bytes = match &result {
        Ok(bytes) => bytes.clone(),
        Err(_) => Vec::new(),
    };
    hand_over(guest, &bytes, ptr, len)?;
    result.map(|_| ())
}

fn hand_over(guest: &mut Guest, bytes: &[u8], ptr: u32, len: u32) -> HostResult {
    match (ptr, len) {
        (0, 0) => Ok(()),
        (0, len) => Ok(guest.write_u32(len, bytes.len() as u32)?),
        (ptr, 0) => {
            // Nobody asked for the length: only the pointer is told, over itself.
            guest.give(bytes, ptr, ptr)
        }
        (ptr, len) => guest.give(bytes, ptr, len),
    }
}

fn is_known(name: &str) -> bool {
    let known =
        ["verify_signature", "sign", "compress", "uncompress", "set_envoy_filter_state", "clear_route_cache"];
    known.contains(&name) || name == "declare_property" || name.starts_with("expr_")
}

fn dispatch(guest: &mut Guest, name: &str, args: &[u8]) -> HostResult<Vec<u8>> {
    match name {
        "verify_signature" => Ok(crypto::verify_signature(args)?),
        "sign" => Ok(crypto::sign(args)?),
        "compress" => Ok(compress(args)?),
        "uncompress" => Ok(uncompress(args)?),
        "set_envoy_filter_state" => set_filter_state(guest, args),
        "clear_route_cache" => clear_route_cache(guest).map(|()| Vec::new()),
        "declare_property" => declare_property(guest, args),
        "expr_create" => cel::create(guest, args),
        "expr_evaluate" => cel::evaluate(guest, args),
        "expr_delete" => cel::delete(guest, args),
        _ => Err(Status::NotFound.into()),
    }
}

fn compress(data: &[u8]) -> Result<Vec<u8>, Status> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).and_then(|()| encoder.finish()).map_err(|_| Status::SerializationFailure)
}

fn uncompress(data: &[u8]) -> Result<Vec<u8>, Status> {
    let mut out = Vec::new();
    let mut decoder = flate2::read::ZlibDecoder::new(data).take(MAX_UNCOMPRESSED);
    decoder.read_to_end(&mut out).map(|_| out).map_err(|_| Status::SerializationFailure)
}

/// `1` path, `2` value, `3` life span.
fn set_filter_state(guest: &mut Guest, args: &[u8]) -> HostResult<Vec<u8>> {
    let fields = protobuf::fields(args).ok_or(Status::BadArgument)?;
    let path = String::from_utf8_lossy(protobuf::bytes(&fields, 1)).into_owned();
    if !KNOWN_OBJECTS.contains(&path.as_str()) {
        return Err(Status::NotFound.into());
    }
    let stream =
        guest.data_mut().context().and_then(|context| context.stream.clone()).ok_or(Status::NotFound)?;
    let value = protobuf::bytes(&fields, 2).to_vec();
    stream.borrow_mut().info.filter_state.insert(path, FilterState { value, read_only: false });
    Ok(Vec::new())
}

/// `1` name, `2` read-only, `3` type, `4` schema, `5` life span. A name can be declared once.
fn declare_property(guest: &mut Guest, args: &[u8]) -> HostResult<Vec<u8>> {
    let fields = protobuf::fields(args).ok_or(Status::BadArgument)?;
    let name = String::from_utf8_lossy(protobuf::bytes(&fields, 1)).into_owned();
    let data = guest.data_mut();
    // Only what a root declares counts for its streams.
    let slot = (data.context_id(), name.clone());
    if !data.declared.insert(slot) {
        return Err(Status::BadArgument.into());
    }
    if protobuf::integer(&fields, 2) != 0 && data.context_id() == data.root_id() {
        data.process.read_only_properties.borrow_mut().insert(name);
    }
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_compressed_comes_back() {
        let text = b"hello hello hello".repeat(100);
        let packed = compress(&text).unwrap();
        assert!(packed.len() < text.len());
        assert_eq!(uncompress(&packed), Ok(text));
        assert_eq!(uncompress(b"no zlib"), Err(Status::SerializationFailure));
    }
}
