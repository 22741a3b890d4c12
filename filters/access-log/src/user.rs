use crate::path::holds_token;
use std::borrow::Cow;

/// Longest user name a log line shows, in bytes, without the mark of a cut.
pub const MAX_USER: usize = 128;

/// What stands behind text that was cut.
const CUT: &str = "…";

/// A user name as a log may show it: cut at [`MAX_USER`] bytes, which a `…` tells, and never a token.
///
/// ```
/// use portcullis_access_log::loggable_user;
/// assert_eq!(loggable_user("ada"), "ada");
/// assert_eq!(loggable_user(&"a".repeat(200)), "a".repeat(128) + "…");
/// ```
#[must_use]
pub fn loggable_user(user: &str) -> Cow<'_, str> {
    if holds_token(user) { Cow::Borrowed("[token]") } else { shortened(user, MAX_USER) }
}

/// The text, or its first `most` bytes at most and the mark of a cut.
pub(crate) fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(most);
    Cow::Owned([text.get(..end).unwrap_or_default(), CUT].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_name_is_cut_between_letters_and_only_if_it_is_too_long() {
        assert_eq!(loggable_user(&"a".repeat(MAX_USER)), "a".repeat(MAX_USER));
        let cut = loggable_user(&format!("a{}", "é".repeat(100))).into_owned();
        assert_eq!(cut, format!("a{}…", "é".repeat(63)));
    }

    #[test]
    fn names_that_only_resemble_a_token_are_shown() {
        for name in ["elizabeth.anne.smith@example.com", "ey", "eleventh.1.2", "e.b.c", ""] {
            assert_eq!(loggable_user(name), name);
        }
    }
}
