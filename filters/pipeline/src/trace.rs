//! What the stages said about one request, for whoever wants an explanation. A request without a trace pays one comparison a stage.

use crate::order::Stage;
use portcullis_edge_core::{Call, Verdict};

/// The verdicts on a request, in the order in which they fell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace(pub Vec<Entry>);

/// What one stage said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The stage.
    pub stage: Stage,
    /// `continue`, `deny`, `wait` or `call`.
    pub verdict: &'static str,
    /// The reason of a denial, or where a call goes.
    pub detail: Option<String>,
}

impl Trace {
    pub(crate) fn verdict(&mut self, stage: Stage, verdict: &Verdict) {
        let (verdict, detail) = match verdict {
            Verdict::Continue => ("continue", None),
            Verdict::Deny(denial) => ("deny", Some(denial.reason.name.to_owned())),
            Verdict::Wait => ("wait", None),
            Verdict::Call(Call::Http(call)) => ("call", Some(call.cluster.clone())),
            Verdict::Call(Call::Grpc(call)) => ("call", Some(call.cluster.clone())),
        };
        self.0.push(Entry { stage, verdict, detail });
    }
}
