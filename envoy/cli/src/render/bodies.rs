//! Bodies of requests: how large they may be, and who holds them while they come.
//!
//! A service is given a request once it is there whole: a client that sends without end, or slowly, then keeps no connection to the
//! service from others. Envoy's buffer filter does it, behind ours, so that nothing is held for a request that is refused.

use portcullis_policy::{Policy, Route};
use serde_json::{Value, json};

pub(super) const FILTER: &str = "envoy.filters.http.buffer";
const TYPES: &str = "type.googleapis.com/envoy.extensions.filters.http.buffer.v3";

/// The filter; none where no route holds bodies.
pub(super) fn filter(policy: &Policy) -> Option<Value> {
    let is_used = policy.routes.iter().any(|route| route.max_body_bytes.is_some());
    is_used.then(|| {
        json!({
            "name": FILTER,
            "typed_config": {
                "@type": format!("{TYPES}.Buffer"),
                "max_request_bytes": policy.gateway.max_body_bytes,
            },
        })
    })
}

/// What differs on a route.
pub(super) fn on_route(policy: &Policy, route: &Route) -> Option<(&'static str, Value)> {
    let kind = format!("{TYPES}.BufferPerRoute");
    let own = match route.max_body_bytes {
        Some(most) if most == policy.gateway.max_body_bytes => return None,
        Some(most) => json!({ "@type": kind, "buffer": { "max_request_bytes": most } }),
        None => json!({ "@type": kind, "disabled": true }),
    };
    filter(policy).map(|_| (FILTER, own))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(routes: Value) -> Policy {
        Policy::from_value(&json!({
            "version": 1,
            "gateway": { "max_body_bytes": 1000 },
            "services": { "a": { "address": "localhost:1" } },
            "routes": routes,
        }))
        .ok()
        .unwrap()
    }

    fn route(path: &str, more: Value) -> Value {
        let mut route = json!({ "path": path, "methods": ["POST"], "service": "a" });
        route.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        route
    }

    #[test]
    fn a_route_holds_bodies_up_to_the_policys_limit_or_its_own_or_not_at_all() {
        let policy = policy(json!([
            route("/usual", json!({})),
            route("/large", json!({ "max_body_bytes": 9 })),
            route("/stream", json!({ "buffer_body": false })),
        ]));
        assert_eq!(filter(&policy).unwrap()["typed_config"]["max_request_bytes"], 1000);
        let own = |index: usize| on_route(&policy, &policy.routes[index]).map(|(_, own)| own);
        assert_eq!(own(0), None);
        assert_eq!(own(1).unwrap()["buffer"]["max_request_bytes"], 9);
        assert_eq!(own(2).unwrap()["disabled"], true);
    }

    #[test]
    fn where_no_route_holds_bodies_there_is_no_filter() {
        let policy = policy(json!([route("/stream", json!({ "buffer_body": false }))]));
        assert_eq!((filter(&policy), on_route(&policy, &policy.routes[0])), (None, None));
    }
}
