//! What `verify` says of the configuration that `render envoy` writes, and of ones that were changed behind its back.

use portcullis_cli::render::{self, Options};
use portcullis_cli::source::Source;
use portcullis_cli::verify::{Finding, verify};
use portcullis_policy::{Policy, Variable};
use serde_json::{Value, json};

const STATS: &str = "wasm.envoy.wasm.runtime.v8.active: 4\nwasmcustom.gateway_requests_total: 0\n";
const MANAGER: &str = "/filter_chains/0/filters/0/typed_config";

fn example() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../gateway.yaml");
    Source::parse(std::fs::read_to_string(path).expect("the example")).expect("YAML").value
}

/// What an Envoy with the example's bootstrap would dump, its listener changed.
fn dump(change: impl FnOnce(&mut Value)) -> Value {
    let policy = Policy::from_value_with(&example(), &|_| Variable::Elsewhere).expect("it is sound");
    let mut bootstrap = render::bootstrap(&example(), &policy, &Options::default());
    change(&mut bootstrap["static_resources"]["listeners"][0]);
    let listeners = bootstrap["static_resources"]["listeners"].clone();
    let listeners: Vec<_> =
        listeners.as_array().into_iter().flatten().map(|l| json!({ "listener": l })).collect();
    json!({ "configs": [
        { "@type": "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump", "bootstrap": bootstrap },
        { "@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump", "static_listeners": listeners },
    ] })
}

fn manager(listener: &mut Value) -> &mut Value {
    listener.pointer_mut(MANAGER).expect("a connection manager")
}

fn plugin(listener: &mut Value) -> &mut Value {
    &mut manager(listener)["http_filters"][0]["typed_config"]["config"]
}

/// What is wrong with the example's Envoy, changed.
fn wrong(change: impl FnOnce(&mut Value)) -> Vec<String> {
    complaints(&verify(&dump(change), STATS, Some(&example())))
}

fn complaints(findings: &[Finding]) -> Vec<String> {
    findings.iter().filter(|finding| !finding.is_good()).map(ToString::to_string).collect()
}

#[track_caller]
fn assert_one(complaints: &[String], words: &[&str]) {
    assert_eq!(complaints.len(), 1, "{complaints:#?}");
    words.iter().for_each(|word| assert!(complaints[0].contains(word), "{word} in {complaints:#?}"));
}

#[test]
fn nothing_is_wrong_with_what_was_rendered() {
    let findings = verify(&dump(|_| {}), STATS, Some(&example()));
    assert_eq!(complaints(&findings), [""; 0]);
    let all = findings.iter().map(ToString::to_string).collect::<String>();
    let labels = format!("all {} labels", portcullis_pipeline::labels().len());
    for seen in [
        "the file's policy, sha256:",
        "use_remote_address",
        labels.as_str(),
        "4 virtual machines",
        "FAIL_RELOAD",
    ] {
        assert!(all.contains(seen), "{seen} in {all}");
    }
}

#[test]
fn a_listener_without_the_filter_is_found() {
    let none =
        wrong(|listener| drop(manager(listener)["http_filters"].as_array_mut().expect("a list").remove(0)));
    assert!(none.iter().any(|line| line.contains("what comes in here passes unfiltered")), "{none:#?}");
    assert!(none.iter().any(|line| line.contains("none of them with the filter")), "{none:#?}");
    let mut two = dump(|_| {});
    let mut second = two["configs"][1]["static_listeners"][0].clone();
    second["listener"]["name"] = "back door".into();
    manager(&mut second["listener"])["http_filters"].as_array_mut().expect("a list").remove(0);
    two["configs"][1]["static_listeners"].as_array_mut().expect("a list").push(second);
    assert_one(&complaints(&verify(&two, STATS, Some(&example()))), &["listener back door", "unfiltered"]);
}

#[test]
fn ports_of_the_proxys_own_need_no_filter() {
    let mut two = dump(|_| {});
    let mut second = two["configs"][1]["static_listeners"][0].clone();
    second["listener"]["address"]["socket_address"]["port_value"] = 15021.into();
    manager(&mut second["listener"])["http_filters"].as_array_mut().expect("a list").remove(0);
    two["configs"][1]["static_listeners"].as_array_mut().expect("a list").push(second);
    assert_eq!(complaints(&verify(&two, STATS, None)), [""; 0]);
}

#[test]
fn a_filter_that_stands_before_ours_is_named_and_a_harmless_one_is_not() {
    let before = |name: &str| {
        let filter = json!({ "name": name, "typed_config": {} });
        wrong(|listener| manager(listener)["http_filters"].as_array_mut().expect("a list").insert(0, filter))
    };
    assert_one(&before("envoy.filters.http.ext_authz"), &["http_filters[1]", "envoy.filters.http.ext_authz"]);
    assert_eq!(before("istio.metadata_exchange"), [""; 0]);
}

