use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn policy(proxies: &[&str], hops: u8) -> ClientIpPolicy {
    let trusted_proxies = proxies.iter().map(|&network| network.to_owned()).collect();
    let raw = RawClientIp { trusted_proxies, trusted_hops: hops, ..RawClientIp::default() };
    raw.compile(&Node::top()).unwrap()
}

fn sender(policy: &ClientIpPolicy, lines: &[&str], peer: Option<&str>) -> Sender {
    let headers = Headers::from_pairs(lines.iter().map(|line| (FORWARDED_FOR, line.as_bytes())));
    policy.sender(&headers, peer.map(str::as_bytes))
}

fn client(policy: &ClientIpPolicy, lines: &[&str], peer: Option<&str>) -> ClientIp {
    sender(policy, lines, peer).client
}

fn ip(text: &str) -> ClientIp {
    ClientIp::parse(text.as_bytes())
}

/// What services are told, where it is not what came in.
fn told(policy: &ClientIpPolicy, lines: &[&str], peer: Option<&str>) -> Option<String> {
    sender(policy, lines, peer).forwarded_for.map(|value| String::from_utf8(value).unwrap())
}

#[test]
fn with_no_trusted_proxy_the_peer_is_the_client_whatever_it_claims() {
    let policy = policy(&[], 0);
    assert_eq!(client(&policy, &["9.9.9.9"], Some("1.1.1.1:555")), ip("1.1.1.1"));
    assert_eq!(client(&policy, &["9.9.9.9,1.1.1.1"], None), ip("1.1.1.1"));
    assert_eq!(client(&policy, &[], Some("1.1.1.1:555")), ip("1.1.1.1"));
    assert_eq!(client(&policy, &["junk"], None), ClientIp::UNKNOWN);
    assert_eq!(client(&policy, &[], None), ClientIp::UNKNOWN);
}

#[test]
fn proxies_are_walked_from_the_right_until_the_first_that_is_none_of_ours() {
    let policy = policy(&["10.0.0.0/8", "192.0.2.7"], 0);
    for (lines, expected) in [
        (&["6.6.6.6, 2.2.2.2, 192.0.2.7"][..], "2.2.2.2"),
        (&["6.6.6.6", "2.2.2.2, 192.0.2.7", "10.1.1.1"], "2.2.2.2"),
        (&["10.9.9.9, 2.2.2.2"], "2.2.2.2"),
        (&["6.6.6.6, 2001:db8::1"], "2001:db8::1"),
        (&["6.6.6.6, ::ffff:2.2.2.2, ::ffff:192.0.2.7"], "2.2.2.2"),
    ] {
        assert_eq!(client(&policy, lines, Some("10.0.0.1:1")), ip(expected), "{lines:?}");
    }
}

#[test]
fn a_count_of_hops_holds_for_a_trusted_peer_only() {
    let policy = policy(&["192.0.2.7"], 2);
    assert_eq!(client(&policy, &["6.6.6.6, 2.2.2.2, 3.3.3.3"], Some("192.0.2.7:1")), ip("2.2.2.2"));
    for forged in [&["10.1.1.1, 7.7.7.7"][..], &["10.1.1.1"], &[]] {
        let sender = sender(&policy, forged, Some("8.8.8.8:1"));
        assert_eq!((sender.client, sender.by_proxy), (ip("8.8.8.8"), false), "{forged:?}");
    }
}

#[test]
fn a_chain_that_is_too_short_has_no_client_and_least_of_all_the_proxy() {
    let (counted, walked) = (policy(&["192.0.2.0/24"], 2), policy(&["192.0.2.0/24"], 0));
    assert_eq!(client(&counted, &["6.6.6.6"], Some("192.0.2.7:1")), ClientIp::UNKNOWN);
    assert_eq!(client(&counted, &["6.6.6.6,192.0.2.7"], None), ClientIp::UNKNOWN);
    assert_eq!(client(&counted, &[], Some("192.0.2.7:1")), ClientIp::UNKNOWN);
    assert_eq!(client(&walked, &[], Some("192.0.2.7:1")), ClientIp::UNKNOWN);
    assert_eq!(client(&walked, &["192.0.2.8, 192.0.2.7"], None), ClientIp::UNKNOWN);
}

#[test]
fn garbage_at_the_clients_place_is_unknown_and_not_the_next_best() {
    for hops in [0, 1] {
        let policy = policy(&["10.0.0.0/8"], hops);
        for junk in ["6.6.6.6, junk", "6.6.6.6,", "6.6.6.6, unknown", "6.6.6.6, 1.2.3.4.5"] {
            assert_eq!(client(&policy, &[junk], Some("10.0.0.1:1")), ClientIp::UNKNOWN, "{hops} {junk}");
        }
    }
}

