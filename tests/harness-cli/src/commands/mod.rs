//! The commands, a file each.

pub mod bench;
pub mod inspect;
pub mod new;
pub mod profile;
pub mod run;
pub mod serve;

use std::process::ExitCode;

/// Prints; whoever closes the pipe early has seen enough.
pub fn show(text: &str) {
    use std::io::Write;
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Exit status 2, with the reason.
pub fn unusable(error: &impl std::fmt::Display) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::from(2)
}
