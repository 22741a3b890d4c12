//! The host's native check: Envoy's foreign function `verify_signature`, as bytes in and bytes out.
//!
//! Its arguments are a protobuf message: 1 the hash's name, 2 the key as SubjectPublicKeyInfo in DER, 3 the signature, 4 the
//! signed bytes. The answer: 1 the verdict, 2 an error text. RSA with PKCS#1 padding works, ECDSA on P-256 and P-384 works
//! with a DER signature; PSS and Ed25519 do not.

use crate::token::Alg;

const HASH: u8 = 1;
const KEY: u8 = 2;
const SIGNATURE: u8 = 3;
const TEXT: u8 = 4;
const VERDICT: u64 = 1;

/// The part of the arguments that is the same for every token of a key.
#[derive(Clone)]
pub(crate) struct HostKey {
    prefix: Vec<u8>,
}

/// The hash's name for the host; nothing for what it cannot check.
const fn hash_name(alg: Alg) -> Option<&'static str> {
    match alg {
        Alg::RS256 | Alg::ES256 => Some("sha256"),
        Alg::RS384 | Alg::ES384 => Some("sha384"),
        Alg::RS512 => Some("sha512"),
        _ => None,
    }
}

impl HostKey {
    /// Prepares a key, if the host can check `alg` at all.
    pub(crate) fn new(alg: Alg, spki: &[u8]) -> Option<Self> {
        let hash = hash_name(alg)?;
        let mut prefix = Vec::with_capacity(spki.len().saturating_add(16));
        put(&mut prefix, HASH, hash.as_bytes());
        put(&mut prefix, KEY, spki);
        Some(Self { prefix })
    }

    /// The whole arguments.
    pub(crate) fn arguments(&self, signature: &[u8], signed: &[u8]) -> Vec<u8> {
        let size = [self.prefix.len(), signature.len(), signed.len(), 16].iter().sum();
        let mut out = Vec::with_capacity(size);
        out.extend_from_slice(&self.prefix);
        put(&mut out, SIGNATURE, signature);
        put(&mut out, TEXT, signed);
        out
    }
}

fn put(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    const LENGTH_DELIMITED: u8 = 2;
    out.push(field.wrapping_shl(3) | LENGTH_DELIMITED);
    put_varint(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn put_varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads the host's answer; `None` for what is no such answer. An absent verdict is protobuf's way to say false.
pub(crate) fn read_answer(mut answer: &[u8]) -> Option<bool> {
    let mut verdict = false;
    while !answer.is_empty() {
        let tag = take_varint(&mut answer)?;
        match (tag >> 3, tag & 7) {
            (VERDICT, 0) => verdict = take_varint(&mut answer)? == 1,
            (_, 0) => drop(take_varint(&mut answer)?),
            (_, 2) => {
                let length = usize::try_from(take_varint(&mut answer)?).ok()?;
                answer = answer.get(length..)?;
            }
            _ => return None,
        }
    }
    Some(verdict)
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f).checked_shl(shift)?;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn arguments_are_the_four_fields_with_their_lengths() {
        let key = HostKey::new(Alg::RS256, &[7; 200]).unwrap();
        let bytes = key.arguments(b"sig", b"text");
        let mut expected = b"\x0a\x06sha256\x12\xc8\x01".to_vec();
        expected.extend([7; 200]);
        expected.extend(b"\x1a\x03sig\x22\x04text");
        assert_eq!(bytes, expected);
    }

    #[test]
    fn the_host_is_asked_only_for_what_it_can() {
        let can: Vec<_> = Alg::ALL.into_iter().filter(|alg| HostKey::new(*alg, b"").is_some()).collect();
        assert_eq!(can, [Alg::RS256, Alg::RS384, Alg::RS512, Alg::ES256, Alg::ES384]);
    }

    #[test]
    fn only_a_clear_yes_is_a_yes() {
        assert_eq!(read_answer(b"\x08\x01"), Some(true));
        assert_eq!(read_answer(b"\x08\x01\x12\x02ok"), Some(true));
        assert_eq!(
            read_answer(b"\x18\x96\x01\x08\x01"),
            Some(true),
            "a field that is not known here is skipped"
        );
        assert_eq!(read_answer(b""), Some(false));
        assert_eq!(read_answer(b"\x08\x00\x12\x03bad"), Some(false));
        assert_eq!(read_answer(b"\x08\x02"), Some(false));
        assert_eq!(read_answer(b"\x08\x01\x08\x00"), Some(false), "the last one counts, as in protobuf");
        for odd in
            [&b"\x08"[..], b"\x12\x05ab", b"\x0d1234", b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"]
        {
            assert_eq!(read_answer(odd), None, "{odd:x?}");
        }
    }
}
