//! A key: bound to one algorithm for its whole life.
//!
//! `jsonwebtoken` offers a process-wide crypto provider and a `decode` that reads the algorithm from the token, adds 60 s of
//! leeway and never looks at `crit`. None of that is used: each key holds the one verifier that the library's factory made
//! for the key's own algorithm, and this crate checks the rest.

use super::native::{HostKey, read_answer};
use crate::token::{Alg, Family};
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
    engine: Engine,
    host: Option<HostKey>,
}

enum Engine {
    Library(Box<dyn JwtVerifier>),
    P521(Box<p521::ecdsa::VerifyingKey>),
}

/// Why something is no usable key. Says nothing about the key's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// The algorithm is for other kinds of keys.
    WrongFamily,
    /// A secret shorter than the algorithm's hash (RFC 7518 section 3.2), or than the policy's own minimum.
    ShortSecret,
    /// An RSA modulus below 2048 or above 4096 bits.
    RsaSize,
    /// An RSA exponent that is even, 1, or larger than 33 bits.
    RsaExponent,
    /// Not a point on the algorithm's curve.
    NotOnCurve,
    /// Not the 32 bytes of an Ed25519 key, or no point.
    NotEd25519,
    /// No PEM block with a public key.
    NotPem,
    /// A private key.
    PrivateKey,
    /// A certificate.
    Certificate,
}

impl KeyError {
    /// What would have been right.
    #[must_use]
    pub const fn expected(self) -> &'static str {
        match self {
            Self::WrongFamily => "an algorithm for this kind of key",
            Self::ShortSecret => {
                "a secret as long as the algorithm's hash (RFC 7518 section 3.2): 32 bytes for HS256, 48 for HS384, \
                 64 for HS512; `min_secret_bytes` sets another minimum"
            }
            Self::RsaSize => "an RSA key of 2048 to 4096 bits",
            Self::RsaExponent => "an odd RSA exponent from 3 to 33 bits",
            Self::NotOnCurve => "a point on the algorithm's curve (ES256: P-256, ES384: P-384, ES512: P-521)",
            Self::NotEd25519 => "an Ed25519 public key of 32 bytes",
            Self::NotPem => "one PEM block `PUBLIC KEY` or `RSA PUBLIC KEY`",
            Self::PrivateKey => "a public key; this is a private one, which has no place here",
            Self::Certificate => {
                "a public key; this is a certificate (openssl x509 -pubkey -noout prints its key)"
            }
        }
    }
}

impl Key {
    /// A shared secret. `min_bytes` replaces the minimum of RFC 7518 section 3.2; an empty secret is never one.
    ///
    /// # Errors
    /// A secret that is too short, an algorithm that is not HMAC.
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
        Self::library(kid, alg, &DecodingKey::from_secret(secret), None, KeyError::ShortSecret)
    }

    /// An RSA public key by modulus and exponent, big-endian.
    ///
    /// # Errors
    /// A size or an exponent that is not sound.
    pub fn rsa(kid: Option<&str>, alg: Alg, n: &[u8], e: &[u8]) -> Result<Self, KeyError> {
        expect(alg, Family::Rsa)?;
        let (n, e) = (rsa::BigUint::from_bytes_be(n), rsa::BigUint::from_bytes_be(e));
        if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&n.bits()) {
            return Err(KeyError::RsaSize);
        }
        let public = rsa::RsaPublicKey::new(n, e).map_err(|_| KeyError::RsaExponent)?;
        let spki = public.to_public_key_der().map_err(|_| KeyError::RsaSize)?;
        let key = DecodingKey::from_rsa_raw_components(&public.n().to_bytes_be(), &public.e().to_bytes_be());
        Self::library(kid, alg, &key, Some(spki.as_bytes()), KeyError::RsaSize)
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
        Ok(Self {
            kid: kid.map(Into::into),
            alg: Alg::ES512,
            engine: Engine::P521(Box::new(key)),
            host: None,
        })
    }

    /// An Ed25519 public key.
    ///
    /// # Errors
    /// Not 32 bytes, or no point. (The library would panic on fewer.)
    pub fn edwards(kid: Option<&str>, x: &[u8]) -> Result<Self, KeyError> {
        if x.len() != 32 {
            return Err(KeyError::NotEd25519);
        }
        Self::library(kid, Alg::EdDSA, &DecodingKey::from_ed_der(x), None, KeyError::NotEd25519)
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
        Ok(Self { kid: kid.map(Into::into), alg, engine: Engine::Library(verifier), host })
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
        if let Some(verdict) = self.ask_host(signed, signature, host) {
            return verdict;
        }
        match &self.engine {
            Engine::Library(verifier) => verifier.verify(signed, signature).is_ok(),
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

/// Names the key and shows nothing of it.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, kid {:?})", self.alg, self.kid)
    }
}
