//! What the platform accepts as user name, password, name, e-mail address and asset id.

/// 6 to 30 ASCII letters, digits or underscores.
pub(crate) fn username(text: &str) -> Result<(), String> {
    length("username", text, 6, 30)?;
    let allowed = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    require(allowed, "username may contain only letters, digits and underscores")
}

/// 12 to 20 characters with an upper-case and a lower-case letter, a digit and a special character.
pub(crate) fn password(text: &str) -> Result<(), String> {
    length("password", text, 12, 20)?;
    require(text.chars().any(char::is_uppercase), "password needs an upper-case letter")?;
    require(text.chars().any(char::is_lowercase), "password needs a lower-case letter")?;
    require(text.chars().any(|c| c.is_ascii_digit()), "password needs a digit")?;
    require(text.chars().any(|c| c.is_ascii_punctuation()), "password needs a special character")
}

/// 1 to 50 letters, spaces, hyphens or apostrophes, not all blank.
pub(crate) fn person_name(text: &str) -> Result<(), String> {
    length("name", text, 1, 50)?;
    require(!text.trim().is_empty(), "name must not be blank")?;
    let allowed = text.chars().all(|c| c.is_alphabetic() || matches!(c, ' ' | '-' | '\''));
    require(allowed, "name may contain only letters, spaces, hyphens and apostrophes")
}

/// `local@domain.tld`, ASCII, at most 254 characters; enough to tell an address from a mistake.
pub(crate) fn email(text: &str) -> Result<(), String> {
    length("email", text, 3, 254)?;
    let plain = |part: &str, extra: &[u8]| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || extra.contains(&byte))
    };
    let valid = text.split_once('@').is_some_and(|(local, domain)| {
        plain(local, b"._%+-") && plain(domain, b".-") && domain.trim_matches('.').contains('.')
    });
    require(valid, "email is not a valid address")
}

/// A user name as a login may carry it: only the length is looked at.
pub(crate) fn login_name(text: &str) -> Result<(), String> {
    length("username", text, 6, 30)
}

/// A password as a login may carry it.
pub(crate) fn login_password(text: &str) -> Result<(), String> {
    length("password", text, 12, 20)
}

/// Any text; for fields whose meaning is checked elsewhere.
pub(crate) fn any(_text: &str) -> Result<(), String> {
    Ok(())
}

/// 1 to 10 ASCII letters or digits.
pub(crate) fn asset_id(text: &str) -> Result<(), String> {
    length("asset_id", text, 1, 10)?;
    let allowed = text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    require(allowed, "asset_id may contain only letters and digits")
}

fn length(what: &str, text: &str, min: usize, max: usize) -> Result<(), String> {
    let count = text.chars().count();
    require((min..=max).contains(&count), &format!("{what} must have {min} to {max} characters"))
}

fn require(condition: bool, why: &str) -> Result<(), String> {
    if condition { Ok(()) } else { Err(why.to_owned()) }
}
