//! Objects as files.

use serde_json::{Value, json};
use std::io;
use std::path::Path;

/// A file of objects.
#[derive(Clone, Debug)]
pub struct File {
    /// Its name.
    pub name: &'static str,
    /// What it is for, as a comment at its top.
    pub about: &'static str,
    /// The objects.
    pub objects: Vec<Value>,
    /// Whether it is applied with the others. One that is not is for somebody else's hands: mesh configuration, annotations.
    pub is_resource: bool,
}

impl File {
    pub(crate) fn resource(name: &'static str, about: &'static str, objects: Vec<Value>) -> Self {
        Self { name, about, objects, is_resource: true }
    }

    /// As YAML.
    #[must_use]
    pub fn text(&self) -> String {
        let about: String = self.about.lines().map(|line| format!("# {line}\n")).collect();
        // A tree of maps with text as keys always has a YAML form.
        let objects = self.objects.iter().map(|object| serde_saphyr::to_string(object).unwrap_or_default());
        format!("{HEAD}{about}{}", objects.collect::<Vec<_>>().join("---\n"))
    }
}

const HEAD: &str = "# Rendered by `portcullis render` from a policy. Edit the policy, not this file.\n";

/// Writes files and a `kustomization.yaml` that names them into `folder`, which is made if it is not there.
///
/// # Errors
/// If a file cannot be written.
pub fn write(folder: &Path, files: &[File]) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for file in files.iter().filter(|file| !file.objects.is_empty()) {
        std::fs::write(folder.join(file.name), file.text())?;
    }
    std::fs::write(folder.join("kustomization.yaml"), kustomization(files).text())
}

fn kustomization(files: &[File]) -> File {
    let resources = files.iter().filter(|file| file.is_resource && !file.objects.is_empty());
    let kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": resources.map(|file| file.name).collect::<Vec<_>>(),
    });
    let about = "kubectl apply -k this folder.";
    File { name: "kustomization.yaml", about, objects: vec![kustomization], is_resource: false }
}
