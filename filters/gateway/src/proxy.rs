//! What this proxy lends to the pipeline.

use crate::host;
use portcullis_edge_core::Mono;
use portcullis_jwt::{KeyStore, SignatureCheck};
use portcullis_pipeline::Proxy;

/// The proxy whose callback is running.
pub struct ThisProxy;

impl SignatureCheck for ThisProxy {
    fn verify_signature(&self, arguments: &[u8]) -> Option<Vec<u8>> {
        host::foreign("verify_signature", arguments).ok()
    }
}

impl Proxy for ThisProxy {
    fn random_16(&self) -> [u8; 16] {
        host::random_16()
    }

    fn mono(&self) -> Mono {
        host::mono()
    }
}

/// The proxy's shared data, for fetched documents.
pub struct Store;

impl KeyStore for Store {
    fn get(&mut self, key: &str) -> Option<(Vec<u8>, u32)> {
        host::shared(key).ok().filter(|(_, version)| *version != host::ABSENT)
    }

    fn swap(&mut self, key: &str, value: &[u8], version: Option<u32>) -> bool {
        host::swap_shared(key, value, version.unwrap_or(host::ABSENT)).is_ok()
    }
}
