//! What a day of the platform's clients shows of a gateway: its answers, and its metrics after it.

use crate::day::UNCOUNTED;
use crate::{Demo, Exchange, Rendered, command, day, eventually, root};
use portcullis_e2e::{Request, Samples};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// A day, and the metrics after it.
pub struct Seen {
    /// Each request with its answer.
    pub day: Vec<Exchange>,
    /// `GET /metrics` when all of them were counted.
    pub metrics: Samples,
}

impl Seen {
    /// Lives through a day at the gateway `at`, which nobody has asked before.
    ///
    /// # Panics
    /// If its requests are not counted.
    #[must_use]
    pub fn at(at: SocketAddr, demo: &Demo) -> Self {
        let day = day(at, demo);
        let counted = day.iter().filter(|exchange| !UNCOUNTED.contains(&exchange.name)).count();
        let requests = u32::try_from(counted).expect("a few");
        // Another worker's counts come up to a flush interval late.
        let metrics = eventually("all requests are counted", || {
            let answer = Request::get("/metrics").send(at);
            let samples = Samples::parse(answer.text()).map_err(|error| error.to_string())?;
            let counted = samples.sum("gateway_requests_total", &[]);
            if counted >= f64::from(requests) { Ok(samples) } else { Err(format!("{counted} of {requests}")) }
        });
        Self { day, metrics }
    }

    /// The same at a gateway as `make run` has it.
    #[must_use]
    pub fn without_plane(folder: &Path) -> Self {
        let demo = Demo::start(folder);
        let envoy = Rendered::start(folder, &example());
        Self::at(envoy.address(), &demo)
    }
}

/// The example policy.
#[must_use]
pub fn example() -> PathBuf {
    root().join("envoy/gateway.yaml")
}

/// The `portcullis` command.
#[must_use]
pub fn portcullis() -> std::process::Command {
    command(root().join("target/debug/portcullis"))
}

/// The objects in a file.
///
/// # Panics
/// If it is no YAML.
#[must_use]
pub fn read(file: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    text.split("\n---\n").map(|part| serde_saphyr::from_str(part).expect("YAML")).collect()
}
