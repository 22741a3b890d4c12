//! Properties.

use super::shown::{fetch, hex, parse, path, show};
use super::words::Words;
use crate::abi::*;

/// A property, read as its type wants it.
pub(super) fn property(name: &str, words: &mut Words) -> String {
    let word = words.text();
    if name == "setprop" {
        let value = words.rest();
        // SAFETY: pointers and lengths are those of live texts.
        return unsafe { proxy_set_property(word.as_ptr(), word.len(), value.as_ptr(), value.len()) }
            .to_string();
    }
    let path = if name == "rawprop" { word.to_owned() } else { path(word) };
    // SAFETY: as above.
    let (status, bytes) = fetch(|ptr, n| unsafe { proxy_get_property(path.as_ptr(), path.len(), ptr, n) });
    match name {
        "shape" => format!("{status} {} bytes", bytes.len()),
        "hexprop" => format!("{status} {}", hex(&bytes)),
        "mapprop" => format!("{status} {}", sorted(&bytes)),
        "intprop" => format!("{status} {:?}", bytes.as_slice().try_into().map(i64::from_le_bytes)),
        _ => show((status, bytes)),
    }
}

/// Envoy gives the entries in whatever order its hash table has.
fn sorted(map: &[u8]) -> String {
    let Some(pairs) = parse(map) else { return "nothing".into() };
    let mut entries: Vec<String> =
        pairs.into_iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    entries.sort();
    entries.join(" ")
}
