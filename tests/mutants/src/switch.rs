//! All changes of a file at once, each behind a switch: `a < b` becomes
//! `(if crate::mutant(7) { a <= b } else { a < b })`, and a function begins with `if crate::mutant(8) { return 0; }`.

use crate::mutant::{Genre, Mutant, Place};
use anyhow::{Context, Result};
use proc_macro2::{Literal, Span, TokenStream};
use quote::quote;
use std::collections::{BTreeSet, HashMap};
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{Arm, BinOp, Block, Expr, ExprMatch, ImplItemFn, ItemFn, Stmt, TraitItemFn};

/// What asks whether a change is on, at the end of each crate. A `const fn` asks too, which has no environment while it is compiled; only
/// the compiler's own `const_eval_select` can tell these apart.
pub const ASKS: &str = r#"
pub(crate) const fn mutant(id: u32) -> bool {
    const fn compiled(_: u32) -> bool { false }
    core::intrinsics::const_eval_select((id,), compiled, mutant_is_on)
}
fn mutant_is_on(id: u32) -> bool {
    use std::sync::{LazyLock, Mutex};
    static ON: LazyLock<u32> = LazyLock::new(|| {
        std::env::var("MUTANT").ok().and_then(|on| on.parse().ok()).unwrap_or(0)
    });
    static REACHED: LazyLock<Option<(std::ffi::OsString, Mutex<std::collections::BTreeSet<u32>>)>> =
        LazyLock::new(|| std::env::var_os("MUTANTS_REACHED").map(|file| (file, Mutex::default())));
    if let Some((file, reached)) = &*REACHED && reached.lock().unwrap().insert(id) {
        use std::io::Write as _;
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(file).unwrap();
        file.write_all(format!("{id}\n").as_bytes()).unwrap();
    }
    *ON == id
}
"#;
/// What the functions above need of the compiler.
pub const FEATURES: &str = "#![feature(core_intrinsics, const_eval_select)]\n";

/// A file with switches.
pub struct Switched {
    /// Its text.
    pub text: String,
    /// The changes that have a switch; the others stand where there can be none (a constant's value, a condition with `let`, ...).
    pub ids: BTreeSet<u32>,
}

/// Puts a switch in front of each change of a file.
///
/// # Errors
/// When the file is no Rust.
pub fn switch<'m>(text: &str, mutants: impl Iterator<Item = (u32, &'m Mutant)>) -> Result<Switched> {
    let mut at: HashMap<(Genre, Place), Vec<(u32, &Mutant)>> = HashMap::new();
    for (id, mutant) in mutants {
        at.entry((mutant.genre, mutant.span.start)).or_default().push((id, mutant));
    }
    let mut file = syn::parse_file(text).context("no Rust")?;
    let mut switches = Switches { at, compiled: 0, ids: BTreeSet::new() };
    switches.visit_file_mut(&mut file);
    Ok(Switched { text: prettyplease::unparse(&file), ids: switches.ids })
}

struct Switches<'m> {
    at: HashMap<(Genre, Place), Vec<(u32, &'m Mutant)>>,
    /// How many constants we are in: what is computed while compiling has no switch.
    compiled: usize,
    ids: BTreeSet<u32>,
}

