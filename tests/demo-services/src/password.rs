//! Passwords at rest: Argon2id with the lightest cost that is still Argon2. The data lives as long as the process, and
//! logins are part of load tests.

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};

/// Memory in KiB for one hash.
const MEMORY_KIB: u32 = 64;

/// The salted hash of a password as a PHC string.
pub(crate) fn hash(password: &str) -> Result<String, argon2::password_hash::Error> {
    let params = Params::new(MEMORY_KIB, 1, 1, None)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    Ok(argon2.hash_password(password.as_bytes())?.to_string())
}

/// Whether this is the password that was hashed.
pub(crate) fn matches(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash)
        .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hashed_password_matches_and_equal_passwords_hash_differently() {
        let first = hash("Right-Password-1").unwrap();
        assert!(matches("Right-Password-1", &first));
        assert!(!matches("Wrong-Password-1", &first));
        assert_ne!(first, hash("Right-Password-1").unwrap());
        assert!(!first.contains("Right"));
    }
}
