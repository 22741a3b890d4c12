//! What is written is an image by the specification's own rules: every blob is named by its digest, and the same input gives the same bytes.

use p256::SecretKey;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{DerSignature, SigningKey as EcdsaKey, VerifyingKey};
use p256::pkcs8::EncodePrivateKey as _;
use portcullis_image::{
    ImageError, Labels, Sbom, SigningKey, labels, write_image, write_sbom, write_signature,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const MODULE: &[u8] = b"\0asm\x01\0\0\0 and some sections";

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.path(name), contents).unwrap();
        self.path(name)
    }
}

fn some_labels() -> Labels {
    Labels::from([("org.opencontainers.image.version".to_owned(), "1.2.3".to_owned())])
}

/// A blob, once its name has been found to be its digest.
fn blob(layout: &Path, descriptor: &Value) -> Vec<u8> {
    let digest = descriptor["digest"].as_str().unwrap();
    let bytes = std::fs::read(layout.join("blobs").join(digest.replace(':', "/"))).unwrap();
    let hex: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!((digest, &descriptor["size"]), (format!("sha256:{hex}").as_str(), &json!(bytes.len())));
    bytes
}

fn json_blob(layout: &Path, descriptor: &Value) -> Value {
    serde_json::from_slice(&blob(layout, descriptor)).unwrap()
}

fn manifest(layout: &Path) -> Value {
    let index: Value = serde_json::from_slice(&std::fs::read(layout.join("index.json")).unwrap()).unwrap();
    assert_eq!(
        index["manifests"].as_array().map(Vec::len),
        Some(1),
        "OCI clients push a layout with one image as it is"
    );
    json_blob(layout, &index["manifests"][0])
}

#[test]
fn the_module_is_the_only_file_of_the_only_layer() {
    let folder = Folder::new();
    write_image(&folder.file("m.wasm", MODULE), &some_labels(), &folder.path("image")).unwrap();
    let image = folder.path("image");
    let manifest = manifest(&image);
    assert_eq!(manifest["layers"].as_array().map(Vec::len), Some(1));
    assert_eq!(manifest["layers"][0]["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip");
    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(&*blob(&image, &manifest["layers"][0])).read_to_end(&mut tar).unwrap();
    let mut archive = tar::Archive::new(&*tar);
    let mut files = archive.entries().unwrap().map(Result::unwrap).map(|mut entry| {
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.path().unwrap().into_owned(), bytes)
    });
    assert_eq!(files.next(), Some((PathBuf::from("plugin.wasm"), MODULE.to_vec())));
    assert_eq!(files.next(), None);
    let config = json_blob(&image, &manifest["config"]);
    let hex: String = Sha256::digest(&tar).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(config["rootfs"]["diff_ids"], json!([format!("sha256:{hex}")]));
}

#[test]
fn labels_stand_in_the_configuration_and_in_the_manifest() {
    let folder = Folder::new();
    write_image(&folder.file("m.wasm", MODULE), &some_labels(), &folder.path("image")).unwrap();
    let manifest = manifest(&folder.path("image"));
    let config = json_blob(&folder.path("image"), &manifest["config"]);
    let expected = json!({ "org.opencontainers.image.version": "1.2.3" });
    assert_eq!((&manifest["annotations"], &config["config"]["Labels"]), (&expected, &expected));
}

#[test]
fn the_same_module_has_the_same_digest_and_another_one_has_not() {
    let folder = Folder::new();
    let module = folder.file("m.wasm", MODULE);
    let digest =
        |out: &str, labels: &Labels| write_image(&module, labels, &folder.path(out)).unwrap().manifest;
    let first = digest("a", &some_labels());
    let touched = std::fs::File::options().append(true).open(&module).unwrap();
    touched.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(first, digest("b", &some_labels()));
    assert_ne!(first, digest("c", &Labels::new()));
    folder.file("m.wasm", [MODULE, b"!"].concat());
    assert_ne!(first, digest("d", &some_labels()));
}

/// Every file below a folder, by its path there.
fn files(folder: &Path, below: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), below.join(entry.file_name()));
        match path.is_dir() {
            true => files(&path, &name, found),
            false => drop(found.insert(name, std::fs::read(&path).unwrap())),
        }
    }
}

