//! The routes that a request without one may have been after.

use portcullis_edge_core::Reason;
use portcullis_pipeline::{Facts, Pipeline, Target};
use portcullis_policy::Route;
use serde::Serialize;

/// A route that nearly matched, and why it did not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Near {
    /// Its methods.
    pub methods: Vec<String>,
    /// Its path.
    pub path: String,
    /// Why it does not match.
    pub why: &'static str,
}

/// Most routes that are listed.
const MOST: usize = 3;

/// The nearest routes of a request that matched none: those of its path with other methods, then those with a similar path.
pub fn nearest(pipeline: &Pipeline, facts: &Facts) -> Vec<Near> {
    let is_lost = facts.denial.as_ref().is_some_and(|denial| denial.reason == Reason::NO_ROUTE);
    let path = core::str::from_utf8(facts.head.path()).unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default();
    if facts.target != Target::Unmatched || !is_lost {
        return Vec::new();
    }
    let policy = pipeline.policy();
    let host = facts.head.headers.first(":authority").unwrap_or_default();
    let methods = policy.table.methods(host, path);
    let same_path: Vec<usize> =
        methods.filter_map(|method| policy.table.find(host, method.as_bytes(), path)).collect();
    let mut others: Vec<(usize, usize)> = (0..policy.routes.len())
        .filter(|index| !same_path.contains(index))
        .filter_map(|index| Some((distance(policy.routes.get(index)?, path), index)))
        .filter(|(distance, _)| *distance <= path.len() / 3)
        .collect();
    others.sort_unstable();
    let same = same_path.into_iter().map(|index| (index, "the path matches, the method does not"));
    let similar = others.into_iter().map(|(_, index)| (index, "the path is similar"));
    let near = same.chain(similar).filter_map(|(index, why)| Some(near(policy.routes.get(index)?, why)));
    near.take(MOST).collect()
}

fn near(route: &Route, why: &'static str) -> Near {
    Near { methods: route.methods.clone(), path: route.template.as_str().to_owned(), why }
}

/// Edits from the path to the template, its parameters filled with what the path has at their place.
fn distance(route: &Route, path: &str) -> usize {
    let segments: Vec<&str> = path.split('/').collect();
    let template = route.template.as_str().split('/').enumerate();
    let fill = |(at, segment): (usize, &'_ str)| match segments.get(at) {
        Some(given) if segment.starts_with('{') => (*given).to_owned(),
        _ => segment.to_owned(),
    };
    let filled: Vec<String> = template.map(fill).collect();
    strsim::damerau_levenshtein(&filled.join("/"), path)
}
