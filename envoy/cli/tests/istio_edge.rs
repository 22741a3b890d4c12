//! What `render istio` makes of hosts, TLS, retries, and of how services are spoken to.

use portcullis_cli::render::istio::{self, Options};
use portcullis_cli::source::Source;
use portcullis_policy::Policy;
use serde_json::{Value, json};

const POLICY: &str = include_str!("edge.yaml");

/// All objects that are rendered for a policy, or everything that is said against it.
fn render(text: &str) -> Result<Vec<Value>, String> {
    let source = Source::parse(text.to_owned()).expect("YAML");
    let policy = Policy::from_value(&source.value).unwrap_or_else(|errors| panic!("{errors:?}"));
    let image = format!("registry.example/portcullis@sha256:{}", "0".repeat(64)).parse().expect("an image");
    let options = Options::new(&policy, image, "edge", None).expect("a name");
    let files = istio::render(&source.value, &policy, &options);
    let files =
        files.map_err(|errors| errors.iter().map(|error| format!("{error}\n")).collect::<String>())?;
    Ok(files.into_iter().flat_map(|file| file.objects).collect())
}

#[track_caller]
fn object(kind: &str, name: &str) -> Value {
    let objects = render(POLICY).unwrap_or_else(|error| panic!("{error}"));
    let found = objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}")).clone()
}

#[test]
fn a_listener_with_tls_is_a_server_with_the_same_files_which_the_pod_is_given() {
    let server = object("Gateway", "shop")["spec"]["servers"][0].clone();
    assert_eq!(server["port"], json!({ "number": 8443, "name": "https-8443", "protocol": "HTTPS" }));
    assert_eq!(
        server["tls"],
        json!({
            "mode": "OPTIONAL_MUTUAL",
            "serverCertificate": "/etc/shop/tls.crt",
            "privateKey": "/etc/shop/tls.key",
            "caCertificates": "/etc/clients/ca.pem",
            "minProtocolVersion": "TLSV1_3",
        })
    );
    let pod = object("Deployment", "shop")["spec"]["template"]["spec"].clone();
    let mounts = &pod["containers"][0]["volumeMounts"];
    assert_eq!(
        (&mounts[0]["mountPath"], &mounts[1]["mountPath"]),
        (&"/etc/shop".into(), &"/etc/clients".into())
    );
    assert_eq!(pod["volumes"][1]["secret"]["secretName"], "shop-tls-2");
}

#[test]
fn plain_http_is_redirected_by_a_gateway_of_its_own_which_needs_no_filter() {
    let server = object("Gateway", "shop-redirect")["spec"]["servers"][0].clone();
    assert_eq!(server["port"]["number"], 8080);
    let rule = object("VirtualService", "shop-redirect")["spec"].clone();
    assert_eq!(rule["gateways"], json!(["shop-redirect"]));
    assert_eq!(rule["http"][0]["redirect"], json!({ "scheme": "https", "redirectCode": 301, "port": 8443 }));
    let plugin = object("WasmPlugin", "shop")["spec"].clone();
    assert_eq!(plugin["match"], json!([{ "ports": [{ "number": 8443 }] }]));
}

#[test]
fn each_host_has_its_rules_and_services_are_told_whose_certificate_a_client_showed() {
    let default = object("VirtualService", "shop-1")["spec"].clone();
    assert_eq!((&default["hosts"], default["http"].as_array().map(Vec::len)), (&json!(["*"]), Some(3)));
    let chat = object("VirtualService", "shop")["spec"].clone();
    assert_eq!(chat["hosts"], json!(["chat.example"]));
    let rule = &chat["http"][0];
    assert_eq!(rule["headers"]["request"]["set"], json!({ "x-client": "%DOWNSTREAM_PEER_SUBJECT%" }));
    assert!(rule.get("timeout").is_none(), "without an end: Istio refuses 0s");
}

#[test]
fn a_route_is_two_rules_where_only_some_of_its_methods_are_sent_again() {
    let rules = object("VirtualService", "shop-1")["spec"]["http"].clone();
    let of = |name: &str| {
        let all = rules.as_array().expect("a list");
        all.iter().find(|rule| rule["name"] == name).unwrap_or_else(|| panic!("no {name}: {rules:#}")).clone()
    };
    let (again, once) = (of("1-0"), of("1-0-once"));
    assert_eq!(again["match"][0]["method"], json!({ "exact": "GET" }));
    let retries = json!({ "attempts": 2, "retryOn": "connect-failure,5xx", "perTryTimeout": "2s" });
    assert_eq!(again["retries"], retries);
    assert_eq!(once["match"][0]["method"], json!({ "regex": "POST|HEAD" }));
    assert_eq!(once["retries"], json!({ "attempts": 0 }));
    assert_eq!(once["match"][0]["uri"], again["match"][0]["uri"]);
}

