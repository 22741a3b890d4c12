//! What the renderers for Envoy Gateway and for Istio have in common of the Gateway API.

use serde_json::{Value, json};

/// The group of its kinds.
pub(crate) const GATEWAY_API: &str = "gateway.networking.k8s.io";
/// Group and version of its kinds.
pub(crate) const GATEWAY_API_V1: &str = "gateway.networking.k8s.io/v1";
/// It takes no more rules in one HTTPRoute.
const RULES: usize = 16;
/// What `render envoy` writes for one or more labels of a host name.
const ANY_LABELS: &str = "[A-Za-z0-9.-]+";

/// A Gateway with one listener in plain text.
pub(crate) fn gateway(class: &str, port: &Value) -> Value {
    let listener = json!({
        "name": "http", "protocol": "HTTP", "port": port, "allowedRoutes": { "namespaces": { "from": "Same" } },
    });
    json!({ "gatewayClassName": class, "listeners": [listener] })
}

/// As many HTTPRoutes at a Gateway as the rules of a virtual host need.
pub(crate) fn http_routes(gateway: &str, host: &Value, rules: &[Value]) -> Vec<Value> {
    let names = host_names(host);
    let route = |rules: &[Value]| {
        let mut spec = json!({ "parentRefs": [{ "name": gateway }], "rules": rules });
        if !names.is_empty() {
            spec["hostnames"] = json!(names);
        }
        spec
    };
    rules.chunks(RULES).map(route).collect()
}

/// The names of a virtual host; none where it is for all.
pub(crate) fn host_names(host: &Value) -> Vec<&str> {
    let domains = host["domains"].as_array().into_iter().flatten().filter_map(Value::as_str);
    domains.filter(|domain| *domain != "*").collect()
}

/// The methods of a route's match for Envoy; nothing where it looks at other headers too.
pub(crate) fn methods(matcher: &Value) -> Option<Vec<&str>> {
    let [method] = matcher["headers"].as_array()?.as_slice() else { return None };
    let text = &method["string_match"];
    let methods = text["exact"].as_str().or_else(|| text["safe_regex"]["regex"].as_str())?;
    Some(methods.split('|').collect())
}

/// The filter that puts another path in the place of a request's.
pub(crate) fn replace_full_path(path: &Value) -> Value {
    let rewrite = json!({ "path": { "type": "ReplaceFullPath", "replaceFullPath": path } });
    json!({ "type": "URLRewrite", "urlRewrite": rewrite })
}

/// The marks that services' answers get for web pages.
///
/// # Errors
/// The rule for origins that has no such form.
pub(crate) fn cors(rendered: &Value) -> Result<Option<Value>, String> {
    let Some(rules) = rendered["allow_origin_string_match"].as_array() else { return Ok(None) };
    let origins: Result<Vec<_>, _> =
        rules.iter().map(|rule| origin(rule).ok_or_else(|| format!("`{rule}`"))).collect();
    let mut cors = json!({
        "allowOrigins": origins?,
        "allowCredentials": rendered["allow_credentials"] == true,
    });
    if let Some(exposed) = rendered["expose_headers"].as_str() {
        cors["exposeHeaders"] = exposed.split(',').map(str::trim).collect::<Vec<_>>().into();
    }
    Ok(Some(cors))
}

/// An origin with `*` for labels of a host name.
fn origin(rule: &Value) -> Option<String> {
    if let Some(exact) = rule["exact"].as_str() {
        return Some(exact.to_owned());
    }
    let regex = rule["safe_regex"]["regex"].as_str()?;
    if regex == ".*" {
        return Some("*".to_owned());
    }
    let text = regex.replace(ANY_LABELS, "*").replace('\\', "");
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "*:/.-".contains(c));
    is_plain.then_some(text)
}
