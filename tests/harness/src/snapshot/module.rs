//! What of a module's state can be seen from outside, and what is done so that all can: mutable globals are exported.

use std::borrow::Cow;
use std::sync::OnceLock;

use wasm_encoder::{ExportKind, ExportSection, RawSection};
use wasmparser::{ExternalKind, Operator, Parser, Payload, ValType};

/// Begins the names of the exports that are added.
const PREFIX: &str = "portcullis-harness global ";

/// A module whose mutable globals are exported.
pub(crate) struct Opened {
    bytes: Vec<u8>,
    /// The names of the added exports.
    pub globals: Vec<String>,
    plain: OnceLock<bool>,
}

impl Opened {
    /// A module from its file's bytes. One that is none stays what it is: the compiler says why.
    pub fn new(bytes: &[u8]) -> Self {
        let (bytes, globals) = open(bytes).unwrap_or_else(|| (Cow::Borrowed(bytes), Vec::new()));
        Self { bytes: bytes.into_owned(), globals, plain: OnceLock::new() }
    }

    /// The module's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether memory and mutable globals are all the state that an instance can have. Walks over all the code, once.
    pub fn is_plain(&self) -> bool {
        *self.plain.get_or_init(|| is_plain(&self.bytes, self.globals.len()))
    }
}

/// The export of a mutable global, counted as the module counts them.
pub(crate) fn global_export(index: u32) -> String {
    format!("{PREFIX}{index}")
}

/// Whether an export was added here.
pub(crate) fn is_added(export: &str) -> bool {
    export.starts_with(PREFIX)
}

/// Exports every mutable global.
fn open(bytes: &[u8]) -> Option<(Cow<'_, [u8]>, Vec<String>)> {
    let globals = mutable_globals(bytes).ok()?;
    if globals.is_empty() {
        return None;
    }
    let names: Vec<String> = globals.iter().map(|index| global_export(*index)).collect();
    let mut module = wasm_encoder::Module::new();
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.ok()?;
        if let Payload::ExportSection(exports) = &payload {
            module.section(&with_globals(exports.clone(), &globals, &names)?);
        } else if let Some((id, range)) = payload.as_section() {
            module.section(&RawSection { id, data: bytes.get(range)? });
        }
    }
    Some((Cow::Owned(module.finish()), names))
}

fn with_globals(
    exports: wasmparser::ExportSectionReader<'_>,
    globals: &[u32],
    names: &[String],
) -> Option<ExportSection> {
    let mut section = ExportSection::new();
    for export in exports {
        let export = export.ok().filter(|export| !is_added(export.name))?;
        section.export(export.name, kind(export.kind)?, export.index);
    }
    names.iter().zip(globals).for_each(|(name, index)| {
        section.export(name, ExportKind::Global, *index);
    });
    Some(section)
}

fn kind(kind: ExternalKind) -> Option<ExportKind> {
    Some(match kind {
        ExternalKind::Func => ExportKind::Func,
        ExternalKind::Table => ExportKind::Table,
        ExternalKind::Memory => ExportKind::Memory,
        ExternalKind::Global => ExportKind::Global,
        ExternalKind::Tag => ExportKind::Tag,
        _ => return None,
    })
}

fn mutable_globals(bytes: &[u8]) -> wasmparser::Result<Vec<u32>> {
    let mut mutable = Vec::new();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::GlobalSection(globals) => {
                // Of the host's globals there are none, so these begin at 0.
                for (index, global) in (0..).zip(globals) {
                    if global?.ty.mutable {
                        mutable.push(index);
                    }
                }
            }
            Payload::CodeSectionStart { .. } => break,
            _ => {}
        }
    }
    Ok(mutable)
}

/// One memory of its own, no table that the code changes, no segment that it can drop, no global that holds a reference or
/// is not exported, nothing that runs at the instantiation.
fn is_plain(bytes: &[u8], exported: usize) -> bool {
    let parts = Parser::new(0).parse_all(bytes);
    mutable_globals(bytes).is_ok_and(|globals| globals.len() == exported)
        && parts.into_iter().all(|part| part.is_ok_and(|part| is_plain_part(&part)))
}

fn is_plain_part(part: &Payload<'_>) -> bool {
    match part {
        Payload::StartSection { .. } => false,
        Payload::MemorySection(memories) => {
            memories.count() == 1 && memories.clone().into_iter().all(|m| m.is_ok_and(|m| !m.shared))
        }
        Payload::GlobalSection(globals) => globals.clone().into_iter().all(|global| {
            let is_reference = |ty| matches!(ty, ValType::Ref(_));
            global.is_ok_and(|global| !(global.ty.mutable && is_reference(global.ty.content_type)))
        }),
        Payload::CodeSectionEntry(body) => is_plain_code(body),
        _ => true,
    }
}

fn is_plain_code(body: &wasmparser::FunctionBody<'_>) -> bool {
    let Ok(mut operators) = body.get_operators_reader() else { return false };
    while !operators.eof() {
        match operators.read() {
            Ok(operator) if is_plain_operator(&operator) => {}
            _ => return false,
        }
    }
    true
}

fn is_plain_operator(operator: &Operator<'_>) -> bool {
    !matches!(
        operator,
        Operator::TableSet { .. }
            | Operator::TableGrow { .. }
            | Operator::TableFill { .. }
            | Operator::TableCopy { .. }
            | Operator::TableInit { .. }
            | Operator::ElemDrop { .. }
            | Operator::DataDrop { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(text: &str) -> Opened {
        Opened::new(&wat::parse_str(text).expect("the text is a module"))
    }

    #[test]
    fn every_mutable_global_gets_an_export_and_the_others_stay() {
        let text = r#"(module (memory (export "memory") 1)
            (global $a (mut i32) (i32.const 1)) (global i32 (i32.const 2)) (global $c (mut f64) (f64.const 3)))"#;
        let opened = opened(text);
        assert_eq!(opened.globals, ["portcullis-harness global 0", "portcullis-harness global 2"]);
        let module = wasmtime::Module::new(crate::engine::engine(), opened.bytes()).expect("it is a module");
        let names: Vec<_> = module.exports().map(|export| export.name().to_owned()).collect();
        assert_eq!(names, ["memory", "portcullis-harness global 0", "portcullis-harness global 2"]);
        assert!(opened.is_plain());
    }

    #[test]
    fn what_has_state_elsewhere_is_not_plain() {
        let with = |text: &str| opened(&format!(r#"(module (memory (export "memory") 1) {text})"#));
        assert!(with("(table 1 funcref) (func nop)").is_plain());
        for text in [
            "(func $f nop) (start $f)",
            "(table $t 1 funcref) (func (table.set $t (i32.const 0) (ref.null func)))",
            "(table $t 1 funcref) (func (drop (table.grow $t (ref.null func) (i32.const 1))))",
            r#"(data $d "x") (func (data.drop $d))"#,
            "(memory 1)",
            "(global (mut funcref) (ref.null func))",
            r#"(global $g (mut i32) (i32.const 0)) (export "portcullis-harness global 0" (global $g))"#,
        ] {
            assert!(!with(text).is_plain(), "{text}");
        }
    }

    #[test]
    fn what_is_no_module_stays_as_it_is() {
        assert_eq!(Opened::new(b"no module").bytes(), b"no module");
    }
}
