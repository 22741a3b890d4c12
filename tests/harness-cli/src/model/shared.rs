//! Shared data and shared queues: what plugins with the same `vm_id` have in common.

use deserr::Deserr;
use portcullis_edge_core::{ConfigErrors, Named};
use schemars::JsonSchema;

use super::{Pattern, Text};

/// What somebody else with the same `vm_id` writes. In keys and names of queues `\xff` stands for a byte, `\\` for a backslash.
#[derive(Clone, Debug, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct Shared {
    /// The VM id (default: that of the first plugin).
    #[deserr(default)]
    pub vm_id: Option<String>,
    /// Values, by key.
    #[deserr(default)]
    #[schemars(default)]
    pub data: Named<Text>,
    /// Messages that are put in queues, by the name of the queue; one that nobody has registered is made.
    #[deserr(default)]
    #[schemars(default)]
    pub queues: Named<Vec<Text>>,
}

/// What must be found. Keys as in `shared`.
#[derive(Clone, Debug, Default, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct SharedFound {
    /// The VM id (default: that of the first plugin).
    #[deserr(default)]
    pub vm_id: Option<String>,
    /// Values, by key; `absent` where there is none.
    #[deserr(default)]
    #[schemars(default)]
    pub data: Named<Pattern>,
    /// All messages of queues, by the name of the queue. They are taken out by that.
    #[deserr(default)]
    #[schemars(default)]
    pub queues: Named<Vec<Pattern>>,
}