#[test]
fn how_a_service_is_spoken_to_is_a_traffic_policy() {
    let policy = object("DestinationRule", "orders")["spec"]["trafficPolicy"].clone();
    assert_eq!(
        policy["loadBalancer"],
        json!({ "consistentHash": { "httpCookie": { "name": "session" }, "maglev": { "tableSize": 65_537 } } })
    );
    assert_eq!(
        policy["connectionPool"]["http"],
        json!({
            "http1MaxPendingRequests": 20, "http2MaxRequests": 30, "maxRetries": 3,
            "idleTimeout": "60s", "maxRequestsPerConnection": 100, "h2UpgradePolicy": "UPGRADE",
            "http2KeepAlive": { "interval": "30s", "timeout": "5s" },
        })
    );
    assert_eq!(policy["connectionPool"]["tcp"]["maxConnections"], 10);
    assert_eq!(policy["outlierDetection"]["consecutive5xxErrors"], 3);
    assert_eq!(
        (&policy["outlierDetection"]["minHealthPercent"], &policy["retryBudget"]["percent"]),
        (&30.into(), &10.into())
    );
}

#[test]
fn what_a_policy_leaves_out_is_envoys_default_and_not_istios() {
    let policy = object("DestinationRule", "chat")["spec"]["trafficPolicy"].clone();
    assert_eq!(policy["loadBalancer"], json!({ "simple": "ROUND_ROBIN" }));
    assert_eq!(policy["connectionPool"]["tcp"]["maxConnections"], 1024);
    assert_eq!(
        policy["connectionPool"]["http"],
        json!({ "http1MaxPendingRequests": 1024, "http2MaxRequests": 1024, "maxRetries": 3 })
    );
}

#[test]
fn what_has_no_api_is_patched_route_by_route() {
    let patches = object("EnvoyFilter", "shop-routes")["spec"]["configPatches"].clone();
    let of = |name: &str| {
        let all = patches.as_array().expect("a list");
        let found =
            all.iter().find(|patch| patch["match"]["routeConfiguration"]["vhost"]["route"]["name"] == name);
        found.unwrap_or_else(|| panic!("no {name}: {patches:#}"))["patch"]["value"].clone()
    };
    assert_eq!(of("0-0")["route"], json!({ "idle_timeout": "3600s" }), "it may be upgraded");
    for name in ["1-0", "1-0-once"] {
        let refused = json!([{ "upgrade_type": "websocket", "enabled": false }]);
        assert_eq!(of(name), json!({ "route": { "upgrade_configs": refused } }));
    }
    let upload = of("1-1");
    assert_eq!(
        upload["typed_per_filter_config"]["envoy.filters.http.buffer"]["buffer"]["max_request_bytes"],
        9_000_000
    );
}

#[test]
fn what_istio_cannot_be_told_is_refused_in_the_field_that_asks_for_it() {
    let refused = |from: &str, to: &str| {
        assert!(POLICY.contains(from), "{from}");
        render(&POLICY.replace(from, to)).map(drop).expect_err("it is refused")
    };
    let chat = |more: &str| refused("timeout: 0s,", &format!("timeout: 0s, {more},"));
    assert!(chat("health_check: { path: /health }").starts_with("services.chat.health_check: "));
    assert!(chat("dns: { refresh: 10s }").starts_with("services.chat.dns.refresh: "));
    assert!(chat("dns: { respect_ttl: true }").starts_with("services.chat.dns.respect_ttl: "));
    assert!(chat("dns: { family: v4_only }").starts_with("services.chat.dns.family: "));
    assert!(refused(r#"min_version: "1.3""#, "http2: false").starts_with("gateway.tls.http2: "));
    let pair = "{ certificate_file: /etc/shop/tls.crt, key_file: /etc/shop/tls.key }";
    let three = refused(&format!("[{pair}]"), &format!("[{pair}, {pair}, {pair}]"));
    assert!(three.starts_with("gateway.tls.certificates: found 3 certificates"), "{three}");
}
