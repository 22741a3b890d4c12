//! Whether an RSA modulus has a weakness that shows without factoring it.

use super::error::KeyError;
use rsa::BigUint;
use std::sync::LazyLock;

/// The odd primes below 170. 65537 generates a small part of the residues of most of them, and a modulus of the ROCA kind has its
/// residues there for every one; another modulus does with a probability of about 2^-27 (Nemec et al., CCS 2017).
const PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103,
    107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// Small factors are looked for below this.
const MOST_SMALL: u32 = 1 << 16;

/// Steps of Fermat's method: two primes that lie next to each other are found by the first ones (CVE-2022-26320).
const FERMAT_STEPS: usize = 100;

/// Checks a modulus, big-endian.
pub(super) fn check(modulus: &[u8]) -> Result<(), KeyError> {
    if modulus.last().is_none_or(|last| last % 2 == 0) {
        return Err(KeyError::RsaModulus);
    }
    let residues = PRIMES.map(|prime| (prime, residue(modulus, prime)));
    if residues.iter().any(|(_, residue)| *residue == 0) {
        return Err(KeyError::RsaModulus);
    }
    if residues.iter().all(|(prime, residue)| is_power_of_65537(*residue, *prime)) {
        return Err(KeyError::Roca);
    }
    if has_small_factor(modulus) || has_close_factors(&BigUint::from_bytes_be(modulus)) {
        return Err(KeyError::RsaModulus);
    }
    Ok(())
}

/// The odd primes below [`MOST_SMALL`], three at a time: their product fits into 48 bits.
static SMALL: LazyLock<Vec<[u64; 3]>> = LazyLock::new(|| {
    let primes: Vec<u64> = (3..MOST_SMALL).step_by(2).filter(|n| is_prime(*n)).map(u64::from).collect();
    primes.chunks(3).map(|chunk| core::array::from_fn(|at| chunk.get(at).copied().unwrap_or(1))).collect()
});

fn is_prime(number: u32) -> bool {
    let mut roots = (3_u32..).step_by(2).take_while(|root| root.saturating_mul(*root) <= number);
    roots.all(|root| number.checked_rem(root) != Some(0))
}

/// Whether a small prime divides it.
fn has_small_factor(modulus: &[u8]) -> bool {
    SMALL.iter().any(|primes| {
        let rest = residue_48(modulus, primes.iter().fold(1, |product, prime| product.wrapping_mul(*prime)));
        primes.iter().any(|prime| *prime > 1 && rest.checked_rem(*prime) == Some(0))
    })
}

/// The residue by a number below 2^48, two bytes at a time.
fn residue_48(number: &[u8], by: u64) -> u64 {
    let (pairs, last) = number.as_chunks::<2>();
    let rest = pairs.iter().fold(0_u64, |rest, pair| {
        (rest.wrapping_shl(16) | u64::from(u16::from_be_bytes(*pair))).checked_rem(by).unwrap_or(0)
    });
    last.iter()
        .fold(rest, |rest, byte| (rest.wrapping_shl(8) | u64::from(*byte)).checked_rem(by).unwrap_or(0))
}

/// Whether it is a square, or the product of two numbers next to its root (Fermat): `a` squared less the modulus is a square for an `a`
/// close to the root.
#[allow(
    clippy::arithmetic_side_effects,
    reason = "large integers do not overflow, and `a` is not below the root"
)]
fn has_close_factors(modulus: &BigUint) -> bool {
    let root = modulus.sqrt();
    if &root * &root == *modulus {
        return true;
    }
    let mut a = root;
    (0..FERMAT_STEPS).any(|_| {
        a += 1_u32;
        is_square(&(&a * &a - modulus))
    })
}

/// Squares have few residues: nearly all numbers are told by theirs, and no root is taken of them.
#[allow(clippy::arithmetic_side_effects, reason = "large integers do not overflow")]
fn is_square(number: &BigUint) -> bool {
    let bytes = number.to_bytes_be();
    let may_be = |by: u64| {
        let rest = residue_48(&bytes, by);
        (0..by).any(|root| root.wrapping_mul(root).checked_rem(by) == Some(rest))
    };
    [64, 63, 65, 11].into_iter().all(may_be) && {
        let root = number.sqrt();
        &root * &root == *number
    }
}

