use super::*;
use serde_json::json;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// A policy of one service and one route, with these sections.
fn with(sections: Value) -> Value {
    let mut policy = json!({
        "version": 1,
        "services": { "order": { "address": "127.0.0.1:8002" } },
        "routes": [{ "path": "/orders", "methods": ["GET"], "service": "order" }],
    });
    policy.as_object_mut().unwrap().extend(sections.as_object().unwrap().clone());
    policy
}

/// The places of all mistakes.
fn mistakes(policy: &Value) -> Vec<String> {
    let errors = Policy::from_value(policy).err().unwrap_or_default();
    errors.iter().map(|error| error.at.to_string()).collect()
}

fn mistakes_of_route(more: Value) -> Vec<String> {
    let mut policy = with(json!({}));
    policy["routes"][0].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    mistakes(&policy)
}

fn mistakes_of_service(more: Value) -> Vec<String> {
    let mut policy = with(json!({}));
    policy["services"]["order"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    mistakes(&policy)
}

const NONE: [&str; 0] = [];

#[test]
fn an_address_is_a_host_and_a_port() {
    for (good, host, port) in [
        ("a:1", "a", 1),
        ("a_b-c.example:65535", "a_b-c.example", 65535),
        ("10.0.0.1:80", "10.0.0.1", 80),
        ("[2001:db8::1]:443", "2001:db8::1", 443),
    ] {
        let policy = Policy::from_value(&with(json!({ "services": { "order": { "address": good } } })));
        let endpoint = policy.ok().unwrap().services[0].endpoints[0].clone();
        assert_eq!((endpoint.host.as_str(), endpoint.port), (host, port), "{good}");
    }
    for bad in ["", "a", "a:", ":80", "[]:80", "a b:80", "a/b:80", "a:0", "a:65536", "a:-1", "http://a:80"] {
        assert_eq!(mistakes_of_service(json!({ "address": bad })), ["services.order.address"], "{bad}");
    }
}

#[test]
fn every_mistake_in_the_gateways_own_section_is_told_where_it_stands() {
    let of = |key: &str, value: Value| mistakes(&with(json!({ "gateway": { key: value } })));
    for (key, bad, good) in [
        ("name", json!(["", "a\"b", "a\\b", "a\nb"]), json!(["a", "Shop gateway", "Türsteher"])),
        ("instance", json!(["", "A", "9", "a b", "a".repeat(33)]), json!(["a", "edge-2_b", "a".repeat(32)])),
        ("listen", json!(["", "8080", "localhost:80", "0.0.0.0"]), json!(["0.0.0.0:80", "[::]:80"])),
        ("admin", json!(["", "9901", "localhost:80", "/a.sock"]), json!(["127.0.0.1:0", "[::1]:80"])),
        ("request_timeout", json!(["0s", "99ms", "24h 1ms"]), json!(["100ms", "24h"])),
        ("max_body_bytes", json!([0]), json!([1, u32::MAX])),
        ("max_heap_bytes", json!([0, 67_108_863]), json!([67_108_864, 67_108_865, 1_u64 << 40])),
    ] {
        for value in bad.as_array().unwrap() {
            assert_eq!(of(key, value.clone()), [format!("gateway.{key}")], "{key}: {value}");
        }
        for value in good.as_array().unwrap() {
            assert_eq!(of(key, value.clone()), NONE, "{key}: {value}");
        }
    }
}

#[test]
fn a_listener_with_tls_has_1_to_100_certificates() {
    let with_certificates = |count: usize| {
        let own = json!({ "certificate_file": "/c", "key_file": "/k" });
        mistakes(&with(json!({ "gateway": { "tls": { "certificates": vec![own; count] } } })))
    };
    for count in [1, 100] {
        assert_eq!(with_certificates(count), NONE, "{count}");
    }
    for count in [0, 101, 102] {
        assert_eq!(with_certificates(count), ["gateway.tls.certificates"], "{count}");
    }
}

#[test]
fn only_the_gateway_says_whose_certificate_a_client_has_shown() {
    let clients = json!({ "ca_file": "/ca", "subject_header": "X-Client-Subject" });
    let tls = json!({
        "certificates": [{ "certificate_file": "/c", "key_file": "/k" }], "client_certificates": clients });
    let gateway = json!({ "tls": tls });
    let trusted = |sections: Value| Policy::from_value(&with(sections)).ok().unwrap().trust;
    assert!(!trusted(json!({})).claims_trust(b"x-client-subject"));
    let alone = trusted(json!({ "gateway": gateway }));
    let reserved = json!({ "reserve": ["x-client-subject"] });
    let listed = trusted(json!({ "gateway": gateway, "trust_headers": reserved }));
    for trust in [alone, listed] {
        assert!(trust.claims_trust(b"X-Client-Subject") && trust.claims_trust(b"x_client_subject"));
    }
}

#[test]
fn the_texts_of_a_clusters_tls_are_texts() {
    let of = |tls: Value| mistakes(&with(json!({ "clusters": { "idp": tls } })));
    let good = json!({ "address": "idp:443", "tls": true, "sni": "idp.example", "ca_file": "/etc/ca.pem" });
    assert_eq!(of(good.clone()), NONE);
    for key in ["sni", "ca_file"] {
        for bad in ["", "a\nb", "\u{7f}"] {
            let mut cluster = good.clone();
            cluster[key] = json!(bad);
            assert_eq!(of(cluster), [format!("clusters.idp.{key}")], "{bad:?}");
        }
    }
}

#[test]
fn the_largest_body_is_one_byte_at_least_and_of_a_body_that_is_held() {
    for (route, expected) in [
        (json!({ "max_body_bytes": 1 }), &NONE[..]),
        (json!({ "buffer_body": false }), &NONE[..]),
        (json!({ "max_body_bytes": 0 }), &["routes[0].max_body_bytes"]),
        (json!({ "max_body_bytes": 9, "buffer_body": false }), &["routes[0].max_body_bytes"]),
    ] {
        assert_eq!(mistakes_of_route(route.clone()), expected, "{route}");
    }
}

#[test]
fn a_route_belongs_to_100_hosts_at_most() {
    let with_hosts = |count: usize| {
        let hosts: Vec<_> = (0..count).map(|n| format!("h{n}.example")).collect();
        mistakes_of_route(json!({ "hosts": hosts }))
    };
    assert_eq!(with_hosts(100), NONE);
    for count in [101, 102] {
        assert_eq!(with_hosts(count), ["routes[0].hosts"], "{count}");
    }
}

#[test]
fn a_path_that_is_rewritten_has_9_parameters_at_most() {
    let with_parameters = |count: usize| {
        let path: String = (0..count).map(|n| format!("/{{p{n}}}")).collect();
        mistakes_of_route(json!({ "path": path, "upstream_path": "/x/{p0}" }))
    };
    assert_eq!(with_parameters(9), NONE);
    for count in [10, 11] {
        assert_eq!(with_parameters(count), ["routes[0].upstream_path"], "{count}");
    }
}

#[test]
fn endpoints_that_the_gateway_calls_are_paths() {
    assert_eq!(mistakes_of_service(json!({ "calls": ["/internal/x", "/users/{id}"] })), NONE);
    let wrong = mistakes_of_service(json!({ "calls": ["/internal/x", "internal", "/a//b"] }));
    assert_eq!(wrong, ["services.order.calls[1]", "services.order.calls[2]"]);
}

#[test]
fn balancing_by_hash_says_by_exactly_one_thing_and_other_balancing_by_none() {
    let of = |policy: &str, hash_on: Option<Value>| {
        let mut balancing = json!({ "policy": policy });
        hash_on.into_iter().for_each(|hash_on| balancing["hash_on"] = hash_on);
        let mistakes = mistakes_of_service(json!({ "load_balancing": balancing }));
        mistakes.iter().map(|at| at.replace("services.order.load_balancing.", "")).collect::<Vec<_>>()
    };
    let (header, cookie) = (json!({ "header": "X-Tenant" }), json!({ "cookie": "session" }));
    for policy in ["ring_hash", "maglev"] {
        for good in [header.clone(), cookie.clone(), json!({ "client_ip": true })] {
            assert_eq!(of(policy, Some(good)), NONE);
        }
        assert_eq!(of(policy, None), ["hash_on"]);
        for bad in
            [json!({}), json!({ "header": "a", "cookie": "b" }), json!({ "client_ip": true, "header": "a" })]
        {
            assert_eq!(of(policy, Some(bad)), ["hash_on"]);
        }
        assert_eq!(of(policy, Some(json!({ "header": "a b" }))), ["hash_on.header"]);
        assert_eq!(of(policy, Some(json!({ "cookie": "a;b" }))), ["hash_on.cookie"]);
    }
    for policy in ["round_robin", "least_request", "random"] {
        assert_eq!(
            (of(policy, None).len(), of(policy, Some(header.clone()))),
            (0, vec!["hash_on".to_owned()])
        );
    }
}

#[test]
fn a_certificate_to_show_a_service_comes_with_its_key() {
    for (tls, expected) in [
        (json!({}), &NONE[..]),
        (json!({ "certificate_file": "/c", "key_file": "/k" }), &NONE[..]),
        (json!({ "certificate_file": "/c" }), &["services.order.tls.key_file"]),
        (json!({ "key_file": "/k" }), &["services.order.tls.certificate_file"]),
    ] {
        assert_eq!(mistakes_of_service(json!({ "tls": tls })), expected, "{tls}");
    }
}

#[test]
fn a_health_check_asks_a_path_or_grpc_where_that_is_spoken() {
    let at = "services.order.health_check";
    let of = |protocol: &str, check: Value| {
        mistakes_of_service(json!({ "protocol": protocol, "health_check": check }))
    };
    for protocol in ["http1", "http2"] {
        assert_eq!(of(protocol, json!({ "path": "/health" })), NONE);
        assert_eq!(of(protocol, json!({ "path": "/health/{x}" })), [format!("{at}.path")]);
        assert_eq!(of(protocol, json!({})), [at]);
        assert_eq!(of(protocol, json!({ "path": "/health", "grpc_service": "" })), [at]);
    }
    assert_eq!(of("http2", json!({ "grpc_service": "" })), NONE);
    assert_eq!(of("http1", json!({ "grpc_service": "" })), [format!("{at}.grpc_service")]);
}

#[test]
fn retries_are_by_default_of_requests_that_no_service_has_begun_or_answered() {
    use crate::{Retry, RetryOn};
    let service = json!({ "address": "a:1", "retry": {} });
    let policy = Policy::from_value(&with(json!({ "services": { "order": service } }))).ok().unwrap();
    let retry = Retry {
        on: vec![RetryOn::ConnectFailure, RetryOn::RefusedStream, RetryOn::Reset],
        attempts: 1,
        methods: ["GET", "HEAD", "OPTIONS"].map(str::to_owned).to_vec(),
        per_try_timeout: None,
        budget: None,
    };
    assert_eq!(policy.services[0].retry, Some(retry));
}

#[test]
fn the_proxys_routes_write_the_bearer_of_findings_only_where_no_token_is_checked() {
    let findings = json!({ "secrets": ["0123456789abcdef0123456789abcdef"], "from": "first" });
    let jwt = json!({ "providers": { "own": {
        "secrets": [{ "alg": "HS256", "value": "0123456789abcdef0123456789abcdef" }] } } });
    let of = |sections: Value| {
        let mut policy = with(sections);
        if policy.get("jwt").is_some() {
            policy["routes"][0]["auth"] = json!({ "token": "required" });
        }
        mistakes(&policy)
    };
    let (sets, leaves) = (json!({ "sets_trust_headers": true }), json!({ "sets_trust_headers": false }));
    assert_eq!(of(json!({ "findings": findings, "proxy": sets })), NONE);
    assert_eq!(of(json!({ "findings": findings, "proxy": leaves })), NONE);
    assert_eq!(of(json!({ "jwt": jwt, "proxy": sets })), NONE);
    assert_eq!(of(json!({ "findings": findings, "jwt": jwt, "proxy": leaves })), NONE);
    let all = of(json!({ "findings": findings, "jwt": jwt, "proxy": sets }));
    assert_eq!(all, ["proxy.sets_trust_headers"]);
}
