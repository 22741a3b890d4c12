//! One normal path for routing, labels, logs and the service: every spelling is either refused, or is one path to all of them.

use crate::common::{assert_error, both_ways};
use portcullis_demo_services::Service;
use portcullis_e2e::{Answer, EnvoyConfig, Gateway, Request};

/// Refused by whoever looks first.
const REFUSED: &[&[u8]] = &[
    b"/api/v1/orders%2Fadmin",
    b"/api/v1/orders%2fadmin",
    b"/api/v1/orders/..%2f..%2fadmin",
    b"/api/v1/orders/%2e%2e%2fadmin",
    b"/api/v1/orders%5Cadmin",
    b"/api/v1/orders%5cadmin",
    b"/api/v1/orders;jsessionid=1",
    b"/api/v1/orders/7;x",
    b"/api/v1/orders/7%00",
    b"/api/v1/orders/7%00.json",
    b"/api/v1/orders/7\0",
    b"/api/v1/orders/7#fragment",
    b"/api/v1/orders/7%0d%0aX-Source:%20evil",
    b"/api/v1/orders/7%7f",
    b"/api/v1/orders/%zz",
    b"/api/v1/orders/%3bx",
    b"/api/v1/orders/..%3bx/admin",
    b"/api/v1/orders/%252Fadmin",
    b"/api/v1/orders/%252e%252e%252fadmin",
    b"/api/v1/orders/%255cadmin",
    b"/api/v1/orders/%4",
    b"/api/v1/orders/%",
    b"/api/v1/orders/\xff",
    b"/api/v1/orders/\xc3\xa9",
    b"*",
    b"api/v1/orders",
];

/// Read by everybody as the path on the right.
const READ: &[(&[u8], &str)] = &[
    (b"/api/v1/orders/7", "/api/v1/orders/7"),
    (b"/api/v1//orders/7", "/api/v1/orders/7"),
    (b"//api/v1/orders/7", "/api/v1/orders/7"),
    (b"/api/v1/orders//7", "/api/v1/orders/7"),
    (b"/api/v1/./orders/7", "/api/v1/orders/7"),
    (b"/api/v1/x/../orders/7", "/api/v1/orders/7"),
    (b"/api/v1/x/%2e%2E/orders/7", "/api/v1/orders/7"),
    (b"/api/v1/orders/x/../7", "/api/v1/orders/7"),
    (b"/api/v1/%6Frders/7", "/api/v1/orders/7"),
    (b"/api/v1/orders/%41", "/api/v1/orders/A"),
    (b"/api/v1/orders/%7e", "/api/v1/orders/~"),
    (b"/api/v1/orders/caf%c3%a9", "/api/v1/orders/caf%C3%A9"),
    (b"/api/v1/orders/a%20b", "/api/v1/orders/a%20b"),
    (b"/api/v1/orders/%3Fx", "/api/v1/orders/%3Fx"),
    (b"/api/v1/orders/100%25", "/api/v1/orders/100%25"),
    (b"/api/v1/orders/.hidden", "/api/v1/orders/.hidden"),
    (b"/api/v1/orders/..x", "/api/v1/orders/..x"),
    (b"http://gateway.test/api/v1/orders/7", "/api/v1/orders/7"),
    (b"/api/v1/auth/../admin", "/api/v1/admin"),
    (b"/api/v1/orders/%2e", "/api/v1/orders/"),
    (b"/api/v1/orders/..", "/api/v1/"),
    (b"//", "/"),
];

/// Refused, or read by everybody as the path on the right: Envoy resolves these before any filter sees them, if it is told to
/// normalise.
const EITHER: &[(&[u8], &str)] = &[
    (b"/api/v1/orders\\7", "/api/v1/orders/7"),
    (b"/api/v1/x\\..\\orders/7", "/api/v1/orders/7"),
    (b"/api/v1//../orders/7", "/api/v1/orders/7"),
    (b"/../../api/v1/orders/7", "/api/v1/orders/7"),
    (b"/api/v1/../../../api/v1/orders/7", "/api/v1/orders/7"),
    (b"/api/v1/orders/..;/admin", "/api/v1/admin"),
    (b"/api/v1/orders/x/..;/7", "/api/v1/orders/7"),
    (b"/api/v1/orders/x;/../7", "/api/v1/orders/7"),
    (b"/api/v1/..;/admin", "/api/admin"),
];

