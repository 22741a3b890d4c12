//! The bill of materials of a module: what cargo links into it, as CycloneDX 1.6.

use crate::ImageError;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A bill of materials.
#[derive(Clone, Debug)]
pub struct Sbom(Value);

impl Sbom {
    /// From what `cargo metadata --filter-platform TARGET` printed into the file `metadata`: everything that the package `root`
    /// needs at run time. `module` is the digest of what was built (`sha256:...`).
    ///
    /// # Errors
    /// If that is no such output, or has no such package.
    pub fn from_cargo(metadata: &Path, root: &str, module: &str) -> Result<Self, ImageError> {
        let document = crate::labels::json(metadata)?;
        let graph = Graph::read(&document);
        let expected = "what `cargo metadata` prints for the workspace of the module";
        let missing = || ImageError::content(metadata, format!("no package `{root}`"), expected);
        let id = graph.id_of(root).ok_or_else(missing)?;
        Ok(Self(graph.bill(id, module)))
    }

    /// As JSON, the same for the same input.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{:#}\n", self.0)
    }
}

/// Packages, and what each needs at run time.
struct Graph<'a> {
    packages: BTreeMap<&'a str, &'a Value>,
    needs: BTreeMap<&'a str, BTreeSet<&'a str>>,
}

impl<'a> Graph<'a> {
    fn read(document: &'a Value) -> Self {
        let packages = list(&document["packages"]).filter_map(|p| Some((p["id"].as_str()?, p)));
        let nodes = list(&document["resolve"]["nodes"]);
        let needs = nodes.filter_map(|node| Some((node["id"].as_str()?, needed_by(node))));
        Self { packages: packages.collect(), needs: needs.collect() }
    }

    fn id_of(&self, name: &str) -> Option<&'a str> {
        self.packages.iter().find(|(_, package)| package["name"] == name).map(|(id, _)| *id)
    }

    fn reachable(&self, root: &'a str) -> BTreeSet<&'a str> {
        let (mut seen, mut next) = (BTreeSet::from([root]), vec![root]);
        while let Some(id) = next.pop() {
            next.extend(self.needs.get(id).into_iter().flatten().filter(|id| seen.insert(id)));
        }
        seen
    }

    fn bill(&self, root: &'a str, module: &str) -> Value {
        let ids = self.reachable(root);
        let mut main = self.component(root);
        let content = module.trim_start_matches("sha256:");
        main["hashes"] = json!([{ "alg": "SHA-256", "content": content }]);
        let others = ids.iter().filter(|id| **id != root);
        json!({
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "version": 1,
            "metadata": { "component": main },
            "components": others.map(|id| self.component(id)).collect::<Vec<_>>(),
            "dependencies": ids.iter().map(|id| self.dependency(id)).collect::<Vec<_>>(),
        })
    }

    fn component(&self, id: &str) -> Value {
        let package = self.packages.get(id).copied().unwrap_or(&Value::Null);
        let mut component = json!({
            "type": "library",
            "bom-ref": self.reference(id),
            "name": package["name"],
            "version": package["version"],
            "purl": self.reference(id),
        });
        if let Some(license) = package["license"].as_str() {
            // Old manifests write `MIT/Apache-2.0`, which is no SPDX expression.
            component["licenses"] = json!([{ "expression": license.replace('/', " OR ") }]);
        }
        component
    }

    fn dependency(&self, id: &str) -> Value {
        let needed = self.needs.get(id).into_iter().flatten();
        let needed: BTreeSet<_> = needed.map(|id| self.reference(id)).collect();
        json!({ "ref": self.reference(id), "dependsOn": needed })
    }

    /// A package URL; cargo's own ids of workspace members hold the path of the checkout.
    fn reference(&self, id: &str) -> String {
        let package = self.packages.get(id).copied().unwrap_or(&Value::Null);
        let text = |key: &str| package[key].as_str().unwrap_or_default();
        format!("pkg:cargo/{}@{}", text("name"), text("version"))
    }
}

/// What a node of cargo's graph links: dependencies of kind `null`; the others are for building and testing.
fn needed_by(node: &Value) -> BTreeSet<&str> {
    let is_linked = |dependency: &&Value| list(&dependency["dep_kinds"]).any(|kind| kind["kind"].is_null());
    list(&node["deps"]).filter(is_linked).filter_map(|dependency| dependency["pkg"].as_str()).collect()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
