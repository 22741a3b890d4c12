//! A key: bound to one algorithm for its whole life.
//!
//! `jsonwebtoken` offers a process-wide crypto provider and a `decode` that reads the algorithm from the token, adds 60 s of
//! leeway and never looks at `crit`. None of that is used: each key holds the one verifier that the library's factory made
//! for the key's own algorithm, and this crate checks the rest. Ed25519 is checked strictly (`verify_strict`), which the library
//! does not do: without it, a signature has several spellings, and a key of small order takes one for every message.

use super::error::KeyError;
use super::native::{HostKey, read_answer};
use super::{cost, modulus, secret_form};
use crate::token::{Alg, Family, IssuedBy, Issuer};
use core::fmt;
use jsonwebtoken::signature::Verifier as _;
use jsonwebtoken::{DecodingKey, crypto::JwtVerifier};
use portcullis_edge_core::Host;
use rsa::pkcs8::EncodePublicKey as _;
use rsa::traits::PublicKeyParts as _;

/// The smallest RSA modulus (RFC 7518 section 3.3).
const MIN_RSA_BITS: usize = 2048;
/// The largest: beyond it the pure Rust check refuses, and a verdict must not depend on the host.
const MAX_RSA_BITS: usize = 4096;

/// A verification key.
pub struct Key {
    kid: Option<Box<str>>,
    alg: Alg,
    /// Whose tokens it verifies, where its set says so.
    issuer: Option<Issuer>,
    /// What one check costs, in microseconds.
    cost: u32,
    engine: Engine,
    host: Option<HostKey>,
    /// Of an RSA key, big-endian: a signature is a smaller number.
    modulus: Option<Box<[u8]>>,
}

enum Engine {
    Library(Box<dyn JwtVerifier>),
    P521(Box<p521::ecdsa::VerifyingKey>),
    Ed25519(Box<ed25519_dalek::VerifyingKey>),
}

impl Key {
    /// A shared secret. `min_bytes` replaces the minimum of RFC 7518 section 3.2; an empty secret is never one.
    ///
    /// # Errors
    /// A secret that is too short or is a key that others may know, an algorithm that is not HMAC.
    pub fn secret(
        kid: Option<&str>,
        alg: Alg,
        secret: &[u8],
        min_bytes: Option<usize>,
    ) -> Result<Self, KeyError> {
        expect(alg, Family::Secret)?;
        if secret.len() < min_bytes.unwrap_or(alg.min_secret_bytes()).max(1) {
            return Err(KeyError::ShortSecret);
        }
        if secret_form::is_key(secret) {
            return Err(KeyError::SecretIsKey);
        }
        if secret_form::is_repetitive(secret) {
            return Err(KeyError::RepeatedSecret);
        }
        Self::library(kid, alg, &DecodingKey::from_secret(secret), None, KeyError::ShortSecret)
    }

