//! Retries. Istio sends every method again; where the policy sends some alone, a route becomes two rules.

use serde_json::{Map, Value, json};

/// A rule, or one for the methods that may be sent again and one for the others. `retry` is the route's policy in Envoy's words.
pub fn split(rule: Map<String, Value>, retry: &Value, name: &str) -> Vec<Value> {
    let methods = methods(&rule["match"][0]["method"]);
    let again = self::methods(&retry["retriable_request_headers"][0]["string_match"]);
    let (again, once): (Vec<_>, Vec<_>) = methods.into_iter().partition(|method| again.contains(method));
    let with = |methods: Vec<String>, retries: Value, name: String| {
        let mut rule = rule.clone();
        rule.insert("name".to_owned(), name.into());
        rule.insert("retries".to_owned(), retries);
        if let Some(matcher) = rule.get_mut("match") {
            matcher[0]["method"] = matcher_of(&methods);
        }
        Value::from(rule)
    };
    // Left out, Istio sends a request again up to twice.
    let never = json!({ "attempts": 0 });
    match (again.is_empty() || retry.is_null(), once.is_empty()) {
        (true, _) => vec![with([again, once].concat(), never, name.to_owned())],
        (false, true) => vec![with(again, retries(retry), name.to_owned())],
        (false, false) => {
            vec![with(again, retries(retry), name.to_owned()), with(once, never, self::once(name))]
        }
    }
}

/// What makes a route's policy of the one that Istio gives every route of an HTTPRoute: two attempts, for all methods.
pub fn merged(action: &Value) -> Value {
    let Some(retry) = action.get("retry_policy") else {
        // Which is true of no request. A number of 0 would not be merged, nor an empty list of reasons.
        return json!({ "retriable_request_headers": [{ "name": ":method", "present_match": false }] });
    };
    let mut merged = retry.clone();
    // Istio has it already, but where requests are hashed; merged, it would be there twice.
    if action.get("hash_policy").is_none()
        && let Some(fields) = merged.as_object_mut()
    {
        fields.remove("retry_host_predicate");
    }
    merged
}

/// The name of the rule for methods that are not sent again.
pub fn once(name: &str) -> String {
    format!("{name}-once")
}

fn retries(retry: &Value) -> Value {
    let mut retries = json!({ "attempts": retry["num_retries"], "retryOn": retry["retry_on"] });
    if let Some(time) = retry.get("per_try_timeout") {
        retries["perTryTimeout"] = time.clone();
    }
    retries
}

/// The methods of a match: one exactly, or several by a regular expression.
fn methods(matcher: &Value) -> Vec<String> {
    let one = matcher["exact"].as_str();
    let regex = matcher["regex"].as_str().or_else(|| matcher["safe_regex"]["regex"].as_str());
    one.or(regex).into_iter().flat_map(|text| text.split('|')).map(str::to_owned).collect()
}

fn matcher_of(methods: &[String]) -> Value {
    match methods {
        [only] => json!({ "exact": only }),
        several => json!({ "regex": several.join("|") }),
    }
}
