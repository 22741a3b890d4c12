//! Which requests a route matches, and which path they have at the service.

use portcullis_policy::{Policy, Route};
use portcullis_route::{EscapedSlashes, Segment, Template};
use serde_json::{Value, json};

pub(super) fn matcher(policy: &Policy, route: &Route, implies_head: bool) -> Value {
    let mut methods = route.methods.clone();
    if implies_head {
        methods.push("HEAD".to_owned());
    }
    let methods = methods_matcher(&methods);
    if route.template.is_literal() && !route.either_slash {
        return json!({ "path": route.template.as_str(), "headers": [methods] });
    }
    let regex = format!("{}{}", pattern(policy, route, false), if route.either_slash { "/?" } else { "" });
    json!({ "safe_regex": { "regex": regex }, "headers": [methods] })
}

/// The route's path as RE2 reads it, without the slash at its end if either kind of end will do; with a group for each parameter
/// where `in_groups`.
fn pattern(policy: &Policy, route: &Route, in_groups: bool) -> String {
    let one = one_segment(policy, route);
    let group = |text: &str| if in_groups { format!("({text})") } else { text.to_owned() };
    let segment = |segment: &Segment| match segment {
        Segment::Literal(text) => quoted(text),
        Segment::Param(_) => group(&format!("{one}+")),
        Segment::Verb { verb, .. } => format!("{}{}", group(&format!("{one}+")), quoted(verb)),
        Segment::Rest(_) => group(&rest(policy, route)),
    };
    let segments: Vec<_> = route.template.segments().iter().map(segment).collect();
    let pattern = format!("/{}", segments.join("/"));
    match route.either_slash {
        true => pattern.strip_suffix('/').map(str::to_owned).unwrap_or(pattern),
        false => pattern,
    }
}

/// What a segment is made of. Where other routes take escaped slashes, this one does not unless it says so.
fn one_segment(policy: &Policy, route: &Route) -> &'static str {
    match route.escaped_slashes {
        EscapedSlashes::Refuse if policy.table.keeps_escaped_slashes() => "(?:[^/%]|%[^2]|%2[^Ff])",
        _ => "[^/]",
    }
}

fn rest(policy: &Policy, route: &Route) -> String {
    match route.escaped_slashes {
        EscapedSlashes::Refuse if policy.table.keeps_escaped_slashes() => {
            "(?:[^%]|%[^2]|%2[^Ff])+".to_owned()
        }
        _ => ".+".to_owned(),
    }
}

pub(super) fn methods_matcher(methods: &[String]) -> Value {
    let matches = match methods {
        [only] => json!({ "exact": only }),
        several => json!({ "safe_regex": { "regex": several.join("|") } }),
    };
    json!({ "name": ":method", "string_match": matches })
}

/// How the path changes on the way to the service, if it does.
pub(super) fn rewrite(policy: &Policy, route: &Route) -> Option<(&'static str, Value)> {
    match &route.upstream_path {
        Some(path) if path.is_literal() && route.template.is_literal() && !route.either_slash => {
            Some(("prefix_rewrite", path.as_str().into()))
        }
        Some(path) => Some(("regex_rewrite", filled_in(policy, route, path))),
        None if policy.path_prefix.is_empty() => None,
        None => {
            let pattern = format!("^{}", quoted(&policy.path_prefix));
            Some(("regex_rewrite", json!({ "pattern": { "regex": pattern }, "substitution": "" })))
        }
    }
}

/// The path at the service with the request's parameters in it.
fn filled_in(policy: &Policy, route: &Route, path: &Template) -> Value {
    let names: Vec<&str> = route.template.segments().iter().filter_map(Segment::name).collect();
    let number = |name: &str| names.iter().position(|own| *own == name).map_or(0, |at| at.saturating_add(1));
    let segment = |segment: &Segment| match segment {
        Segment::Literal(text) => text.clone(),
        Segment::Param(name) | Segment::Rest(name) => format!("\\{}", number(name)),
        Segment::Verb { param, verb } => format!("\\{}{verb}", number(param)),
    };
    let segments: Vec<_> = path.segments().iter().map(segment).collect();
    let end = if route.either_slash { "/?$" } else { "$" };
    json!({
        "pattern": { "regex": format!("^{}{end}", pattern(policy, route, true)) },
        "substitution": format!("/{}", segments.join("/")),
    })
}

/// RE2 reads punctuation behind `\` as itself.
pub(super) fn quoted(text: &str) -> String {
    let escape = |c: char| {
        if c.is_ascii_punctuation() && c != '/' && c != '_' { format!("\\{c}") } else { c.to_string() }
    };
    text.chars().map(escape).collect()
}
