//! No mutation of a valid token is accepted.

use crate::support::*;
use portcullis_jwt::{Alg, Jwt, Keys};
use proptest::prelude::*;
use serde_json::json;
use std::sync::LazyLock;

/// A token of every algorithm.
static TOKENS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let claims = json!({"iss": "us", "sub": "alice", "role": "customer", "exp": NOW + 60});
    Alg::ALL.into_iter().map(|alg| token(alg, &claims)).collect()
});

thread_local! {
    static EVERYTHING: Jwt = everything();
}

/// Whether a provider that has keys for every algorithm takes the token.
fn is_accepted(token: &[u8]) -> bool {
    EVERYTHING.with(|jwt| {
        jwt.verify(
            &route(jwt, json!({})),
            token,
            &Keys::default(),
            at(NOW),
            &portcullis_edge_core::MemoryHost::default(),
        )
        .is_ok()
    })
}

fn everything() -> Jwt {
    let secrets: Vec<_> =
        ["HS256", "HS384", "HS512"].map(|alg| json!({"alg": alg, "value": "${ENV:JWT_SECRET}"})).to_vec();
    let pem: Vec<_> = [
        ("RS256", public_pem("RSA")),
        ("RS384", public_pem("RSA")),
        ("RS512", public_pem("RSA")),
        ("PS256", public_pem("RSA")),
        ("PS384", public_pem("RSA")),
        ("PS512", public_pem("RSA")),
        ("ES256", public_pem("P-256")),
        ("ES384", public_pem("P-384")),
        ("ES512", public_pem("P-521")),
        ("EdDSA", public_pem("Ed25519")),
    ]
    .map(|(alg, value)| json!({"alg": alg, "value": value}))
    .to_vec();
    jwt(json!({"providers": {"us": {"issuer": "us", "secrets": secrets, "pem": pem}}}))
}

/// One change to a token.
#[derive(Clone, Debug)]
enum Mutation {
    Flip {
        at: prop::sample::Index,
        bit: u8,
    },
    Replace {
        at: prop::sample::Index,
        with: u8,
    },
    Insert {
        at: prop::sample::Index,
        byte: u8,
    },
    Remove {
        at: prop::sample::Index,
    },
    Truncate {
        at: prop::sample::Index,
    },
    Append {
        bytes: Vec<u8>,
    },
    Swap {
        a: prop::sample::Index,
        b: prop::sample::Index,
    },
    /// A part of another good token in the place of this one's.
    Transplant {
        part: usize,
        from: prop::sample::Index,
    },
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let index = any::<prop::sample::Index>;
    let alphabet = "[A-Za-z0-9_.=-]".prop_map(|s| s.as_bytes()[0]);
    prop_oneof![
        (index(), 0..8_u8).prop_map(|(at, bit)| Mutation::Flip { at, bit }),
        (index(), alphabet.clone()).prop_map(|(at, with)| Mutation::Replace { at, with }),
        (index(), alphabet).prop_map(|(at, byte)| Mutation::Insert { at, byte }),
        index().prop_map(|at| Mutation::Remove { at }),
        index().prop_map(|at| Mutation::Truncate { at }),
        prop::collection::vec(any::<u8>(), 1..8).prop_map(|bytes| Mutation::Append { bytes }),
        (index(), index()).prop_map(|(a, b)| Mutation::Swap { a, b }),
        (0..3_usize, index()).prop_map(|(part, from)| Mutation::Transplant { part, from }),
    ]
}

fn mutate(token: &str, mutation: &Mutation) -> Vec<u8> {
    let mut bytes = token.as_bytes().to_vec();
    let length = bytes.len();
    match mutation {
        Mutation::Flip { at, bit } => bytes[at.index(length)] ^= 1 << bit,
        Mutation::Replace { at, with } => bytes[at.index(length)] = *with,
        Mutation::Insert { at, byte } => bytes.insert(at.index(length), *byte),
        Mutation::Remove { at } => drop(bytes.remove(at.index(length))),
        Mutation::Truncate { at } => bytes.truncate(at.index(length)),
        Mutation::Append { bytes: more } => bytes.extend_from_slice(more),
        Mutation::Swap { a, b } => bytes.swap(a.index(length), b.index(length)),
        Mutation::Transplant { part, from } => {
            let mut parts: Vec<&str> = token.split('.').collect();
            parts[*part] = TOKENS[from.index(TOKENS.len())].split('.').nth(*part).unwrap();
            bytes = parts.join(".").into_bytes();
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_mutation_of_a_valid_token_is_accepted(which in 0..13_usize, mutation in mutation()) {
        let token = &TOKENS[which];
        let mutated = mutate(token, &mutation);
        // A mutation may be none (a byte replaced by itself), or make another of the good tokens.
        prop_assume!(!TOKENS.iter().any(|good| good.as_bytes() == mutated));
        prop_assert!(!is_accepted(&mutated), "{mutation:?}");
    }
}

#[test]
fn the_unchanged_tokens_are_all_accepted() {
    let jwt = everything();
    for token in TOKENS.iter() {
        assert!(check(&jwt, token).is_ok(), "{token}");
    }
}

/// Any JSON, with few names so that members often meet.
fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|b| json!(b)),
        any::<u64>().prop_map(|n| json!(n)),
        any::<i64>().prop_map(|n| json!(n)),
        any::<f64>().prop_filter("JSON has no NaN", |n| n.is_finite()).prop_map(|n| json!(n)),
        any::<String>().prop_map(|s| json!(s)),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
            prop::collection::btree_map("[ab~/\u{e9}]{0,2}", inner, 0..6)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_document_reads_as_the_library_reads_it(value in any_json()) {
        let text = value.to_string();
        let read = portcullis_jwt::Json::parse(text.as_bytes()).unwrap().root().to_serde();
        prop_assert_eq!(read, serde_json::from_str::<serde_json::Value>(&text).unwrap());
    }

    #[test]
    fn no_bytes_make_the_readers_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(portcullis_jwt::Json::parse(&bytes));
        prop_assert!(!is_accepted(&bytes));
    }
}
