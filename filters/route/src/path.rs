//! Path normalisation (RFC 3986 section 6.2.2, narrowed).
//!
//! Rules, each of which has been somebody's path confusion:
//! - unreserved characters are unescaped, remaining escapes get upper-case digits;
//! - `//` becomes `/`, `.` and `..` segments are resolved; `..` above the root, or together with `//` (readers differ on
//!   which comes first), is refused;
//! - a scheme inside a path (`/proxy/https://x`) is refused: merging its slashes would change it silently;
//! - an escaped `/` is refused, or stays as it is where a route takes it, unless a dot segment stands beside it;
//! - refused outright: escaped `\`, `;` and NUL or other controls, the same and `/` and `.` escaped twice, escapes that spell no UTF-8 text, `\`, `;`, `#`, bytes outside printable ASCII, broken
//!   escapes, a path that does not begin with `/`.

use std::borrow::Cow;

/// Why a path has no normal form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// It does not begin with `/` (absent, `*`, an authority).
    NotAbsolute,
    /// A byte that has no place in a path, or that readers treat differently (`;`, `\`, `#`, controls, non-ASCII).
    ForbiddenByte(u8),
    /// `%` without two hexadecimal digits.
    BrokenEscape,
    /// `%2F`, `%5C`, `%3B`, `%00` and their like, also escaped twice (`%252F`, `%252E`); a byte that belongs to no UTF-8 text.
    ForbiddenEscape(u8),
    /// A `:` right before a slash: `https://` in the middle of a path, or what is left of it once slashes are merged.
    Scheme,
    /// `..` leads above the root, or stands in a path that also has `//`.
    AmbiguousDots,
}

/// What becomes of a `/` that is written `%2F`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EscapedSlashes {
    /// The path is refused: one reader takes it for a separator, another does not.
    #[default]
    Refuse,
    /// It stays, and belongs to its segment.
    Keep,
}

/// A path in its one normal form, without its query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NormalPath<'a> {
    /// The path; borrowed when the client sent it in normal form, as nearly all do.
    pub path: Cow<'a, str>,
    /// What followed the first `?`, that sign excluded, untouched.
    pub query: Option<&'a [u8]>,
}

/// The normal form of a request target's path.
///
/// ```
/// use portcullis_route::normalise;
/// assert_eq!(normalise(b"/a/./b//%7Ec?x=/..").unwrap().path, "/a/b/~c");
/// assert!(normalise(b"/public/..%2fadmin").is_err());
/// ```
///
/// # Errors
/// When the path has no normal form that every reader agrees on.
pub fn normalise(target: &[u8]) -> Result<NormalPath<'_>, PathError> {
    normalise_with(target, EscapedSlashes::Refuse)
}

/// The same, where escaped slashes may be part of a segment.
///
/// ```
/// use portcullis_route::{EscapedSlashes, normalise_with};
/// let keep = |target: &'static str| normalise_with(target.as_bytes(), EscapedSlashes::Keep);
/// assert_eq!(keep("/projects/group%2fname").unwrap().path, "/projects/group%2Fname");
/// assert!(keep("/projects/..%2F..%2Fadmin").is_err());
/// ```
///
/// # Errors
/// When the path has no normal form that every reader agrees on.
pub fn normalise_with(target: &[u8], slashes: EscapedSlashes) -> Result<NormalPath<'_>, PathError> {
    let (path, query) = split_query(target);
    if path.first() != Some(&b'/') {
        return Err(PathError::NotAbsolute);
    }
    let path =
        if is_normal(path)? { Cow::Borrowed(as_text(path)?) } else { Cow::Owned(rewrite(path, slashes)?) };
    Ok(NormalPath { path, query })
}

fn split_query(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut parts = target.splitn(2, |b| *b == b'?');
    (parts.next().unwrap_or_default(), parts.next())
}

/// One pass over the bytes: forbidden ones are errors; nothing to rewrite means the path is used as it is.
fn is_normal(path: &[u8]) -> Result<bool, PathError> {
    let mut previous = 0_u8;
    let mut normal = true;
    for &byte in path {
        check_byte(byte)?;
        if previous == b':' && byte == b'/' {
            return Err(PathError::Scheme);
        }
        // A segment that begins with a dot may be a dot segment; whether it is shows in `rewrite`.
        normal &= byte != b'%' && !(previous == b'/' && (byte == b'/' || byte == b'.'));
        previous = byte;
    }
    Ok(normal)
}

