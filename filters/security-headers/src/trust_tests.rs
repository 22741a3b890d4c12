use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn policy(set: &[(&str, &str)], reserve: &[&str]) -> RawTrustHeaders {
    RawTrustHeaders {
        set: Named(set.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect()),
        reserve: reserve.iter().map(ToString::to_string).collect(),
        ..RawTrustHeaders::default()
    }
}

fn claims<'n>(names: &[&'n str]) -> Vec<ClaimHeaderName<'n>> {
    names.iter().enumerate().map(|(i, name)| ClaimHeaderName { name, at: Node::top().index(i) }).collect()
}

#[test]
fn with_tokens_the_identity_and_claim_headers_are_ours_in_every_spelling() {
    let named =
        RawTrustHeaders { role: Some("X-Role".to_owned()), ..policy(&[("X-Source", "gateway")], &[]) };
    // Two providers may fill one header.
    let trust = named.compile_with(&Node::top(), Some(&claims(&["X-Tenant", "x-tenant"]))).unwrap();
    let identity = trust.identity().unwrap();
    let names = [&identity.user, &identity.role, &identity.authenticated].map(HeaderName::as_str);
    assert_eq!(names, ["x-user-id", "x-role", "x-authenticated"]);
    for name in ["X_User-Id", "x_role", "x.authenticated", "X_TENANT"] {
        assert!(trust.claims_trust(name.as_bytes()), "{name}");
    }
    assert!(!trust.claims_trust(b"x-user-role"));
    assert_eq!(trust.ours().len(), 5);
    assert_eq!(trust.fixed(), [HeaderName::parse("X-Source").unwrap()]);
    let without = policy(&[], &[]).compile(&Node::top()).unwrap();
    assert!(without.identity().is_none() && !without.claims_trust(b"x-user-id"));
}

#[test]
fn identity_and_claim_headers_are_nothing_else_as_well() {
    let raw =
        RawTrustHeaders { user: Some("Cookie".to_owned()), ..policy(&[("X-A", "1")], &["x-user_role"]) };
    let at = Node::top().key("trust_headers");
    let errors =
        raw.compile_with(&at, Some(&claims(&["x_a", "X-Authenticated", "Accept", "X-B"]))).unwrap_err();
    let places: Vec<_> = errors.iter().map(|e| e.at.to_string()).collect();
    assert_eq!(places, ["trust_headers.user", "trust_headers.role", "[0]", "[1]", "[2]"]);
    let errors = raw.compile(&at).unwrap_err();
    assert_eq!(errors.len(), 1);
    assert!(
        errors[0].to_string().starts_with("trust_headers.user: found `Cookie`, expected a section `jwt`")
    );
}

fn trust() -> TrustHeaders {
    policy(&[("X-Source", "gateway")], &["X-User-Role"]).compile(&Node::top()).unwrap()
}

#[test]
fn every_spelling_of_a_trust_header_is_found_and_others_are_left() {
    let names = [
        "x-user-role",
        "x_user_role",
        "x.user-role",
        "x-source",
        "x_request_id",
        "X_Forwarded-For",
        "x-user-rolex",
        "accept",
        "x-request-id",
        "x-forwarded-for",
    ];
    let headers = Headers::from_pairs(names.map(|n| (n, &b"v"[..])));
    let lower = names.map(str::to_lowercase);
    assert_eq!(trust().forged(&headers), lower[..6].iter().map(|n| n.as_bytes()).collect::<Vec<_>>());
}

#[test]
fn in_trailers_the_proxys_own_names_are_forged_too() {
    let names = ["x-request-id", "x_forwarded_for", "x-user-role", "grpc-status"];
    let trailers = Headers::from_pairs(names.map(|name| (name, &b"v"[..])));
    assert_eq!(
        trust().forged_trailers(&trailers),
        names[..3].iter().map(|n| n.as_bytes()).collect::<Vec<_>>()
    );
}

#[test]
fn what_services_believe_by_habit_is_reserved_by_default_in_every_spelling() {
    let trust = policy(&[], &[]).compile(&Node::top()).unwrap();
    for name in [
        "Forwarded",
        "X-Real-IP",
        "x_real_ip",
        "True-Client-IP",
        "X-Original-URL",
        "X_Rewrite_URL",
        "X-HTTP-Method-Override",
        "Proxy",
        "Remote-User",
        "remote_user",
        "X-Forwarded-User",
        "X-Forwarded-Host",
        "X-Forwarded-Prefix",
        "X-SSL-Client-Verify",
        "x_ssl_client_s_dn",
        "X-Envoy-Peer-Metadata",
        "x-envoy-peer-metadata-id",
    ] {
        assert!(trust.claims_trust(name.as_bytes()), "{name}");
    }
}

