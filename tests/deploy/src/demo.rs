//! The demo services, as `make run` has them.

use crate::{JWT_SECRET, Process, command, eventually, root};
use portcullis_e2e::{Answer, Request};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;

/// The five services on all addresses of this machine, ports 8000 to 8004, and their control port.
pub struct Demo {
    _process: Process,
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
        let mut demo = command(root().join("target/debug/demo-services"));
        demo.args(["--bind", "0.0.0.0"]).env("JWT_SECRET", JWT_SECRET);
        let mut process = Process::start("demo-services", folder, demo);
        eventually("the demo services listen", || {
            process.check()?;
            std::net::TcpStream::connect(control()).map(drop).map_err(|error| error.to_string())
        });
        Self { _process: process }
    }

    /// What a service was asked since the last time, and forgets it.
    ///
    /// # Panics
    /// If the control port does not answer.
    #[must_use]
    pub fn take_captures(&self, service: &str) -> Vec<Value> {
        let path = format!("/captures/{service}");
        let answer = Request::get(&path).send(control()).json();
        let _: Answer = Request::new("DELETE", &path).send(control());
        let list = answer.as_array().cloned();
        list.or_else(|| answer["requests"].as_array().cloned()).unwrap_or_default()
    }
}

fn control() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8005))
}
