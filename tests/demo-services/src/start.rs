//! Starting and stopping the whole.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{net::TcpListener, task::AbortHandle};

use crate::{
    Service,
    capture::Captured,
    control,
    fault::Faults,
    gate::Gate,
    knobs::{Fleet, Knobs},
    platform::Platform,
    port::Port,
    services,
    tokens::Tokens,
};

/// The secret that signs tokens unless another is given. Everybody can read it here, which is why it says what it is.
pub const DEMO_JWT_SECRET: &str = "portcullis-demo-secret-for-local-use-only";

/// Which ports to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// Free ones, chosen by the system.
    Free,
    /// Five in a row from `base`, and one for control.
    Fixed {
        /// Port of the user service.
        base: u16,
        /// Control port.
        control: u16,
    },
}

impl Ports {
    /// The example's own: 8000 to 8004, control on 8005.
    pub const EXAMPLE: Ports = Ports::Fixed { base: 8000, control: 8005 };
}

/// How to start. The default suits tests: loopback, free ports, the demo secret.
#[derive(Clone)]
pub struct Options {
    /// Address to listen on.
    pub bind: IpAddr,
    /// Ports to listen on.
    pub ports: Ports,
    /// HS256 secret of the access tokens.
    pub jwt_secret: String,
    /// How long a token of the login lives; whole seconds count.
    pub token_lifetime: Duration,
    /// How many requests each service remembers.
    pub capture_limit: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            bind: Ipv4Addr::LOCALHOST.into(),
            ports: Ports::Free,
            jwt_secret: DEMO_JWT_SECRET.to_owned(),
            token_lifetime: Duration::from_secs(3600),
            capture_limit: 1000,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("bind", &self.bind)
            .field("ports", &self.ports)
            .finish_non_exhaustive()
    }
}

/// Why nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Somebody listens there already.
    #[error("{who}: port {port} on {ip} is already taken", port = .addr.port(), ip = .addr.ip())]
    PortTaken {
        /// `user` ... `insights`, or `control`.
        who: &'static str,
        /// The address that was wanted.
        addr: SocketAddr,
    },
    /// Any other trouble with an address.
    #[error("{who}: cannot listen on {addr}: {source}")]
    Listen {
        /// `user` ... `insights`, or `control`.
        who: &'static str,
        /// The address that was wanted.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The last port would be above 65535.
    #[error("port base {base} leaves no room for five ports")]
    PortRange {
        /// The base that was asked for.
        base: u16,
    },
    /// A seeded user could not be made.
    #[error("the seeded users could not be created")]
    Seed,
}

/// The services, running until [`DemoServices::shutdown`] or drop.
pub struct DemoServices {
    knobs: Knobs,
    platform: Arc<Platform>,
    control_addr: SocketAddr,
    control_task: AbortHandle,
}

impl DemoServices {
    /// Starts all services and the control port; when this returns, all of them accept connections.
    ///
    /// # Errors
    /// [`StartError`], and then nothing is left running.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let tokens = Tokens::new(&options.jwt_secret, options.token_lifetime);
        let platform = Arc::new(Platform::new(tokens)?);
        let faults = Arc::new(Faults::default());
        let mut ports = Vec::new();
        for service in Service::ALL {
            let addr = SocketAddr::new(options.bind, options.port_of(service)?);
            let router = services::router(service, Arc::clone(&platform));
            let gate = Gate::new(service, router, Arc::clone(&faults), options.capture_limit);
            let port = Port::open(addr, gate);
            ports.push(port.map_err(|error| listen_error(service.name(), addr, error))?);
        }
        let knobs = Knobs { fleet: Arc::new(Fleet { ports, faults }) };
        let (control_addr, control_task) = start_control(&options, knobs.clone()).await?;
        Ok(Self { knobs, platform, control_addr, control_task })
    }

    /// Where a service listens.
    pub fn addr(&self, service: Service) -> SocketAddr {
        self.knobs.fleet.port(service).addr
    }

    /// Where the control port listens.
    pub fn control_addr(&self) -> SocketAddr {
        self.control_addr
    }

    /// Faults, captures, down and up.
    pub fn knobs(&self) -> &Knobs {
        &self.knobs
    }

    /// Issues tokens as the login does, and odd ones.
    pub fn tokens(&self) -> &Tokens {
        &self.platform.tokens
    }

    /// The last requests of a service, oldest first.
    pub fn captured(&self, service: Service) -> Vec<Captured> {
        self.knobs.captured(service)
    }

    /// Stops everything at once; open connections are closed. Returns when all ports are free.
    pub async fn shutdown(self) {
        for service in Service::ALL {
            self.knobs.down(service).await;
        }
    }
}

impl Drop for DemoServices {
    fn drop(&mut self) {
        self.control_task.abort();
        // Clones of the knobs may live on in tests and control connections; the ports must not live with them.
        self.knobs.fleet.ports.iter().for_each(Port::abandon);
    }
}

impl Options {
    fn port_of(&self, service: Service) -> Result<u16, StartError> {
        let Ports::Fixed { base, .. } = self.ports else { return Ok(0) };
        let port = u16::try_from(service.index()).ok().and_then(|index| base.checked_add(index));
        port.ok_or(StartError::PortRange { base })
    }

    fn control_port(&self) -> u16 {
        match self.ports {
            Ports::Free => 0,
            Ports::Fixed { control, .. } => control,
        }
    }
}

async fn start_control(options: &Options, knobs: Knobs) -> Result<(SocketAddr, AbortHandle), StartError> {
    let wanted = SocketAddr::new(options.bind, options.control_port());
    let failed = |error| listen_error("control", wanted, error);
    let listener = TcpListener::bind(wanted).await.map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    let task = tokio::spawn(async move { axum::serve(listener, control::router(knobs)).await });
    Ok((addr, task.abort_handle()))
}

fn listen_error(who: &'static str, addr: SocketAddr, source: io::Error) -> StartError {
    match source.kind() {
        io::ErrorKind::AddrInUse => StartError::PortTaken { who, addr },
        _ => StartError::Listen { who, addr, source },
    }
}
