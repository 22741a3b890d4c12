use super::*;
use crate::token::base64url;
use portcullis_edge_core::MemoryHost;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// RFC 7517 appendix A.1.
const POINT: [&str; 2] =
    ["MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"];

fn point() -> Vec<u8> {
    let [x, y] = POINT.map(|half| base64url::decode(half.as_bytes()).unwrap());
    [&[4][..], &x, &y].concat()
}

/// A modulus that looks sound.
fn modulus() -> Vec<u8> {
    let mut n = vec![0xff; 256];
    (n[0], n[255]) = (0x80, 9);
    n
}

#[test]
fn a_key_is_made_for_an_algorithm_of_its_own_kind_only() {
    let secret = core::array::from_fn::<u8, 64, _>(|at| at as u8);
    for alg in Alg::ALL {
        let made = [
            (Family::Secret, Key::secret(None, alg, &secret, None).err()),
            (Family::Rsa, Key::rsa(None, alg, &modulus(), &[1, 0, 1]).err()),
            (Family::Curve, Key::curve(None, alg, &point()).err()),
        ];
        for (family, error) in made {
            let is_wrong = error == Some(KeyError::WrongFamily);
            assert_eq!(is_wrong, alg.family() != family, "{alg} {family:?}: {error:?}");
        }
    }
}

#[test]
fn a_secret_is_as_long_as_its_hash_unless_the_policy_says_otherwise() {
    let secret = core::array::from_fn::<u8, 64, _>(|at| at as u8);
    let error = |alg, size: usize, least| Key::secret(None, alg, secret.get(..size).unwrap(), least).err();
    for (alg, size) in [(Alg::HS256, 32), (Alg::HS384, 48), (Alg::HS512, 64)] {
        assert_eq!(error(alg, size, None), None, "{alg}");
        assert_eq!(error(alg, size - 1, None), Some(KeyError::ShortSecret), "{alg}");
        assert_eq!(error(alg, 16, Some(16)), None, "{alg}");
        assert_eq!(error(alg, 15, Some(16)), Some(KeyError::ShortSecret), "{alg}");
    }
}

/// The host's answers: yes, no, and nothing at all.
fn hosts() -> [MemoryHost; 3] {
    let answers = [Some(&b"\x08\x01"[..]), Some(b""), None];
    answers.map(|answer| MemoryHost::default().with_signatures(Box::new(move |_| answer.map(<[u8]>::to_vec))))
}

#[test]
fn the_host_decides_what_it_can_check_and_never_what_is_no_signature_by_its_form() {
    let curve = Key::curve(None, Alg::ES256, &point()).unwrap();
    let rsa = Key::rsa(None, Alg::RS256, &modulus(), &[1, 0, 1]).unwrap();
    let pss = Key::rsa(None, Alg::PS256, &modulus(), &[1, 0, 1]).unwrap();
    let verdicts =
        |key: &Key, signature: &[u8]| hosts().map(|host| key.verifies(b"text", &signature.to_vec(), &host));
    let forged = [true, false, false];
    assert_eq!(verdicts(&curve, &[1; 64]), forged);
    assert_eq!(verdicts(&rsa, &[1; 256]), forged);
    assert_eq!(verdicts(&pss, &[1; 256]), [false; 3], "the host cannot");
    assert_eq!(verdicts(&curve, &[0; 64]), [false; 3]);
    assert_eq!(verdicts(&curve, &[1; 63]), [false; 3]);
    assert_eq!(verdicts(&rsa, &[1; 255]), [false; 3]);
    assert_eq!(verdicts(&rsa, &modulus()), [false; 3], "a signature is smaller than the modulus");
    assert_eq!(verdicts(&rsa, &[0xff; 256]), [false; 3]);
}

#[test]
fn a_point_is_spelt_in_the_canonical_way_when_y_is_below_the_prime() {
    let spelt = |first: u8, middle: u8, last: u8| {
        let mut key = [0xff; 32];
        (key[0], key[15], key[31]) = (first, middle, last);
        is_canonical(&key)
    };
    // The prime is ed ff .. ff 7f; the upper bit is the sign of x.
    for sign in [0, 0x80] {
        assert!(spelt(0xec, 0xff, 0x7f | sign), "the largest");
        assert!(!spelt(0xed, 0xff, 0x7f | sign), "the prime itself");
        assert!(!spelt(0xff, 0xff, 0x7f | sign), "beyond it");
        assert!(spelt(0xff, 0xfe, 0x7f | sign));
        assert!(spelt(0xff, 0xff, 0x7e | sign));
    }
}
