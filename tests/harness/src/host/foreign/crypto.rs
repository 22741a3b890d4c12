//! `verify_signature` and `sign`: RSA PKCS#1 v1.5, ECDSA P-256 and P-384 with DER signatures, keys as SPKI or PKCS#8.

use p256::pkcs8::{DecodePrivateKey, DecodePublicKey};
use rsa::Pkcs1v15Sign;
use rsa::{RsaPrivateKey, RsaPublicKey};
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

use crate::{Status, protobuf};

/// Hashes that Envoy knows by name.
#[derive(Clone, Copy)]
enum Hash {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    fn named(name: &[u8]) -> Option<Hash> {
        match name.to_ascii_lowercase().as_slice() {
            b"sha1" => Some(Hash::Sha1),
            b"sha224" => Some(Hash::Sha224),
            b"sha256" => Some(Hash::Sha256),
            b"sha384" => Some(Hash::Sha384),
            b"sha512" => Some(Hash::Sha512),
            _ => None,
        }
    }

    fn digest(self, text: &[u8]) -> Vec<u8> {
        match self {
            Hash::Sha1 => Sha1::digest(text).to_vec(),
            Hash::Sha224 => Sha224::digest(text).to_vec(),
            Hash::Sha256 => Sha256::digest(text).to_vec(),
            Hash::Sha384 => Sha384::digest(text).to_vec(),
            Hash::Sha512 => Sha512::digest(text).to_vec(),
        }
    }

    fn padding(self) -> Pkcs1v15Sign {
        match self {
            Hash::Sha1 => Pkcs1v15Sign::new::<Sha1>(),
            Hash::Sha224 => Pkcs1v15Sign::new::<Sha224>(),
            Hash::Sha256 => Pkcs1v15Sign::new::<Sha256>(),
            Hash::Sha384 => Pkcs1v15Sign::new::<Sha384>(),
            Hash::Sha512 => Pkcs1v15Sign::new::<Sha512>(),
        }
    }
}

enum PublicKey {
    Rsa(Box<RsaPublicKey>),
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    /// Bytes that are no key that we know. Envoy takes them until they are used.
    Unusable,
}

enum PrivateKey {
    Rsa(Box<RsaPrivateKey>),
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
    Unusable,
}

/// `1` hash, `2` public key (DER), `3` signature, `4` text, `5` public key (PEM) -> `1` result, `2` error.
pub(super) fn verify_signature(args: &[u8]) -> Result<Vec<u8>, Status> {
    let fields = protobuf::fields(args).ok_or(Status::BadArgument)?;
    let key = one_key(protobuf::bytes(&fields, 2), protobuf::bytes(&fields, 5))?;
    let key = match key {
        Encoded::Der(der) => public_from_der(der),
        Encoded::Pem(pem) => public_from_pem(pem)?,
    };
    let outcome =
        verify(protobuf::bytes(&fields, 1), &key, protobuf::bytes(&fields, 3), protobuf::bytes(&fields, 4));
    Ok(answer(outcome.as_ref().map(|()| &[][..]).map_err(String::as_str), 2, None))
}

/// `1` hash, `2` private key (DER), `3` text, `4` private key (PEM) -> `1` result, `2` signature, `3` error.
pub(super) fn sign(args: &[u8]) -> Result<Vec<u8>, Status> {
    let fields = protobuf::fields(args).ok_or(Status::BadArgument)?;
    let key = match one_key(protobuf::bytes(&fields, 2), protobuf::bytes(&fields, 4))? {
        Encoded::Der(der) => private_from_der(der),
        Encoded::Pem(pem) => private_from_pem(pem)?,
    };
    let outcome = make_signature(protobuf::bytes(&fields, 1), &key, protobuf::bytes(&fields, 3));
    Ok(answer(outcome.as_deref().map_err(String::as_str), 3, Some(2)))
}

