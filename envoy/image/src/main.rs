//! `portcullis-image`: packs modules as OCI images. `make image` calls it.

use clap::Parser;
use portcullis_image::{
    ImageError, Labels, Sbom, SigningKey, Written, labels, write_image, write_sbom, write_signature,
};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Writes each module as an image in the OCI layout, into a folder of the module's name, and prints the image's digest.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The modules.
    #[arg(required = true)]
    modules: Vec<PathBuf>,
    /// Where the images go.
    #[arg(long)]
    out: PathBuf,
    /// A label for every image, such as `org.opencontainers.image.version=0.1.0`.
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// What `cargo metadata --format-version 1 --filter-platform wasm32-wasip1` prints: writes a bill of materials beside each
    /// image.
    #[arg(long, value_name = "FILE")]
    metadata: Option<PathBuf>,
    /// The JSON Schema of policies: its versions become the label `portcullis.policy.versions`.
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// The package that the modules are built from.
    #[arg(long, default_value = "portcullis-gateway")]
    package: String,
    /// An unencrypted private key on P-256 (PEM): writes a signature in cosign's format beside each image.
    #[arg(long, value_name = "FILE")]
    sign_key: Option<PathBuf>,
    /// The registry and folder that the images will be pushed to; stands in the signature.
    #[arg(long, value_name = "REGISTRY/FOLDER", default_value = "")]
    repository: String,
}

fn label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), ImageError> {
    let key = arguments.sign_key.as_deref().map(SigningKey::read).transpose()?;
    for module in &arguments.modules {
        let name = module.file_stem().unwrap_or_default().to_string_lossy();
        let written = pack(arguments, module, &name)?;
        if let Some(key) = &key {
            let reference = format!("{}/{name}", arguments.repository.trim_end_matches('/'));
            let out = arguments.out.join(format!("{name}.signature"));
            write_signature(key, &written.manifest, reference.trim_start_matches('/'), &out)?;
        }
        println!("{name} {} (module {})", written.manifest.digest, written.module);
    }
    Ok(())
}

/// What is known of every module, and over it what the arguments say.
fn labels(arguments: &Arguments, name: &str) -> Result<Labels, ImageError> {
    let mut labels = match &arguments.metadata {
        Some(metadata) => labels::of_package(metadata, &arguments.package)?,
        None => Labels::new(),
    };
    labels.insert("org.opencontainers.image.title".to_owned(), name.to_owned());
    if let Some(schema) = &arguments.schema {
        labels.insert("portcullis.policy.versions".to_owned(), labels::policy_versions(schema)?);
    }
    labels.extend(arguments.labels.iter().cloned());
    Ok(labels)
}

fn pack(arguments: &Arguments, module: &Path, name: &str) -> Result<Written, ImageError> {
    let labels = labels(arguments, name)?;
    let written = write_image(module, &labels, &arguments.out.join(name))?;
    if let Some(metadata) = &arguments.metadata {
        let sbom = Sbom::from_cargo(metadata, &arguments.package, &written.module)?;
        write_sbom(&sbom, &written.manifest, &arguments.out.join(format!("{name}.sbom")))?;
        let file = arguments.out.join(format!("{name}.cdx.json"));
        std::fs::write(&file, sbom.text()).map_err(|source| ImageError::File { path: file, source })?;
    }
    Ok(written)
}
