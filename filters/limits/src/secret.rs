//! Keys are hashed with a secret of the process, so that no client can choose others' places in a table.

use core::hash::Hasher;
use portcullis_edge_core::{Host, HostError, update};
use siphasher::sip128::{Hasher128, SipHasher13};

/// 128 bits of a key: which key it is, and where in a table it belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hashed {
    /// Chooses the place.
    pub place: u64,
    /// Tells keys of one place apart.
    pub print: u64,
}

/// Hashes one key, part by part.
#[derive(Clone)]
pub struct KeyHasher(SipHasher13);

impl KeyHasher {
    /// Adds a part. Its length goes in too: two keys with other parts never run into one text.
    pub fn part(&mut self, bytes: &[u8]) {
        self.0.write_u64(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.0.write(bytes);
    }

    /// Adds a number.
    pub fn number(&mut self, number: u64) {
        self.0.write_u64(number);
    }

    /// The hash of all parts.
    #[must_use]
    pub fn finish(&self) -> Hashed {
        let hash = self.0.finish128();
        Hashed { place: hash.h1, print: hash.h2 }
    }
}

/// The process's secret: made once, by whichever worker comes first, and kept in shared data.
#[derive(Default)]
pub struct Secret(Option<[u8; 16]>);

impl Secret {
    /// A hasher with the secret, which stands in shared data under `key`.
    ///
    /// # Errors
    /// When shared data fails.
    pub fn hasher(&mut self, key: &str, host: &dyn Host) -> Result<KeyHasher, HostError> {
        let secret = match self.0 {
            Some(secret) => secret,
            None => *self.0.insert(fetch(key, host)?),
        };
        Ok(KeyHasher(SipHasher13::new_with_key(&secret)))
    }
}

fn fetch(key: &str, host: &dyn Host) -> Result<[u8; 16], HostError> {
    update(host, key, |bytes| match <[u8; 16]>::try_from(bytes.as_slice()) {
        Ok(secret) => (secret, false),
        // None yet, or of no version of ours.
        Err(_) => {
            let made = host.random_16();
            *bytes = made.to_vec();
            (made, true)
        }
    })
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "in tests an overflow is a failure")]
mod tests {
    use super::*;
    use portcullis_edge_core::MemoryHost;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn hash(secret: &mut Secret, host: &MemoryHost, parts: &[&[u8]]) -> Hashed {
        let mut hasher = secret.hasher("secret", host).unwrap();
        parts.iter().for_each(|part| hasher.part(part));
        hasher.finish()
    }

    #[test]
    fn all_workers_of_a_process_hash_alike_and_another_process_does_not() {
        let (host, other) = (MemoryHost::default(), MemoryHost::default());
        let _ = other.random_16();
        let first = hash(&mut Secret::default(), &host, &[b"192.0.2.1"]);
        assert_eq!(first, hash(&mut Secret::default(), &host, &[b"192.0.2.1"]));
        assert_ne!(first, hash(&mut Secret::default(), &other, &[b"192.0.2.1"]));
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let (host, mut secret) = (MemoryHost::default(), Secret::default());
        assert_ne!(hash(&mut secret, &host, &[b"ab", b"c"]), hash(&mut secret, &host, &[b"a", b"bc"]));
    }

    #[test]
    fn a_worker_that_loses_the_race_takes_the_winners_secret() {
        let host = MemoryHost::default();
        host.conflict(1);
        let first = hash(&mut Secret::default(), &host, &[b"k"]);
        assert_eq!(first, hash(&mut Secret::default(), &host, &[b"k"]));
        let broken = MemoryHost::default();
        broken.fail_shared(true);
        assert!(Secret::default().hasher("secret", &broken).is_err());
    }
}
