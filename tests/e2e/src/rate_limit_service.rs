//! The rate limit service of Envoy's project with a Redis of its own, for limits that a fleet shares.

use crate::{Connection, PATIENCE, Request, ReservedPort, wait_for, workspace};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// The service and its Redis; both end with this value.
pub struct RateLimitService {
    folder: TempDir,
    redis: Option<Process>,
    service: Option<Process>,
    grpc: ReservedPort,
    http: ReservedPort,
    debug: ReservedPort,
}

/// Ends with this value.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl RateLimitService {
    /// Starts both and waits until they serve the domain `portcullis`, which has no limits of its own.
    ///
    /// # Panics
    /// If they do not, or are not there (`tests/tools.sh ratelimit redis`).
    #[track_caller]
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("runtime/ratelimit/config");
        std::fs::create_dir_all(&config).expect("a folder for the configuration");
        std::fs::write(config.join("portcullis.yaml"), "domain: portcullis\ndescriptors: []\n")
            .expect("a file");
        let (grpc, http, debug) = (ReservedPort::new(), ReservedPort::new(), ReservedPort::new());
        let mut started = Self { folder, redis: None, service: None, grpc, http, debug };
        started.start_redis();
        started.start_service();
        started
    }

    /// Where the service listens for gRPC.
    pub fn address(&self) -> SocketAddr {
        self.grpc.address()
    }

    /// Ends Redis, so that the service can count nothing.
    pub fn stop_redis(&mut self) {
        self.redis = None;
    }

    /// Ends the service.
    pub fn stop_service(&mut self) {
        self.service = None;
    }

    /// Starts Redis, with nothing in it.
    ///
    /// # Panics
    /// If it does not serve in time.
    #[track_caller]
    pub fn start_redis(&mut self) {
        let socket = self.socket();
        let mut command = Command::new(tool("redis/redis-server"));
        command.env("LD_LIBRARY_PATH", workspace().join(".tools/redis")).current_dir(self.folder.path());
        command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]).arg(&socket);
        self.redis = Some(spawn(command));
        wait_for(PATIENCE, || UnixStream::connect(&socket).ok()).expect("Redis serves");
    }

    /// Starts the service.
    ///
    /// # Panics
    /// If it does not serve in time.
    #[track_caller]
    pub fn start_service(&mut self) {
        let mut command = Command::new(tool("bin/ratelimit"));
        let port = |port: &ReservedPort| port.address().port().to_string();
        command
            .envs([
                ("USE_STATSD", "false"),
                ("RUNTIME_WATCH_ROOT", "false"),
                ("RUNTIME_SUBDIRECTORY", "ratelimit"),
            ])
            .envs([("REDIS_SOCKET_TYPE", "unix"), ("HOST", "127.0.0.1"), ("GRPC_HOST", "127.0.0.1")])
            .envs([
                ("GRPC_PORT", port(&self.grpc)),
                ("PORT", port(&self.http)),
                ("DEBUG_PORT", port(&self.debug)),
            ])
            .env("DEBUG_HOST", "127.0.0.1")
            .env("REDIS_URL", self.socket())
            .env("RUNTIME_ROOT", self.folder.path().join("runtime"));
        self.service = Some(spawn(command));
        let health = self.http.address();
        let ask = |mut to: Connection| to.send(&Request::get("/healthcheck"));
        let is_well =
            || Connection::try_open(None, health).ok().map(ask).filter(|answer| answer.status == 200);
        wait_for(PATIENCE, is_well).expect("the rate limit service is well");
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }
}

#[track_caller]
fn spawn(mut command: Command) -> Process {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Process(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
}

/// A program that `tests/tools.sh` has fetched.
#[track_caller]
fn tool(path: &str) -> PathBuf {
    let program = workspace().join(".tools").join(Path::new(path));
    assert!(program.is_file(), "{} is missing: run tests/tools.sh ratelimit redis", program.display());
    program
}
