use portcullis_jwt::Tokens;

/// What a worker learns while it serves: known tokens, fetched keys. The pipeline itself never changes.
pub struct Worker {
    /// Tokens and keys; nothing without a section `jwt`.
    pub tokens: Option<Tokens>,
}