#[test]
fn another_policy_is_told_by_the_places_that_differ() {
    let changed = wrong(|listener| {
        let text = &mut plugin(listener)["configuration"]["value"];
        let mut policy: Value = serde_json::from_str(text.as_str().expect("text")).expect("JSON");
        policy["routes"][2]["auth"]["token"] = "none".into();
        *text = policy.to_string().into();
    });
    assert_eq!(changed.len(), 2, "{changed:#?}");
    assert!(changed[0].contains("routes[2].auth.token") && changed[0].contains("`\"none\"`"), "{changed:#?}");
    assert!(changed[1].contains("1 differences"), "{changed:#?}");
}

#[test]
fn order_of_keys_and_form_of_numbers_make_no_other_policy() {
    assert_eq!(
        wrong(|listener| {
            let text = &mut plugin(listener)["configuration"]["value"];
            let policy: Value = serde_json::from_str(text.as_str().expect("text")).expect("JSON");
            let mut fields: Vec<_> = policy.as_object().expect("a policy").clone().into_iter().collect();
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            let mut policy: Value = fields.into_iter().collect::<serde_json::Map<_, _>>().into();
            policy["version"] = json!(1.0);
            policy["version"] = json!(1);
            *text = policy.to_string().into();
        }),
        [""; 0]
    );
}

#[test]
fn clusters_under_a_meshs_names_make_no_other_policy() {
    let policy = |clusters: Value, cluster: &str| {
        json!({
            "version": 1, "services": {}, "routes": [], "clusters": clusters,
            "jwt": { "providers": { "p": { "fetch": { "cluster": cluster } } } },
        })
    };
    let file = policy(json!({ "idp": { "address": "idp.example:443" } }), "idp");
    let name = "outbound|443||idp.example";
    let mut runs = policy(json!({ name: { "address": "idp.example:443" } }), name);
    runs["proxy"] = json!({ "appends_peer": true });
    let found = |runs: &Value| {
        let dump = dump(|listener| plugin(listener)["configuration"]["value"] = runs.to_string().into());
        let findings = complaints(&verify(&dump, STATS, Some(&file)));
        findings.into_iter().filter(|line| line.contains("configuration")).collect::<Vec<_>>()
    };
    assert_eq!(found(&runs), [""; 0]);
    runs["jwt"]["providers"]["p"]["issuer"] = "https://other.example".into();
    assert_eq!(found(&runs).len(), 2);
}

#[test]
fn each_setting_around_the_filter_is_held_against_the_policy() {
    let set = |field: &'static str, value: Value| wrong(move |listener| manager(listener)[field] = value);
    assert_one(
        &set("use_remote_address", json!(false)),
        &["use_remote_address", "says itself what its address is"],
    );
    assert_one(&set("xff_num_trusted_hops", json!(2)), &["xff_num_trusted_hops", "client_ip.trusted_hops"]);
    assert_one(&set("normalize_path", json!(false)), &["normalize_path"]);
    let unescape = set("path_with_escaped_slashes_action", json!("UNESCAPE_AND_FORWARD"));
    assert_one(&unescape, &["path_with_escaped_slashes_action", "UNESCAPE_AND_FORWARD"]);
    let anonymous = wrong(|listener| {
        let added = &mut manager(listener)["route_config"]["response_headers_to_add"];
        added.as_array_mut().expect("a list").retain(|header| header["header"]["key"] != "x-request-id");
    });
    assert_one(&anonymous, &["proxy.assigns_request_id"]);
    let unset = wrong(|listener| manager(listener)["route_config"]["request_headers_to_add"] = json!([]));
    assert!(unset.iter().any(|line| line.contains("no `x-source`")), "{unset:#?}");
    let bare = wrong(|listener| manager(listener)["route_config"]["response_headers_to_add"] = json!([]));
    assert!(bare.iter().any(|line| line.contains("no `x-frame-options`")), "{bare:#?}");
}

#[test]
fn a_route_that_does_not_go_by_the_filters_word_is_named_where_the_policy_says_that_all_do() {
    let of = |names: &'static [&'static str]| {
        move |listener: &mut Value| {
            let mut runs = example();
            runs["proxy"] = json!({ "appends_peer": true, "service_header": "x-portcullis-service" });
            plugin(listener)["configuration"]["value"] = runs.to_string().into();
            let by = json!([{ "name": "x-portcullis-service", "string_match": { "exact": "order" } }]);
            let route = |name: &&str| json!({ "name": name, "match": { "prefix": "/", "headers": if *name == "by" { by.clone() } else { json!([]) } }, "route": {} });
            manager(listener)["route_config"]["virtual_hosts"][0]["routes"] =
                names.iter().map(route).collect();
        }
    };
    assert_eq!(wrong(of(&["by", "by"])), [""; 0]);
    assert_one(&wrong(of(&["by", "left over"])), &["left over", "x-portcullis-service"]);
    assert_one(&wrong(of(&[])), &["0 by `x-portcullis-service`"]);
}

