//! Labels that are read from what the build has at hand.

use crate::{ImageError, Labels};
use serde_json::Value;
use std::path::Path;

/// Version, licence and description of the package `name`, from what `cargo metadata` printed into a file.
///
/// # Errors
/// If that is no such output, or has no such package.
pub fn of_package(metadata: &Path, name: &str) -> Result<Labels, ImageError> {
    let document = json(metadata)?;
    let mut packages = document["packages"].as_array().into_iter().flatten();
    let package = packages.find(|package| package["name"] == name).ok_or_else(|| {
        ImageError::content(metadata, format!("no package `{name}`"), "what `cargo metadata` prints")
    })?;
    let keys = ["version", "license", "description"].into_iter();
    let given = keys.filter_map(|key| Some((key, package[key].as_str()?)));
    let annotation = |key: &str| if key == "license" { "licenses" } else { key }.to_owned();
    Ok(given
        .map(|(key, value)| (format!("org.opencontainers.image.{}", annotation(key)), value.to_owned()))
        .collect())
}

/// The versions of the policy's format that a schema takes: `1`, or `1-3`.
///
/// # Errors
/// If the file is no schema of policies.
pub fn policy_versions(schema: &Path) -> Result<String, ImageError> {
    let document = json(schema)?;
    let version = &document["properties"]["version"];
    let (Some(first), Some(last)) = (version["minimum"].as_u64(), version["maximum"].as_u64()) else {
        return Err(ImageError::content(schema, "no range of versions", "what `portcullis schema` prints"));
    };
    Ok(if first == last { first.to_string() } else { format!("{first}-{last}") })
}

pub(crate) fn json(path: &Path) -> Result<Value, ImageError> {
    let text = std::fs::read(path).map_err(|error| ImageError::file(path, error))?;
    serde_json::from_slice(&text).map_err(|error| ImageError::content(path, error.to_string(), "JSON"))
}
