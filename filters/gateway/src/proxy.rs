//! The proxy around this module, as the stages see it.

use crate::host;
use portcullis_edge_core::{Call, CallToken, Host, HostError, Mono, Now, Shared, StreamFact};

/// The proxy whose callback is running.
pub struct ThisProxy;

impl Host for ThisProxy {
    fn now(&self) -> Now {
        host::now()
    }

    fn mono(&self) -> Mono {
        host::mono()
    }

    fn random_16(&self) -> [u8; 16] {
        host::random_16()
    }

    fn verify_signature(&self, arguments: &[u8]) -> Option<Vec<u8>> {
        host::foreign("verify_signature", arguments).ok()
    }

    fn stream(&self, fact: StreamFact) -> Option<Vec<u8>> {
        let path = match fact {
            StreamFact::Peer => "source\0address",
            StreamFact::TlsVersion => "connection\0tls_version",
            StreamFact::RouteName => "xds\0route_name",
            StreamFact::Protocol => "request\0protocol",
            StreamFact::Began => return began(),
        };
        host::property(path).ok()
    }

    fn filter_state(&self, name: &str) -> Option<Vec<u8>> {
        host::property(name).ok()
    }

    fn shared(&self, key: &str) -> Result<Option<Shared>, HostError> {
        let (value, version) = host::shared(key)?;
        Ok((version != host::ABSENT).then_some(Shared { value, version }))
    }

    fn swap_shared(&self, key: &str, value: &[u8], expected: Option<u32>) -> Result<bool, HostError> {
        match host::swap_shared(key, value, expected.unwrap_or(host::ABSENT)) {
            Ok(()) => Ok(true),
            Err(HostError::CAS_MISMATCH) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn call(&self, call: &Call) -> Result<CallToken, HostError> {
        host::call(call)
    }
}

/// The time, of which the host's clock may have microseconds, and the connection.
fn began() -> Option<Vec<u8>> {
    let mut began = host::property("request\0time").ok().filter(|time| !time.is_empty())?;
    began.extend(host::property("connection\0id").unwrap_or_default());
    Some(began)
}
