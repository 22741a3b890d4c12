use crate::ImageError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p256::SecretKey;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey as EcdsaKey};
use p256::pkcs8::DecodePrivateKey as _;
use std::fmt;
use std::fs;
use std::path::Path;

/// A private key on the curve P-256, the kind that cosign makes and uses by default.
pub struct SigningKey(EcdsaKey);

/// Never the key.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

impl SigningKey {
    /// Reads an unencrypted PEM file: PKCS#8 (`BEGIN PRIVATE KEY`) or SEC 1 (`BEGIN EC PRIVATE KEY`).
    ///
    /// # Errors
    /// If it holds no such key.
    pub fn read(path: &Path) -> Result<Self, ImageError> {
        let text = fs::read_to_string(path).map_err(|error| ImageError::file(path, error))?;
        let key = SecretKey::from_pkcs8_pem(&text).or_else(|_| SecretKey::from_sec1_pem(&text));
        let expected = "an unencrypted private key on P-256 as PEM (PKCS#8 or SEC 1)";
        let key = key.map_err(|_| ImageError::content(path, "no such key", expected))?;
        Ok(Self(key.into()))
    }

    /// The signature of `message` (ECDSA with SHA-256), in DER and base64.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> String {
        let signature: DerSignature = self.0.sign(message);
        STANDARD.encode(signature.as_bytes())
    }
}
