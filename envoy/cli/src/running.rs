//! `portcullis verify`, from its arguments to its exit status.

use clap::Args;
use portcullis_cli::source::Source;
use portcullis_cli::verify::{Ask, Finding, verify};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Args)]
pub struct Verify {
    /// The policy file that it should run.
    file: Option<PathBuf>,
    /// Envoy's admin interface, such as `http://127.0.0.1:9901`.
    #[arg(long, value_name = "URL", required_unless_present = "kube", conflicts_with = "kube")]
    admin: Option<String>,
    /// A pod of Istio's, reached by `kubectl exec`.
    #[arg(long, value_name = "NAMESPACE/POD")]
    kube: Option<String>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub fn run(&self) -> ExitCode {
        let source = match self.file.as_deref().map(crate::read).transpose() {
            Ok(source) => source,
            Err(code) => return code,
        };
        match self.findings(source.as_ref()) {
            Ok(findings) => self.show(&findings),
            Err(why) => {
                eprintln!("error: {why}");
                ExitCode::from(2)
            }
        }
    }

    fn findings(&self, source: Option<&Source>) -> Result<Vec<Finding>, String> {
        let ask = match (&self.admin, &self.kube) {
            (Some(url), _) => Ask::Admin(url.clone()),
            (None, pod) => Ask::Kube(pod.clone().unwrap_or_default()),
        };
        let get = |path: &str| ask.get(path).map_err(|error| error.to_string());
        let dump: Value = serde_json::from_str(&get("config_dump")?)
            .map_err(|error| format!("what the admin interface answers is no configuration dump: {error}"))?;
        let stats = get("stats?filter=wasm")?;
        Ok(verify(&dump, &stats, source.map(|source| &source.value)))
    }

    fn show(&self, findings: &[Finding]) -> ExitCode {
        let wrong = findings.iter().filter(|finding| !finding.is_good()).count();
        if self.json {
            let list =
                findings.iter().map(|f| json!({ "at": f.at, "found": f.found, "expected": f.expected }));
            println!("{:#}", json!({ "wrong": wrong, "findings": list.collect::<Vec<_>>() }));
        } else {
            findings.iter().for_each(|finding| println!("{finding}"));
            println!("{} findings, {wrong} wrong", findings.len());
        }
        ExitCode::from(u8::from(wrong > 0))
    }
}
