use crate::label::labelled;

labelled! {
    /// Why a key is not used. Says nothing about the key's bytes.
    pub enum KeyError {
        /// `use` is neither `sig` nor `jwt-svid`, or `key_ops` has no `verify`: no mistake, the key is for something else.
        NotForVerification = "not_for_verification",
        /// A key type, curve or algorithm that is not known here: no mistake (RFC 7517 section 5).
        Unknown = "unknown",
        /// Its algorithm is not among the provider's `algorithms`.
        NotAccepted = "not_accepted",
        /// It names no `alg`, and the provider's `algorithms` leave none for this kind of key, or several for a secret.
        NoAlgorithm = "no_algorithm",
        /// A shared secret in a set that was fetched: a secret that is served is none.
        PublishedSecret = "published_secret",
        /// A member is missing, stands twice, or has a wrong type.
        Malformed = "malformed",
        /// The same key again.
        Duplicate = "duplicate",
        /// The algorithm is for other kinds of keys.
        WrongFamily = "wrong_family",
        /// A secret shorter than the algorithm's hash (RFC 7518 section 3.2), or than the policy's own minimum.
        ShortSecret = "short_secret",
        /// A secret that is a public key or another structure that people publish: PEM, JWK, SSH, DER.
        SecretIsKey = "secret_is_key",
        /// A secret that is one short word over and over.
        RepeatedSecret = "repeated_secret",
        /// An RSA modulus below 2048 or above 4096 bits.
        RsaSize = "rsa_size",
        /// An RSA exponent that is even, 1, or larger than 33 bits.
        RsaExponent = "rsa_exponent",
        /// An RSA modulus that is even, has another small factor, or two that are equal or next to each other.
        RsaModulus = "rsa_modulus",
        /// An RSA modulus whose factors can be found (CVE-2017-15361).
        Roca = "roca",
        /// Not a point on the algorithm's curve.
        NotOnCurve = "not_on_curve",
        /// Not the 32 bytes of an Ed25519 key, or no point in its one canonical spelling.
        NotEd25519 = "not_ed25519",
        /// A point of small order: one signature is good for every message.
        SmallOrder = "small_order",
        /// No PEM block with a public key.
        NotPem = "not_pem",
        /// A private key, or a part of one.
        PrivateKey = "private_key",
        /// A certificate.
        Certificate = "certificate",
    }
}

impl KeyError {
    /// Whether the key or the set should be corrected.
    #[must_use]
    pub const fn is_mistake(self) -> bool {
        !matches!(self, Self::NotForVerification | Self::Unknown)
    }

    /// Whether a key of a fetched set can have it: no PEM, and no secret that is read, comes in one.
    #[must_use]
    pub const fn is_of_fetched(self) -> bool {
        !matches!(
            self,
            Self::ShortSecret | Self::SecretIsKey | Self::RepeatedSecret | Self::NotPem | Self::Certificate
        )
    }

    /// What would have been right.
    #[must_use]
    pub const fn expected(self) -> &'static str {
        match self {
            Self::NotForVerification => "a key for signatures (`use`: `sig`; `key_ops` with `verify`)",
            Self::Unknown => "a key type and algorithm known here",
            Self::NotAccepted => "an algorithm that the provider's `algorithms` list",
            Self::NoAlgorithm => {
                "`alg`, or an algorithm for this kind of key in the provider's `algorithms` (for a secret exactly one)"
            }
            Self::PublishedSecret => "public keys only in a fetched set",
            Self::Malformed => {
                "a JWK with the members of its type, each once (RFC 7517 section 4, RFC 7518 section 6)"
            }
            Self::Duplicate => "each key once",
            Self::WrongFamily => "an algorithm for this kind of key",
            Self::ShortSecret => {
                "a secret as long as the algorithm's hash (RFC 7518 section 3.2): 32 bytes for HS256, 48 for HS384, \
                 64 for HS512; `min_secret_bytes` sets another minimum"
            }
            Self::SecretIsKey => "random bytes; this is a key, certificate or JWK, which others may know",
            Self::RepeatedSecret => "random bytes; this is one word over and over, which can be guessed",
            Self::RsaSize => "an RSA key of 2048 to 4096 bits",
            Self::RsaExponent => "an odd RSA exponent from 3 to 33 bits",
            Self::RsaModulus => "an RSA modulus that is the product of two large primes",
            Self::Roca => "an RSA key that was not made by a device with the ROCA weakness (CVE-2017-15361)",
            Self::NotOnCurve => "a point on the algorithm's curve (ES256: P-256, ES384: P-384, ES512: P-521)",
            Self::NotEd25519 => "an Ed25519 public key of 32 bytes in canonical form",
            Self::SmallOrder => {
                "an Ed25519 point of large order: of this one a signature is good for every message"
            }
            Self::NotPem => "one PEM block `PUBLIC KEY` or `RSA PUBLIC KEY`",
            Self::PrivateKey => "a public key; this is a private one, which has no place here",
            Self::Certificate => {
                "a public key; this is a certificate (openssl x509 -pubkey -noout prints its key)"
            }
        }
    }
}