fn check_byte(byte: u8) -> Result<(), PathError> {
    match byte {
        b';' | b'\\' | b'#' => Err(PathError::ForbiddenByte(byte)),
        0x21..=0x7e => Ok(()),
        _ => Err(PathError::ForbiddenByte(byte)),
    }
}

fn as_text(path: &[u8]) -> Result<&str, PathError> {
    core::str::from_utf8(path).map_err(|_| PathError::ForbiddenByte(0x80))
}

fn rewrite(path: &[u8], slashes: EscapedSlashes) -> Result<String, PathError> {
    let unescaped = unescape_unreserved(as_text(path)?, slashes)?;
    // `%3A` is a colon to whoever fetches what such a path names.
    if unescaped.contains("%3A/") {
        return Err(PathError::Scheme);
    }
    if unescaped.split('/').any(hides_dots) {
        return Err(PathError::AmbiguousDots);
    }
    resolve_segments(&unescaped)
}

/// Whether a reader that takes escaped slashes for separators would find a dot segment in this one.
fn hides_dots(segment: &str) -> bool {
    segment.contains("%2F") && segment.split("%2F").any(|part| matches!(part, "." | ".."))
}

fn unescape_unreserved(path: &str, slashes: EscapedSlashes) -> Result<String, PathError> {
    let mut out = String::with_capacity(path.len());
    let mut escaped = Vec::new();
    let mut rest = path.chars();
    while let Some(c) = rest.next() {
        if c == '%' {
            let byte = hex_pair(&mut rest)?;
            check_second_escape(byte, rest.as_str())?;
            push_escape(&mut out, byte, slashes)?;
            escaped.push(byte);
        } else {
            out.push(c);
            check_text(&escaped)?;
            escaped.clear();
        }
    }
    check_text(&escaped)?;
    Ok(out)
}

/// Escapes one behind the other spell text or nothing: an overlong `.` or `/` (`%C0%AF`) is one to some readers.
fn check_text(escaped: &[u8]) -> Result<(), PathError> {
    let bad = core::str::from_utf8(escaped).err().and_then(|error| escaped.get(error.valid_up_to()));
    bad.map_or(Ok(()), |byte| Err(PathError::ForbiddenEscape(*byte)))
}

fn hex_pair(rest: &mut core::str::Chars<'_>) -> Result<u8, PathError> {
    let mut digit = || rest.next().and_then(|c| c.to_digit(16)).and_then(|d| u8::try_from(d).ok());
    let (high, low) = (digit().ok_or(PathError::BrokenEscape)?, digit().ok_or(PathError::BrokenEscape)?);
    Ok(high << 4 | low)
}

/// `%252e` is a dot to whoever unescapes twice, `%252f` a slash: what may not be escaped once may not be escaped twice, and a dot that
/// only some readers see is none that we can resolve.
fn check_second_escape(byte: u8, behind: &str) -> Result<(), PathError> {
    if byte != b'%' {
        return Ok(());
    }
    match hex_pair(&mut behind.chars()) {
        Ok(inner @ (b'/' | b'\\' | b';' | b'.' | b'%' | 0x00..=0x1f | 0x7f..)) => {
            Err(PathError::ForbiddenEscape(inner))
        }
        _ => Ok(()),
    }
}