fn residue(number: &[u8], prime: u32) -> u32 {
    let step = |rest: u32, byte: &u8| times_256_plus(rest, *byte).checked_rem(prime).unwrap_or(0);
    number.iter().fold(0, step)
}

/// `rest` is below 256, so that nothing overflows.
const fn times_256_plus(rest: u32, byte: u8) -> u32 {
    rest.wrapping_shl(8) | byte as u32
}

fn is_power_of_65537(residue: u32, prime: u32) -> bool {
    let base = 65_537_u32.checked_rem(prime).unwrap_or(0);
    let next = |power: &u32| power.wrapping_mul(base).checked_rem(prime);
    // The powers return to 1 after at most `prime` steps.
    core::iter::successors(Some(1), next).take(prime as usize).any(|power| power == residue)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn residues_are_those_of_the_number() {
        let number = 123_456_789_u32.to_be_bytes();
        for prime in PRIMES {
            assert_eq!(residue(&number, prime), 123_456_789 % prime);
        }
    }

    #[allow(clippy::arithmetic_side_effects, reason = "large integers do not overflow")]
    fn product(one: u128, other: u128) -> Vec<u8> {
        (BigUint::from(one) * BigUint::from(other)).to_bytes_be()
    }

    #[test]
    fn factors_that_are_small_equal_or_next_to_each_other_are_found() {
        let prime = (1_u128 << 89) - 1;
        assert_eq!(check(&product(prime, prime)), Err(KeyError::RsaModulus), "a square");
        assert_eq!(check(&product(65_521, prime)), Err(KeyError::RsaModulus), "a small factor");
        assert_eq!(check(&product(prime, prime + 30)), Err(KeyError::RsaModulus), "close");
        assert!(has_close_factors(&BigUint::from_bytes_be(&product(prime, prime + 30))));
        assert!(!has_close_factors(&BigUint::from_bytes_be(&product(prime, (1 << 61) - 1))));
        assert_eq!(SMALL.len(), 6541_usize.div_ceil(3), "there are 6,542 primes below 2^16");
    }

    #[test]
    fn a_power_of_65537_has_the_residues_of_the_weak_keys_and_its_neighbour_has_not() {
        // 65537^4 = 2^64 + 4 * 2^48 + 6 * 2^32 + 4 * 2^16 + 1.
        let power = [0, 1, 0, 4, 0, 6, 0, 4, 0, 1];
        assert_eq!(check(&power), Err(KeyError::Roca));
        assert_eq!(check(&[0, 1, 0, 4, 0, 6, 0, 4, 0, 2]), Err(KeyError::RsaModulus));
        // (2^61 - 1) * (2^89 - 1), which are primes far apart.
        assert_eq!(check(&product((1 << 61) - 1, (1 << 89) - 1)), Ok(()));
        // 167 * (2^61 - 1).
        assert_eq!(check(&(167 * ((1_u128 << 61) - 1)).to_be_bytes()), Err(KeyError::RsaModulus));
        assert_eq!(check(&[]), Err(KeyError::RsaModulus));
    }

    #[test]
    fn an_even_modulus_is_none_whatever_its_other_factors() {
        let odd = BigUint::from_bytes_be(&product((1 << 61) - 1, (1 << 89) - 1));
        assert_eq!(check(&(odd << 1_usize).to_bytes_be()), Err(KeyError::RsaModulus));
    }

    #[test]
    fn a_square_is_told_from_numbers_that_only_have_its_residues() {
        let square = BigUint::from(1_234_567_u64.pow(2));
        assert!(is_square(&square) && is_square(&BigUint::from(0_u32)));
        assert!(!is_square(&BigUint::from(1_234_567_u64.pow(2) + 1)));
        assert!(!is_square(&BigUint::from(1_234_567_u64.pow(2) + 64 * 63 * 65 * 11)));
    }
}
