//! Asking Envoy's admin interface, directly or through `kubectl exec`.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How to reach the admin interface.
#[derive(Clone, Debug)]
pub enum Ask {
    /// `http://host:port`.
    Admin(String),
    /// A pod of Istio's, `NAMESPACE/POD`: by `kubectl exec` and the agent beside Envoy.
    Kube(String),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Envoy's admin interface does not answer.
    #[error("{url}: {reason}")]
    Admin {
        /// What was asked for.
        url: String,
        /// What came of it.
        reason: String,
    },
    /// kubectl failed.
    #[error("kubectl: {0}")]
    Kubectl(String),
    /// No such pod.
    #[error("found `{0}`, expected `NAMESPACE/POD`")]
    NoPod(String),
}

/// A dump of a gateway with thousands of routes has tens of megabytes.
const LARGEST: u64 = 1 << 30;
const PATIENCE: Duration = Duration::from_secs(30);

impl Ask {
    /// What the admin interface answers at `path`.
    ///
    /// # Errors
    /// If it cannot be reached, or answers with an error.
    pub fn get(&self, path: &str) -> Result<String, AskError> {
        match self {
            Self::Admin(base) => get(&format!("{}/{path}", base.trim_end_matches('/'))),
            Self::Kube(pod) => exec(pod, path),
        }
    }
}

fn get(url: &str) -> Result<String, AskError> {
    let failed = |reason: String| AskError::Admin { url: url.to_owned(), reason };
    let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).build().into();
    let mut answer = agent.get(url).call().map_err(|error| failed(error.to_string()))?;
    let mut text = String::new();
    let body = answer.body_mut().with_config().limit(LARGEST).reader();
    std::io::BufReader::new(body).read_to_string(&mut text).map_err(|error| failed(error.to_string()))?;
    Ok(text)
}

fn exec(pod: &str, path: &str) -> Result<String, AskError> {
    let (namespace, name) = pod.split_once('/').ok_or_else(|| AskError::NoPod(pod.to_owned()))?;
    let arguments =
        ["exec", "-n", namespace, name, "-c", "istio-proxy", "--", "pilot-agent", "request", "GET", path];
    let output = Command::new("kubectl").args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| AskError::Kubectl(error.to_string()))?;
    if !output.status.success() {
        return Err(AskError::Kubectl(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    String::from_utf8(output.stdout).map_err(|error| AskError::Kubectl(error.to_string()))
}
