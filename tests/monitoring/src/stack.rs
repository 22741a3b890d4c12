//! Everything that watches a gateway, as rendered, on ports of its own and with a clock that runs faster.
//!
//! Servers cannot be made to believe another time, so their time is made shorter: every duration that is rendered (scrapes, windows, how
//! long an alert must hold, how long a group is waited for) is divided by the pace. What takes a second of the wall then takes `pace`
//! seconds of the scenario.

use crate::{Prometheus, tool};
use portcullis_e2e::{Line, Mark, ReservedPort, eventually_within};
use serde_json::Value;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long a server may take to start.
const START: Duration = Duration::from_secs(60);

/// A process that ends with this value.
pub struct Process(Child);

impl Process {
    /// Starts it and waits until it answers at `url`; what it says goes to `log`.
    ///
    /// # Panics
    /// If it does not.
    #[must_use]
    pub fn start(mut command: Command, url: &str, log: &Path) -> Self {
        let out = OpenOptions::new().create(true).append(true).open(log).expect("a log");
        command.stdin(Stdio::null()).stdout(out.try_clone().expect("a log")).stderr(out);
        let started = Self(command.spawn().expect("it starts"));
        eventually_within(START, &format!("{} answers", log.display()), || ureq::get(url).call().is_ok());
        started
    }

    /// Ends it without a warning, as a node that loses power does.
    pub fn kill(mut self) {
        self.end();
    }

    /// Asks it to end, and waits until it has.
    pub fn ask_to_end(mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }

    fn end(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// Rendered files by their names, with every duration divided by `pace`.
pub fn faster(text: &str, pace: u32) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, at, after)) = next_duration(rest) {
        out.push_str(before);
        out.push_str(&format!("{}ms", millis(at) / u64::from(pace)));
        rest = after;
    }
    out + rest
}

/// What stands before a duration in rules and configurations.
const BEFORE: [&str; 7] =
    ["[", "offset ", "for: ", "interval: ", "_wait: ", "_timeout: ", "keep_firing_for: "];

/// The next duration: what is before it, itself, and the rest.
fn next_duration(text: &str) -> Option<(&str, &str, &str)> {
    let found = BEFORE.iter().flat_map(|before| text.match_indices(before).map(|(at, it)| at + it.len()));
    let is_duration = |from: &usize| {
        let digits = text[*from..].bytes().take_while(u8::is_ascii_digit).count();
        digits > 0 && text[*from + digits..].starts_with(['s', 'm', 'h', 'd', 'w'])
    };
    let from = found.filter(is_duration).min()?;
    let length = text[from..].bytes().take_while(u8::is_ascii_alphanumeric).count();
    Some((&text[..from], &text[from..from + length], &text[from + length..]))
}

/// `1h30m` in milliseconds.
fn millis(duration: &str) -> u64 {
    let (mut all, mut number) = (0, 0);
    for c in duration.bytes() {
        let unit = match c {
            b'0'..=b'9' => {
                number = number * 10 + u64::from(c - b'0');
                continue;
            }
            b's' => 1_000,
            b'm' => 60_000,
            b'h' => 3_600_000,
            b'd' => 86_400_000,
            _ => 7 * 86_400_000,
        };
        all += number * unit;
        number = 0;
    }
    all
}

/// The file that log lines are written to, as the container runtime does.
pub struct LogFile {
    folder: PathBuf,
    name: String,
    read: Mark,
    rotated: u32,
}

impl LogFile {
    /// An empty one in this folder.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        fs::create_dir_all(folder).expect("a folder");
        Self { folder: folder.to_owned(), name: "gateway.log".to_owned(), read: Mark::START, rotated: 0 }
    }

    /// Another gateway's, which the collector reads too.
    #[must_use]
    pub fn beside(&self, gateway: &str) -> Self {
        Self { folder: self.folder.clone(), name: format!("{gateway}.log"), read: Mark::START, rotated: 0 }
    }

    /// Writes what a gateway has said since the last time, but for lines that `lost` names. How many lines were written.
    pub fn take(&mut self, said: &portcullis_e2e::Lines, mut lost: impl FnMut(&Line) -> bool) -> usize {
        let (lines, read) = said.read_on(self.read);
        self.read = read;
        let mut file =
            OpenOptions::new().create(true).append(true).open(self.folder.join(&self.name)).expect("a file");
        let kept: Vec<_> = lines.iter().filter(|line| !lost(line)).collect();
        for line in &kept {
            file.write_all(&[line.0.as_slice(), b"\n"].concat()).expect("it can be written");
        }
        kept.len()
    }

    /// Gives the file another name; the next line begins a new one.
    pub fn rotate(&mut self) {
        self.rotated += 1;
        let from = self.folder.join(&self.name);
        fs::rename(from, self.folder.join(format!("{}.{}", self.name, self.rotated))).expect("it is there");
    }

    /// What the collector reads: rotated files too.
    #[must_use]
    pub fn glob(&self) -> String {
        format!("{}/*.log*", self.folder.display())
    }
}

/// The log store, its ruler, and the shipper.
pub struct Logs {
    folder: PathBuf,
    store_port: ReservedPort,
    collector_port: ReservedPort,
    store: Option<Process>,
    collector: Option<Process>,
    ruler_port: ReservedPort,
    ruler: Option<Process>,
    prometheus: String,
}

