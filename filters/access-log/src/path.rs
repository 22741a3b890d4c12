use std::borrow::Cow;

/// Longest path a log line shows, in bytes.
pub const MAX_PATH: usize = 1024;

/// A request target as a log may show it: without its query (which carries tokens often enough), cut at [`MAX_PATH`]
/// bytes, as text, and with every segment that looks like a JWT struck out.
///
/// ```
/// use portcullis_access_log::loggable_path;
/// assert_eq!(loggable_path(b"/a?access_token=x"), "/a");
/// assert_eq!(loggable_path(b"/t/eyJhbGciOiJub25lIn0.e30."), "/t/[token]");
/// ```
#[must_use]
pub fn loggable_path(target: &[u8]) -> Cow<'_, str> {
    let path = target.split(|b| *b == b'?').next().unwrap_or_default();
    let cut = path.get(..MAX_PATH).unwrap_or(path);
    let text = String::from_utf8_lossy(cut);
    // Every JWT begins like this: it is `{"` in base64url.
    if text.contains("eyJ") { Cow::Owned(strike_tokens(&text)) } else { text }
}

fn strike_tokens(path: &str) -> String {
    let shown: Vec<_> =
        path.split('/').map(|s| if s.contains("eyJ") && s.contains('.') { "[token]" } else { s }).collect();
    shown.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_long_path_is_cut_and_bytes_that_are_no_text_do_no_harm() {
        assert_eq!(loggable_path(&b"/a".repeat(4_000)).len(), MAX_PATH);
        assert_eq!(loggable_path(b"/\xff\xfe"), "/\u{fffd}\u{fffd}");
    }

    #[test]
    fn a_word_with_those_letters_is_no_token() {
        assert_eq!(loggable_path(b"/eyJames/x.y"), "/eyJames/x.y");
    }
}
