//! What a module is, without running it.

use std::fmt;

use wasmtime::ExternType;

use crate::snapshot::module::{Opened, is_added};
use crate::vm::exports::show;
use crate::{AbiVersion, LoadError, LoadedModule, engine, loader};

/// Callbacks that Envoy may call and the harness never does: those of HTTP/2 metadata, and Envoy's own.
const NEVER_CALLED: [&str; 4] = [
    "proxy_on_request_metadata",
    "proxy_on_response_metadata",
    "proxy_validate_configuration",
    "envoy_on_stats_update",
];

/// A module, described.
#[derive(Debug)]
pub struct Inspection {
    /// Bytes of the file.
    pub size: usize,
    /// ABI version; an error if the module declares none.
    pub abi: Result<AbiVersion, LoadError>,
    /// Whether the harness (and so Envoy) would load it.
    pub loads: Result<(), LoadError>,
    /// `module.name` and type of each import.
    pub imports: Vec<(String, String)>,
    /// Name and type of each export.
    pub exports: Vec<(String, String)>,
    /// Callbacks that it exports and the harness never calls.
    pub never_called: Vec<String>,
    /// Sections in their order: name and bytes.
    pub sections: Vec<(String, usize)>,
}

/// Describes a module.
///
/// # Errors
/// `NotAModule` or `Invalid`; anything else stands in the description.
pub fn inspect(bytes: &[u8]) -> Result<Inspection, LoadError> {
    loader::check_magic(bytes)?;
    let module = engine::compile(Opened::new(bytes).bytes())?;
    let exports = module.exports().filter(|export| !is_added(export.name()));
    Ok(Inspection {
        size: bytes.len(),
        abi: loader::abi_version(&module),
        loads: LoadedModule::from_bytes(bytes).map(|_| ()),
        imports: module
            .imports()
            .map(|i| (format!("{}.{}", i.module(), i.name()), type_name(&i.ty())))
            .collect(),
        exports: exports.map(|e| (e.name().to_owned(), type_name(&e.ty()))).collect(),
        never_called: never_called(&module),
        sections: sections(bytes),
    })
}

fn never_called(module: &wasmtime::Module) -> Vec<String> {
    let names = module.exports().map(|export| export.name().to_owned());
    names.filter(|name| NEVER_CALLED.contains(&name.as_str())).collect()
}

fn type_name(ty: &ExternType) -> String {
    match ty {
        ExternType::Func(func) => show(func),
        ExternType::Memory(memory) => format!("memory of at least {} pages", memory.minimum()),
        ExternType::Global(global) => format!("global {}", global.content()),
        ExternType::Table(_) => "table".into(),
        _ => "something else".into(),
    }
}

/// Walks over the sections. The module is valid by now, so a break in the walk only ends it.
fn sections(bytes: &[u8]) -> Vec<(String, usize)> {
    let mut rest = bytes.get(8..).unwrap_or_default();
    std::iter::from_fn(|| section(&mut rest)).collect()
}

fn section(rest: &mut &[u8]) -> Option<(String, usize)> {
    let (id, mut tail) = rest.split_first()?;
    let len = leb128(&mut tail)?;
    let (content, next) = tail.split_at_checked(len)?;
    *rest = next;
    Some((section_name(*id, content), len))
}

fn section_name(id: u8, mut content: &[u8]) -> String {
    const NAMES: [&str; 14] = [
        "custom",
        "type",
        "import",
        "function",
        "table",
        "memory",
        "global",
        "export",
        "start",
        "element",
        "code",
        "data",
        "data count",
        "tag",
    ];
    let custom = |content: &mut &[u8]| {
        let len = leb128(content)?;
        content.get(..len).map(|name| format!("custom \"{}\"", String::from_utf8_lossy(name)))
    };
    match id {
        0 => custom(&mut content).unwrap_or_else(|| "custom".into()),
        id => NAMES.get(id as usize).copied().unwrap_or("unknown").to_owned(),
    }
}

fn leb128(bytes: &mut &[u8]) -> Option<usize> {
    let mut value = 0usize;
    for shift in (0..35).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.abi {
            Ok(abi) => writeln!(f, "ABI version  {abi}")?,
            Err(error) => writeln!(f, "ABI version  {error}")?,
        }
        writeln!(f, "size         {} bytes", self.size)?;
        match &self.loads {
            Ok(()) => writeln!(f, "loads        yes")?,
            Err(error) => writeln!(f, "loads        no: {error}")?,
        }
        list(f, "imports", &self.imports)?;
        list(f, "exports", &self.exports)?;
        if !self.never_called.is_empty() {
            writeln!(f, "never called by the harness: {}", self.never_called.join(", "))?;
        }
        writeln!(f, "sections ({})", self.sections.len())?;
        self.sections.iter().try_for_each(|(name, size)| writeln!(f, "  {name:<44} {size:>10}"))
    }
}

fn list(f: &mut fmt::Formatter<'_>, title: &str, items: &[(String, String)]) -> fmt::Result {
    writeln!(f, "{title} ({})", items.len())?;
    items.iter().try_for_each(|(name, ty)| writeln!(f, "  {name:<44} {ty}"))
}
