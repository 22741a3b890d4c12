//! What is pushed: the module's image, its bill of materials, its signature.

use crate::blobs::{Descriptor, Layout, MANIFEST, digest};
use crate::layer::Layer;
use crate::{ImageError, Sbom, SigningKey};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Labels of an image (`org.opencontainers.image.version`, ...), which stand in its configuration and its manifest alike.
pub type Labels = BTreeMap<String, String>;

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const SBOM: &str = "application/vnd.cyclonedx+json";
/// cosign's type for what it signs (its `SIGNATURE_SPEC`).
const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// What every module begins with: `\0asm` and version 1.
const MODULE_START: &[u8] = b"\0asm\x01\0\0\0";

/// An image that was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// Its manifest; a reference by digest names this one.
    pub manifest: Descriptor,
    /// `sha256:...` of the module itself.
    pub module: String,
}

/// Writes the image of `module` into the folder `out`.
///
/// # Errors
/// If the file is no WebAssembly module, or something cannot be read or written.
pub fn write_image(module: &Path, labels: &Labels, out: &Path) -> Result<Written, ImageError> {
    let bytes = fs::read(module).map_err(|error| ImageError::file(module, error))?;
    check_module(module, &bytes)?;
    let layer = Layer::of(&bytes)?;
    let layout = Layout::create(out)?;
    let config = json!({
        "architecture": "wasm",
        "os": "wasi",
        "config": { "Labels": labels },
        "rootfs": { "type": "layers", "diff_ids": [digest(&layer.tar)] },
    });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": layout.add(CONFIG, config.to_string().as_bytes())?.json(),
        "layers": [layout.add(LAYER, &layer.gzip)?.json()],
        "annotations": labels,
    });
    Ok(Written { manifest: layout.finish(&manifest)?, module: digest(&bytes) })
}

fn check_module(path: &Path, bytes: &[u8]) -> Result<(), ImageError> {
    if bytes.starts_with(MODULE_START) {
        return Ok(());
    }
    let found = format!("{} bytes that do not begin as a module does", bytes.len());
    Err(ImageError::content(path, found, "a WebAssembly module"))
}

/// Writes the bill of materials as an artifact that refers to `subject` (OCI 1.1 `subject`).
///
/// # Errors
/// If something cannot be written.
pub fn write_sbom(sbom: &Sbom, subject: &Descriptor, out: &Path) -> Result<Descriptor, ImageError> {
    let layout = Layout::create(out)?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": SBOM,
        "config": layout.add(EMPTY, b"{}")?.json(),
        "layers": [layout.add(SBOM, sbom.text().as_bytes())?.json()],
        "subject": subject.json(),
    });
    layout.finish(&manifest)
}

/// Writes cosign's signature of `subject`. It belongs beside the image, under the tag [`Descriptor`]'s digest with `-` for `:`
/// and `.sig` behind it. `reference` is what the image will be called, registry and all.
///
/// # Errors
/// If something cannot be written.
pub fn write_signature(
    key: &SigningKey,
    subject: &Descriptor,
    reference: &str,
    out: &Path,
) -> Result<Descriptor, ImageError> {
    let payload = payload(subject, reference).to_string();
    let layout = Layout::create(out)?;
    let config = json!({
        "architecture": "",
        "os": "",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": [digest(payload.as_bytes())] },
    });
    let mut layer = layout.add(SIMPLE_SIGNING, payload.as_bytes())?.json();
    let signature = Value::from(key.sign(payload.as_bytes()));
    layer["annotations"] =
        Map::from_iter([("dev.cosignproject.cosign/signature".to_owned(), signature)]).into();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": layout.add(CONFIG, config.to_string().as_bytes())?.json(),
        "layers": [layer],
    });
    layout.finish(&manifest)
}

/// The "simple signing" claim that cosign checks: which digest was signed.
fn payload(subject: &Descriptor, reference: &str) -> Value {
    json!({
        "critical": {
            "identity": { "docker-reference": reference },
            "image": { "docker-manifest-digest": subject.digest },
            "type": "cosign container image signature",
        },
        "optional": null,
    })
}
