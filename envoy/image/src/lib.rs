//! A proxy-wasm module as an OCI image that Istio and Envoy Gateway accept.
//!
//! What they accept is narrower than what registries store: one layer, a gzipped tar, with the module as `plugin.wasm`. A module
//! in a layer of type `application/wasm` and an uncompressed layer are refused by both.
//!
//! Every byte written depends on the input alone (no times, no owners, no random names), so the same module has the same digest
//! on every machine. Each image is a folder in the OCI image layout, which any OCI client can push.

mod blobs;
mod error;
mod image;
pub mod labels;
mod layer;
mod sbom;
mod signature;

pub use blobs::{Descriptor, Layout};
pub use error::ImageError;
pub use image::{Labels, Written, write_image, write_sbom, write_signature};
pub use sbom::Sbom;
pub use signature::SigningKey;
