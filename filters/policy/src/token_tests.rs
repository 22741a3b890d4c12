use super::*;
use portcullis_edge_core::Mode;
use portcullis_jwt::{RawNeed, Variable};
use serde_json::json;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn sound() -> Value {
    json!({
        "version": 1,
        "services": { "order": { "address": "127.0.0.1:8002" }, "auth": { "address": "127.0.0.1:8003" } },
        "clusters": { "idp": { "address": "idp.example:443", "tls": true } },
        "jwt": { "providers": {
            "own": { "secrets": [{ "alg": "HS256", "value": "${ENV:JWT_SECRET}" }] },
            "partner": {
                "issuer": "https://idp.example", "audiences": ["shop"], "algorithms": ["RS256"],
                "fetch": { "discovery": true, "cluster": "idp" },
                "claim_to_headers": [{ "claim": "tenant", "header": "X-Tenant" }],
            },
        } },
        "routes": [
            { "path": "/orders", "methods": ["GET"], "service": "order", "auth": { "providers": ["own", "partner"] } },
            { "path": "/prices", "methods": ["GET"], "service": "order", "auth": { "token": "none" } },
            { "path": "/admin", "methods": ["GET"], "service": "order", "auth": { "providers": ["own"] },
              "authz": { "allow": [{ "roles": { "any": ["admin"] } }] } },
        ]
    })
}

fn env(name: &str) -> Variable {
    (name == "JWT_SECRET").then(|| "0123456789abcdef0123456789abcdef".to_owned()).into()
}

fn compile(value: &Value) -> Policy {
    Policy::from_value_with(value, &env).map_err(|errors| panic!("{errors:#?}")).ok().unwrap()
}

fn errors(value: &Value) -> Vec<String> {
    let errors = Policy::from_value_with(value, &env).err().expect("mistakes");
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn routes_know_their_need_and_their_rules() {
    let policy = compile(&sound());
    let needs: Vec<_> = policy.routes.iter().map(|r| r.auth.as_ref().unwrap().need()).collect();
    assert_eq!(needs, [RawNeed::Required, RawNeed::None, RawNeed::Required]);
    let rules: Vec<_> = policy.routes.iter().map(|r| r.rules.is_some()).collect();
    assert_eq!(rules, [false, false, true]);
    let jwt = policy.jwt.unwrap();
    assert_eq!(jwt.providers().len(), 2);
    assert_eq!(policy.environment, ["JWT_SECRET"]);
    assert_eq!(jwt.max_waiting(), 1024);
    assert_eq!(jwt.source_kinds().collect::<Vec<_>>(), ["header"]);
}

#[test]
fn with_tokens_the_identity_and_claim_headers_are_only_the_gateways() {
    let policy = compile(&sound());
    for name in ["X-User-ID", "x_user_role", "X-AUTHENTICATED", "x.tenant"] {
        assert!(policy.trust.claims_trust(name.as_bytes()), "{name}");
    }
    assert_eq!(policy.trust.identity().unwrap().user.as_str(), "x-user-id");
}

#[test]
fn a_claims_header_that_is_a_trust_header_too_is_told_at_the_claim() {
    let mut policy = sound();
    policy["jwt"]["providers"]["partner"]["claim_to_headers"][0]["header"] = json!("X_User-Id");
    let errors = errors(&policy);
    assert_eq!(errors.len(), 1, "{errors:#?}");
    assert!(errors[0].starts_with("jwt.providers.partner.claim_to_headers[0].header: found `X_User-Id`"));
}

#[test]
fn a_token_is_not_taken_from_a_header_that_is_removed() {
    let mut policy = sound();
    policy["jwt"]["sources"] = json!([{ "header": "Authorization" }, { "header": "x-tenant" }]);
    assert_eq!(
        errors(&policy),
        [
            "jwt.sources[1].header: found `x-tenant`, which is a trust header, expected a header that clients may send"
        ]
    );
}

#[test]
fn a_route_that_says_nothing_of_tokens_is_a_mistake_only_where_there_are_tokens() {
    let mut policy = sound();
    policy["routes"][1].as_object_mut().unwrap().remove("auth");
    policy["routes"][2].as_object_mut().unwrap().remove("auth");
    let found = errors(&policy);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(
        found[0].starts_with("routes[1].auth: found nothing for `/prices`, expected `auth` on every route")
    );
    policy.as_object_mut().unwrap().remove("jwt");
    policy["routes"][0]["auth"] = json!({});
    let found = errors(&policy);
    assert!(found[0].starts_with("routes[0].auth: found no section `jwt` in the policy"), "{found:#?}");
    assert!(found[1].starts_with("routes[2].authz: found rules on roles, scopes or claims"), "{found:#?}");
    assert_eq!(found.len(), 2, "{found:#?}");
}

#[test]
fn rules_on_a_bearer_where_no_token_is_taken_are_a_mistake_and_on_networks_not() {
    for need in ["none", "refused"] {
        let mut policy = sound();
        policy["routes"][2]["auth"] = json!({ "token": need });
        let found = errors(&policy);
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].starts_with("routes[2].authz: found rules on roles, scopes or claims"));
        policy["routes"][2]["authz"] = json!({ "allow": [{ "networks": ["10.0.0.0/8"] }] });
        compile(&policy);
    }
}

