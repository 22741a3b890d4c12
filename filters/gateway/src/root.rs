//! The plugin in one worker: its policy, its tick, the answers to its calls.

use crate::host::{self, MetricKind};
use crate::http::Http;
use crate::perform::warn_if_failed;
use crate::proxy::ThisProxy;
use crate::shared::{SOON, Shared};
use portcullis_edge_core::ConfigError;
use portcullis_pipeline::{instance_of, rejections_stat};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{ContextType, LogLevel};
use std::rc::Rc;

/// The root context.
pub struct Root {
    context: u32,
    shared: Option<Rc<Shared>>,
}

impl Root {
    pub fn new(context: u32) -> Self {
        Self { context, shared: None }
    }

    fn load(&mut self, size: usize) -> Result<(), Vec<ConfigError>> {
        // A policy that cannot be read is no policy, which is an error of its own.
        let text = host::configuration(size).unwrap_or_default();
        self.shared = Some(Rc::new(Shared::load(&text, self.context)?));
        Ok(())
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        self.shared.iter().for_each(|shared| shared.root_calls.end());
    }
}

impl Context for Root {
    /// The worker ends or the policy is replaced: hand over what was counted.
    fn on_done(&mut self) -> bool {
        self.shared.iter().for_each(|shared| shared.end());
        true
    }

    fn on_http_call_response(&mut self, call: u32, num_headers: usize, _: usize, _: usize) {
        self.shared.iter().for_each(|shared| shared.on_http_answer(call, num_headers, self.context));
    }

    fn on_grpc_call_response(&mut self, call: u32, status: u32, _: usize) {
        self.shared.iter().for_each(|shared| shared.on_grpc_answer(call, status, self.context));
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        match self.load(size) {
            Ok(()) => {
                // Calls cannot be made while the proxy starts: keys are fetched at the first tick.
                let period = |s: &Rc<Shared>| if s.fetches() { SOON } else { s.flush_period() };
                self.shared.iter().for_each(|shared| shared.tick_every(period(shared)));
                true
            }
            Err(errors) => {
                log_errors(&errors);
                count_rejection(&host::configuration(size).unwrap_or_default());
                false
            }
        }
    }

    fn on_tick(&mut self) {
        let Some(shared) = &self.shared else { return };
        shared.flush_if_due();
        shared.with_guards(|guards| guards.tick(&ThisProxy));
        let more_expire = shared.end_expired(self.context);
        if shared.fetches() {
            shared.poll(self.context);
        } else {
            shared.tick_every(shared.flush_period());
        }
        // Last, for both have said when the next tick is due.
        if more_expire {
            shared.tick_every(SOON);
        }
    }

    /// No queue: a stream of ours wants a call made.
    fn on_queue_ready(&mut self, _: u32) {
        self.shared.iter().for_each(|shared| shared.root_calls.run());
    }

    fn create_http_context(&self, context: u32) -> Option<Box<dyn HttpContext>> {
        let shared = Rc::clone(self.shared.as_ref()?);
        Some(Box::new(Http::new(shared, context)))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

/// There are no metrics without a policy: the counter is moved where the policy that serves on has it.
fn count_rejection(policy: &[u8]) {
    let name = rejections_stat(&instance_of(policy));
    let counted = host::define_metric(MetricKind::Counter, &name).and_then(|id| host::increment(id, 1));
    warn_if_failed(counted, "count a rejected policy");
}

fn log_errors(errors: &[ConfigError]) {
    let count = errors.len();
    host::log(LogLevel::Critical, &format!("portcullis: the policy was rejected, {count} errors"));
    errors.iter().for_each(|error| host::log(LogLevel::Critical, &format!("portcullis: {error}")));
}
