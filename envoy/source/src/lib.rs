//! Files that people write: YAML with the place of every node, and every mistake shown where it stands. Knows no policy and
//! no scenario; the commands that read them share it.

pub mod diagnostics;
mod redact;
pub mod source;