fn push_escape(out: &mut String, byte: u8, slashes: EscapedSlashes) -> Result<(), PathError> {
    match byte {
        b'/' if slashes == EscapedSlashes::Keep => out.push_str("%2F"),
        b'/' | b'\\' | b';' | 0x00..=0x1f | 0x7f => return Err(PathError::ForbiddenEscape(byte)),
        b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
        _ if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
        _ => {
            use core::fmt::Write as _;
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    Ok(())
}

fn resolve_segments(path: &str) -> Result<String, PathError> {
    let has_double_slash = path.contains("//");
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            ".." if has_double_slash => return Err(PathError::AmbiguousDots),
            ".." => drop(kept.pop().ok_or(PathError::AmbiguousDots)?),
            "." | "" => {}
            _ => kept.push(segment),
        }
    }
    let ends_open = matches!(path.rsplit('/').next(), Some("" | "." | ".."));
    let tail = if ends_open && !kept.is_empty() { "/" } else { "" };
    Ok(format!("/{}{tail}", kept.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn path(target: &str) -> String {
        normalise(target.as_bytes()).unwrap().path.into_owned()
    }

    #[test]
    fn a_normal_path_is_borrowed_and_its_query_untouched() {
        let normal = normalise(b"/api/v1/orders/42?next=//..;%zz").unwrap();
        assert!(matches!(normal.path, Cow::Borrowed(_)));
        assert_eq!((&*normal.path, normal.query), ("/api/v1/orders/42", Some(&b"next=//..;%zz"[..])));
    }

    #[test]
    fn spellings_of_one_path_become_that_path() {
        for spelling in
            ["/a/b", "//a//b", "/a/./b", "/a/x/../b", "/%61/b", "/a/%62", "/a/x/%2e%2E/b", "/./a/b"]
        {
            assert_eq!(path(spelling), "/a/b", "{spelling}");
        }
    }

    #[test]
    fn a_trailing_slash_is_another_path_and_is_kept() {
        assert_eq!(path("/a/b/"), "/a/b/");
        assert_eq!(path("/a/b/."), "/a/b/");
        assert_eq!(path("/a/b/c/.."), "/a/b/");
        assert_eq!(path("//"), "/");
    }

    #[test]
    fn escapes_that_must_stay_get_upper_case_digits() {
        assert_eq!(path("/caf%c3%a9/%3a%3f%25"), "/caf%C3%A9/%3A%3F%25");
        assert_eq!(path("/100%25/%2541/%25zz"), "/100%25/%2541/%25zz");
    }

    #[test]
    fn a_name_that_begins_with_a_dot_is_no_dot_segment() {
        assert_eq!(path("/.well-known/..x/x.."), "/.well-known/..x/x..");
    }

    #[test]
    fn what_readers_disagree_about_is_refused() {
        let refused = [
            "/a/..;/b",
            "/a;x=1/b",
            "/a%2Fb",
            "/a%2fb",
            "/a%5cb",
            "/a\\b",
            "/a%00",
            "/a%0d%0a",
            "/a#b",
            "/a b",
            "/..",
            "/a/../../b",
            "/a//../b",
            "/a%",
            "/a%4",
            "/a%zz",
            "*",
            "",
            "a",
            "http://x/y",
            "/a%7f",
            "/a/%c0%ae%c0%ae/b",
            "/a%c0%afb",
            "/a%e0%80%afb",
            "/a%e9b",
            "/a%c3/%a9",
            "/a%ff",
            "/proxy/https://x",
            "/proxy/https:/x",
            "/proxy/https%3A//x",
            "/a:/",
            "/a/..%3bx/b",
            "/a%3Bx=1",
            "/%252e%252e/b",
            "/a/%252e%252e%252fb",
            "/a%255cb",
            "/a%253bx",
            "/a%2500",
            "/a%25252e",
            "/a%25c0%25ae",
        ];
        for target in refused {
            assert!(normalise(target.as_bytes()).is_err(), "{target:?} was accepted");
        }
        assert!(normalise(b"/\xff").is_err() && normalise(b"/\0").is_err());
    }

    #[test]
    fn an_escaped_slash_stays_where_it_is_taken_and_hides_no_dots() {
        let keep = |target: &str| {
            normalise_with(target.as_bytes(), EscapedSlashes::Keep).map(|p| p.path.into_owned())
        };
        assert_eq!(keep("/p/group%2fname/x"), Ok("/p/group%2Fname/x".to_owned()));
        assert_eq!(keep("/p/https%3A%2F%2Fx"), Ok("/p/https%3A%2F%2Fx".to_owned()));
        assert_eq!(keep("/p/a%2F..b"), Ok("/p/a%2F..b".to_owned()));
        for refused in
            ["/p/..%2Fa", "/p/a%2f%2e%2e", "/p/a%2F.%2Fb", "/p/%2F..", "/p/a%5Cb", "/p/%2F../x%2F.."]
        {
            assert!(keep(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn normalising_twice_changes_nothing_more() {
        for target in ["//a/./b/", "/%41/%c3%a9", "/a/b/../c", "/a%2541b"] {
            let once = path(target);
            assert_eq!(path(&once), once);
        }
    }
}
