use portcullis_edge_core::Mono;
use portcullis_jwt::{SignatureCheck, Tokens};

/// What a proxy lends to the pipeline while a request is judged.
pub trait Proxy: SignatureCheck {
    /// Random bytes, for a request id.
    fn random_16(&self) -> [u8; 16];
    /// The monotonic clock now: what a check took is measured by it.
    fn mono(&self) -> Mono;
}

/// What a worker learns while it serves: known tokens, fetched keys. The pipeline itself never changes.
pub struct Worker {
    /// Tokens and keys; nothing without a section `jwt`.
    pub tokens: Option<Tokens>,
}
