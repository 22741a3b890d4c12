use std::borrow::Cow;

/// Longest path a log line shows, in bytes. It stands there twice, and in the line of each security event, and a client that repeats it
/// pays one byte for it (HPACK): what it costs a disk must not be a client's to choose.
pub const MAX_PATH: usize = 256;

/// A request target as a log may show it: as text, without query and fragment (which carry tokens often enough), with every
/// segment that looks like a JWT struck out, cut at [`MAX_PATH`] bytes.
///
/// ```
/// use portcullis_access_log::loggable_path;
/// assert_eq!(loggable_path(b"/a?access_token=x"), "/a");
/// assert_eq!(loggable_path(b"/t/eyJhbGciOiJub25lIn0.e30."), "/t/[token]");
/// ```
#[must_use]
pub fn loggable_path(target: &[u8]) -> Cow<'_, str> {
    let path = target.split(|b| *b == b'?' || *b == b'#').next().unwrap_or_default();
    let text = as_text(path);
    let shown = if may_hold_token(&text) { Cow::Owned(strike_tokens(&text)) } else { text };
    if shown.len() > MAX_PATH { Cow::Owned(cut(&shown)) } else { shown }
}

/// Bytes as text, for a log. Nearly always they are text already, which is told faster than a replacement is made.
#[must_use]
pub fn as_text(bytes: &[u8]) -> Cow<'_, str> {
    core::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// A JWT has two dots or more. Escapes could hide them.
fn may_hold_token(path: &str) -> bool {
    path.contains('%') || path.bytes().filter(|b| *b == b'.').count() >= 2
}

fn strike_tokens(path: &str) -> String {
    let shown: Vec<_> = path.split('/').map(|s| if holds_token(s) { "[token]" } else { s }).collect();
    shown.join("/")
}

/// Whether something in a segment is a token: a client may have put it behind a `;`, an escaped slash or anything else.
pub(crate) fn holds_token(segment: &str) -> bool {
    let in_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    unescaped(segment).split(|c| !in_token(c)).any(looks_like_token)
}

/// Three parts (or more: JWE has five) between dots, the first the encoding of something that begins with `{`: an `e`, and a
/// second letter from the upper quarter of the alphabet, because the last two bits of `{` are ones.
fn looks_like_token(word: &str) -> bool {
    let head = word.split('.').next().unwrap_or_default();
    let begins = matches!(head.as_bytes(), [b'e', b'w'..=b'z' | b'0'..=b'9' | b'-' | b'_', ..]);
    head.len() >= 8 && begins && word.split('.').count() >= 3
}

fn unescaped(segment: &str) -> String {
    let mut out = String::with_capacity(segment.len());
    let mut rest = segment;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let byte = after.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(byte.map_or('%', char::from));
        rest = byte.and_then(|_| after.get(2..)).unwrap_or(after);
    }
    out.push_str(rest);
    out
}

fn cut(text: &str) -> String {
    let end = (0..=MAX_PATH).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_long_path_is_cut_and_bytes_that_are_no_text_do_no_harm() {
        assert_eq!(loggable_path(&b"/a".repeat(4_000)).len(), MAX_PATH);
        let longest = "/a".repeat(MAX_PATH / 2);
        assert_eq!(loggable_path(longest.as_bytes()), longest);
        assert_eq!(loggable_path(b"/\xff\xfe"), "/\u{fffd}\u{fffd}");
        assert!(loggable_path("é".repeat(4_000).as_bytes()).len() <= MAX_PATH);
    }

    #[test]
    fn no_spelling_of_a_token_is_shown() {
        for path in [
            "/a#access_token=abc",
            "/r/eyAiYWxnIjogIm5vbmUifQ.eyAic3ViIjogMX0.sig/x",
            "/t/%65yJhbGciOiJub25lIn0%2Ee30%2Esig;x",
            "/t/ewogImFsZyI6MX0.e30.c2ln",
            "/t;eyJhbGciOiJub25lIn0.e30.sig",
            "/t;a=eyJhbGciOiJub25lIn0.e30.sig,x",
            "/t%2feyJhbGciOiJub25lIn0.e30.sig",
        ] {
            let shown = loggable_path(path.as_bytes()).into_owned();
            assert!(!shown.contains("sig") && !shown.contains("c2ln") && !shown.contains("abc"), "{shown}");
        }
        let across_the_cut = format!("{}/eyJhbGciOiJub25lIn0.e30.sig", "/a".repeat(505));
        assert!(!loggable_path(across_the_cut.as_bytes()).contains("eyJ"));
    }

    #[test]
    fn names_that_only_resemble_a_token_are_shown() {
        for path in [
            "/eyJames/x.y",
            "/e/1.2.3",
            "/export.tar.gz",
            "/elizabeth.anne.smith",
            "/events.json",
            "/%7Bx%7D",
        ] {
            assert_eq!(loggable_path(path.as_bytes()), path);
        }
    }
}
