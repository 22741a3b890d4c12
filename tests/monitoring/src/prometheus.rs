//! A real Prometheus over samples that are there already.

use crate::Timeline;
use portcullis_e2e::{Labels, ReservedPort, eventually, workspace};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Series of an answer, by their labels without the name.
pub type Answer = BTreeMap<Labels, f64>;

/// A running Prometheus; it ends with this value.
pub struct Prometheus {
    child: Child,
    port: ReservedPort,
    folder: TempDir,
}

/// A tool that `tests/tools.sh` has fetched.
///
/// # Panics
/// If it is not there.
#[must_use]
pub fn tool(name: &str) -> PathBuf {
    let path = workspace().join(".tools/bin").join(name);
    assert!(path.is_file(), "{} is missing: run `make tools-for-tests`", path.display());
    path
}

impl Prometheus {
    /// Starts one that has these samples.
    ///
    /// # Panics
    /// If it does not start, or refuses a sample.
    #[must_use]
    pub fn with(timelines: &[&Timeline]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        timelines.iter().for_each(|timeline| import(folder.path(), timeline));
        let port = ReservedPort::new();
        let child = start(folder.path(), &port, "{}");
        let prometheus = Self { child, port, folder };
        prometheus.wait_until_ready();
        prometheus
    }

    /// Starts one with this configuration, beside which these rules stand as `rules.yaml`. It takes what others write to it.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn watching(config: &str, rules: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("rules.yaml"), rules).expect("it can be written");
        let port = ReservedPort::new();
        let child = start(folder.path(), &port, config);
        let prometheus = Self { child, port, folder };
        prometheus.wait_until_ready();
        prometheus
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> String {
        self.port.address().to_string()
    }

    /// What a query says now.
    ///
    /// # Errors
    /// What Prometheus has against the query.
    pub fn now(&self, query: &str) -> Result<Answer, String> {
        let result = self.ask(&format!("/api/v1/query?query={}", encoded(query)))?;
        Ok(each(&result).map(|series| (labels(series), number(&series["value"][1]))).collect())
    }

    /// Adds further samples. They are there when this returns.
    ///
    /// # Panics
    /// If it refuses one.
    pub fn add(&mut self, timeline: &Timeline) {
        import(self.folder.path(), timeline);
        self.stop();
        self.child = start(self.folder.path(), &self.port, "{}");
        self.wait_until_ready();
    }

    fn wait_until_ready(&self) {
        let ready = format!("http://{}/-/ready", self.port.address());
        // 503 until then, which is an error here.
        eventually("Prometheus is ready", || ureq::get(&ready).call().is_ok());
    }

    fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn get(&self, path: &str) -> Result<String, ureq::Error> {
        let url = format!("http://{}{path}", self.port.address());
        ureq::get(&url).config().http_status_as_error(false).build().call()?.body_mut().read_to_string()
    }

    fn ask(&self, path: &str) -> Result<Value, String> {
        let text = self.get(path).map_err(|error| error.to_string())?;
        let answer: Value = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
        match answer["status"].as_str() {
            Some("success") => Ok(answer["data"]["result"].clone()),
            _ => Err(answer["error"].as_str().unwrap_or(&text).to_owned()),
        }
    }

    /// What a query says at this second since 1970.
    ///
    /// # Errors
    /// What Prometheus has against the query.
    pub fn query(&self, query: &str, at: i64) -> Result<Answer, String> {
        let result = self.ask(&format!("/api/v1/query?time={at}&query={}", encoded(query)))?;
        Ok(each(&result).map(|series| (labels(series), number(&series["value"][1]))).collect())
    }

    /// What a query says at each step of so many seconds.
    ///
    /// # Errors
    /// What Prometheus has against the query.
    pub fn range(
        &self,
        query: &str,
        (from, to): (i64, i64),
        step: i64,
    ) -> Result<BTreeMap<Labels, Vec<(i64, f64)>>, String> {
        let path = format!("/api/v1/query_range?start={from}&end={to}&step={step}&query={}", encoded(query));
        let result = self.ask(&path)?;
        let points = |series: &Value| {
            let pairs = series["values"].as_array().into_iter().flatten();
            pairs.map(|pair| (pair[0].as_i64().unwrap_or_default(), number(&pair[1]))).collect()
        };
        Ok(each(&result).map(|series| (labels(series), points(series))).collect())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.stop();
    }
}

fn start(folder: &Path, port: &ReservedPort, config: &str) -> Child {
    std::fs::write(folder.join("prometheus.yaml"), config).expect("it can be written");
    Command::new(tool("prometheus"))
        .arg(format!("--config.file={}", folder.join("prometheus.yaml").display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
        .arg("--storage.tsdb.retention.time=10y")
        .arg(format!("--web.listen-address={}", port.address()))
        .args(["--log.level=error", "--web.enable-remote-write-receiver"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("Prometheus starts")
}

fn import(folder: &Path, timeline: &Timeline) {
    let file = folder.join("samples.txt");
    std::fs::write(&file, timeline.open_metrics()).expect("it can be written");
    let output = Command::new(tool("promtool"))
        .args(["tsdb", "create-blocks-from", "openmetrics", "--quiet"])
        .arg(&file)
        .arg(folder.join("data"))
        .output()
        .expect("promtool runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn each(result: &Value) -> impl Iterator<Item = &Value> {
    result.as_array().into_iter().flatten().filter(|series| series["metric"].is_object())
}

fn labels(series: &Value) -> Labels {
    let labels = series["metric"].as_object().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    labels.filter(|(name, _)| *name != "__name__").map(|(name, value)| (name.clone(), text(value))).collect()
}

fn number(text: &Value) -> f64 {
    match text.as_str() {
        Some("+Inf") => f64::INFINITY,
        Some("-Inf") => f64::NEG_INFINITY,
        Some(text) => text.parse().unwrap_or(f64::NAN),
        None => f64::NAN,
    }
}

fn encoded(query: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
    let of = |byte: u8| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    query.bytes().map(of).collect()
}
