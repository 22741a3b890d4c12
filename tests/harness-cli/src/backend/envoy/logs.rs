//! What plugins logged, out of Envoy's own log.

use crate::model::Level;
use crate::plan::{Plan, Plugin};
use crate::seen::Log;
use crate::trap::{self, Trap};

/// Level, logger, message, and nothing else.
pub const FORMAT: &str = "%l|%n|%v";

/// Envoy's name of the level that it shall log from: one at which it still tells of traps.
pub fn level(level: Level) -> &'static str {
    match level {
        Level::Trace => "trace",
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warning",
        Level::Error | Level::Critical => "error",
    }
}

/// The line of a plugin's that a line of Envoy's log is.
pub fn of_plugin(line: &str, plan: &Plan) -> Option<Log> {
    let (level, rest) = line.split_once('|')?;
    let message = rest.strip_prefix("wasm|")?.strip_prefix("wasm log")?;
    let text = plan.plugins.iter().flat_map(prefixes).find_map(|prefix| message.strip_prefix(&prefix))?;
    let level = if level == "warning" { "warn" } else { level };
    let is_kept = plan.log_level != Level::Critical || level == "critical";
    is_kept.then(|| Log { level: level.to_owned(), text: unescaped(text) })
}

/// The trap that a line of Envoy's log tells of: `Function: NAME failed: MESSAGE`, and a backtrace.
pub fn trap_of(line: &str) -> Option<Trap> {
    let (_, rest) = line.split_once('|')?;
    let text = unescaped(rest.strip_prefix("wasm|Function: ")?);
    let (callback, rest) = text.split_once(" failed: ")?;
    let mut lines = rest.lines();
    let cause = trap::cause(lines.next()?.trim_start_matches("Uncaught "));
    let frames = lines.filter_map(|line| Some(trap::demangled(line.split_once(" - ")?.1)));
    Some(Trap { callback: callback.to_owned(), cause, backtrace: frames.collect(), note: None })
}

/// What Envoy itself complains of in these lines: the reason why it refused something.
pub fn complaints<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let complaint = |line: &str| {
        let (level, rest) = line.split_once('|')?;
        let (logger, text) = rest.split_once('|')?;
        let is_one = ["warning", "error", "critical"].contains(&level) && logger != "wasm";
        (is_one && !is_noise(text)).then(|| unescaped(text))
    };
    lines.filter_map(complaint).collect()
}

/// Warnings that every Envoy begins with.
fn is_noise(text: &str) -> bool {
    ["Deprecated field", "there is no configured limit to the number", "deprecated"]
        .iter()
        .any(|noise| text.contains(noise))
}

/// What Envoy writes before a plugin's line: its name, root id and VM id, as far as it has them and they are known at the time.
fn prefixes(plugin: &Plugin) -> [String; 4] {
    let Plugin { name, root_id, vm_id, .. } = plugin;
    let known: [&[&String]; 4] = [&[name, root_id, vm_id], &[root_id, vm_id], &[vm_id], &[]];
    known.map(|parts| {
        let there = parts.iter().filter(|part| !part.is_empty());
        there.map(|part| format!(" {part}")).collect::<String>() + ": "
    })
}

/// `--log-format-escaped` writes C escapes, and what is not ASCII in octal.
fn unescaped(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        if *byte != b'\\' {
            out.push(*byte);
            continue;
        }
        let (unescaped, length) = escape(behind);
        out.push(unescaped);
        rest = behind.get(length..).unwrap_or_default();
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The byte that an escape stands for, and the length of the escape, its backslash left out.
fn escape(text: &[u8]) -> (u8, usize) {
    let octal = text.first_chunk::<3>().and_then(|digits| std::str::from_utf8(digits).ok());
    if let Some(byte) = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
        return (byte, 3);
    }
    match text.first() {
        Some(b'n') => (b'\n', 1),
        Some(b'r') => (b'\r', 1),
        Some(b't') => (b'\t', 1),
        Some(other) => (*other, 1),
        None => (b'\\', 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ascii_is_read_as_it_was_written() {
        assert_eq!(
            unescaped(r#"h\303\251llo \360\237\230\200 \"q\" \\ back\n"#),
            "h\u{e9}llo \u{1f600} \"q\" \\ back\n"
        );
        assert_eq!(unescaped(r"\377 7\12"), "\u{fffd} 712");
    }

    #[test]
    fn a_trap_is_read_with_its_backtrace() {
        let line = r"error|wasm|Function: proxy_on_log failed: Uncaught RuntimeError: unreachable\nProxy-Wasm plugin in-VM backtrace:\n  0:  0x51a - trap::fall::h62fb936ca9ed0576\n  1:  0x699 - proxy_on_log";
        let trap = trap_of(line).expect("it is one");
        assert_eq!(trap.text(), "proxy_on_log: unreachable\n    at trap::fall\n    at proxy_on_log");
        assert_eq!(trap_of("error|wasm|wasm log trap: Function: a failed: b"), None);
    }
}
