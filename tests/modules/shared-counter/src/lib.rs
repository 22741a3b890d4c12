//! Counts requests of all workers in shared data, and gives each a random number. Flushes to a metric on every tick.

use std::time::Duration;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, MetricType, Status};

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Root { metric: 0 }));
}}

const KEY: &str = "count";

struct Root {
    metric: u32,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_vm_start(&mut self, _: usize) -> bool {
        self.metric = hostcalls::define_metric(MetricType::Gauge, "counter.requests").unwrap_or(0);
        self.set_tick_period(Duration::from_secs(1));
        true
    }

    fn on_tick(&mut self) {
        let (value, _) = self.get_shared_data(KEY);
        let _ = hostcalls::record_metric(self.metric, number(value.as_deref()));
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Counter { tries: 0 }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Counter {
    tries: u32,
}

impl Context for Counter {}

impl HttpContext for Counter {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let count = self.count();
        self.set_http_request_header("x-count", Some(&count.to_string()));
        self.set_http_request_header("x-tries", Some(&self.tries.to_string()));
        let mut random = [0; 8];
        getrandom(&mut random);
        self.set_http_request_header("x-random", Some(&u64::from_le_bytes(random).to_string()));
        Action::Continue
    }
}

impl Counter {
    fn count(&mut self) -> u64 {
        loop {
            self.tries += 1;
            let (value, cas) = self.get_shared_data(KEY);
            let count = number(value.as_deref()) + 1;
            match self.set_shared_data(KEY, Some(&count.to_le_bytes()), cas) {
                Ok(()) => return count,
                Err(Status::CasMismatch) => continue,
                Err(status) => panic!("shared data: {status:?}"),
            }
        }
    }
}

fn number(bytes: Option<&[u8]>) -> u64 {
    bytes.and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes).unwrap_or(0)
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn random_get(buffer: *mut u8, len: usize) -> i32;
}

fn getrandom(buffer: &mut [u8]) {
    // SAFETY: the buffer is ours, and as long as we say.
    let _ = unsafe { random_get(buffer.as_mut_ptr(), buffer.len()) };
}
