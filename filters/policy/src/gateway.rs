//! The gateway's own section, and its own pages.

use crate::raw::RawGateway;
use crate::routes::Route;
use portcullis_edge_core::{ConfigError, Namespace, Node, PolicyDuration};
use portcullis_metrics::RawMetrics;
use portcullis_route::Template;

pub(crate) fn check(gateway: &RawGateway, at: &Node) -> Vec<ConfigError> {
    let mut errors: Vec<_> = check_name(&gateway.name, &at.key("name")).into_iter().collect();
    errors.extend(check_instance(&gateway.instance, &at.key("instance")));
    errors.extend(check_address(&gateway.listen, &at.key("listen")));
    errors.extend(check_address(&gateway.admin, &at.key("admin")));
    errors.extend(check_plain(&gateway.health_path, &at.key("health_path")));
    errors.extend(check_bounds(gateway, at));
    errors
}

const SHORTEST_REQUEST: PolicyDuration = PolicyDuration::millis(100);
const LONGEST_REQUEST: PolicyDuration = PolicyDuration::secs(24 * 3600);
/// Less would not hold the module's VMs and the proxy itself.
const LEAST_HEAP: u64 = 64 << 20;

fn check_bounds(gateway: &RawGateway, at: &Node) -> Vec<ConfigError> {
    let timeout = gateway.request_timeout;
    let mut errors: Vec<_> =
        timeout.outside(SHORTEST_REQUEST, LONGEST_REQUEST, &at.key("request_timeout")).into_iter().collect();
    if gateway.max_body_bytes == 0 {
        errors.push(at.key("max_body_bytes").error("`0`", "a number of bytes from 1"));
    }
    if gateway.max_heap_bytes < LEAST_HEAP {
        let found = format!("`{}`", gateway.max_heap_bytes);
        errors.push(at.key("max_heap_bytes").error(found, format!("a number of bytes from {LEAST_HEAP}")));
    }
    errors
}

fn check_name(name: &str, at: &Node) -> Option<ConfigError> {
    // It stands between quotes in `WWW-Authenticate`.
    let is_bad = name.is_empty() || name.chars().any(|c| c.is_control() || matches!(c, '"' | '\\'));
    is_bad.then(|| {
        at.error(format!("`{}`", name.escape_debug()), "a name without quotes, backslashes and controls")
    })
}

fn check_instance(name: &str, at: &Node) -> Option<ConfigError> {
    let expected = "a name of 1 to 32 lower-case letters, digits, `_` and `-` that begins with a letter";
    (!Namespace::is_name(name)).then(|| at.error(format!("`{}`", name.escape_debug()), expected))
}

pub(crate) fn check_address(address: &str, at: &Node) -> Option<ConfigError> {
    let is_bad = address.parse::<core::net::SocketAddr>().is_err();
    let found = || format!("`{}`", address.escape_debug());
    is_bad.then(|| at.error(found(), "an address and port such as `0.0.0.0:8080`"))
}

/// The mistake, if `path` is not plain and in normal form: no request would ever be equal to it.
fn check_plain(path: &str, at: &Node) -> Option<ConfigError> {
    let is_plain = Template::parse(path).is_ok_and(|t| t.is_literal());
    let found = || format!("`{}`", path.escape_debug());
    (!is_plain).then(|| at.error(found(), "a plain path in normal form, such as `/health`"))
}

/// The paths in `metrics`, which stands at `at`, next to the health page's.
pub(crate) fn check_metrics(metrics: &RawMetrics, health: &str, at: &Node) -> Vec<ConfigError> {
    let mut errors: Vec<_> = check_plain(&metrics.path, &at.key("path")).into_iter().collect();
    errors.extend(check_address(&metrics.listen, &at.key("listen")));
    if metrics.path == health {
        let found = format!("`{}`, which is `gateway.health_path` too", health.escape_debug());
        errors.push(at.key("path").error(found, "a path of its own"));
    }
    let uncounted = metrics.uncounted.iter().enumerate();
    errors.extend(uncounted.filter_map(|(i, path)| check_plain(path, &at.key("uncounted").index(i))));
    errors
}

/// Routes that no request could reach, because the gateway itself answers there.
pub(crate) fn check_routes(routes: &[(usize, Route)], own: [&str; 2]) -> Vec<ConfigError> {
    let hidden = routes.iter().filter(|(_, route)| own.contains(&route.template.as_str()));
    hidden
        .map(|(index, route)| {
            let found = format!("`{}`, where the gateway itself answers", route.template.as_str());
            let at = Node::top().key("routes").index(*index).key("path");
            at.error(found, "a path that is neither `gateway.health_path` nor `metrics.path`")
        })
        .collect()
}
