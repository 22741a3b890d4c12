//! The signature vectors of the project Wycheproof, all of those whose algorithm a token may have.

use crate::support::*;
use portcullis_edge_core::{Host, MemoryHost};
use portcullis_jwt::{Alg, KeySet, SetRules};
use rsa::pkcs8::DecodePublicKey as _;
use rsa::traits::PublicKeyParts as _;
use serde_json::{Value, json};
use wycheproof::rsa_pkcs1_verify::TestName as Pkcs1;
use wycheproof::rsa_pss_verify::TestName as Pss;
use wycheproof::{TestResult, ecdsa, eddsa, mac, rsa_pkcs1_verify, rsa_pss_verify};

/// One key of this JWK, bound to `alg`.
struct Keyed {
    alg: Alg,
    set: KeySet,
}

impl Keyed {
    /// Nothing, if the key is refused.
    fn new(alg: Alg, jwk: &Value, fetched: bool) -> Option<Self> {
        let algorithms = [alg].into_iter().collect();
        let rules = SetRules { algorithms, max_keys: 1, fetched, min_secret: None };
        let set = KeySet::read(json!({"keys": [jwk]}).to_string().as_bytes(), &rules).unwrap();
        (!set.keys().is_empty()).then_some(Self { alg, set })
    }

    /// Whether the key made this signature; by pure Rust and by the host, which must say the same.
    fn holds(&self, message: &[u8], signature: &[u8]) -> bool {
        let by = |host: &dyn Host| self.set.keys()[0].verifies(message, &signature.to_vec(), host);
        let pure = by(&MemoryHost::default());
        assert_eq!(pure, by(&native()), "{}: pure Rust and the host disagree", self.alg);
        pure
    }
}

/// What was seen of a set: signatures that hold, and those that do not.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    good: usize,
    bad: usize,
}

impl Seen {
    /// What only a lenient reader takes ("acceptable") must not hold.
    fn check(&mut self, holds: bool, result: TestResult, case: &str) {
        assert_eq!(holds, result == TestResult::Valid, "{case}");
        *if holds { &mut self.good } else { &mut self.bad } += 1;
    }
}

fn rsa_jwk(alg: Alg, der: &[u8]) -> Value {
    let key = rsa::RsaPublicKey::from_public_key_der(der).unwrap();
    json!({"kty": "RSA", "alg": alg.as_str(), "n": b64(key.n().to_bytes_be()), "e": b64(key.e().to_bytes_be())})
}

#[test]
fn pkcs1_signatures_hold_where_wycheproof_says_so() {
    let sets = [
        (Alg::RS256, [Pkcs1::Rsa2048Sha256, Pkcs1::Rsa3072Sha256, Pkcs1::Rsa4096Sha256]),
        (Alg::RS384, [Pkcs1::Rsa2048Sha384, Pkcs1::Rsa3072Sha384, Pkcs1::Rsa4096Sha384]),
        (Alg::RS512, [Pkcs1::Rsa2048Sha512, Pkcs1::Rsa3072Sha512, Pkcs1::Rsa4096Sha512]),
    ];
    let mut seen = Seen::default();
    for (alg, names) in sets {
        for group in
            names.into_iter().flat_map(|name| rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups)
        {
            let key = Keyed::new(alg, &rsa_jwk(alg, &group.der), true).unwrap();
            for test in &group.tests {
                let case = format!("{alg} {} {}", test.tc_id, test.comment);
                seen.check(key.holds(&test.msg, &test.sig), test.result, &case);
            }
        }
    }
    println!("{seen:?}");
    assert!(seen.good >= 60 && seen.bad >= 2000, "{seen:?}");
}

/// Every signature of a set, with its key, and what is said of it.
fn each_pss(alg: Alg, name: Pss, mut tell: impl FnMut(bool, TestResult, &str)) {
    for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
        let key = Keyed::new(alg, &rsa_jwk(alg, &group.der), true).unwrap();
        for test in &group.tests {
            let case = format!("{alg} {name:?} {} {}", test.tc_id, test.comment);
            tell(key.holds(&test.msg, &test.sig), test.result, &case);
        }
    }
}

