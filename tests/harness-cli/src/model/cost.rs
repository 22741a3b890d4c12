//! What a step may cost.

use deserr::Deserr;
use portcullis_edge_core::{ConfigErrors, Named, PolicyDuration};
use schemars::JsonSchema;

/// What a step may cost at most, all callbacks together. It is counted on the harness; on Envoy it holds unseen.
#[derive(Clone, Debug, Deserr, JsonSchema, serde::Serialize)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct Cost {
    /// Units of fuel: about one for each instruction, the same on every machine.
    #[deserr(default)]
    pub fuel: Option<u64>,
    /// Calls of host functions, by name; `all` stands for all of them.
    #[deserr(default)]
    #[schemars(default)]
    pub host_calls: Named<u64>,
    /// Bytes by which the guest's memory grows.
    #[deserr(default)]
    pub memory_growth: Option<u64>,
    /// Time in callbacks, host calls included; it depends on the machine.
    #[deserr(default)]
    pub time: Option<PolicyDuration>,
}
