//! Which functions of a module were reached: the module is rewritten, so that each function sets a global of its own.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use wasm_encoder::{CodeSection, Encode, RawSection};
use wasmparser::{BinaryReader, CodeSectionReader, KnownCustom, Name, Parser, Payload, TypeRef};

use crate::snapshot::module::global_export;
use crate::vm::Vm;

/// Functions by name, and whether each was reached.
pub type Coverage = BTreeMap<String, bool>;

/// A module that tells which of its functions were reached.
pub(crate) struct Covered {
    /// The rewritten module.
    pub bytes: Vec<u8>,
    pub functions: Functions,
}

/// Where to look.
#[derive(Debug)]
pub(crate) struct Functions {
    /// The global of the first function.
    first: u32,
    /// Names, in the order of the functions.
    names: Vec<String>,
}

/// What is known of a module before it is rewritten.
#[derive(Default)]
struct Facts {
    imported_functions: u32,
    globals: u32,
    defined_globals: u32,
    functions: u32,
    names: BTreeMap<u32, String>,
}

impl Covered {
    /// `None` for what is no module: the compiler says why.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let facts = facts(bytes).ok()?;
        let name =
            |index: u32| facts.names.get(&index).cloned().unwrap_or_else(|| format!("function {index}"));
        let defined = facts.imported_functions..facts.imported_functions + facts.functions;
        let functions = Functions { first: facts.globals, names: defined.map(name).collect() };
        Some(Self { bytes: rewritten(bytes, &facts).ok()?, functions })
    }
}

impl Functions {
    /// Notes what a VM has reached.
    pub fn note(&self, vm: &mut Vm, coverage: &mut Coverage) {
        for (index, name) in (self.first..).zip(&self.names) {
            let global = vm.instance.get_global(&mut vm.store, &global_export(index));
            let reached = global.is_some_and(|global| global.get(&mut vm.store).i32() == Some(1));
            *coverage.entry(name.clone()).or_default() |= reached;
        }
    }
}

fn facts(bytes: &[u8]) -> wasmparser::Result<Facts> {
    let mut facts = Facts::default();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    match import?.ty {
                        TypeRef::Func(_) => facts.imported_functions += 1,
                        TypeRef::Global(_) => facts.globals += 1,
                        _ => {}
                    }
                }
            }
            Payload::GlobalSection(globals) => {
                facts.defined_globals = globals.count();
                facts.globals += globals.count();
            }
            Payload::FunctionSection(functions) => facts.functions = functions.count(),
            Payload::CustomSection(custom) => {
                if let KnownCustom::Name(names) = custom.as_known() {
                    names.into_iter().flatten().for_each(|part| facts.named(part));
                }
            }
            _ => {}
        }
    }
    Ok(facts)
}

impl Facts {
    /// Names that cannot be read are none.
    fn named(&mut self, part: Name<'_>) {
        let Name::Function(names) = part else { return };
        for naming in names.into_iter().flatten() {
            self.names.insert(naming.index, format!("{:#}", rustc_demangle::demangle(naming.name)));
        }
    }
}

/// The number of the section of globals, and of the first that must not stand before it.
const GLOBALS: u8 = 6;
const CODE: u8 = 10;

fn rewritten(bytes: &[u8], facts: &Facts) -> wasmparser::Result<Vec<u8>> {
    let mut module = wasm_encoder::Module::new();
    let mut has_globals = false;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload?;
        let Some((id, range)) = payload.as_section() else { continue };
        // Custom sections stand anywhere; the others in the order of their numbers.
        if !has_globals && id >= GLOBALS && id != 13 {
            has_globals = true;
            let own = if id == GLOBALS { section(bytes, range.clone()) } else { &[0] };
            module.section(&RawSection { id: GLOBALS, data: &more_globals(own, facts)? });
            if id == GLOBALS {
                continue;
            }
        }
        match id {
            CODE => drop(module.section(&code(section(bytes, range), facts)?)),
            id => drop(module.section(&RawSection { id, data: section(bytes, range) })),
        }
    }
    Ok(module.finish())
}

fn section(bytes: &[u8], range: Range<usize>) -> &[u8] {
    bytes.get(range).unwrap_or_default()
}

/// One more for each function: a mutable `i32`, zero.
fn more_globals(own: &[u8], facts: &Facts) -> wasmparser::Result<Vec<u8>> {
    let mut reader = BinaryReader::new(own, 0);
    reader.read_var_u32()?;
    let mut data = Vec::new();
    (facts.defined_globals + facts.functions).encode(&mut data);
    data.extend_from_slice(own.get(reader.original_position()..).unwrap_or_default());
    // Type i32, mutable, `i32.const 0`, `end`.
    (0..facts.functions).for_each(|_| data.extend_from_slice(&[0x7f, 1, 0x41, 0, 0x0b]));
    Ok(data)
}

/// Every function begins with `i32.const 1`, `global.set` of its own.
fn code(section: &[u8], facts: &Facts) -> wasmparser::Result<CodeSection> {
    let mut code = CodeSection::new();
    let bodies = CodeSectionReader::new(BinaryReader::new(section, 0))?;
    for (global, body) in (facts.globals..).zip(bodies) {
        let body = body?;
        let (range, begin) = (body.range(), body.get_operators_reader()?.original_position());
        let mut set = vec![0x41, 1, 0x24];
        global.encode(&mut set);
        let [locals, rest] =
            [range.start..begin, begin..range.end].map(|part| section.get(part).unwrap_or_default());
        code.raw(&Cow::from([locals, &set, rest].concat()));
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_with_and_without_globals_stays_valid_and_names_its_functions() {
        for globals in ["", "(global $g (mut i64) (i64.const 7)) (export \"g\" (global $g))"] {
            let text = format!(
                "(module (import \"env\" \"f\" (func)) {globals} (memory 1) (table 1 funcref)
                 (func $one (param i32) (result i32) (local i64 f32) (local.get 0)) (func $two) (elem (i32.const 0) $one)
                 (start $two) (data (i32.const 0) \"x\"))"
            );
            let bytes = wat::parse_str(text).unwrap();
            let covered = Covered::of(&bytes).unwrap();
            wasmparser::validate(&covered.bytes).unwrap();
            assert_eq!(covered.functions.names, ["one", "two"]);
        }
    }

    #[test]
    fn what_is_no_module_is_not_rewritten() {
        assert!(Covered::of(b"hello").is_none());
    }
}
