//! What modules logged.

use crate::LogLevel;

/// One line that a module logged, or wrote to stdout or stderr.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Level.
    pub level: LogLevel,
    /// Name of the plugin; empty if no plugin was known.
    pub plugin: String,
    /// Number of the worker; the main thread comes after the workers.
    pub worker: usize,
    /// Text, what is not UTF-8 replaced.
    pub message: String,
}
