use super::*;

fn rendered(services: Value, clusters_section: Value) -> Vec<Value> {
    let policy = Policy::from_value(&json!({
        "version": 1, "services": services, "clusters": clusters_section, "routes": [],
    }));
    clusters(&policy.unwrap_or_else(|errors| panic!("{errors:?}")), &Options::default())
}

#[test]
fn a_name_is_looked_up_in_both_families_and_an_address_in_none() {
    let clusters =
        rendered(json!({ "a": { "address": "localhost:1" }, "b": { "address": "[::1]:2" } }), json!({}));
    assert_eq!(clusters[0]["dns_lookup_family"], "ALL");
    assert_eq!(clusters[1]["dns_lookup_family"], Value::Null);
}

#[test]
fn a_cluster_with_tls_is_asked_for_its_name_and_must_prove_it() {
    let clusters = rendered(
        json!({}),
        json!({
            "idp": { "address": "idp.example:443", "tls": true },
            "own": { "address": "10.0.0.1:443", "tls": true, "ca_file": "/ca.pem" },
            "plain": { "address": "10.0.0.2:80" },
        }),
    );
    let context = |i: usize| &clusters[i]["transport_socket"]["typed_config"];
    let trusted = "/common_tls_context/validation_context/trusted_ca/filename";
    let name = "/common_tls_context/validation_context/match_typed_subject_alt_names/0";
    assert_eq!(context(0)["sni"], "idp.example");
    assert_eq!(context(0).pointer(trusted), Some(&json!(tls::SYSTEM_TRUST)));
    let exact = json!({ "san_type": "DNS", "matcher": { "exact": "idp.example" } });
    assert_eq!(context(0).pointer(name), Some(&exact));
    assert_eq!((&context(1)["sni"], context(1).pointer(trusted)), (&Value::Null, Some(&json!("/ca.pem"))));
    assert_eq!(clusters[2]["transport_socket"], Value::Null);
}

#[test]
fn a_service_that_says_nothing_more_has_its_limits_written_out_and_no_other_line() {
    let clusters = rendered(json!({ "a": { "address": "10.0.0.1:1" } }), json!({}));
    let keys: Vec<_> = clusters[0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["name", "type", "connect_timeout", "load_assignment", "circuit_breakers"]);
}

#[test]
fn the_cluster_of_the_rate_limit_service_speaks_http_2_and_no_other() {
    let policy = Policy::from_value(&json!({
        "version": 1,
        "services": {},
        "clusters": { "counter": { "address": "10.0.0.1:8081" }, "other": { "address": "10.0.0.2:80" } },
        "routes": [],
        "limits": {
            "service": { "cluster": "counter" },
            "rules": { "all": { "key": [], "limit": 1, "window": "1s", "scope": "fleet" } },
        },
    }));
    let clusters = clusters(&policy.ok().unwrap(), &Options::default());
    let speaks = |i: usize| clusters[i]["typed_extension_protocol_options"].to_string().contains("http2");
    assert!(speaks(0) && !speaks(1));
}
