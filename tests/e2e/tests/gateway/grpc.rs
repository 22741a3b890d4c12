//! Denials as gRPC clients understand them.

use crate::common::{assert_dressed, both_ways};
use portcullis_e2e::{Answer, Request};

fn call(path: &str) -> Request {
    Request::post(path).header("content-type", "application/grpc").header("te", "trailers").body("\0\0\0\0\0")
}

/// The status is in the headers where an answer has nothing else (gRPC over HTTP/2, "Trailers-Only").
#[track_caller]
fn assert_denied(answer: &Answer, status: &str, message: &str) {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type").as_deref(), Some("application/grpc"), "{answer:?}");
    assert_eq!(answer.header("grpc-status").as_deref(), Some(status), "{answer:?}");
    let told = answer.header("grpc-message").unwrap_or_default();
    assert!(told.contains(message), "{answer:?}");
}

#[test]
fn an_unknown_route_is_unimplemented() {
    both_ways(|gateway| {
        let answer = gateway.send_h2(&call("/shop.Orders/List"));
        assert_denied(&answer, "12", "No such route");
        assert_dressed(&answer);
        let line = gateway.log_line_of(&answer);
        assert_eq!((&line["level"], &line["extra"]["status"]), (&"WARN".into(), &404.into()), "{line}");
    });
}

#[test]
fn a_path_that_cannot_be_normalised_is_an_invalid_argument() {
    both_ways(|gateway| {
        assert_denied(&gateway.send_h2(&call("/shop.Orders;x/List")), "3", "path");
    });
}

#[test]
fn a_lookalike_of_grpc_gets_the_error_body() {
    both_ways(|gateway| {
        let lookalike =
            Request::post("/shop.Orders/List").header("content-type", "application/grpc-web-x").body("x");
        let answer = gateway.send_h2(&lookalike);
        crate::common::assert_error(&answer, 404, "SVC_001");
    });
}