#[test]
fn services_are_told_what_is_believed_and_an_honest_header_is_left_alone() {
    let direct = policy(&[], 0);
    assert_eq!(told(&direct, &["1.1.1.1"], None), None);
    assert_eq!(told(&direct, &[], Some("1.1.1.1:9")), None);
    for (lines, peer) in [
        (&["6.6.6.6,1.1.1.1"][..], None),
        (&["6.6.6.6", "1.1.1.1"], None),
        (&["6.6.6.6"], Some("1.1.1.1:9")),
        (&["1.1.1.1, 1.1.1.1"], Some("1.1.1.1:9")),
    ] {
        assert_eq!(told(&direct, lines, peer).as_deref(), Some("1.1.1.1"), "{lines:?}");
    }
    assert_eq!(told(&direct, &["junk"], None).as_deref(), Some("unknown"));
}

#[test]
fn services_are_told_of_the_client_and_the_proxies_behind_it() {
    let policy = policy(&["10.0.0.0/8"], 0);
    assert_eq!(told(&policy, &["2.2.2.2, 10.0.0.2,10.0.0.1"], None), None);
    assert_eq!(told(&policy, &["6.6.6.6, 2.2.2.2", "10.0.0.2"], None).as_deref(), Some("2.2.2.2, 10.0.0.2"));
    assert_eq!(told(&policy, &["2.2.2.2"], Some("10.0.0.1:9")), None);
    assert_eq!(told(&policy, &["6.6.6.6, 2.2.2.2"], Some("10.0.0.1:9")).as_deref(), Some("2.2.2.2"));
    assert_eq!(told(&policy, &["6.6.6.6"], Some("3.3.3.3:9")).as_deref(), Some("3.3.3.3"));
    assert_eq!(told(&policy, &["6.6.6.6,3.3.3.3"], None).as_deref(), Some("3.3.3.3"));
    assert_eq!(told(&policy, &["10.0.0.9"], Some("10.0.0.1:9")).as_deref(), Some("unknown"));
    assert_eq!(told(&policy, &[], Some("10.0.0.1:9")), None);
}

#[test]
fn every_mistake_is_told_with_its_place() {
    let raw = RawClientIp { trusted_proxies: vec!["10.0.0.1/8".to_owned()], trusted_hops: 0, ipv6_prefix: 8 };
    let errors = raw.compile(&Node::top().key("client_ip")).unwrap_err();
    let places: Vec<_> = errors.iter().map(|error| error.at.to_string()).collect();
    assert_eq!(places, ["client_ip.trusted_proxies[0]", "client_ip.ipv6_prefix"]);
}

#[test]
fn hops_that_anybody_could_claim_are_a_mistake() {
    let raw = RawClientIp { trusted_hops: 1, ..RawClientIp::default() };
    let errors = raw.compile(&Node::top().key("client_ip")).unwrap_err();
    assert!(
        errors[0].to_string().starts_with("client_ip.trusted_hops: found `1` alone, expected the networks")
    );
}

#[test]
fn proxies_everywhere_leave_no_client() {
    for network in ["0.0.0.0/0", "::/0"] {
        let raw = RawClientIp { trusted_proxies: vec![network.to_owned()], ..RawClientIp::default() };
        let errors = raw.compile(&Node::top()).unwrap_err();
        assert!(errors[0].to_string().starts_with("trusted_proxies: found a network of all"), "{errors:?}");
        policy(&[network], 1);
    }
}

#[test]
fn a_header_that_names_the_peer_is_left_alone_and_one_that_names_another_is_not() {
    let alone = policy(&[], 0);
    assert_eq!(told(&alone, &["1.1.1.1"], Some("1.1.1.1:555")), None);
    assert_eq!(told(&alone, &["9.9.9.9"], Some("1.1.1.1:555")).as_deref(), Some("1.1.1.1"));
    assert_eq!(told(&alone, &[" 1.1.1.1"], None), None);
}

#[test]
fn a_policy_knows_how_many_proxies_it_trusts_at_least() {
    let trusted = |proxies: &[&str], hops| {
        let policy = policy(proxies, hops);
        (policy.trusts_proxies(), policy.least_hops())
    };
    assert_eq!(trusted(&[], 0), (false, 0));
    assert_eq!(trusted(&["10.0.0.0/8"], 0), (true, 1));
    assert_eq!(trusted(&["10.0.0.0/8"], 3), (true, 3));
}
