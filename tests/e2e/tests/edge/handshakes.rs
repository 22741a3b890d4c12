//! Handshakes of WebSockets that are refused.

use crate::live::{HOUR, gateway, live, open, token};
use portcullis_e2e::{Connection, Gateway, eventually};
use tokio_tungstenite::tungstenite;

fn refused(gateway: &Gateway, target: &str, headers: &[(&str, &str)]) -> u16 {
    match open(gateway, target, headers).expect_err("it is refused") {
        tungstenite::Error::Http(answer) => answer.status().as_u16(),
        error => panic!("{error}"),
    }
}

#[test]
fn a_handshake_without_a_token_with_two_from_elsewhere_or_on_another_route_is_refused() {
    let live = live();
    let gateway = gateway(&live);
    let token = token(HOUR);
    let (bearer, offer) = (format!("Bearer {token}"), format!("bearer, {token}"));
    let cookie = format!("session={token}");
    assert_eq!(refused(&gateway, "/ws", &[]), 401);
    assert_eq!(refused(&gateway, "/ws", &[("sec-websocket-protocol", "bearer, made.up.token")]), 401);
    assert_eq!(
        refused(&gateway, "/ws", &[("authorization", &bearer), ("sec-websocket-protocol", &offer)]),
        401
    );
    assert_eq!(refused(&gateway, "/ws", &[("cookie", &cookie), ("origin", "https://evil.example")]), 403);
    assert_eq!(refused(&gateway, "/closed", &[("authorization", &bearer)]), 403, "no upgrades there");
}

/// What follows such a head is the new protocol's for the proxy, and would be a body for a service that sees its length.
#[test]
fn a_handshake_with_a_body_is_refused_or_has_none_for_its_service() {
    let live = live();
    let gateway = gateway(&live);
    let token = token(HOUR);
    let hands_shake = |body: &str| {
        let head = format!(
            "GET /ws HTTP/1.1\r\nhost: gateway.test\r\nauthorization: Bearer {token}\r\nupgrade: websocket\r\n\
             connection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{body}"
        );
        Connection::open(gateway.address()).send_raw(head.as_bytes()).expect("an answer")
    };
    let hidden = "GET /open HTTP/1.1\r\nhost: gateway.test\r\n\r\n";
    let answer = hands_shake(&format!("content-length: {}\r\n\r\n{hidden}", hidden.len()));
    assert_eq!(answer.status, 400, "{answer:?}");
    assert_eq!(answer.json()["code"], "REQ_001");
    assert_eq!(gateway.envoy.admin().stat("cluster.live.upstream_rq_total"), Some(0));
    // The proxy removes the announcement, so no service reads a body: these are bytes of a WebSocket, and no sound ones.
    let chunked = format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len());
    assert_eq!(hands_shake(&chunked).status, 101);
    eventually("it is ended", || gateway.envoy.admin().stat("cluster.live.upstream_rq_active") == Some(0));
    assert_eq!(gateway.envoy.admin().stat("cluster.live.upstream_rq_total"), Some(1));
    for none in ["\r\n", "content-length: 0\r\n\r\n"] {
        assert_eq!(hands_shake(none).status, 101, "{none:?}");
    }
}