#[test]
fn a_route_overrides_the_mode_and_rules_on_a_bearer_are_no_stricter_than_the_token() {
    let mut policy = sound();
    policy["jwt"]["mode"] = json!("shadow");
    policy["routes"][0]["auth"]["mode"] = json!("enforce");
    let modes = |policy: &Value| -> Vec<_> {
        let of = |r: &Route| (r.auth.as_ref().unwrap().mode(), r.rules.as_ref().map(|r| r.bearer_mode()));
        compile(policy).routes.iter().map(of).collect()
    };
    let shadow = (Mode::Shadow, None);
    assert_eq!(modes(&policy), [(Mode::Enforce, None), shadow, (Mode::Shadow, Some(Mode::Shadow))]);
    policy["routes"][2]["authz"]["mode"] = json!("off");
    assert_eq!(modes(&policy)[2], (Mode::Shadow, Some(Mode::Off)));
    policy["routes"][2]["authz"] = json!({ "allow": [{ "networks": ["10.0.0.0/8"] }] });
    assert_eq!(modes(&policy)[2], (Mode::Shadow, Some(Mode::Enforce)));
}

#[test]
fn unknown_providers_and_clusters_are_told_with_the_nearest_name_and_once() {
    let mut policy = sound();
    policy["routes"][2]["auth"]["providers"] = json!(["onw"]);
    policy["jwt"]["providers"]["partner"]["fetch"]["cluster"] = json!("ipd");
    policy["jwt"]["providers"]["partner"]["revocation"] =
        json!({ "url": "http://auth/revoked", "cluster": "auth" });
    assert_eq!(
        errors(&policy),
        [
            "routes[2].auth.providers[0]: found `onw`, expected a provider of the section `jwt`; did you mean `own`?",
            "jwt.providers.partner.fetch.cluster: found `ipd`, expected a name from `clusters` or `services`: idp, order, \
             auth; did you mean `idp`?",
        ]
    );
}

#[test]
fn a_mistake_in_the_section_does_not_make_its_routes_wrong() {
    let mut policy = sound();
    policy["jwt"]["max_waiting"] = json!(0);
    policy["routes"][2]["auth"]["providers"] = json!(["partnr"]);
    let found = errors(&policy);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert_eq!(found[0], "jwt.max_waiting: found `0`, expected a number from 1 to 65536");
    assert!(found[1].ends_with("did you mean `partner`?"), "{found:#?}");
}

#[test]
fn a_secret_that_is_not_set_is_a_mistake_and_one_that_is_known_elsewhere_none() {
    let unset = Policy::from_value_with(&sound(), &|_| Variable::Unset).err().unwrap();
    assert_eq!(unset.len(), 1);
    assert!(
        unset[0].to_string().starts_with("jwt.providers.own.secrets[0].value: found `${ENV:JWT_SECRET}`")
    );
    assert!(Policy::from_value_with(&sound(), &|_| Variable::Elsewhere).is_ok());
}

#[test]
fn clusters_have_names_of_their_own_and_tls_when_they_say_so() {
    let policy = compile(&sound());
    let tls = policy.clusters[0].tls.as_ref().unwrap();
    assert_eq!((tls.sni.as_str(), &tls.ca_file), ("idp.example", &None));
    let mut policy = sound();
    policy["clusters"]["order"] = json!({ "address": "a:1" });
    policy["clusters"]["plain"] = json!({ "address": "nowhere", "sni": "x" });
    policy["clusters"]["a b"] = json!({ "address": "a:1", "connect_timeout": "0s" });
    let found = errors(&policy);
    let places: Vec<_> = found.iter().map(|e| e.split(": ").next().unwrap()).collect();
    assert_eq!(
        places,
        [
            "clusters.a b",
            "clusters.a b.connect_timeout",
            "clusters.order",
            "clusters.plain.sni",
            "clusters.plain.address"
        ],
        "{found:#?}"
    );
}