/// What `make image` runs: layouts, bills of materials and signatures of all modules, and what is printed of them.
#[test]
fn the_command_run_twice_on_the_same_modules_writes_the_same_bytes() {
    const NAMES: [&str; 5] = ["portcullis", "jwt", "rate-limit", "metrics", "security-headers"];
    let folder = Folder::new();
    let module = |name: &&str| folder.file(&format!("{name}.wasm"), [MODULE, name.as_bytes()].concat());
    let modules: Vec<_> = NAMES.iter().map(module).collect();
    let metadata = folder.file("metadata.json", metadata().to_string());
    let schema = json!({ "properties": { "version": { "minimum": 1, "maximum": 1 } } });
    let schema = folder.file("schema.json", schema.to_string());
    let key =
        folder.file("key.pem", &*SecretKey::from(key()).to_pkcs8_pem(p256::pkcs8::LineEnding::LF).unwrap());
    let run = |out: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_portcullis-image"));
        command.args(&modules).arg("--out").arg(folder.path(out));
        command.arg("--metadata").arg(&metadata).args(["--package", "app"]).arg("--schema").arg(&schema);
        command.arg("--sign-key").arg(&key).args(["--repository", "r.example/team"]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut written = BTreeMap::new();
        files(&folder.path(out), Path::new(""), &mut written);
        (String::from_utf8(output.stdout).unwrap(), written)
    };
    let (first, second) = (run("first"), run("second"));
    let digests: BTreeSet<_> = first.0.lines().filter_map(|line| line.split(' ').nth(1)).collect();
    assert!(digests.len() == 5 && digests.iter().all(|digest| digest.starts_with("sha256:")), "{}", first.0);
    assert_eq!(first.0, second.0);
    assert_eq!(first.1.keys().collect::<Vec<_>>(), second.1.keys().collect::<Vec<_>>());
    let differing: Vec<_> =
        first.1.iter().filter(|(name, bytes)| second.1.get(*name) != Some(bytes)).collect();
    assert!(differing.is_empty(), "{:?}", differing.iter().map(|(name, _)| name).collect::<Vec<_>>());
}

#[test]
fn a_layout_that_was_there_is_replaced_whole() {
    let folder = Folder::new();
    let out = folder.path("image");
    write_image(&folder.file("m.wasm", [MODULE, b"old"].concat()), &some_labels(), &out).unwrap();
    write_image(&folder.file("m.wasm", MODULE), &some_labels(), &out).unwrap();
    assert_eq!(
        std::fs::read_dir(out.join("blobs/sha256")).unwrap().count(),
        3,
        "manifest, configuration, layer"
    );
}

#[test]
fn what_is_no_module_is_refused_with_its_name() {
    let folder = Folder::new();
    let error =
        write_image(&folder.file("m.wasm", "wat"), &some_labels(), &folder.path("image")).unwrap_err();
    assert!(matches!(&error, ImageError::Content { .. }) && error.to_string().contains("m.wasm"), "{error}");
    assert!(!folder.path("image").exists());
    let missing = write_image(&folder.path("none.wasm"), &some_labels(), &folder.path("image")).unwrap_err();
    assert!(missing.to_string().contains("none.wasm"), "{missing}");
}

/// Three packages: `app` links `lib`, builds with `tool`, tests with `probe`.
fn metadata() -> Value {
    let package = |name: &str, license: &str| json!({ "id": format!("path+file:///home/somebody/{name}"), "name": name, "version": "1.0.0", "license": license });
    let needs = |name: &str, kind: Value| json!({ "pkg": format!("path+file:///home/somebody/{name}"), "dep_kinds": [{ "kind": kind }] });
    let node =
        |name: &str, deps: Value| json!({ "id": format!("path+file:///home/somebody/{name}"), "deps": deps });
    json!({
        "packages": [package("app", "Apache-2.0"), package("lib", "MIT/Apache-2.0"), package("tool", "MIT"), package("probe", "MIT")],
        "resolve": { "nodes": [
            node("app", json!([needs("lib", Value::Null), needs("tool", json!("build")), needs("probe", json!("dev"))])),
            node("lib", json!([])), node("tool", json!([])), node("probe", json!([])),
        ] },
    })
}

fn sbom(folder: &Folder) -> Sbom {
    let file = folder.file("metadata.json", metadata().to_string());
    Sbom::from_cargo(&file, "app", "sha256:00").unwrap()
}

#[test]
fn the_bill_of_materials_lists_what_is_linked_and_no_path_of_this_machine() {
    let folder = Folder::new();
    let text = sbom(&folder).text();
    let bill: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&bill["bomFormat"], &bill["specVersion"]), (&json!("CycloneDX"), &json!("1.6")));
    let names: Vec<_> = bill["components"].as_array().unwrap().iter().map(|c| &c["purl"]).collect();
    assert_eq!(names, ["pkg:cargo/lib@1.0.0"]);
    assert_eq!(bill["components"][0]["licenses"], json!([{ "expression": "MIT OR Apache-2.0" }]));
    assert_eq!(bill["metadata"]["component"]["hashes"], json!([{ "alg": "SHA-256", "content": "00" }]));
    let depends = json!({ "ref": "pkg:cargo/app@1.0.0", "dependsOn": ["pkg:cargo/lib@1.0.0"] });
    assert!(bill["dependencies"].as_array().unwrap().contains(&depends), "{text}");
    assert!(!text.contains("somebody"), "{text}");
}

