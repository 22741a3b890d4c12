//! A reference to the module's image.

use std::fmt;
use std::str::FromStr;

/// An image by digest. A tag may be moved to another image while a gateway runs; a digest cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Registry, folder and name: `registry.example/team/portcullis`, with a tag perhaps.
    name: String,
    /// 64 hexadecimal digits.
    digest: String,
}

impl Image {
    /// With the scheme. Istio drops a plugin whose URL has none without a word, and traffic flows unfiltered.
    #[must_use]
    pub fn url(&self) -> String {
        format!("oci://{self}")
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@sha256:{}", self.name, self.digest)
    }
}

impl FromStr for Image {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let reference = text.strip_prefix("oci://").unwrap_or(text);
        if reference.contains("://") {
            return Err("expected an image, `[oci://]REGISTRY/NAME@sha256:DIGEST`".to_owned());
        }
        let (name, digest) = reference.split_once("@sha256:").ok_or(
            "expected a digest, `REGISTRY/NAME@sha256:...`: a tag may be moved while the gateway runs (`make image` prints it)",
        )?;
        check_digest(digest)?;
        let (registry, path) =
            name.split_once('/').ok_or("expected a registry before the name, `REGISTRY/NAME`")?;
        if registry.is_empty() || path.is_empty() || name.bytes().any(|b| !b.is_ascii_graphic()) {
            return Err("expected `REGISTRY/NAME` before the digest".to_owned());
        }
        Ok(Self { name: name.to_owned(), digest: digest.to_owned() })
    }
}

fn check_digest(digest: &str) -> Result<(), String> {
    let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if digest.len() == 64 && digest.bytes().all(is_hex) {
        return Ok(());
    }
    Err(format!("expected 64 hexadecimal digits in lower case after `sha256:`, found {}", digest.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest() -> String {
        "0123456789abcdef".repeat(4)
    }

    #[test]
    fn the_url_has_a_scheme_whether_one_was_given_or_not() {
        for given in ["r.example:5000/team/portcullis", "oci://r.example:5000/team/portcullis"] {
            let image: Image = format!("{given}@sha256:{}", digest()).parse().unwrap();
            assert_eq!(image.url(), format!("oci://r.example:5000/team/portcullis@sha256:{}", digest()));
        }
    }

    #[test]
    fn what_is_no_image_by_digest_is_refused() {
        let refused = |text: &str| text.parse::<Image>().unwrap_err();
        assert!(refused("r.example/portcullis:v1").contains("a tag may be moved"));
        assert!(refused("r.example/portcullis@sha256:12").contains("64 hexadecimal digits"));
        assert!(
            refused(&format!("r.example/portcullis@sha256:{}", digest().to_uppercase()))
                .contains("lower case")
        );
        assert!(refused(&format!("https://r.example/p.wasm@sha256:{}", digest())).contains("oci://"));
        assert!(refused(&format!("portcullis@sha256:{}", digest())).contains("a registry"));
        assert!(refused(&format!("/portcullis@sha256:{}", digest())).contains("REGISTRY/NAME"));
    }
}
