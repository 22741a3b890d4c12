//! What watches a gateway, generated from its policy: recording rules, objectives with burn-rate alerts, alerts, and the routing of their
//! messages. Every query is checked against the series that the policy makes possible: what would have no data is left out, and
//! [`Rendered::left_out`] says what and why.

pub mod alertmanager;
mod alerts;
mod anomaly;
pub mod dashboards;
mod declared;
mod foreign;
mod kubernetes;
mod logins;
pub mod logs;
mod prometheus;
mod recording;
mod render;
mod rule;
mod runbooks;
mod settings;
mod slo;
mod vocabulary;

pub use declared::must_be_declared;
pub use foreign::{FOREIGN, Foreign, Source};
pub use kubernetes::dashboard_config_maps;
pub use recording::{RECORDED, Recorded};
pub use render::{Rendered, Rules, alert_names, every_alert, every_rule, render};
pub use rule::{Group, Rule};
pub use runbooks::{framed, index};
pub use settings::{Datasources, Prices, Retention, Settings};
pub use slo::{Document, Indicator, NAMES as OBJECTIVES, Objective, all as objectives};
pub use vocabulary::{Missing, Vocabulary};

/// The JSON Schema of settings files, for editors.
#[must_use]
pub fn json_schema() -> serde_json::Value {
    schemars::schema_for!(Settings).to_value()
}
