//! The demo services, as `make run` has them.

use crate::{JWT_SECRET, Machine, Process, eventually, root};
use portcullis_e2e::{Answer, Request};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;

/// The five services on all addresses of this machine, ports 8000 to 8004, and their control port.
pub struct Demo {
    _process: Process,
    control: SocketAddr,
}

impl Demo {
    /// Services and the ports of each.
    pub const SERVICES: [(&str, u16); 5] =
        [("user", 8000), ("inventory", 8001), ("order", 8002), ("auth", 8003), ("insights", 8004)];

    /// Starts them, with nothing but the seeded users.
    ///
    /// # Panics
    /// If they do not come up.
    #[must_use]
    pub fn start(folder: &Path) -> Self {
        Self::start_on(&Machine::here(), folder, 8000)
    }

    /// The same on a machine, on the ports from `base` on.
    ///
    /// # Panics
    /// If they do not come up.
    #[must_use]
    pub fn start_on(machine: &Machine, folder: &Path, base: u16) -> Self {
        let control = base + 5;
        let mut demo = machine.command(root().join("target/debug/demo-services"), folder);
        demo.args(["--bind", "0.0.0.0", "--port-base", &base.to_string()]);
        demo.args(["--control-port", &control.to_string()]).env("JWT_SECRET", JWT_SECRET);
        let mut process = Process::start("demo-services", folder, demo);
        let control = machine.at(control);
        eventually("the demo services listen", || {
            process.check()?;
            std::net::TcpStream::connect(control).map(drop).map_err(|error| error.to_string())
        });
        Self { _process: process, control }
    }

    /// What a service was asked since the last time, and forgets it.
    ///
    /// # Panics
    /// If the control port does not answer.
    #[must_use]
    pub fn take_captures(&self, service: &str) -> Vec<Value> {
        let path = format!("/captures/{service}");
        let answer = Request::get(&path).send(self.control).json();
        let _: Answer = Request::new("DELETE", &path).send(self.control);
        let list = answer.as_array().cloned();
        list.or_else(|| answer["requests"].as_array().cloned()).unwrap_or_default()
    }
}