enum Encoded<'a> {
    Der(&'a [u8]),
    Pem(&'a str),
}

/// Exactly one of the two encodings must be there.
fn one_key<'a>(der: &'a [u8], pem: &'a [u8]) -> Result<Encoded<'a>, Status> {
    match (der.is_empty(), pem.is_empty()) {
        (false, true) => Ok(Encoded::Der(der)),
        (true, false) => std::str::from_utf8(pem).map(Encoded::Pem).map_err(|_| Status::BadArgument),
        _ => Err(Status::BadArgument),
    }
}

fn answer(outcome: Result<&[u8], &str>, error_field: u64, value_field: Option<u64>) -> Vec<u8> {
    let mut out = Vec::new();
    match outcome {
        Ok(value) => {
            protobuf::put_integer(&mut out, 1, 1);
            value_field.into_iter().for_each(|field| protobuf::put_bytes(&mut out, field, value));
        }
        Err(error) => protobuf::put_bytes(&mut out, error_field, error.as_bytes()),
    }
    out
}

fn verify(hash: &[u8], key: &PublicKey, signature: &[u8], text: &[u8]) -> Result<(), String> {
    use p256::ecdsa::signature::hazmat::PrehashVerifier;
    let name = String::from_utf8_lossy(hash);
    let hash = Hash::named(hash).ok_or_else(|| format!("{name} is not supported."))?;
    let digest = hash.digest(text);
    let valid = match key {
        PublicKey::Unusable => return Err("Failed to initialize digest verify.".into()),
        PublicKey::Rsa(key) => key.verify(hash.padding(), &digest, signature).is_ok(),
        PublicKey::P256(key) => p256::ecdsa::Signature::from_der(signature)
            .is_ok_and(|signature| key.verify_prehash(&digest, &signature).is_ok()),
        PublicKey::P384(key) => p384::ecdsa::Signature::from_der(signature)
            .is_ok_and(|signature| key.verify_prehash(&digest, &signature).is_ok()),
    };
    if valid { Ok(()) } else { Err("Failed to verify digest. Error code: 0".into()) }
}

fn make_signature(hash: &[u8], key: &PrivateKey, text: &[u8]) -> Result<Vec<u8>, String> {
    use p256::ecdsa::signature::hazmat::PrehashSigner;
    let name = String::from_utf8_lossy(hash);
    let hash = Hash::named(hash).ok_or_else(|| format!("{name} is not supported."))?;
    let digest = hash.digest(text);
    let made = match key {
        PrivateKey::Unusable => None,
        PrivateKey::Rsa(key) => key.sign(hash.padding(), &digest).ok(),
        PrivateKey::P256(key) => {
            let signature: Option<p256::ecdsa::Signature> = key.sign_prehash(&digest).ok();
            signature.map(|signature| signature.to_der().as_bytes().to_vec())
        }
        PrivateKey::P384(key) => {
            let signature: Option<p384::ecdsa::Signature> = key.sign_prehash(&digest).ok();
            signature.map(|signature| signature.to_der().as_bytes().to_vec())
        }
    };
    made.ok_or_else(|| "Failed to initialize digest sign.".to_owned())
}

fn public_from_der(der: &[u8]) -> PublicKey {
    if let Ok(key) = RsaPublicKey::from_public_key_der(der) {
        return PublicKey::Rsa(Box::new(key));
    }
    if let Ok(key) = p256::ecdsa::VerifyingKey::from_public_key_der(der) {
        return PublicKey::P256(key);
    }
    p384::ecdsa::VerifyingKey::from_public_key_der(der).map(PublicKey::P384).unwrap_or(PublicKey::Unusable)
}

fn public_from_pem(pem: &str) -> Result<PublicKey, Status> {
    if let Ok(key) = RsaPublicKey::from_public_key_pem(pem) {
        return Ok(PublicKey::Rsa(Box::new(key)));
    }
    if let Ok(key) = p256::ecdsa::VerifyingKey::from_public_key_pem(pem) {
        return Ok(PublicKey::P256(key));
    }
    p384::ecdsa::VerifyingKey::from_public_key_pem(pem).map(PublicKey::P384).map_err(|_| Status::BadArgument)
}

fn private_from_der(der: &[u8]) -> PrivateKey {
    if let Ok(key) = RsaPrivateKey::from_pkcs8_der(der) {
        return PrivateKey::Rsa(Box::new(key));
    }
    if let Ok(key) = p256::ecdsa::SigningKey::from_pkcs8_der(der) {
        return PrivateKey::P256(key);
    }
    p384::ecdsa::SigningKey::from_pkcs8_der(der).map(PrivateKey::P384).unwrap_or(PrivateKey::Unusable)
}

fn private_from_pem(pem: &str) -> Result<PrivateKey, Status> {
    if let Ok(key) = RsaPrivateKey::from_pkcs8_pem(pem) {
        return Ok(PrivateKey::Rsa(Box::new(key)));
    }
    if let Ok(key) = p256::ecdsa::SigningKey::from_pkcs8_pem(pem) {
        return Ok(PrivateKey::P256(key));
    }
    p384::ecdsa::SigningKey::from_pkcs8_pem(pem).map(PrivateKey::P384).map_err(|_| Status::BadArgument)
}

#[cfg(test)]
mod tests {
    use super::*;
    use p256::pkcs8::{EncodePrivateKey, EncodePublicKey};

    fn fields(pairs: &[(u64, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        pairs.iter().for_each(|(number, bytes)| protobuf::put_bytes(&mut out, *number, bytes));
        out
    }

    fn p256_key() -> p256::ecdsa::SigningKey {
        p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap()
    }

    #[test]
    fn what_was_signed_is_verified_and_what_was_changed_is_not() {
        let key = p256_key();
        let private = key.to_pkcs8_der().unwrap();
        let signed = sign(&fields(&[(1, b"sha256"), (2, private.as_bytes()), (3, b"text")])).unwrap();
        let signature = protobuf::bytes(&protobuf::fields(&signed).unwrap(), 2).to_vec();
        let public = key.verifying_key().to_public_key_der().unwrap();
        let check = |text: &[u8]| {
            let args = fields(&[(1, b"sha256"), (2, public.as_bytes()), (3, &signature), (4, text)]);
            let answer = verify_signature(&args).unwrap();
            protobuf::integer(&protobuf::fields(&answer).unwrap(), 1)
        };
        assert_eq!((check(b"text"), check(b"test")), (1, 0));
    }

    #[test]
    fn no_key_and_two_keys_are_bad_arguments() {
        assert_eq!(verify_signature(&fields(&[(1, b"sha256")])), Err(Status::BadArgument));
        assert_eq!(verify_signature(&fields(&[(2, b"x"), (5, b"y")])), Err(Status::BadArgument));
    }

    #[test]
    fn a_key_in_another_encoding_verifies_nothing_but_is_no_error() {
        let answer =
            verify_signature(&fields(&[(1, b"sha256"), (2, b"junk"), (3, b"s"), (4, b"t")])).unwrap();
        let fields = protobuf::fields(&answer).unwrap();
        assert_eq!(protobuf::integer(&fields, 1), 0);
        assert!(!protobuf::bytes(&fields, 2).is_empty());
    }
}