    /// An RSA public key by modulus and exponent, big-endian.
    ///
    /// # Errors
    /// A size, an exponent or a modulus that is not sound.
    pub fn rsa(kid: Option<&str>, alg: Alg, n: &[u8], e: &[u8]) -> Result<Self, KeyError> {
        expect(alg, Family::Rsa)?;
        let (n, e) = (rsa::BigUint::from_bytes_be(n), rsa::BigUint::from_bytes_be(e));
        if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&n.bits()) {
            return Err(KeyError::RsaSize);
        }
        modulus::check(&n.to_bytes_be())?;
        let public = rsa::RsaPublicKey::new(n, e).map_err(|_| KeyError::RsaExponent)?;
        let cost = cost::micros(alg, public.n().bits());
        let spki = public.to_public_key_der().map_err(|_| KeyError::RsaSize)?;
        let key = DecodingKey::from_rsa_raw_components(&public.n().to_bytes_be(), &public.e().to_bytes_be());
        let key = Self::library(kid, alg, &key, Some(spki.as_bytes()), KeyError::RsaSize)?;
        Ok(Self { cost, modulus: Some(public.n().to_bytes_be().into()), ..key })
    }

    /// A point on the curve of `alg`, as an uncompressed SEC1 point: 4, x, y.
    ///
    /// # Errors
    /// Whatever is no such point.
    pub fn curve(kid: Option<&str>, alg: Alg, point: &[u8]) -> Result<Self, KeyError> {
        expect(alg, Family::Curve)?;
        let not_on_curve = KeyError::NotOnCurve;
        if point.first() != Some(&4) {
            return Err(not_on_curve);
        }
        let spki = match alg {
            Alg::ES256 => p256::PublicKey::from_sec1_bytes(point).ok().map(|p| p.to_public_key_der()),
            Alg::ES384 => p384::PublicKey::from_sec1_bytes(point).ok().map(|p| p.to_public_key_der()),
            _ => return Self::p521(kid, point),
        };
        let spki = spki.and_then(Result::ok).ok_or(not_on_curve)?;
        Self::library(kid, alg, &DecodingKey::from_ec_der(point), Some(spki.as_bytes()), not_on_curve)
    }

    fn p521(kid: Option<&str>, point: &[u8]) -> Result<Self, KeyError> {
        let key = p521::ecdsa::VerifyingKey::from_sec1_bytes(point).map_err(|_| KeyError::NotOnCurve)?;
        Ok(Self::with(kid, Alg::ES512, Engine::P521(Box::new(key)), None))
    }

    /// An Ed25519 public key.
    ///
    /// # Errors
    /// Not 32 bytes, no point in its canonical spelling, a point of small order.
    pub fn edwards(kid: Option<&str>, x: &[u8]) -> Result<Self, KeyError> {
        let bytes = <&[u8; 32]>::try_from(x).map_err(|_| KeyError::NotEd25519)?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotEd25519)?;
        if key.is_weak() {
            return Err(KeyError::SmallOrder);
        }
        if !is_canonical(bytes) {
            return Err(KeyError::NotEd25519);
        }
        Ok(Self::with(kid, Alg::EdDSA, Engine::Ed25519(Box::new(key)), None))
    }

    fn library(
        kid: Option<&str>,
        alg: Alg,
        key: &DecodingKey,
        spki: Option<&[u8]>,
        error: KeyError,
    ) -> Result<Self, KeyError> {
        let library_alg = alg.library().ok_or(KeyError::WrongFamily)?;
        let factory = jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER.verifier_factory;
        let verifier = factory(&library_alg, key).map_err(|_| error)?;
        let host = spki.and_then(|spki| HostKey::new(alg, spki));
        Ok(Self::with(kid, alg, Engine::Library(verifier), host))
    }

    fn with(kid: Option<&str>, alg: Alg, engine: Engine, host: Option<HostKey>) -> Self {
        Self {
            kid: kid.map(Into::into),
            alg,
            issuer: None,
            cost: cost::micros(alg, 0),
            engine,
            host,
            modulus: None,
        }
    }

    /// The same for the tokens of one issuer.
    #[must_use]
    pub(super) fn of_issuer(self, issuer: Option<Issuer>) -> Self {
        Self { issuer, ..self }
    }

    /// What checking one signature costs, in microseconds of a core.
    #[must_use]
    pub fn cost_micros(&self) -> u32 {
        self.cost
    }

    /// Whether it may verify tokens of this issuer.
    #[must_use]
    pub fn serves(&self, by: IssuedBy<'_>) -> bool {
        self.issuer.as_ref().is_none_or(|issuer| issuer.issued(by))
    }

    /// The key's id.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The only algorithm that it verifies.
    #[must_use]
    pub fn alg(&self) -> Alg {
        self.alg
    }

    /// Whether `signature` over `signed` is this key's. HMACs are compared in constant time (by the library).
    #[must_use]
    pub fn verifies(&self, signed: &[u8], signature: &Vec<u8>, host: &dyn Host) -> bool {
        if self.modulus.as_ref().is_some_and(|modulus| !is_below(signature, modulus)) {
            return false;
        }
        if let Some(verdict) = self.ask_host(signed, signature, host) {
            return verdict;
        }
        match &self.engine {
            Engine::Library(verifier) => verifier.verify(signed, signature).is_ok(),
            Engine::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(signed, &signature).is_ok()),
            Engine::P521(key) => {
                p521::ecdsa::Signature::from_slice(signature).is_ok_and(|s| key.verify(signed, &s).is_ok())
            }
        }
    }

    /// `None` where the host cannot tell; then pure Rust does.
    fn ask_host(&self, signed: &[u8], signature: &[u8], host: &dyn Host) -> Option<bool> {
        let key = self.host.as_ref()?;
        let arguments = match self.alg {
            Alg::ES256 => match p256::ecdsa::Signature::from_slice(signature) {
                Ok(pair) => key.arguments(pair.to_der().as_bytes(), signed),
                Err(_) => return Some(false),
            },
            Alg::ES384 => match p384::ecdsa::Signature::from_slice(signature) {
                Ok(pair) => key.arguments(pair.to_der().as_bytes(), signed),
                Err(_) => return Some(false),
            },
            _ => key.arguments(signature, signed),
        };
        read_answer(&host.verify_signature(&arguments)?)
    }
}

fn expect(alg: Alg, family: Family) -> Result<(), KeyError> {
    if alg.family() == family { Ok(()) } else { Err(KeyError::WrongFamily) }
}

/// Whether a number of just as many bytes is the smaller one (RFC 8017 section 5.2.2). The library does not look with PSS, and takes a
/// signature with the modulus added for the same.
fn is_below(number: &[u8], modulus: &[u8]) -> bool {
    number.len() == modulus.len() && number < modulus
}

/// Whether y is below the prime 2^255 - 19: another spelling of a point would be another key with the same signatures (RFC 8032
/// section 5.1.3).
fn is_canonical(key: &[u8; 32]) -> bool {
    let [first, middle @ .., last] = key;
    *first < 0xed || *last & 0x7f != 0x7f || middle.iter().any(|byte| *byte != 0xff)
}

/// Names the key and shows nothing of it.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, kid {:?})", self.alg, self.kid)
    }
}

#[cfg(test)]
#[path = "key_tests.rs"]
mod tests;
