use crate::guard::Guards;
use crate::lines::LineState;
use portcullis_jwt::Tokens;

/// What a worker learns while it serves: known tokens, fetched keys, its view of limits and breakers. The pipeline itself never
/// changes.
pub struct Worker {
    /// Tokens and keys; nothing without a section `jwt`.
    pub tokens: Option<Tokens>,
    /// For the stages that guard the gateway and its services.
    pub guards: Guards,
    /// For its log lines.
    pub lines: LineState,
}
