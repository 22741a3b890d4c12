//! The cache never gives a verdict other than the uncached one.

use crate::support::*;
use portcullis_jwt::{Alg, Authn, TokenError};
use serde_json::{Value, json};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn cached(authn: &Authn) -> Option<bool> {
    match authn {
        Authn::Bearer { cached, .. } => Some(*cached),
        _ => None,
    }
}

fn section(cache_bytes: u32) -> Value {
    json!({"cache_bytes": cache_bytes, "providers": {
        "any": hs256_provider(json!({"claim_to_headers": [{"claim": "sub", "header": "X-Any"}]})),
        "us": hs256_provider(json!({"issuer": "us", "required_claims": [{"claim": "vip"}]})),
    }})
}

#[test]
fn a_token_is_checked_once_and_known_until_it_expires() {
    let mut worker = Worker::new(json!({"providers": {"main": hs256_provider(json!({}))}}));
    let route = worker.route(json!({}));
    let bearer = format!("Bearer {}", token(Alg::HS256, &json!({"sub": "alice", "exp": NOW + 60})));
    assert_eq!(cached(&worker.request(&route, &[&bearer], NOW)), Some(false));
    assert_eq!(cached(&worker.request(&route, &[&bearer], NOW)), Some(true));
    assert_eq!(cached(&worker.request(&route, &[&bearer], NOW + 59)), Some(true));
    let tokens = &worker.tokens;
    let counts = tokens.cache_counts();
    assert_eq!((counts.hits, counts.misses, counts.evictions), (2, 1, 0));
    let late = worker.request(&route, &[&bearer], NOW + 60);
    assert_eq!(outcome(&late), Outcome::Refused(TokenError::Expired));
}

#[test]
fn a_known_token_does_not_pass_on_a_route_of_other_providers() {
    let mut worker = Worker::new(section(1 << 20));
    let (any, us) = (worker.route(json!({"providers": ["any"]})), worker.route(json!({"providers": ["us"]})));
    let both = worker.route(json!({"providers": ["any", "us"]}));
    let token = token(Alg::HS256, &json!({"iss": "us", "sub": "alice", "exp": NOW + 60}));
    assert_eq!(worker.token(&any, &token, NOW), user("alice"));
    // The same token again, where its issuer has a provider that wants more of it.
    assert_eq!(worker.token(&us, &token, NOW), Outcome::Refused(TokenError::InvalidClaim));
    assert_eq!(worker.token(&both, &token, NOW), Outcome::Refused(TokenError::InvalidClaim));
    assert_eq!(worker.token(&any, &token, NOW), user("alice"));
}

#[test]
fn changed_bytes_are_another_token() {
    let mut worker = Worker::new(section(1 << 20));
    let route = worker.route(json!({"providers": ["any"]}));
    let good = token(Alg::HS256, &json!({"sub": "alice", "exp": NOW + 60}));
    assert_eq!(worker.token(&route, &good, NOW), user("alice"));
    let forged = good.replacen("eyJ", "eyK", 1);
    assert_ne!(worker.token(&route, &forged, NOW), user("alice"));
    // The same end, so the same hash: another user's claims with alice's signature.
    let (_, signature) = good.rsplit_once('.').unwrap();
    let claims = b64(json!({"sub": "admin", "exp": NOW + 60}).to_string());
    let forged = format!("{}.{claims}.{signature}", good.split('.').next().unwrap());
    assert_eq!(worker.token(&route, &forged, NOW), Outcome::Refused(TokenError::InvalidSignature));
}

/// A small language of events, run against a worker with a cache and one without.
#[cfg(not(target_arch = "wasm32"))]
mod equivalence {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Event {
        Use { token: usize, route: usize },
        Wait { seconds: u64 },
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            8 => (0..12_usize, 0..3_usize).prop_map(|(token, route)| Event::Use { token, route }),
            1 => (0..40_u64).prop_map(|seconds| Event::Wait { seconds }),
        ]
    }

    fn tokens() -> Vec<String> {
        (0..12_u64)
            .map(|i| {
                let mut claims = json!({"sub": format!("user{i}"), "exp": NOW + 10 * i});
                if i % 2 == 0 {
                    claims["iss"] = json!("us");
                }
                if i % 3 == 0 {
                    claims["vip"] = json!(true);
                }
                if i % 5 == 0 {
                    claims["nbf"] = json!(NOW + 5);
                }
                token(Alg::HS256, &claims)
            })
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn with_and_without_cache_every_verdict_is_the_same(
            events in proptest::collection::vec(event(), 1..120),
            // From no entry at all over a few to all of them.
            bytes in prop_oneof![Just(500_u32), Just(3_000), Just(1 << 20)],
        ) {
            let tokens = tokens();
            let (mut with, mut without) = (Worker::new(section(bytes)), Worker::new(section(0)));
            let auths = [json!({"providers": ["any", "us"]}), json!({"providers": ["any"]}), json!({"providers": ["us"]})];
            let routes: Vec<_> = auths.into_iter().map(|auth| with.route(auth)).collect();
            let mut now = NOW;
            for event in events {
                match event {
                    Event::Wait { seconds } => now += seconds,
                    Event::Use { token, route } => {
                        let verdict = with.token(&routes[route], &tokens[token], now);
                        prop_assert_eq!(verdict, without.token(&routes[route], &tokens[token], now));
                        prop_assert!(with.tokens.cache().bytes() <= usize::try_from(bytes).unwrap());
                    }
                }
            }
            prop_assert!(without.tokens.cache().is_empty());
        }
    }
}
