//! Key sets, deny lists and PEM blocks, as an issuer's server may send them.
//!
//! Never a panic; what was read is within the rules; and written anew it is read as the same.
#![no_main]

mod json;

use libfuzzer_sys::fuzz_target;
use portcullis_jwt::{Alg, AlgSet, DenyList, Document as _, Key, KeyError, KeySet, SetRules};
use serde_json::Value;

const MAX_KEYS: usize = 8;

fn rules(algorithms: AlgSet, fetched: bool) -> SetRules {
    SetRules { algorithms, max_keys: MAX_KEYS, fetched, min_secret: None }
}

/// A key's name and algorithm, and why another was skipped.
fn facts(set: &KeySet) -> (Vec<String>, Vec<String>) {
    let keys = set.keys().iter().map(|key| format!("{key:?}")).collect();
    (keys, set.skipped().iter().map(|skipped| format!("{skipped:?}")).collect())
}

fn read_set(data: &[u8], rules: &SetRules) {
    let Ok(set) = KeySet::read(data, rules) else { return };
    assert!(set.keys().len() + set.skipped().len() <= MAX_KEYS);
    assert!(set.keys().iter().all(|key| rules.algorithms.contains(key.alg())));
    if rules.fetched {
        let is_secret = |key: &Key| matches!(key.alg(), Alg::HS256 | Alg::HS384 | Alg::HS512);
        assert!(!set.keys().iter().any(is_secret), "a secret that is served is none");
    }
    let text = data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data);
    let tree: Value = serde_json::from_slice(text).expect("a set is JSON");
    let again = KeySet::read(tree.to_string().as_bytes(), rules).expect("what was written can be read");
    // A member that stands twice makes its key malformed; written anew it stands once.
    if set.skipped().iter().all(|skipped| skipped.why != KeyError::Malformed) {
        assert_eq!(facts(&again), facts(&set));
    }
    // No key may panic on whatever it is asked.
    for key in set.keys() {
        for length in [0, 32, 64, 256] {
            assert!(
                !key.verifies(b"signed", &vec![7; length], &portcullis_edge_core::MemoryHost::default()),
                "taken, and nobody has signed it"
            );
        }
    }
}

fuzz_target!(|data: &[u8]| {
    json::readers_agree(data);
    read_set(data, &rules(Alg::ALL.into_iter().collect(), false));
    read_set(data, &rules([Alg::RS256, Alg::ES256, Alg::EdDSA].into_iter().collect(), true));
    let _ = DenyList::read(data, &MAX_KEYS);
    if let Ok(text) = std::str::from_utf8(data) {
        for alg in [Alg::HS256, Alg::RS256, Alg::ES256, Alg::ES384, Alg::ES512, Alg::EdDSA] {
            assert!(
                Key::pem(None, alg, text).is_ok_and(|key| key.alg() == alg)
                    || Key::pem(None, alg, text).is_err()
            );
        }
    }
});
