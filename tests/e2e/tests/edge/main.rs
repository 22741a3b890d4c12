//! The gateway as an edge: how services are reached, TLS, hosts, paths, upgrades and live changes of the policy, on a real Envoy
//! with real clients. `cargo test -p portcullis-e2e --test edge services::` runs one concern.

mod browser;
mod certificates;
mod common;
mod differential;
mod handshakes;
mod hosts;
mod live;
mod paths;
mod pki;
mod reload;
mod services;
mod tls;
