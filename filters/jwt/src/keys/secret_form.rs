//! Secrets that are none: keys, certificates and JWKs, which others may know. An HMAC under somebody's public key can be made by
//! everybody (the confusion of algorithms, RFC 8725 section 2.1, by configuration).

use crate::token::{Json, Value};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rsa::pkcs8::spki::SubjectPublicKeyInfoRef;

/// Beginnings of public keys as SSH writes them (RFC 4253 section 6.6, RFC 4716, OpenSSH).
const SSH: [&[u8]; 6] = [b"ssh-", b"ecdsa-sha2-", b"sk-ssh-", b"sk-ecdsa-", b"---- BEGIN ", b"AAAA"];

/// Whether the bytes of a secret are a key or a certificate in one of the forms in which they are written.
pub(super) fn is_key(secret: &[u8]) -> bool {
    let text = secret.trim_ascii();
    is_plain_key(text)
        || is_der(secret)
        || decoded(text).iter().any(|bytes| is_plain_key(bytes) || is_der(bytes))
}

fn is_plain_key(text: &[u8]) -> bool {
    is_pem(text) || is_ssh(text) || is_json(text)
}

/// Whether a secret is of so few different bytes that people guess it: `000...`, one word over and over.
pub(super) fn is_repetitive(secret: &[u8]) -> bool {
    let is_period = |period: usize| secret.chunks(period).all(|part| secret.starts_with(part));
    (1..=MOST_PERIOD).any(is_period) && secret.len() > MOST_PERIOD
}

/// The longest word whose repetition is no secret.
const MOST_PERIOD: usize = 12;

fn is_pem(text: &[u8]) -> bool {
    text.windows(11).any(|window| window == b"-----BEGIN ")
}

fn is_ssh(text: &[u8]) -> bool {
    // `AAAA` begins the base64 of every SSH key: a length of four bytes. Options may stand before it (sshd(8), AUTHORIZED_KEYS).
    let begins = |text: &[u8]| SSH.iter().any(|begin| text.starts_with(begin));
    let mut words = text.split(|byte| *byte == b' ');
    (begins(text) || words.any(|word| word.starts_with(b"AAAA") && word.len() > 60) || is_ssh_blob(text))
        && text.len() > 50
}

/// An SSH key without its base64: the length of the name of its kind, and the name (RFC 4253 section 6.6).
fn is_ssh_blob(bytes: &[u8]) -> bool {
    matches!(bytes, [0, 0, 0, _, rest @ ..] if rest.starts_with(b"ssh-") || rest.starts_with(b"ecdsa-sha2-"))
}

/// A JWK or a set of them.
fn is_json(text: &[u8]) -> bool {
    let is_jwk = |json: &Json| ["kty", "keys"].iter().any(|name| json.root().member(name).is_some());
    text.starts_with(b"{")
        && Json::parse(text).is_ok_and(|json| json.root().value() == Value::Object && is_jwk(&json))
}

/// What a text says in base64 (a PEM block without its lines, a JWK in a Kubernetes secret) and in hexadecimal digits.
fn decoded(text: &[u8]) -> [Vec<u8>; 2] {
    let one_line: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)?.wrapping_shl(4) | digit(*low)?),
        _ => None,
    };
    let hex: Option<Vec<u8>> = one_line.chunks(2).map(pair).collect();
    [STANDARD.decode(&one_line).unwrap_or_default(), hex.unwrap_or_default()]
}

/// A SubjectPublicKeyInfo, or a DER sequence of 128 bytes and more whose length is just that of the secret: certificates, private
/// keys, RSA keys. Random bytes are neither.
fn is_der(bytes: &[u8]) -> bool {
    SubjectPublicKeyInfoRef::try_from(bytes).is_ok() || is_long_sequence(bytes)
}

fn is_long_sequence(bytes: &[u8]) -> bool {
    match bytes {
        [0x30, 0x81, length, rest @ ..] => usize::from(*length) == rest.len(),
        [0x30, 0x82, high, low, rest @ ..] => usize::from(u16::from_be_bytes([*high, *low])) == rest.len(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const ED25519: &str = "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

    #[test]
    fn a_key_is_known_in_every_form_that_people_paste() {
        let der = STANDARD.decode(ED25519).unwrap();
        let long = [&[0x30, 0x82, 1, 0][..], &[7; 256]].concat();
        let ssh =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPnmHNJL7hJ5yx2cPEbTkTfZ0Wl0XcMdU9RYTwmXj8P root@host";
        for secret in [
            format!("-----BEGIN PUBLIC KEY-----\n{ED25519}\n-----END PUBLIC KEY-----\n").as_bytes(),
            b"  -----BEGIN CERTIFICATE-----\nMIIB",
            br#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T"}"#,
            br#" {"keys":[{"kty":"RSA"}]} "#,
            ssh.as_bytes(),
            ssh.replace("ssh-ed25519 ", "").as_bytes(),
            format!("restrict,pty {ssh}").as_bytes(),
            &STANDARD.decode("AAAAC3NzaC1lZDI1NTE5AAAAIGPnmHNJL7hJ5yx2cPEbTkTfZ0Wl0XcMdU9RYTwmXj8P").unwrap(),
            STANDARD.encode(br#"{"kty":"RSA","n":"AyM1SysPpbyDfgZld3umj1qz","e":"AQAB"}"#).as_bytes(),
            der.iter().map(|byte| format!("{byte:02x}")).collect::<String>().as_bytes(),
            ED25519.as_bytes(),
            &der,
            &[&[0x30, 0x81, 0x80][..], &[7; 0x80]].concat(),
            &long,
        ] {
            assert!(is_key(secret), "{}", String::from_utf8_lossy(secret));
        }
    }

    #[test]
    fn one_word_over_and_over_is_no_secret() {
        for secret in ["0".repeat(32), "changeme".repeat(4), "secret-secret-secret-secret-secret".to_owned()]
        {
            assert!(is_repetitive(secret.as_bytes()), "{secret}");
        }
        assert!(!is_repetitive(b"a long enough secret of 32 bytes") && !is_repetitive(b"0000"));
        assert!(!is_repetitive(b"twelve bytes"), "a word that stands once");
    }

    #[test]
    fn a_secret_is_no_key_whatever_it_looks_like() {
        for secret in [
            &b"a long enough secret of 32 bytes"[..],
            b"{not json, but a passphrase of somebody}",
            b"{\"a\": \"passphrase in braces, 32 long\"}",
            b"ssh-ing around is not a key, is it",
            b"AAAAbase64-like secrets are common",
            &[0x30; 64],
            &[0x30, 0x81, 0x1d, 7, 7, 7],
        ] {
            assert!(!is_key(secret), "{}", String::from_utf8_lossy(secret));
        }
    }
}
