//! Whether two policies in one Envoy count under one name, and whether a request is counted twice under one.

use super::Finding;
use super::plugin::Plugin;
use portcullis_edge_core::Namespace;

/// Looks at the filters of all listeners; those of one listener are one element.
pub(super) fn check(plugins: &[Vec<Plugin<'_>>]) -> Vec<Finding> {
    let all: Vec<_> = plugins.iter().flatten().collect();
    let numbered = all.iter().enumerate();
    let collisions = numbered.filter_map(|(index, plugin)| collision(plugin, all.get(..index)?));
    collisions.chain(plugins.iter().flat_map(|own| repeated(own))).collect()
}

/// Filters of one instance in one listener: every request passes through each of them. A new plugin beside the old one looks so.
fn repeated(own: &[Plugin<'_>]) -> Vec<Finding> {
    let again = |(index, plugin): (usize, &Plugin<'_>)| {
        let first = own.get(..index)?.iter().find(|earlier| name(earlier) == name(plugin))?;
        let found = format!("a second filter of the instance `{}`, behind {}", name(plugin), first.at);
        let expected = "one filter of an instance in a listener: each request is counted, and charged to limits, by both";
        Some(Finding::wrong(plugin.at.clone(), found, expected))
    };
    own.iter().enumerate().filter_map(again).collect()
}

/// Filters with one policy may share an instance in several listeners: limits then hold for both together. Those with other policies
/// delete each other's series, and share limits that are none of theirs.
fn collision(plugin: &Plugin<'_>, earlier: &[&Plugin<'_>]) -> Option<Finding> {
    let collides = |other: &&&Plugin<'_>| name(other) == name(plugin) && other.policy != plugin.policy;
    let other = earlier.iter().find(collides)?;
    let at = format!("{}, configuration, gateway.instance", plugin.at);
    let found = format!("`{}`, which {} has with another policy", name(plugin), other.at);
    Some(Finding::wrong(at, found, "a name of its own: counters and shared data of one name are one"))
}

fn name<'a>(plugin: &'a Plugin<'_>) -> &'a str {
    plugin.policy["gateway"]["instance"].as_str().unwrap_or(Namespace::DEFAULT)
}
