use crate::error::TokenError;
use core::fmt;
use deserr::Deserr;
use portcullis_edge_core::ConfigErrors;
use schemars::JsonSchema;

/// A signature algorithm of JWA (RFC 7518 section 3.1, RFC 8037 section 3.1).
///
/// `none` is no member: a token without a signature is no token here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors)]
#[allow(missing_docs)]
pub enum Alg {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    ES512,
    EdDSA,
}

/// What a key is made of. A key serves algorithms of its own family only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// A shared secret (`kty: oct`).
    Secret,
    /// An RSA public key.
    Rsa,
    /// A point on one of the NIST curves.
    Curve,
    /// Ed25519 (`kty: OKP`).
    Edwards,
}

impl Alg {
    /// All of them.
    pub const ALL: [Alg; 13] = [
        Self::HS256,
        Self::HS384,
        Self::HS512,
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::ES512,
        Self::EdDSA,
    ];

    /// The name as it stands in `alg` (compared exactly: RFC 7515 section 4.1.1 makes it case-sensitive).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::ES512 => "ES512",
            Self::EdDSA => "EdDSA",
        }
    }

    /// The algorithm called `name`. `Ed25519` (RFC 9864 section 2.2) is what `EdDSA` means here, where no other curve is known.
    ///
    /// # Errors
    /// Any other name, `none` in every spelling included.
    pub fn parse(name: &str) -> Result<Self, TokenError> {
        if name == "Ed25519" {
            return Ok(Self::EdDSA);
        }
        Self::ALL.into_iter().find(|alg| alg.as_str() == name).ok_or(TokenError::UnsupportedAlgorithm)
    }

    /// What keys of this algorithm are made of.
    #[must_use]
    pub const fn family(self) -> Family {
        match self {
            Self::HS256 | Self::HS384 | Self::HS512 => Family::Secret,
            Self::RS256 | Self::RS384 | Self::RS512 | Self::PS256 | Self::PS384 | Self::PS512 => Family::Rsa,
            Self::ES256 | Self::ES384 | Self::ES512 => Family::Curve,
            Self::EdDSA => Family::Edwards,
        }
    }

    /// The shortest secret, in bytes, that RFC 7518 section 3.2 allows (the size of the hash); 0 for public keys.
    #[must_use]
    pub const fn min_secret_bytes(self) -> usize {
        match self {
            Self::HS256 => 32,
            Self::HS384 => 48,
            Self::HS512 => 64,
            _ => 0,
        }
    }

    /// The same algorithm in the library's words; it has no ES512.
    pub(crate) const fn library(self) -> Option<jsonwebtoken::Algorithm> {
        use jsonwebtoken::Algorithm as Library;
        Some(match self {
            Self::HS256 => Library::HS256,
            Self::HS384 => Library::HS384,
            Self::HS512 => Library::HS512,
            Self::RS256 => Library::RS256,
            Self::RS384 => Library::RS384,
            Self::RS512 => Library::RS512,
            Self::PS256 => Library::PS256,
            Self::PS384 => Library::PS384,
            Self::PS512 => Library::PS512,
            Self::ES256 => Library::ES256,
            Self::ES384 => Library::ES384,
            Self::ES512 => return None,
            Self::EdDSA => Library::EdDSA,
        })
    }
}

impl fmt::Display for Alg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn only_the_exact_name_is_an_algorithm() {
        for alg in Alg::ALL {
            assert_eq!(Alg::parse(alg.as_str()), Ok(alg));
        }
        assert_eq!(Alg::parse("Ed25519"), Ok(Alg::EdDSA));
        for name in
            ["none", "None", "NONE", "nOnE", "", "hs256", "HS256 ", "RS1", "ES256K", "ed25519", "Ed448"]
        {
            assert_eq!(Alg::parse(name), Err(TokenError::UnsupportedAlgorithm), "{name:?}");
        }
    }
}
