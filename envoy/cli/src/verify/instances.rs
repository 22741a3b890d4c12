//! Whether two policies in one Envoy count under one name.

use super::Finding;
use super::plugin::Plugin;
use portcullis_edge_core::Namespace;

/// Filters with one policy may share an instance: limits then hold for both together. Those with other policies delete each other's
/// series, and share limits that are none of theirs.
pub(super) fn check(plugins: &[Plugin<'_>]) -> Vec<Finding> {
    let numbered = plugins.iter().enumerate();
    numbered.filter_map(|(index, plugin)| collision(plugin, plugins.get(..index)?)).collect()
}

fn collision(plugin: &Plugin<'_>, earlier: &[Plugin<'_>]) -> Option<Finding> {
    let collides = |other: &&Plugin<'_>| name(other) == name(plugin) && other.policy != plugin.policy;
    let other = earlier.iter().find(collides)?;
    let at = format!("{}, configuration, gateway.instance", plugin.at);
    let found = format!("`{}`, which {} has with another policy", name(plugin), other.at);
    Some(Finding::wrong(at, found, "a name of its own: counters and shared data of one name are one"))
}

fn name<'a>(plugin: &'a Plugin<'_>) -> &'a str {
    plugin.policy["gateway"]["instance"].as_str().unwrap_or(Namespace::DEFAULT)
}