#[test]
fn an_https_url_needs_a_cluster_that_speaks_tls() {
    let mut value = sound();
    value["clusters"]["plain"] = json!({ "address": "127.0.0.1:8080" });
    value["routes"][0]["auth"] = json!({ "providers": ["found", "own"] });
    value["jwt"]["providers"] = json!({
        "found": { "issuer": "https://idp.example", "algorithms": ["RS256"],
                   "fetch": { "discovery": true, "cluster": "plain", "jwks_cluster": "order" } },
        "own": { "algorithms": ["RS256"], "fetch": { "jwks_uri": "https://idp.example/keys", "cluster": "plain" },
                 "revocation": { "url": "https://idp.example/revoked", "cluster": "auth" },
                 "introspection": { "url": "https://idp.example/ask", "cluster": "plain" } },
    });
    let errors = errors(&value);
    let expected = "a cluster with `tls: true`, or an `http` URL, which says that nothing protects it";
    for (place, cluster) in [
        ("found.fetch.cluster", "`plain`, which has no `tls`"),
        ("found.fetch.jwks_cluster", "`order`, a service, which has no TLS"),
        ("own.fetch.cluster", "`plain`, which has no `tls`"),
        ("own.revocation.cluster", "`auth`, a service, which has no TLS"),
        ("own.introspection.cluster", "`plain`, which has no `tls`"),
    ] {
        let error =
            format!("jwt.providers.{place}: found {cluster}, for an `https` URL, expected {expected}");
        assert!(errors.contains(&error), "{error} not in {errors:#?}");
    }
    assert_eq!(errors.len(), 5, "{errors:#?}");
}

#[test]
fn an_http_url_may_go_anywhere_for_the_cluster_decides_about_tls() {
    let mut value = sound();
    value["jwt"]["providers"]["own"]["introspection"] =
        json!({ "url": "http://auth/ask", "cluster": "auth" });
    value["jwt"]["providers"]["own"]["revocation"] =
        json!({ "url": "http://idp.example/revoked", "cluster": "idp" });
    compile(&value);
}

#[test]
fn rules_on_roles_need_roles_that_tell_their_provider() {
    let mut value = sound();
    value["routes"][2]["auth"]["providers"] = json!(["own", "partner"]);
    let found = errors(&value);
    let expected = "routes[2].authz: found rules on roles for tokens of `own` and `partner`, neither with a `role_prefix`, expected \
        `role_prefix` of its own at `jwt.providers.own` or `jwt.providers.partner`: a role is its provider's";
    assert_eq!(found, [expected]);
    for provider in ["own", "partner"] {
        value["jwt"]["providers"][provider]["role_prefix"] = json!("p:");
    }
    let found = errors(&value);
    assert!(found[0].contains("both with the `role_prefix` `p:`"), "{found:#?}");
    value["jwt"]["providers"]["own"]["role_prefix"] = json!("");
    compile(&value);
    // Rules on what no provider can mistake.
    value["jwt"]["providers"]["partner"]["role_prefix"] = json!("");
    value["routes"][2]["authz"] = json!({ "allow": [{ "networks": ["10.0.0.0/8"] }] });
    compile(&value);
}

#[test]
fn what_a_request_waits_for_is_over_before_the_request_is() {
    let mut value = sound();
    value["gateway"] = json!({ "request_timeout": "10s" });
    value["jwt"]["providers"]["partner"]["fetch"]["timeout"] = json!("5s");
    value["jwt"]["providers"]["own"]["introspection"] =
        json!({ "url": "http://auth/ask", "cluster": "auth", "timeout": "4s", "retries": 2 });
    value["jwt"]["providers"]["own"]["revocation"] =
        json!({ "url": "http://auth/list", "cluster": "auth", "timeout": "10s" });
    let found = errors(&value);
    let end = "`gateway.request_timeout` (`10s`), which ends a request that still waits";
    let expected = [
        format!("jwt.providers.own.revocation.timeout: found `10s`, expected less than {end}"),
        format!(
            "jwt.providers.own.introspection.timeout: found `4s` up to 3 times, expected less in all than {end}"
        ),
        format!(
            "jwt.providers.partner.fetch.timeout: found `5s` up to 2 times, expected less in all than {end}"
        ),
    ];
    assert_eq!(found, expected);
    value["gateway"]["request_timeout"] = json!("13s");
    compile(&value);
}

#[test]
fn services_that_are_asked_about_tokens_and_have_a_breaker_are_known() {
    let asked = |breakers: Value| {
        let mut value = sound();
        value["jwt"]["providers"]["own"]["introspection"] =
            json!({ "url": "http://auth/ask", "cluster": "auth" });
        value["breakers"] = breakers;
        let policy = compile(&value);
        let names = policy.auth_services.iter().map(|index| policy.services[*index].name.clone());
        names.collect::<Vec<_>>()
    };
    assert_eq!(asked(json!({ "auth": {}, "order": {} })), ["auth"]);
    assert_eq!(asked(json!({ "*": {} })), ["auth"]);
    assert!(asked(json!({ "order": {} })).is_empty() && asked(json!({})).is_empty());
}