impl Logs {
    /// Starts store and ruler over rendered files (`logs/*.yaml`), which stand in `rendered`. What the ruler records goes to
    /// `prometheus`. The collector will say how it is on `collector_port`.
    #[must_use]
    pub fn start(
        folder: &Path,
        rendered: &Path,
        prometheus: &str,
        collector_port: ReservedPort,
        pace: u32,
    ) -> Self {
        fs::create_dir_all(folder.join("state")).expect("a folder");
        let config = fs::read_to_string(rendered.join("logs/collector.yaml")).expect("rendered");
        let config = config.replace("port: 8888", &format!("port: {}", collector_port.port()));
        fs::write(folder.join("collector.yaml"), config).expect("it can be written");
        let store_port = ReservedPort::new();
        let mut logs = Self {
            folder: folder.to_owned(),
            store: Some(start_store(folder, &store_port)),
            store_port,
            collector_port,
            collector: None,
            ruler_port: ReservedPort::new(),
            ruler: None,
            prometheus: prometheus.to_owned(),
        };
        let rules = fs::read_to_string(rendered.join("logs/victoria-logs-rules.yaml")).expect("rendered");
        logs.start_ruler(&faster(&rules, pace));
        logs
    }

    /// Starts the ruler over these rules, again or for the first time.
    pub fn start_ruler(&mut self, rules: &str) {
        self.ruler.take().into_iter().for_each(Process::kill);
        fs::write(self.folder.join("rules.yaml"), rules).expect("it can be written");
        let mut command = Command::new(tool("vmalert"));
        command
            .arg(format!("-rule={}", self.folder.join("rules.yaml").display()))
            .arg(format!("-datasource.url=http://{}", self.store_port.address()))
            .arg(format!("-remoteWrite.url=http://{}", self.prometheus))
            .args(["-remoteWrite.flushInterval=200ms", "-notifier.blackhole"])
            .arg(format!("-httpListenAddr={}", self.ruler_port.address()));
        let health = format!("http://{}/health", self.ruler_port.address());
        self.ruler = Some(Process::start(command, &health, &self.folder.join("ruler.log")));
    }

    /// What the ruler says of its rules, one after the other.
    #[must_use]
    pub fn rules(&self) -> Vec<Value> {
        let url = format!("http://{}/api/v1/rules", self.ruler_port.address());
        let text = ureq::get(&url).call().expect("the ruler answers").body_mut().read_to_string();
        let said: Value = serde_json::from_str(&text.expect("text")).expect("JSON");
        let groups = said["data"]["groups"].as_array().expect("groups");
        groups.iter().flat_map(|group| group["rules"].as_array().expect("rules").clone()).collect()
    }

    /// Starts the shipper, again or for the first time.
    pub fn start_collector(&mut self, files: &LogFile) {
        let mut command = Command::new(tool("otelcol"));
        command
            .arg(format!("--config={}", self.folder.join("collector.yaml").display()))
            .env("PORTCULLIS_LOG_FILES", files.glob())
            .env("PORTCULLIS_COLLECTOR_STATE", self.folder.join("state"))
            .env(
                "PORTCULLIS_LOG_STORE",
                format!("http://{}/insert/opentelemetry/v1/logs", self.store_port.address()),
            );
        let url = format!("http://{}/metrics", self.collector_port.address());
        self.collector = Some(Process::start(command, &url, &self.folder.join("collector.log")));
    }

    /// Ends the shipper without a warning.
    pub fn kill_collector(&mut self) {
        self.collector.take().into_iter().for_each(Process::kill);
    }

    /// Asks the store to end, and waits until it has: it writes lines to disk every few seconds, and as it ends.
    pub fn end_store(&mut self) {
        self.store.take().into_iter().for_each(Process::ask_to_end);
    }

    /// Starts it again over what it has kept.
    pub fn start_store(&mut self) {
        self.store = Some(start_store(&self.folder, &self.store_port));
    }

    /// What the store says of a query in its language: an object for each result, with the labels and the value.
    ///
    /// # Panics
    /// If it does not take the query.
    #[must_use]
    pub fn ask(&self, query: &str) -> Vec<Value> {
        let url = format!("http://{}/select/logsql/query", self.store_port.address());
        let mut answer = ureq::get(&url).query("query", query).call().expect("the store takes it");
        let text = answer.body_mut().read_to_string().expect("text");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// How many lines it has for a query.
    #[must_use]
    pub fn count(&self, query: &str) -> usize {
        let found = self.ask(&format!("{query} | stats count() lines"));
        found[0]["lines"].as_str().and_then(|lines| lines.parse().ok()).expect("a number")
    }
}

fn start_store(folder: &Path, port: &ReservedPort) -> Process {
    let mut command = Command::new(tool("victoria-logs"));
    command
        .arg(format!("-storageDataPath={}", folder.join("store").display()))
        .arg(format!("-httpListenAddr={}", port.address()))
        .arg("-inmemoryDataFlushInterval=1s");
    Process::start(command, &format!("http://{}/health", port.address()), &folder.join("store.log"))
}

/// A Prometheus as rendered into this folder.
///
/// # Panics
/// If it does not start.
#[must_use]
pub fn watching(rendered: &Path, pace: u32) -> Prometheus {
    let read = |name: &str| faster(&fs::read_to_string(rendered.join(name)).expect("rendered"), pace);
    Prometheus::watching(&read("prometheus.yaml"), &read("rules.yaml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_becomes_shorter_and_nothing_else() {
        let rules = "expr: rate(a5m[5m]) > 10 and b[1h:30s] offset 1h30m\nfor: 5m\nrate5m: 2h";
        let wanted =
            "expr: rate(a5m[60000ms]) > 10 and b[720000ms:30s] offset 1080000ms\nfor: 60000ms\nrate5m: 2h";
        assert_eq!(faster(rules, 5), wanted);
    }
}