#[test]
fn what_honest_clients_send_passes() {
    let trust = policy(&[], &[]).compile(&Node::top()).unwrap();
    for name in [
        ":path",
        ":authority",
        "accept",
        "authorization",
        "cookie",
        "content-type",
        "content-length",
        "user-agent",
        "referer",
        "origin",
        "if-none-match",
        "range",
        "te",
        "traceparent",
        "x-requested-with",
        "x-csrf-token",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-request-id",
        "x-api-key",
        "proxy-authorization",
        "grpc-timeout",
        "sec-fetch-site",
        "idempotency-key",
        "x-auth-token",
    ] {
        assert!(!trust.claims_trust(name.as_bytes()), "{name}");
    }
}

#[test]
fn a_policy_passes_what_it_names_and_keeps_the_twins_out() {
    let raw =
        RawTrustHeaders { pass: vec!["X-Real-IP".into(), "X-SSL-Client-DN".into()], ..policy(&[], &[]) };
    let trust = raw.compile(&Node::top()).unwrap();
    assert!(!trust.claims_trust(b"x-real-ip") && !trust.claims_trust(b"x-ssl-client-dn"));
    assert!(trust.claims_trust(b"x-ssl-client-verify") && trust.claims_trust(b"x_ssl_client_dn"));
    assert!(trust.claims_trust(b"x_real_ip"));
    let raw = RawTrustHeaders { pass: vec!["X-Real-Ipp".into(), "Accept".into()], ..policy(&[], &[]) };
    let errors = raw.compile(&Node::top()).unwrap_err();
    assert!(errors[0].to_string().ends_with("did you mean `x-real-ip`?"), "{errors:?}");
    assert_eq!(errors[1].at.to_string(), "pass[1]");
}

#[test]
fn a_policy_may_use_a_name_that_is_reserved_by_default() {
    let trust =
        policy(&[("X-Forwarded-Prefix", "/api")], &["X-Forwarded-Host"]).compile(&Node::top()).unwrap();
    assert!(trust.claims_trust(b"x-forwarded-prefix") && trust.claims_trust(b"x_forwarded_host"));
    assert_eq!(trust.ours().len(), 2);
}

#[test]
fn a_header_with_a_token_is_a_clients_in_its_one_spelling() {
    let names = ["X-Api-Token", "X-Forwarded-Access-Token", "Authorization"];
    let trust = policy(&[], &[]).compile(&Node::top()).unwrap().expecting_tokens(names.into_iter());
    for name in ["x-api-token", "X-Forwarded-Access-Token", "authorization"] {
        assert!(!trust.claims_trust(name.as_bytes()), "{name}");
    }
    for name in ["x_api_token", "x_forwarded-access_token", "X.Api.Token"] {
        assert!(trust.claims_trust(name.as_bytes()), "{name}");
    }
}

#[test]
fn a_client_cannot_have_the_next_hop_drop_our_headers() {
    let headers = Headers::from_pairs([
        ("connection", &b"Upgrade, X-Source"[..]),
        ("connection", b"x_user_role, X-Request-Id"),
    ]);
    assert_eq!(trust().clean_connection(&headers), Some(b"Upgrade".to_vec()));
    let harmless = Headers::from_pairs([("connection", &b"keep-alive, Upgrade"[..])]);
    assert_eq!(trust().clean_connection(&harmless), None);
}

#[test]
fn mistakes_are_located() {
    let errors = policy(&[("X-A", "1\r\nX-B: 2"), ("bad name", "")], &["x_a", "x-c", "X_C", "Host"])
        .compile(&Node::top().key("trust_headers"))
        .unwrap_err();
    let places: Vec<_> = errors.iter().map(|e| e.at.to_string()).collect();
    assert_eq!(
        places,
        [
            "trust_headers.set.X-A",
            "trust_headers.set.bad name",
            "trust_headers.reserve[2]",
            "trust_headers.reserve[3]"
        ]
    );
}

#[test]
fn headers_that_others_need_are_no_trust_headers_in_any_spelling() {
    let names = [
        "Host",
        "Cookie",
        "user_agent",
        "X_Request_ID",
        "X-Forwarded-For",
        "x_forwarded_proto",
        "Accept",
        "Accept-Encoding",
        "Origin",
        "x_envoy_internal",
        "X-Envoy-Anything",
    ];
    let errors = policy(&[], &names).compile(&Node::top()).unwrap_err();
    assert_eq!(errors.len(), names.len(), "{errors:#?}");
    assert!(errors[3].to_string().contains("takes care of `x-request-id`, `x-forwarded-for` and"));
}

#[test]
fn an_empty_trust_header_would_say_nothing() {
    let errors = policy(&[("X-A", "")], &[]).compile(&Node::top()).unwrap_err();
    assert_eq!(errors[0].at.to_string(), "set.X-A");
}
