//! VMs that failed: where and why, in the same words on both sides.

/// A VM that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trap {
    /// The function that the host had called.
    pub callback: String,
    /// Why, as the WebAssembly specification names it.
    pub cause: String,
    /// Names of functions, innermost first.
    pub backtrace: Vec<String>,
    /// What the side knows beside it.
    pub note: Option<String>,
}

impl Trap {
    /// Where and why, on one line.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{}: {}", self.callback, self.cause)
    }

    /// With the backtrace, a frame a line.
    #[must_use]
    pub fn text(&self) -> String {
        let frames = self.backtrace.iter().map(|frame| format!("\n    at {frame}"));
        let note = self.note.iter().map(|note| format!("\n    {note}"));
        self.title() + &frames.chain(note).collect::<String>()
    }
}

/// What engines say, and what the specification calls it.
const CAUSES: [(&str, &str); 19] = [
    ("memory access out of bounds", "out of bounds memory access"),
    ("out of bounds memory access", "out of bounds memory access"),
    ("table index is out of bounds", "undefined element"),
    ("out of bounds table access", "undefined element"),
    ("undefined element", "undefined element"),
    ("null function or function signature mismatch", "indirect call type mismatch"),
    ("indirect call type mismatch", "indirect call type mismatch"),
    ("uninitialized element", "indirect call type mismatch"),
    ("divide by zero", "integer divide by zero"),
    ("remainder by zero", "integer divide by zero"),
    ("divide result unrepresentable", "integer overflow"),
    ("integer overflow", "integer overflow"),
    ("float unrepresentable in integer range", "invalid conversion to integer"),
    ("invalid conversion to integer", "invalid conversion to integer"),
    ("Maximum call stack size exceeded", "call stack exhausted"),
    ("call stack exhausted", "call stack exhausted"),
    ("overflowed its stack", "call stack exhausted"),
    ("unreachable", "unreachable"),
    ("restricted_callback", "restricted call"),
];

/// The cause that an engine's message tells; the message itself, if it is another.
#[must_use]
pub fn cause(message: &str) -> String {
    let known = CAUSES.iter().find(|(said, _)| message.contains(said)).map(|(_, cause)| (*cause).to_owned());
    known.unwrap_or_else(|| message.trim().to_owned())
}

/// A function's name without what the compiler added to it. V8 has demangled some names itself, and left their hash.
#[must_use]
pub fn demangled(name: &str) -> String {
    let name = format!("{:#}", rustc_demangle::demangle(name));
    let is_hash = |hash: &str| hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    match name.rsplit_once("::h") {
        Some((path, hash)) if is_hash(hash) => path.to_owned(),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_engines_causes_have_one_name() {
        for (v8, wasmtime) in [
            ("Uncaught RuntimeError: unreachable", "wasm `unreachable` instruction executed"),
            ("Uncaught RuntimeError: memory access out of bounds", "out of bounds memory access"),
            ("Uncaught RuntimeError: divide by zero", "integer divide by zero"),
            ("Uncaught RangeError: Maximum call stack size exceeded", "overflowed its stack"),
            (
                "Uncaught RuntimeError: table index is out of bounds",
                "undefined element: out of bounds table access",
            ),
        ] {
            assert_eq!(cause(v8), cause(wasmtime), "{v8}");
        }
        assert_eq!(cause(" something new"), "something new");
    }
}
