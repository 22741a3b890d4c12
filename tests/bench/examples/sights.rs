//! Looks at tokens for the first time in a VM of the real Envoy, and logs how long that took.

#![allow(missing_docs, reason = "the SDK's macro writes an undocumented entry point")]

#[path = "../src/sights.rs"]
mod sights;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, RootContext};
use proxy_wasm::types::LogLevel;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One batch of each kind a tick, as in the module `increments`.
struct Root(Option<sights::Sights>);

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        let config = self.get_plugin_configuration().unwrap_or_default();
        self.0 = serde_json::from_slice(&config).ok().and_then(|config| sights::Sights::read(&config));
        self.set_tick_period(Duration::from_millis(1));
        self.0.is_some()
    }

    fn on_tick(&mut self) {
        let Some(sights) = &mut self.0 else { return };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        for batch in 0..sights.batches.len() {
            let started = Instant::now();
            let good = sights.look(batch, sights::moment(now));
            report(&sights.batches[batch].name, good, started.elapsed());
        }
    }
}

fn report(batch: &str, good: bool, took: Duration) {
    let verdict = if good { "all good and new" } else { "not all good, or not new" };
    let _ = hostcalls::log(LogLevel::Info, &format!("{batch}: {verdict}, took {} ns", took.as_nanos()));
}

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root(None)));
}}
