//! The plugin in one worker: its policy, its metrics, its tick.

use crate::host;
use crate::http::Http;
use crate::stats::Stats;
use core::cell::RefCell;
use core::time::Duration;
use portcullis_edge_core::ConfigError;
use portcullis_pipeline::Pipeline;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{ContextType, LogLevel};
use std::rc::Rc;

/// What the streams of a worker share.
pub struct Shared {
    /// The compiled policy.
    pub pipeline: Pipeline,
    /// The worker's metrics.
    pub stats: RefCell<Stats>,
}

/// The root context.
#[derive(Default)]
pub struct Root {
    shared: Option<Rc<Shared>>,
}

impl Root {
    fn flush(&self) {
        if let Some(Ok(mut stats)) = self.shared.as_ref().map(|s| s.stats.try_borrow_mut()) {
            stats.flush();
        }
    }

    fn load(&mut self, size: usize) -> Result<(), Vec<ConfigError>> {
        // A policy that cannot be read is no policy, which is an error of its own.
        let text = host::configuration(size).unwrap_or_default();
        let pipeline = Pipeline::compile(&text)?;
        let metrics = pipeline.policy().build_metrics().map_err(|error| vec![error])?;
        let stats = RefCell::new(Stats::define(metrics));
        self.shared = Some(Rc::new(Shared { pipeline, stats }));
        Ok(())
    }
}

impl Context for Root {
    /// The worker ends or the policy is replaced: hand over what was counted.
    fn on_done(&mut self) -> bool {
        self.flush();
        true
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        match self.load(size) {
            Ok(()) => {
                let millis = self.shared.as_ref().map_or(1_000, |s| s.pipeline.policy().metrics.flush_millis);
                self.set_tick_period(Duration::from_millis(millis));
                true
            }
            Err(errors) => {
                host::log(
                    LogLevel::Critical,
                    &format!("portcullis: the policy was rejected, {} errors", errors.len()),
                );
                errors
                    .iter()
                    .for_each(|error| host::log(LogLevel::Critical, &format!("portcullis: {error}")));
                false
            }
        }
    }

    fn on_tick(&mut self) {
        self.flush();
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        self.shared.as_ref().map(|shared| Box::new(Http::new(Rc::clone(shared))) as Box<dyn HttpContext>)
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}
