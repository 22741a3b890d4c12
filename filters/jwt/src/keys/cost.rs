//! What one signature check costs: anybody can send tokens that make the gateway try keys.
//!
//! Microseconds of one core, measured in Envoy's VM and rounded up (`docs/tokens.md`). RSA with PKCS#1 padding and ECDSA on P-256 and
//! P-384 are checked by the proxy itself, the others in the module.

use crate::token::Alg;

/// An HMAC over the largest tokens.
const HMAC: u32 = 30;
const ED25519: u32 = 60;
const P256: u32 = 40;
const P384: u32 = 650;
const P521: u32 = 4500;
/// Of 2048 bits; it grows with the square of the size.
const RSA_NATIVE: u32 = 20;
const RSA_PSS: u32 = 1750;

/// The cost of checking one signature by a key of `bits` (of an RSA modulus; without meaning for others), in microseconds.
pub(super) fn micros(alg: Alg, bits: usize) -> u32 {
    match alg {
        Alg::HS256 | Alg::HS384 | Alg::HS512 => HMAC,
        Alg::RS256 | Alg::RS384 | Alg::RS512 => rsa(RSA_NATIVE, bits),
        Alg::PS256 | Alg::PS384 | Alg::PS512 => rsa(RSA_PSS, bits),
        Alg::ES256 => P256,
        Alg::ES384 => P384,
        Alg::ES512 => P521,
        Alg::EdDSA => ED25519,
    }
}

fn rsa(of_2048: u32, bits: usize) -> u32 {
    let words = u32::try_from(bits.div_ceil(64)).unwrap_or(u32::MAX);
    // 2048 bits are 32 words, and 32 * 32 is 1024.
    of_2048.saturating_mul(words.saturating_mul(words)).div_ceil(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn rsa_grows_with_the_square_of_its_size() {
        assert_eq!([2048, 3072, 4096].map(|bits| micros(Alg::PS256, bits)), [1750, 3938, 7000]);
        assert_eq!([2048, 4096].map(|bits| micros(Alg::RS256, bits)), [20, 80]);
    }
}