#[test]
fn a_package_that_is_not_there_has_no_bill_of_materials() {
    let folder = Folder::new();
    let file = folder.file("metadata.json", metadata().to_string());
    let error = Sbom::from_cargo(&file, "nobody", "sha256:00").unwrap_err();
    assert!(error.to_string().contains("no package `nobody`"), "{error}");
}

#[test]
fn the_bill_of_materials_refers_to_its_image() {
    let folder = Folder::new();
    let image = write_image(&folder.file("m.wasm", MODULE), &some_labels(), &folder.path("image")).unwrap();
    write_sbom(&sbom(&folder), &image.manifest, &folder.path("sbom")).unwrap();
    let manifest = manifest(&folder.path("sbom"));
    assert_eq!(manifest["artifactType"], "application/vnd.cyclonedx+json");
    assert_eq!(manifest["subject"]["digest"], image.manifest.digest.as_str());
    assert_eq!(json_blob(&folder.path("sbom"), &manifest["layers"][0])["bomFormat"], "CycloneDX");
    assert_eq!(json_blob(&folder.path("sbom"), &manifest["config"]), json!({}));
}

fn key() -> EcdsaKey {
    EcdsaKey::from_slice(&[7; 32]).unwrap()
}

/// The signature in a layout, and what it signs.
fn signature(layout: &Path) -> (DerSignature, Vec<u8>) {
    use base64::Engine as _;
    let layer = manifest(layout)["layers"][0].clone();
    assert_eq!(layer["mediaType"], "application/vnd.dev.cosign.simplesigning.v1+json");
    let text = layer["annotations"]["dev.cosignproject.cosign/signature"].as_str().unwrap();
    let der = base64::engine::general_purpose::STANDARD.decode(text).unwrap();
    (DerSignature::from_bytes(&der).unwrap(), blob(layout, &layer))
}

#[test]
fn the_public_key_proves_which_digest_was_signed() {
    let folder = Folder::new();
    let image = write_image(&folder.file("m.wasm", MODULE), &some_labels(), &folder.path("image")).unwrap();
    let secret = SecretKey::from(key());
    let pkcs8 = folder.file("pkcs8.pem", &*secret.to_pkcs8_pem(p256::pkcs8::LineEnding::LF).unwrap());
    let sec1 = folder.file("sec1.pem", &*secret.to_sec1_pem(p256::pkcs8::LineEnding::LF).unwrap());
    for pem in [pkcs8, sec1] {
        let signing = SigningKey::read(&pem).unwrap();
        write_signature(&signing, &image.manifest, "r.example/portcullis", &folder.path("signature"))
            .unwrap();
        let (signature, payload) = signature(&folder.path("signature"));
        VerifyingKey::from(&key()).verify(&payload, &signature).unwrap();
        let claim: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(claim["critical"]["image"]["docker-manifest-digest"], image.manifest.digest.as_str());
        assert_eq!(claim["critical"]["identity"]["docker-reference"], "r.example/portcullis");
        assert_eq!(claim["critical"]["type"], "cosign container image signature");
    }
}

#[test]
fn what_is_no_key_is_refused_without_showing_it() {
    let folder = Folder::new();
    let error = SigningKey::read(&folder.file("key.pem", "secret text")).unwrap_err().to_string();
    assert!(error.contains("key.pem") && !error.contains("secret text"), "{error}");
}

#[test]
fn what_the_build_knows_becomes_labels() {
    let folder = Folder::new();
    let file = folder.file("metadata.json", metadata().to_string());
    let found = labels::of_package(&file, "lib").unwrap();
    let expected = [("licenses", "MIT/Apache-2.0"), ("version", "1.0.0")];
    let expected = expected.map(|(key, value)| (format!("org.opencontainers.image.{key}"), value.to_owned()));
    assert_eq!(found, Labels::from(expected));
    labels::of_package(&file, "nobody").unwrap_err();
}

#[test]
fn the_versions_of_policies_are_those_of_the_schema() {
    let folder = Folder::new();
    let schema =
        |min: u32, max: u32| json!({ "properties": { "version": { "minimum": min, "maximum": max } } });
    let versions = |schema: Value| labels::policy_versions(&folder.file("schema.json", schema.to_string()));
    assert_eq!(versions(schema(1, 1)).unwrap(), "1");
    assert_eq!(versions(schema(1, 3)).unwrap(), "1-3");
    versions(json!({})).unwrap_err();
}
