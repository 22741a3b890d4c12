//! base64url as RFC 7515 section 2 has it: no padding, no white space, and no bits set that no byte uses, so that one byte
//! string has one spelling.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// Decodes; `None` for any other spelling.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Encodes.
pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_byte_string_has_one_spelling() {
        assert_eq!(decode(b"AQ"), Some(vec![1]));
        for other in ["AR", "AQ==", "AQ=", "A Q", "AQ\n", "A", "+_", "AQ."] {
            assert_eq!(decode(other.as_bytes()), None, "{other:?}");
        }
        assert_eq!(encode(&[0xfb, 0xff]), "-_8");
    }
}
