//! A registry of images on this machine, and an OCI client.

use crate::{Process, command, eventually, run, tool};
use std::net::TcpStream;
use std::path::Path;

/// The registry, at 127.0.0.1:5000.
pub struct Registry {
    _server: Process,
}

impl Registry {
    /// Its address.
    pub const ADDRESS: &str = "127.0.0.1:5000";
    /// The same as another machine reaches it.
    pub const FROM_AFAR: &str = "10.99.0.2:5000";

    /// Starts one, empty.
    ///
    /// # Panics
    /// If it does not come up.
    #[must_use]
    pub fn start(folder: &Path) -> Self {
        let mut crane = command(tool("crane/crane"));
        crane.args(["registry", "serve", "--address", "0.0.0.0:5000"]);
        let mut server = Process::start("registry", folder, crane);
        eventually("the registry listens", || {
            server.check()?;
            TcpStream::connect(Self::ADDRESS).map(drop).map_err(|error| error.to_string())
        });
        Self { _server: server }
    }

    /// Pushes an OCI layout as `NAME:TAG`; the reference by digest.
    ///
    /// # Panics
    /// If it is no layout, or the registry refuses it.
    #[track_caller]
    #[must_use]
    pub fn push(&self, layout: &Path, name: &str) -> String {
        let reference = format!("{}/{name}", Self::ADDRESS);
        let mut crane = command(tool("crane/crane"));
        crane.arg("push").arg(layout).arg(format!("{reference}:test"));
        let pushed = run(crane).expect_success();
        pushed.trim().to_owned()
    }
}