/// Sends a spelling with a query that tells it apart; what comes back, and the paths that services were asked for.
fn probe(gateway: &Gateway, spelling: &[u8], number: usize) -> (Answer, Vec<String>) {
    let query = format!("?probe={number}&");
    let answer = gateway.send(&Request::get([spelling, query.as_bytes()].concat()));
    let everything = Service::ALL.into_iter().flat_map(|service| gateway.knobs().captured(service));
    let seen = everything.filter(|request| request.target.contains(&query));
    (answer, seen.map(|request| request.path().to_owned()).collect())
}

#[track_caller]
fn assert_refused(answer: &Answer, seen: &[String], spelling: &[u8]) {
    assert_eq!(answer.status, 400, "{}: {answer:?}", spelling.escape_ascii());
    assert_eq!(seen, [""; 0], "{}", spelling.escape_ascii());
}

#[track_caller]
fn assert_read(gateway: &Gateway, answer: &Answer, seen: &[String], path: &str) {
    let line = gateway.log_line_of(answer);
    assert_eq!(line["extra"]["path"], path, "{line}");
    if path.starts_with("/api/v1/orders/") && path.len() > "/api/v1/orders/".len() {
        assert_eq!(line["extra"]["endpoint"], "/api/v1/orders/{id}", "{line}");
        assert_eq!(seen, [path.trim_start_matches("/api/v1")], "{line}");
    } else {
        assert_eq!((&line["extra"]["endpoint"], answer.status), (&"unmatched".into(), 404), "{line}");
        assert_eq!(seen, [""; 0], "{line}");
    }
}

/// Sends the whole corpus.
fn assert_one_path(gateway: &Gateway) {
    for (number, spelling) in REFUSED.iter().enumerate() {
        let (answer, seen) = probe(gateway, spelling, number);
        assert_refused(&answer, &seen, spelling);
    }
    for (number, (spelling, path)) in READ.iter().enumerate() {
        let (answer, seen) = probe(gateway, spelling, 1000 + number);
        assert_read(gateway, &answer, &seen, path);
    }
    for (number, (spelling, path)) in EITHER.iter().enumerate() {
        let (answer, seen) = probe(gateway, spelling, 2000 + number);
        match answer.status {
            400 => assert_refused(&answer, &seen, spelling),
            _ => assert_read(gateway, &answer, &seen, path),
        }
    }
}

#[test]
fn every_spelling_is_refused_or_is_one_path_to_all() {
    both_ways(assert_one_path);
}

/// Somebody else's Envoy, which leaves paths as clients wrote them.
fn that_does_not_normalise(config: EnvoyConfig) -> EnvoyConfig {
    let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
    let action = format!("{manager}/path_with_escaped_slashes_action");
    let (normalize, merge) = (format!("{manager}/normalize_path"), format!("{manager}/merge_slashes"));
    config.set(&normalize, false).set(&merge, false).set(&action, "KEEP_UNCHANGED")
}

#[test]
fn the_filter_alone_does_not_rely_on_envoys_normalisation() {
    let gateway = Gateway::setup().alone().envoy(that_does_not_normalise).start();
    assert_one_path(&gateway);
    for (number, (spelling, _)) in EITHER.iter().enumerate() {
        assert_eq!(probe(&gateway, spelling, 3000 + number).0.status, 400, "{}", spelling.escape_ascii());
    }
}

#[test]
fn the_filters_own_refusal_is_told_as_every_error() {
    both_ways(|gateway| {
        let answer = gateway.get("/api/v1/orders;x");
        assert_error(&answer, 400, "REQ_001");
        let line = gateway.log_line_of(&answer);
        assert_eq!(line["extra"]["denied"], "malformed_path", "{line}");
    });
}

#[test]
fn paths_are_one_over_http_2_as_well() {
    both_ways(|gateway| {
        for (spelling, status) in
            [("/api/v1/orders%2F7", 400), ("/api/v1/orders/7;x", 400), ("/api/v1//orders/7", 401)]
        {
            assert_eq!(gateway.send_h2(&Request::get(spelling)).status, status, "{spelling}");
        }
    });
}
