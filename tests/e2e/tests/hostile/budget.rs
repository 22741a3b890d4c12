//! What an attack may cost.

use portcullis_e2e::{Gateway, Usage};
use std::time::Duration;

/// The CPU time and memory that Envoy takes between two moments.
pub struct Meter {
    before: Usage,
}

impl Meter {
    pub fn start(gateway: &Gateway) -> Self {
        Self { before: gateway.envoy.usage() }
    }

    /// CPU time since the start, and how much memory is resident that was not then. Printed too: tests' figures are a document.
    #[track_caller]
    pub fn read(&self, gateway: &Gateway, of: &str) -> (Duration, u64) {
        let now = gateway.envoy.usage();
        let cpu = now.cpu.saturating_sub(self.before.cpu);
        let grown = now.rss_bytes.saturating_sub(self.before.rss_bytes);
        eprintln!("{of}: {cpu:?} of CPU, {} MiB more", grown >> 20);
        (cpu, grown)
    }
}

/// Bytes in MiB.
pub const MIB: u64 = 1 << 20;
