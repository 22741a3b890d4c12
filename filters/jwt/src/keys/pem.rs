//! Public keys in PEM (RFC 7468).

use super::error::KeyError;
use super::key::Key;
use crate::token::{Alg, Family};
use rsa::pkcs1::DecodeRsaPublicKey as _;
use rsa::pkcs8::spki::{ObjectIdentifier, SubjectPublicKeyInfoRef};
use rsa::pkcs8::{DecodePublicKey as _, Document};
use rsa::traits::PublicKeyParts as _;

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

impl Key {
    /// A public key in PEM, `PUBLIC KEY` or `RSA PUBLIC KEY`, bound to `alg`.
    ///
    /// # Errors
    /// Whatever else it is, or a key that `alg` cannot use.
    pub fn pem(kid: Option<&str>, alg: Alg, pem: &str) -> Result<Self, KeyError> {
        if pem.contains("PRIVATE KEY") {
            return Err(KeyError::PrivateKey);
        }
        let (label, document) = Document::from_pem(pem.trim()).map_err(|_| KeyError::NotPem)?;
        match (label, alg.family()) {
            ("CERTIFICATE", _) => Err(KeyError::Certificate),
            ("RSA PUBLIC KEY", Family::Rsa) => {
                from_rsa(kid, alg, rsa::RsaPublicKey::from_pkcs1_der(document.as_bytes()).ok())
            }
            ("PUBLIC KEY", Family::Rsa) => {
                from_rsa(kid, alg, rsa::RsaPublicKey::from_public_key_der(document.as_bytes()).ok())
            }
            ("PUBLIC KEY", Family::Curve) => {
                Self::curve(kid, alg, subject(&document, EC_PUBLIC_KEY, KeyError::NotOnCurve)?)
            }
            ("PUBLIC KEY", Family::Edwards) => {
                Self::edwards(kid, subject(&document, ED25519, KeyError::NotEd25519)?)
            }
            ("PUBLIC KEY" | "RSA PUBLIC KEY", _) => Err(KeyError::WrongFamily),
            _ => Err(KeyError::NotPem),
        }
    }
}

fn from_rsa(kid: Option<&str>, alg: Alg, key: Option<rsa::RsaPublicKey>) -> Result<Key, KeyError> {
    let key = key.ok_or(KeyError::WrongFamily)?;
    Key::rsa(kid, alg, &key.n().to_bytes_be(), &key.e().to_bytes_be())
}

/// The raw key inside a SubjectPublicKeyInfo (RFC 5280 section 4.1) of the kind `wanted`.
fn subject(document: &Document, wanted: ObjectIdentifier, error: KeyError) -> Result<&[u8], KeyError> {
    let info = SubjectPublicKeyInfoRef::try_from(document.as_bytes()).map_err(|_| KeyError::NotPem)?;
    if info.algorithm.oid != wanted {
        return Err(KeyError::WrongFamily);
    }
    info.subject_public_key.as_bytes().ok_or(error)
}