#[test]
fn pss_signatures_hold_where_wycheproof_says_so() {
    let mut seen = Seen::default();
    for (alg, name) in [
        (Alg::PS256, Pss::RsaPss2048Sha256Mgf1SaltLen32),
        (Alg::PS256, Pss::RsaPss3072Sha256Mgf1SaltLen32),
        (Alg::PS256, Pss::RsaPss4096Sha256Mgf1SaltLen32),
        (Alg::PS384, Pss::RsaPss2048Sha384Mgf1SaltLen48),
        (Alg::PS384, Pss::RsaPss4096Sha384Mgf1SaltLen48),
        (Alg::PS512, Pss::RsaPss4096Sha512Mgf1SaltLen64),
    ] {
        each_pss(alg, name, |holds, result, case| seen.check(holds, result, case));
    }
    println!("{seen:?}");
    assert!(seen.good >= 500 && seen.bad >= 250, "{seen:?}");
}

/// RFC 7518 section 3.5: a salt as long as the hash, and MGF1 of the same hash. Good signatures of others are none for a token.
#[test]
fn pss_signatures_of_other_parameters_are_none() {
    let mut good = 0;
    for (alg, name) in [
        (Alg::PS256, Pss::RsaPss2048Sha256Mgf1SaltLen0),
        (Alg::PS256, Pss::RsaPss2048Sha256Mgf1Sha1_20),
        (Alg::PS512, Pss::RsaPss4096Sha512Mgf1SaltLen32),
    ] {
        each_pss(alg, name, |holds, result, case| {
            if result == TestResult::Valid {
                assert!(!holds, "{case}");
                good += 1;
            }
        });
    }
    assert!(good >= 150, "{good}");
}

#[test]
fn ecdsa_signatures_hold_where_wycheproof_says_so() {
    use wycheproof::ecdsa::TestName as Ecdsa;
    let mut seen = Seen::default();
    for (alg, curve, size, name) in [
        (Alg::ES256, "P-256", 32, Ecdsa::EcdsaSecp256r1Sha256P1363),
        (Alg::ES384, "P-384", 48, Ecdsa::EcdsaSecp384r1Sha384P1363),
        (Alg::ES512, "P-521", 66, Ecdsa::EcdsaSecp521r1Sha512P1363),
    ] {
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            // The key's end is its point, uncompressed.
            let (rest, y) = group.der.split_at(group.der.len() - size);
            let x = &rest[rest.len() - size..];
            let jwk = json!({"kty": "EC", "crv": curve, "x": b64(x), "y": b64(y)});
            let key = Keyed::new(alg, &jwk, true).unwrap();
            for test in &group.tests {
                let case = format!("{alg} {} {}", test.tc_id, test.comment);
                seen.check(key.holds(&test.msg, &test.sig), test.result, &case);
            }
        }
    }
    println!("{seen:?}");
    assert!(seen.good >= 500 && seen.bad >= 250, "{seen:?}");
}

#[test]
fn ed25519_signatures_hold_where_wycheproof_says_so() {
    let mut seen = Seen::default();
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        let x = &group.der[group.der.len() - 32..];
        let key =
            Keyed::new(Alg::EdDSA, &json!({"kty": "OKP", "crv": "Ed25519", "x": b64(x)}), true).unwrap();
        for test in &group.tests {
            let case = format!("EdDSA {} {}", test.tc_id, test.comment);
            seen.check(key.holds(&test.msg, &test.sig), test.result, &case);
        }
    }
    println!("{seen:?}");
    assert!(seen.good >= 80 && seen.bad >= 50, "{seen:?}");
}

/// A tag is taken whole: a shortened one, good or not, is none.
#[test]
fn macs_hold_where_wycheproof_says_so() {
    use wycheproof::mac::TestName as Mac;
    let mut seen = Seen::default();
    for (alg, bits, name) in [
        (Alg::HS256, 256, Mac::HmacSha256),
        (Alg::HS384, 384, Mac::HmacSha384),
        (Alg::HS512, 512, Mac::HmacSha512),
    ] {
        for group in mac::TestSet::load(name).unwrap().test_groups {
            for test in &group.tests {
                let jwk = json!({"kty": "oct", "alg": alg.as_str(), "k": b64(&test.key[..])});
                let is_long = test.key.len() * 8 >= bits;
                let Some(key) = Keyed::new(alg, &jwk, false) else {
                    assert!(!is_long, "{alg} {}: its key is long enough", test.tc_id);
                    continue;
                };
                let result = if group.tag_size == bits { test.result } else { TestResult::Invalid };
                let case = format!("{alg} {} {}", test.tc_id, test.comment);
                seen.check(key.holds(&test.msg, &test.tag), result, &case);
            }
        }
    }
    println!("{seen:?}");
    assert!(seen.good >= 50 && seen.bad >= 100, "{seen:?}");
}
