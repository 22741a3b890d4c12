//! What host calls give, and how it is printed.

use std::ptr::null_mut;

/// A host call that gives bytes; what it leaves alone shows as nothing.
pub(super) fn fetch(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> (u32, Vec<u8>) {
    let (mut ptr, mut len) = (null_mut(), 0);
    let status = call(&mut ptr, &mut len);
    if ptr.is_null() {
        return (status, Vec::new());
    }
    // SAFETY: the host allocated it with `proxy_on_memory_allocate`, which gives exactly this capacity.
    (status, unsafe { Vec::from_raw_parts(ptr, len, len) })
}

/// Segments are separated by dots; by bars where a segment has dots of its own.
pub(super) fn path(text: &str) -> String {
    text.replace(if text.contains('|') { '|' } else { '.' }, "\0")
}

pub(super) fn show((status, bytes): (u32, Vec<u8>)) -> String {
    format!("{status} {:?}", String::from_utf8_lossy(&bytes))
}

pub(super) fn pairs(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut out = (pairs.len() as u32).to_le_bytes().to_vec();
    for (name, value) in pairs {
        out.extend((name.len() as u32).to_le_bytes());
        out.extend((value.len() as u32).to_le_bytes());
    }
    for (name, value) in pairs {
        out.extend_from_slice(name.as_bytes());
        out.push(0);
        out.extend_from_slice(value.as_bytes());
        out.push(0);
    }
    out
}

/// The names of a serialized map.
pub(super) fn names(blob: &[u8]) -> String {
    let Some(pairs) = parse(blob) else { return "nothing".into() };
    let names: Vec<String> = pairs.into_iter().map(|(name, _)| name).collect();
    names.join(" ")
}

/// Names and values of a serialized map.
pub(super) fn entries(blob: &[u8]) -> String {
    let Some(pairs) = parse(blob) else { return "nothing".into() };
    let entries: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    entries.join(" ")
}

pub(super) fn parse(blob: &[u8]) -> Option<Vec<(String, String)>> {
    let word =
        |at: usize| blob.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize);
    let count = word(0)?;
    let mut at = 4 + count * 8;
    let mut pairs = Vec::new();
    for i in 0..count {
        let (name, value) = (word(4 + i * 8)?, word(8 + i * 8)?);
        let text = |from: usize, len: usize| {
            blob.get(from..from + len).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        };
        pairs.push((text(at, name)?, text(at + name + 1, value)?));
        at += name + value + 2;
    }
    Some(pairs)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits.filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
