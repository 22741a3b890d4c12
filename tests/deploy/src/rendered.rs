//! The same policy as `make run` has it: a static bootstrap, one Envoy.

use crate::{JWT_SECRET, Process, command, eventually, root, run};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

/// A stock Envoy with what `portcullis render envoy` makes of a policy, on port 8080.
pub struct Rendered {
    _process: Process,
}

impl Rendered {
    /// Starts it.
    ///
    /// # Panics
    /// If it does not come up.
    #[must_use]
    pub fn start(folder: &Path, policy: &Path) -> Self {
        let mut render = command(root().join("target/debug/portcullis"));
        render.args(["render", "envoy"]).arg(policy);
        render.arg("--module").arg(root().join("target/wasm32-wasip1/release/portcullis.wasm"));
        let bootstrap = folder.join("envoy.yaml");
        fs::write(&bootstrap, run(render).expect_success()).expect("it can be written");
        let mut envoy = command(portcullis_e2e::binary());
        envoy.arg("-c").arg(&bootstrap).args(["--concurrency", "2", "--log-level", "warning"]);
        envoy.args(["--file-flush-interval-msec", "100"]).env("JWT_SECRET", JWT_SECRET);
        let mut process = Process::start("envoy", folder, envoy);
        eventually("Envoy answers", || {
            process.check()?;
            let status = crate::istio::status(([127, 0, 0, 1], 8080).into(), "/health");
            if status == Some(200) { Ok(()) } else { Err(format!("{status:?}")) }
        });
        Self { _process: process }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 8080))
    }
}
