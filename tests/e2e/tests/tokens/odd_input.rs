//! Input that nobody sends by mistake.

use crate::lab::{good, provider, route, setup};
use portcullis_e2e::{Connection, Gateway, Request};
use serde_json::json;
use std::thread;

fn gateway() -> Gateway {
    let jwt = json!({"providers": {"main": provider(json!({}))}, "sources": [
        {"header": "Authorization"}, {"cookie": "session"}, {"query": "access_token"}]});
    setup(jwt, vec![route("/a", json!({}))]).start()
}

/// A generator that is the same everywhere (xorshift64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A byte that may stand in a header's value (RFC 9110 section 5.5), obsolete ones included.
    fn byte(&mut self) -> u8 {
        match u8::try_from(self.next() & 0xff).expect("a byte") {
            byte @ (0x21..=0x7e | 0x80..) => byte,
            other => 0x21 + other % 0x5d,
        }
    }

    /// Garbage, garbage behind `Bearer`, or a good token with its end replaced by garbage.
    fn authorization(&mut self, good: &str) -> Vec<u8> {
        let length = usize::try_from(self.next() % 48).expect("small") + 1;
        let mut value = match self.next() % 3 {
            0 => Vec::new(),
            1 => b"Bearer ".to_vec(),
            _ => [b"Bearer ", &good.as_bytes()[..good.len() - length]].concat(),
        };
        value.extend((0..length).map(|_| self.byte()));
        value
    }
}

const ROUNDS: usize = 100_000;
const CLIENTS: usize = 4;

#[test]
fn a_hundred_thousand_odd_authorization_values_are_all_refused() {
    let (gateway, good) = (gateway(), good());
    let ask = |client: usize| {
        let mut random = Random(0x2545_f491_4f6c_dd1d + u64::try_from(client).expect("small"));
        let mut connection = Connection::open(gateway.address());
        for _ in 0..ROUNDS / CLIENTS {
            let authorization = random.authorization(&good);
            if authorization.strip_prefix(b"Bearer ") == Some(good.as_bytes()) {
                continue; // chance has mended it
            }
            let answer = connection.send(&Request::get("/api/v1/a").header("authorization", &authorization));
            assert_eq!(answer.status, 401, "{answer:?} for {authorization:?}");
        }
    };
    thread::scope(|scope| {
        (0..CLIENTS).for_each(|client| drop(scope.spawn(move || ask(client))));
    });
    assert_eq!(gateway.send(&Request::get("/api/v1/a").bearer(&good)).status, 200, "it still works");
    assert_eq!(gateway.envoy.samples().sum("envoy_wasm_portcullis_vm_reload_success", &[]), 0.0, "no trap");
}

#[test]
fn a_token_in_any_two_places_is_refused_and_in_one_is_taken() {
    let (gateway, good) = (gateway(), good());
    let place = |request: Request, place: usize| match place {
        0 => request.bearer(&good),
        _ => request.header("cookie", format!("a=b; session={good}")),
    };
    let query =
        |with: bool| if with { format!("/api/v1/a?x=1&access_token={good}") } else { "/api/v1/a".to_owned() };
    for places in 1..8_usize {
        let mut request = Request::get(query(places & 4 != 0));
        for bit in [0, 1] {
            if places & (1 << bit) != 0 {
                request = place(request, bit);
            }
        }
        let expected = if places.count_ones() == 1 { 200 } else { 401 };
        assert_eq!(gateway.send(&request).status, expected, "places {places:03b}");
    }
}

#[test]
fn no_token_is_ever_logged() {
    let (gateway, good) = (gateway(), good());
    let signature = good.rsplit('.').next().expect("a signature").to_owned();
    gateway.send(&Request::get("/api/v1/a").bearer(&good));
    gateway.send(&Request::get(format!("/api/v1/a?access_token={good}")));
    gateway.send(&Request::get("/api/v1/a").bearer(&format!("{good}x")));
    let last =
        gateway.send(&Request::get("/api/v1/a").bearer("x").header("cookie", format!("session={good}")));
    gateway.log_line_of(&last);
    let metrics = gateway.get("/metrics");
    let all = format!(
        "{}{}{}",
        gateway.envoy.stdout().tail(1_000),
        gateway.envoy.stderr().tail(1_000),
        metrics.text()
    );
    assert!(all.contains("two_tokens"), "the lines are there");
    assert!(!all.contains(&signature) && !all.contains(&good[..40]), "a token in the logs");
}
