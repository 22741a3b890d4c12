//! The OCI image layout: a folder of blobs named by their digests, and an index.

use crate::ImageError;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A blob: its type, digest (`sha256:` and 64 hexadecimal digits) and size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Media type.
    pub media_type: &'static str,
    /// `sha256:...`
    pub digest: String,
    /// In bytes.
    pub size: usize,
}

impl Descriptor {
    pub(crate) fn of(media_type: &'static str, blob: &[u8]) -> Self {
        Self { media_type, digest: digest(blob), size: blob.len() }
    }

    pub(crate) fn json(&self) -> Value {
        json!({ "mediaType": self.media_type, "digest": self.digest, "size": self.size })
    }

    fn hex(&self) -> &str {
        self.digest.trim_start_matches("sha256:")
    }
}

/// `sha256:` and the hexadecimal SHA-256 of `bytes`.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// A layout that holds one image.
pub struct Layout {
    folder: PathBuf,
}

impl Layout {
    /// A new one in the place of whatever `folder` held.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn create(folder: &Path) -> Result<Self, ImageError> {
        if folder.exists() {
            fs::remove_dir_all(folder).map_err(|error| ImageError::file(folder, error))?;
        }
        let blobs = folder.join("blobs/sha256");
        fs::create_dir_all(&blobs).map_err(|error| ImageError::file(blobs, error))?;
        Ok(Self { folder: folder.to_owned() })
    }

    pub(crate) fn add(&self, media_type: &'static str, blob: &[u8]) -> Result<Descriptor, ImageError> {
        let descriptor = Descriptor::of(media_type, blob);
        self.write(&format!("blobs/sha256/{}", descriptor.hex()), blob)?;
        Ok(descriptor)
    }

    /// Adds the manifest, names it in the index, and so completes the layout.
    pub(crate) fn finish(&self, manifest: &Value) -> Result<Descriptor, ImageError> {
        let manifest = self.add(MANIFEST, manifest.to_string().as_bytes())?;
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [manifest.json()] });
        self.write("index.json", index.to_string().as_bytes())?;
        self.write("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        Ok(manifest)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), ImageError> {
        let path = self.folder.join(name);
        fs::write(&path, bytes).map_err(|error| ImageError::file(path, error))
    }
}
