//! What plugins logged, out of Envoy's own log.

use crate::model::Level;
use crate::plan::{Plan, Plugin};
use crate::seen::Log;

/// Level, logger, message, and nothing else.
pub const FORMAT: &str = "%l|%n|%v";

/// Envoy's name of a level.
pub fn level(level: Level) -> &'static str {
    match level {
        Level::Trace => "trace",
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warning",
        Level::Error => "error",
        Level::Critical => "critical",
    }
}

/// The line of a plugin's that a line of Envoy's log is.
pub fn of_plugin(line: &str, plan: &Plan) -> Option<Log> {
    let (level, rest) = line.split_once('|')?;
    let message = rest.strip_prefix("wasm|")?.strip_prefix("wasm log")?;
    let text = plan.plugins.iter().flat_map(prefixes).find_map(|prefix| message.strip_prefix(&prefix))?;
    let level = if level == "warning" { "warn" } else { level };
    Some(Log { level: level.to_owned(), text: unescaped(text) })
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

/// `--log-format-escaped` writes C escapes.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('\\') {
        out.push_str(before);
        let mut characters = behind.chars();
        match characters.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some(other) => out.push(other),
            None => {}
        }
        rest = characters.as_str();
    }
    out + rest
}