#[test]
fn what_a_failing_filter_lets_through_is_told() {
    let policy =
        |value: &'static str| wrong(move |listener| plugin(listener)["failure_policy"] = value.into());
    assert_one(&policy("FAIL_OPEN"), &["failure_policy", "every request passes unfiltered"]);
    assert_one(&policy("FAIL_CLOSED"), &["failure_policy", "until its configuration changes"]);
}

#[test]
fn a_variable_that_the_proxy_does_not_hand_over_is_named() {
    let missing = wrong(|listener| plugin(listener)["vm_config"]["environment_variables"] = json!({}));
    assert_one(&missing, &["environment_variables", "no JWT_SECRET"]);
}

#[test]
fn labels_without_tags_are_named() {
    let mut dump = dump(|_| {});
    dump["configs"][0]["bootstrap"]["stats_config"]["stats_tags"]
        .as_array_mut()
        .expect("a list")
        .retain(|tag| tag["tag_name"] != "document");
    assert_one(&complaints(&verify(&dump, STATS, Some(&example()))), &["stats_tags", "document"]);
}

#[test]
fn a_module_that_is_not_loaded_or_has_no_policy_is_found_by_the_stats() {
    let with = |stats: &str| complaints(&verify(&dump(|_| {}), stats, Some(&example())));
    assert_one(&with("wasmcustom.a: 0\n"), &["v8.active", "not loaded"]);
    assert_one(
        &with("wasm.envoy.wasm.runtime.v8.active: 2\n"),
        &["wasmcustom", "no policy has been accepted"],
    );
    let failing = format!("{STATS}wasm.portcullis.vm_reload_failure: 3\n");
    assert_one(&with(&failing), &["vm_reload_failure", "did not come back"]);
}

/// As pilot-agent puts it in the place of a plugin whose image it could not get.
#[test]
fn an_image_that_could_not_be_had_is_told_apart_from_a_filter_that_is_not_there() {
    let dump = dump(|listener| {
        manager(listener)["http_filters"][0] =
            json!({ "name": "gw.portcullis", "config_discovery": { "type_urls": [] } });
    });
    let filter = |typed: Value| {
        let filter = json!({ "name": "gw.portcullis", "typed_config": typed });
        json!({ "@type": "type.googleapis.com/envoy.admin.v3.EcdsConfigDump", "ecds_filters": [{ "ecds_filter": filter }] })
    };
    let kind = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC";
    let sent = |rbac: Value| {
        let mut dump = dump.clone();
        dump["configs"].as_array_mut().expect("a list").push(filter(rbac));
        complaints(&verify(&dump, "", None))
    };
    let denies = sent(json!({ "@type": kind, "rules": {} }));
    assert!(denies.iter().any(|line| line.contains("denies every request")), "{denies:#?}");
    let passes = sent(json!({ "@type": kind }));
    assert!(passes.iter().any(|line| line.contains("lets every request pass unfiltered")), "{passes:#?}");
}

#[test]
fn a_refused_update_is_told_with_its_reason() {
    let mut dump = dump(|_| {});
    let active = dump["configs"].as_array().expect("a list").len();
    let refused = json!({ "name": "0.0.0.0_8080", "error_state": {
        "last_update_attempt": "2026-11-28T08:00:00Z", "details": "Unable to create Wasm plugin",
    } });
    let part = json!({ "@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump", "dynamic_listeners": [refused] });
    dump["configs"].as_array_mut().expect("a list").insert(active, part);
    let found = complaints(&verify(&dump, STATS, Some(&example())));
    assert_one(
        &found,
        &["listener 0.0.0.0_8080", "Unable to create Wasm plugin", "what served before it serves on"],
    );
}

/// Envoy's dump has the plugin that was sent last, and no word of its refusal.
#[test]
fn a_plugin_that_was_sent_and_refused_is_found_by_the_time_of_the_last_one_that_was_taken() {
    let name = "extensions/gw.portcullis~made-up";
    let told = |stats: &str| {
        let mut dump = dump(|_| {});
        let sent = json!({ "ecds_filter": { "name": name }, "last_updated": "2026-11-28T08:00:00.500Z" });
        let part =
            json!({ "@type": "type.googleapis.com/envoy.admin.v3.EcdsConfigDump", "ecds_filters": [sent] });
        dump["configs"].as_array_mut().expect("a list").push(part);
        complaints(&verify(&dump, &format!("{STATS}{stats}"), Some(&example())))
    };
    let stats = |taken: u64| {
        let prefix = format!("extension_config_discovery.http_filter.{name}");
        format!("{prefix}.update_rejected: 2\n{prefix}.update_time: {taken}\n")
    };
    let came = 1_795_852_800_500_u64;
    assert_eq!(told(&stats(came)), [""; 0]);
    assert_one(&told(&stats(came - 1)), &[name, "08:00:00.500Z refused", "the 2. refusal"]);
    assert_one(&told(""), &[name, "no stats", "proxyStatsMatcher"]);
}

