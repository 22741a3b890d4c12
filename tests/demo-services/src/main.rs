//! Runs the demo services on the example's ports until SIGINT or SIGTERM.

use std::{io, net::IpAddr, process::ExitCode};

use clap::Parser;
use portcullis_demo_services::{
    ADMIN, CUSTOMER, DEMO_JWT_SECRET, DemoServices, Live, Options, Ports, Service,
};
use tokio::signal::unix::{SignalKind, signal};

/// The order processor's services (user, inventory, order, auth, insights), in memory, for trying a gateway.
///
/// Tokens are HS256 under the environment variable JWT_SECRET, or under a published demo secret.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    bind: IpAddr,
    /// Port of the user service; inventory, order, auth and insights follow it. 0 takes free ports for all.
    #[arg(long, default_value_t = 8000)]
    port_base: u16,
    /// Port of the knobs: faults and captured requests.
    #[arg(long, default_value_t = 8005)]
    control_port: u16,
    /// Serves a WebSocket (/ws), server-sent events (/events) and a long poll (/poll) on this port too, and gRPC's health service on the
    /// next.
    #[arg(long)]
    live_port: Option<u16>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo-services: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    // Before anything listens, so that whoever sees a port open can already end us properly.
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let secret = std::env::var("JWT_SECRET").ok().filter(|secret| !secret.is_empty());
    let demo = DemoServices::start(options(&arguments, secret.as_deref())).await?;
    let live = live(&arguments).await?;
    announce(&demo, secret.is_some(), &mut io::stdout().lock())?;
    live.iter()
        .for_each(|live| println!("live      listening on http://{}, gRPC on {}", live.http(), live.grpc()));
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    demo.shutdown().await;
    Ok(())
}

async fn live(arguments: &Arguments) -> io::Result<Option<Live>> {
    let Some(port) = arguments.live_port else { return Ok(None) };
    let at = |port| (arguments.bind, port).into();
    Live::start(at(port), at(port.saturating_add(1))).await.map(Some)
}

fn options(arguments: &Arguments, secret: Option<&str>) -> Options {
    let ports = match arguments.port_base {
        0 => Ports::Free,
        base => Ports::Fixed { base, control: arguments.control_port },
    };
    Options {
        bind: arguments.bind,
        ports,
        jwt_secret: secret.unwrap_or(DEMO_JWT_SECRET).to_owned(),
        ..Options::default()
    }
}

fn announce(demo: &DemoServices, own_secret: bool, out: &mut impl io::Write) -> io::Result<()> {
    for service in Service::ALL {
        writeln!(out, "{:<9} listening on http://{}", service.name(), demo.addr(service))?;
    }
    writeln!(out, "{:<9} listening on http://{}", "control", demo.control_addr())?;
    let source = if own_secret { "JWT_SECRET" } else { "the published demo secret (JWT_SECRET is not set)" };
    writeln!(out, "tokens are signed with {source}")?;
    for user in [CUSTOMER, ADMIN] {
        writeln!(out, "user {} ({}), password {}", user.username, user.role, user.password)?;
    }
    out.flush()
}
