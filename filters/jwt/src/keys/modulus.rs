//! Whether an RSA modulus has a weakness that shows without factoring it.

use super::error::KeyError;

/// The odd primes below 170. 65537 generates a small part of the residues of most of them, and a modulus of the ROCA kind has its
/// residues there for every one; another modulus does with a probability of about 2^-27 (Nemec et al., CCS 2017).
const PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103,
    107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

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
    Ok(())
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

    #[test]
    fn a_power_of_65537_has_the_residues_of_the_weak_keys_and_its_neighbour_has_not() {
        // 65537^4 = 2^64 + 4 * 2^48 + 6 * 2^32 + 4 * 2^16 + 1.
        let power = [0, 1, 0, 4, 0, 6, 0, 4, 0, 1];
        assert_eq!(check(&power), Err(KeyError::Roca));
        assert_eq!(check(&[0, 1, 0, 4, 0, 6, 0, 4, 0, 2]), Err(KeyError::RsaModulus));
        // 2^61 - 1, a prime.
        assert_eq!(check(&((1_u64 << 61) - 1).to_be_bytes()), Ok(()));
        // 167 * (2^61 - 1).
        assert_eq!(check(&(167 * ((1_u128 << 61) - 1)).to_be_bytes()), Err(KeyError::RsaModulus));
        assert_eq!(check(&[]), Err(KeyError::RsaModulus));
    }
}