#[test]
fn two_policies_of_one_instance_name_are_found_and_one_policy_on_two_listeners_is_not() {
    let both = |change: &dyn Fn(&mut Value)| {
        let mut dump = dump(|_| {});
        let listeners = dump["configs"][1]["static_listeners"].as_array_mut().expect("a list");
        let mut second = listeners[0].clone();
        second["listener"]["name"] = "second".into();
        let value = &mut plugin(&mut second["listener"])["configuration"]["value"];
        let mut policy: Value = serde_json::from_str(value.as_str().expect("a policy")).expect("JSON");
        change(&mut policy);
        *value = policy.to_string().into();
        listeners.push(second);
        let found = complaints(&verify(&dump, STATS, None));
        found.into_iter().filter(|what| what.contains("gateway.instance")).collect::<Vec<_>>()
    };
    let other = |policy: &mut Value| policy["gateway"]["name"] = "other".into();
    assert_one(&both(&other), &["listener second", "`default`", "with another policy", "a name of its own"]);
    assert_eq!(both(&|_| {}), [""; 0]);
    let renamed = |policy: &mut Value| {
        other(policy);
        policy["gateway"]["instance"] = "edge-2".into();
    };
    assert_eq!(both(&renamed), [""; 0]);
}

#[test]
fn a_second_filter_of_an_instance_in_one_listener_is_found_and_one_with_a_concern_of_its_own_is_not() {
    let with_second = |change: &dyn Fn(&mut Value)| {
        let mut dump = dump(|listener| {
            let filters = manager(listener)["http_filters"].as_array_mut().expect("filters");
            filters.insert(1, filters[0].clone());
        });
        let listener = &mut dump["configs"][1]["static_listeners"][0]["listener"];
        change(&mut manager(listener)["http_filters"][1]["typed_config"]["config"]);
        complaints(&verify(&dump, STATS, Some(&example())))
    };
    let twice = "a second filter of the instance `default`";
    assert_one(&with_second(&|_| {}), &["http_filters[1]", twice, "http_filters[0]", "counted, and charged"]);
    let renamed = |plugin: &mut Value| {
        let value = &mut plugin["configuration"]["value"];
        let mut policy: Value = serde_json::from_str(value.as_str().expect("a policy")).expect("JSON");
        policy["gateway"]["instance"] = "limits".into();
        *value = policy.to_string().into();
    };
    assert_eq!(with_second(&renamed), [""; 0]);
    let open = |plugin: &mut Value| {
        renamed(plugin);
        plugin["failure_policy"] = "FAIL_OPEN".into();
    };
    assert_one(&with_second(&open), &["http_filters[1], failure_policy", "FAIL_OPEN"]);
}

/// What a sidecar with the example's filter would dump, its listeners changed.
fn sidecar(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut dump = dump(|listener| listener["traffic_direction"] = "INBOUND".into());
    dump["configs"][0]["bootstrap"]["node"]["id"] =
        "sidecar~10.0.0.1~order-0.shop~shop.svc.cluster.local".into();
    let mut unguarded = dump["configs"][1]["static_listeners"][0].clone();
    manager(&mut unguarded["listener"])["http_filters"] = json!([{ "name": "envoy.filters.http.router" }]);
    unguarded["listener"]["traffic_direction"] = "OUTBOUND".into();
    let mut redirected = unguarded.clone();
    redirected["listener"]["traffic_direction"] = "INBOUND".into();
    redirected["listener"]["name"] = "virtualInbound".into();
    let mut listeners = json!([dump["configs"][1]["static_listeners"][0], unguarded, redirected]);
    change(&mut listeners);
    dump["configs"][1]["static_listeners"] = listeners;
    complaints(&verify(&dump, STATS, Some(&example())))
}

/// What the application asks of others, and ports that no service has, are not the plugin's.
#[test]
fn of_a_sidecar_only_what_comes_in_to_its_services_must_pass_the_filter() {
    assert_eq!(sidecar(|_| {}), [""; 0]);
    let of_a_service = sidecar(|listeners| {
        listeners[2]["listener"]["filter_chains"][0]["filter_chain_match"] =
            json!({ "destination_port": 8080 });
    });
    assert_one(&of_a_service, &["virtualInbound", "passes unfiltered"]);
    let inbound = sidecar(|listeners| listeners[1]["listener"]["traffic_direction"] = "INBOUND".into());
    assert_one(&inbound, &["passes unfiltered"]);
}
