//! What gRPC's clients get, and what a module hears of a gRPC service: as measured on Envoy.

mod support;

use portcullis_harness::{Error, Reply, Request, Upstream};
use support::{callbacks, results, with_probe};

type Result = std::result::Result<(), Error>;

#[test]
fn a_grpc_client_gets_its_denial_as_grpc_status() -> Result {
    let out = with_probe("request_headers reply 403 go_away")
        .upstream("web", Upstream::respond(200))
        .build()?
        .send(Request::grpc("a.B", "C").chunk("m"))?;
    assert_eq!((out.client.status(), out.client.header("grpc-status").as_deref()), (Some(200), Some("7")));
    assert_eq!(out.client.header("grpc-message").as_deref(), Some("go_away"));
    assert!(out.client.body.is_empty());
    Ok(())
}

#[test]
fn a_grpc_stream_shows_every_step_and_ends_once() -> Result {
    let script = "request_headers stream peer
        request_headers send 0 one
        request_headers send 1 two
        grpc_receive body 5 0 10
        grpc_close status";
    let peer = Reply::grpc("m1").chunk("m2");
    let mut proxy = with_probe(script).upstream("web", Upstream::respond(200)).peer("peer", peer).build()?;
    let out = proxy.send(Request::get("/"))?;
    let steps: Vec<_> = callbacks(&out.logs).into_iter().filter(|line| line.starts_with("grpc")).collect();
    let expected = [
        "grpc_receive_initial_metadata ctx=1 token=6 n=3",
        "grpc_receive ctx=1 token=6 n=2",
        "grpc_receive ctx=1 token=6 n=2",
        "grpc_receive_trailing_metadata ctx=1 token=6 n=1",
        "grpc_close ctx=1 token=6 code=0",
    ];
    assert_eq!(steps, expected);
    assert_eq!(results(&out.logs, "grpc_receive body 5 0 10"), [r#"0 "m1""#, r#"0 "m2""#]);
    assert_eq!(proxy.received("peer")[0].body, b"onetwo");
    Ok(())
}
