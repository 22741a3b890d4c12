use super::*;
use crate::mutant::Span as Begin;

/// The changes of a text, each by what is in its place: the number is its index from 1.
fn switched(text: &str, changes: &[(Genre, (usize, usize), &str)]) -> (String, BTreeSet<u32>) {
    let mutant = |(genre, (line, column), replacement): &(Genre, (usize, usize), &str)| Mutant {
        package: String::new(),
        file: String::new(),
        name: String::new(),
        genre: *genre,
        replacement: (*replacement).to_owned(),
        span: Begin { start: Place { line: *line, column: *column } },
    };
    let mutants: Vec<_> = changes.iter().map(mutant).collect();
    let done = switch(text, (1..).zip(&mutants)).unwrap();
    (done.text, done.ids)
}

/// Two texts of the same code.
fn same(one: &str, other: &str) -> bool {
    prettyplease::unparse(&syn::parse_file(one).unwrap())
        == prettyplease::unparse(&syn::parse_file(other).unwrap())
}

#[test]
fn an_operator_has_a_branch_for_each_change() {
    let (_, ids) =
        switched("fn less(a: u8, b: u8) -> bool { a < b }", &[(Genre::BinaryOperator, (1, 36), "<=")]);
    assert!(ids.is_empty(), "no operator begins there");
    let changes = [(Genre::BinaryOperator, (1, 37), "<="), (Genre::UnaryOperator, (1, 33), "")];
    let (text, ids) = switched("fn less(a: u8, b: u8) -> bool { !(a < b) }", &changes);
    assert_eq!(ids, BTreeSet::from([1, 2]), "{text}");
    let (text, ids) =
        switched("fn less(a: u8, b: u8) -> bool { a < b }", &[(Genre::BinaryOperator, (1, 35), "<=")]);
    assert_eq!(ids, BTreeSet::from([1]));
    let expected = "fn less(a: u8, b: u8) -> bool { ({ if crate::mutant(1) { a <= b } else { a < b } }) }";
    assert!(same(&text, expected), "{text}");
}

#[test]
fn a_function_returns_early() {
    let (text, _) = switched("impl A { fn one(&self) -> u8 { self.0 } }", &[(Genre::FnValue, (1, 32), "0")]);
    let expected = "impl A { fn one(&self) -> u8 { if crate::mutant(1) { return 0; } self.0 } }";
    assert!(same(&text, expected), "{text}");
}

#[test]
fn an_arm_is_left_out_by_its_condition() {
    let code = "fn f(a: u8) -> u8 { match a {\n1 => 2,\n3 if a > 2 => 4,\n_ => 0 } }";
    let changes = [
        (Genre::MatchArm, (2, 1), ""),
        (Genre::MatchArm, (3, 1), ""),
        (Genre::MatchArmGuard, (3, 6), "true"),
    ];
    let (text, ids) = switched(code, &changes);
    assert_eq!(ids, BTreeSet::from([1, 2, 3]));
    let expected = "fn f(a: u8) -> u8 { match a { 1 if (!crate::mutant(1)) => 2,
        3 if (!crate::mutant(2)) && ({ if crate::mutant(3) { true } else { a > 2 } }) => 4, _ => 0 } }";
    assert!(same(&text, expected), "{text}");
}

#[test]
fn what_is_computed_while_compiling_and_what_binds_names_has_no_switch() {
    let code = "const A: u8 = 1 + 2;\nfn f(a: Option<u8>) -> bool { if let Some(b) = a && b > 1 { true } else { false } }";
    let changes = [(Genre::BinaryOperator, (1, 17), "-"), (Genre::BinaryOperator, (2, 50), "||")];
    let (text, ids) = switched(code, &changes);
    assert!(ids.is_empty() && same(&text, code), "{text}");
}

#[test]
fn an_error_is_laid_to_the_last_switch_above_it() {
    let lines = [
        "fn f() {",
        "    if crate::mutant(7) {",
        "        return 0;",
        "    }",
        "    if crate::mutant(8) { a } else { b }",
    ];
    assert_eq!([1, 3, 4, 5].map(|line| culprit(&lines, line)), [None, Some(7), Some(7), Some(8)]);
    let lines = [
        "    match a {",
        "        1 if (!crate::mutant(9)) => 1,",
        "        _ => 2,",
        "    }",
        "    if !crate::mutant(3) {}",
    ];
    assert_eq!(arms(&lines, 1), [9]);
}
