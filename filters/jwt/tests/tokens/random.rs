//! 100,000 `Authorization` values that somebody might send.

use crate::support::*;
use portcullis_edge_core::{Headers, RequestHead};
use portcullis_jwt::{Alg, RouteAuth};
use serde_json::json;

/// A small generator with a seed (xorshift), so that a failure happens again.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % below
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.next(most);
        (0..length).map(|_| u8::try_from(self.next(256)).unwrap()).collect()
    }

    /// Bytes of the base64url alphabet, with dots.
    fn letters(&mut self, most: usize) -> Vec<u8> {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_...";
        let length = self.next(most);
        (0..length).map(|_| LETTERS[self.next(LETTERS.len())]).collect()
    }
}

/// A good token's value with a few bytes changed: at least one, or it would be good.
fn changed(good: &[u8], random: &mut Random) -> Vec<u8> {
    let mut value = good.to_vec();
    for _ in 0..=random.next(3) {
        let at = "Bearer ".len() + random.next(good.len() - "Bearer ".len());
        value[at] = u8::try_from(random.next(256)).unwrap();
    }
    value
}

fn value(good: &[u8], random: &mut Random) -> Vec<u8> {
    let scheme: &[u8] =
        [&b"Bearer "[..], b"bearer  ", b"BEARER\t", b"Basic ", b"", b"Bearer"][random.next(6)];
    match random.next(4) {
        0 => random.bytes(200),
        1 => [scheme, &random.bytes(300)].concat(),
        2 => [scheme, &random.letters(300)].concat(),
        _ => changed(good, random),
    }
}

fn ask(worker: &mut Worker, route: &RouteAuth, value: &[u8]) -> Outcome {
    let head = RequestHead { headers: Headers::from_pairs([("authorization", value)]), peer: Vec::new() };
    let found = match worker.tokens.find(route, &head) {
        Ok(found) => found,
        Err(refusal) => return Outcome::Refused(refusal.error),
    };
    outcome(&worker.tokens.authenticate(route, found.as_ref(), moment(NOW), &worker.host))
}

#[test]
fn a_hundred_thousand_random_authorization_values_are_refused_and_none_panics() {
    let mut worker = Worker::new(json!({"providers": {"main": hs256_provider(json!({}))}}));
    let route = worker.route(json!({}));
    let good = format!("Bearer {}", token(Alg::HS256, &json!({"sub": "alice", "exp": NOW + 60})));
    assert_eq!(ask(&mut worker, &route, good.as_bytes()), Outcome::User(Some("alice".to_owned())));
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for round in 0..100_000 {
        let value = value(good.as_bytes(), &mut random);
        if value == good.as_bytes() {
            continue;
        }
        match ask(&mut worker, &route, &value) {
            Outcome::Refused(error) => assert!(!error.is_ours(), "round {round}: 503 for {value:?}"),
            other => panic!("round {round}: {other:?} for {value:?}"),
        }
    }
}