fn is_on(id: u32) -> TokenStream {
    let id = Literal::u32_unsuffixed(id);
    quote!(crate::mutant(#id))
}

/// Whether a condition binds something: no branch can stand around that.
fn binds(expr: &Expr) -> bool {
    match expr {
        Expr::Let(_) => true,
        Expr::Binary(both) => binds(&both.left) || binds(&both.right),
        Expr::Paren(inner) => binds(&inner.expr),
        _ => false,
    }
}

impl Switches<'_> {
    /// The changes at a place, each with what stands there then.
    fn changes<T>(&mut self, genre: Genre, span: Span, parse: impl Fn(&str) -> Option<T>) -> Vec<(u32, T)> {
        if self.compiled > 0 {
            return Vec::new();
        }
        let start = span.start();
        let place = Place { line: start.line, column: start.column + 1 };
        let found = self.at.get(&(genre, place)).into_iter().flatten();
        let found: Vec<_> = found.filter_map(|(id, m)| Some((*id, parse(&m.replacement)?))).collect();
        self.ids.extend(found.iter().map(|(id, _)| *id));
        found
    }

    /// The early returns of a function.
    fn returns(&mut self, block: &Block) -> Vec<Stmt> {
        let Some(first) = block.stmts.first() else { return Vec::new() };
        let changes = self.changes(Genre::FnValue, first.span(), |text| text.parse::<TokenStream>().ok());
        let early = changes.into_iter().filter_map(|(id, value)| {
            let on = is_on(id);
            syn::parse2(quote!(if #on { return #value; })).ok()
        });
        early.collect()
    }

    fn compiled(&mut self, visit: impl FnOnce(&mut Self)) {
        self.compiled += 1;
        visit(self);
        self.compiled -= 1;
    }

    /// What stands for an expression of which there are changes.
    fn branches(original: &Expr, changes: Vec<(u32, Expr)>) -> Expr {
        let unchanged = quote!({ #original });
        let branches = changes.into_iter().fold(unchanged, |rest, (id, changed)| {
            let on = is_on(id);
            quote!({ if #on { #changed } else #rest })
        });
        syn::parse2(quote!((#branches))).unwrap_or_else(|_| original.clone())
    }

    fn guard(&mut self, arm: &mut Arm, arm_span: Span, guard_span: Option<Span>) {
        let given = arm.guard.take();
        let iff = given.as_ref().map(|(iff, _)| *iff).unwrap_or_default();
        let given = given.map(|(_, guard)| *guard);
        let guarded = match (given, guard_span) {
            (Some(guard), Some(span)) => {
                let changes = self.changes(Genre::MatchArmGuard, span, |text| syn::parse_str(text).ok());
                Some(if changes.is_empty() { guard } else { Self::branches(&guard, changes) })
            }
            (guard, _) => guard,
        };
        let left_out = self.changes(Genre::MatchArm, arm_span, |_| Some(()));
        let guarded = left_out.into_iter().fold(guarded, |guard, (id, ())| {
            let on = is_on(id);
            let and = guard.map(|guard| quote!(&& #guard));
            syn::parse2(quote!((!#on) #and)).ok()
        });
        arm.guard = guarded.map(|guard| (iff, Box::new(guard)));
    }

    fn operator(&mut self, original: &Expr) -> Option<Expr> {
        let changes = match original {
            Expr::Binary(both) if !binds(original) => {
                let ops = self
                    .changes(Genre::BinaryOperator, both.op.span(), |op| syn::parse_str::<BinOp>(op).ok());
                let with = |op| Expr::Binary(syn::ExprBinary { op, ..both.clone() });
                ops.into_iter().map(|(id, op)| (id, with(op))).collect()
            }
            Expr::Unary(one) => {
                self.changes(Genre::UnaryOperator, one.op.span(), |_| Some((*one.expr).clone()))
            }
            _ => Vec::new(),
        };
        (!changes.is_empty()).then(|| Self::branches(original, changes))
    }
}

impl VisitMut for Switches<'_> {
    fn visit_item_const_mut(&mut self, item: &mut syn::ItemConst) {
        self.compiled(|this| visit_mut::visit_item_const_mut(this, item));
    }

    fn visit_impl_item_const_mut(&mut self, item: &mut syn::ImplItemConst) {
        self.compiled(|this| visit_mut::visit_impl_item_const_mut(this, item));
    }

    fn visit_item_static_mut(&mut self, item: &mut syn::ItemStatic) {
        self.compiled(|this| visit_mut::visit_item_static_mut(this, item));
    }

    fn visit_type_array_mut(&mut self, array: &mut syn::TypeArray) {
        self.compiled(|this| visit_mut::visit_type_array_mut(this, array));
    }

    fn visit_expr_repeat_mut(&mut self, repeat: &mut syn::ExprRepeat) {
        self.visit_expr_mut(&mut repeat.expr);
        self.compiled(|this| this.visit_expr_mut(&mut repeat.len));
    }

    fn visit_item_fn_mut(&mut self, function: &mut ItemFn) {
        let early = self.returns(&function.block);
        visit_mut::visit_item_fn_mut(self, function);
        function.block.stmts.splice(0..0, early);
    }

    fn visit_impl_item_fn_mut(&mut self, function: &mut ImplItemFn) {
        let early = self.returns(&function.block);
        visit_mut::visit_impl_item_fn_mut(self, function);
        function.block.stmts.splice(0..0, early);
    }

    fn visit_trait_item_fn_mut(&mut self, function: &mut TraitItemFn) {
        let early = function.default.as_ref().map(|block| self.returns(block)).unwrap_or_default();
        visit_mut::visit_trait_item_fn_mut(self, function);
        if let Some(block) = &mut function.default {
            block.stmts.splice(0..0, early);
        }
    }

    fn visit_expr_match_mut(&mut self, expr: &mut ExprMatch) {
        // Places are those of the text; what is put into an arm has none.
        let spans: Vec<_> =
            expr.arms.iter().map(|arm| (arm.span(), arm.guard.as_ref().map(|(_, g)| g.span()))).collect();
        visit_mut::visit_expr_match_mut(self, expr);
        for (arm, (whole, guard)) in expr.arms.iter_mut().zip(spans) {
            self.guard(arm, whole, guard);
        }
    }

    fn visit_expr_mut(&mut self, expr: &mut Expr) {
        visit_mut::visit_expr_mut(self, expr);
        if let Some(switched) = self.operator(expr) {
            *expr = switched;
        }
    }
}

/// The change whose switch the compiler stumbled over: the last switch at or above the line (counted from 1).
pub fn culprit(lines: &[&str], line: usize) -> Option<u32> {
    lines.get(..line)?.iter().rev().find_map(|text| ids(text).last())
}

/// The arms that can be left out, of the `match` that begins in a line (counted from 1).
pub fn arms(lines: &[&str], line: usize) -> Vec<u32> {
    let indent = |text: &str| text.len() - text.trim_start().len();
    let Some(own) = line.checked_sub(1).and_then(|at| lines.get(at)) else { return Vec::new() };
    let inside =
        lines.iter().skip(line).take_while(|text| text.trim().is_empty() || indent(text) > indent(own));
    inside
        .filter(|text| text.contains("(!crate::mutant("))
        .flat_map(|text| ids(text).collect::<Vec<_>>())
        .collect()
}

fn ids(text: &str) -> impl Iterator<Item = u32> {
    text.split("crate::mutant(").skip(1).filter_map(|rest| rest.split(')').next()?.parse().ok())
}

#[cfg(test)]
#[path = "switch_tests.rs"]
mod tests;
