//! An Alertmanager that runs, with receivers of its own.

use crate::receivers::{Inbox, mail, slack};
use crate::{tool, written};
use portcullis_monitoring::Settings;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub struct Alertmanager {
    process: Child,
    port: u16,
    slack: Inbox,
    mail: Inbox,
    _folders: [tempfile::TempDir; 2],
}

/// An alert as Prometheus sends it.
pub fn alert(name: &str, severity: &str, labels: &[(&str, &str)]) -> Value {
    let mut all = json!({ "alertname": name, "severity": severity, "environment": "test" });
    labels.iter().for_each(|(label, value)| all[*label] = (*value).into());
    json!({
        "labels": all,
        "annotations": {
            "summary": format!("Summary of {name}"),
            "description": format!("Description of {name}"),
            "dashboard_url": "http://grafana/d/x",
            "runbook_url": "http://runbooks/x",
        },
    })
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port").port()
}

impl Alertmanager {
    /// With the default tiers, and these hours of work. It does not wait for more alerts of a group, as it would in earnest.
    pub fn start(hours: Value) -> Self {
        let (slack_inbox, mail_inbox) = (Inbox::default(), Inbox::default());
        let secrets = tempfile::tempdir().expect("a folder");
        let secret = secrets.path().join("slack-url");
        std::fs::write(&secret, format!("http://127.0.0.1:{}/hook", slack(&slack_inbox)))
            .expect("it can be written");
        let settings = json!({
            "business_hours": hours,
            "receivers": [
                { "name": "team", "slack": { "url_file": secret, "channel": "#gateway" } },
                { "name": "on-call", "email": { "to": "on-call@example.org" } },
            ],
            "smtp": { "server": format!("127.0.0.1:{}", mail(&mail_inbox)), "require_tls": false },
        });
        let folder = written(&Settings::from_value(&settings).expect("sound"));
        let config = folder.path().join("alertmanager.yaml");
        let text = std::fs::read_to_string(&config)
            .expect("written")
            .replace(r#""group_wait":"15s""#, r#""group_wait":"1s""#);
        std::fs::write(&config, text).expect("it can be written");
        let port = free_port();
        // Debian's build looks for its templates below /usr/share alone.
        let process = Command::new("unshare")
            .args([
                "--map-root-user",
                "--mount",
                "sh",
                "-c",
                r#"mount --bind "$1" /usr/share && shift && exec "$@""#,
                "sh",
            ])
            .args([tool("../alertmanager/share"), tool("alertmanager")])
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--cluster.listen-address=")
            .stderr(Stdio::null())
            .spawn()
            .expect("`make tools-for-tests` has fetched alertmanager");
        let running =
            Self { process, port, slack: slack_inbox, mail: mail_inbox, _folders: [folder, secrets] };
        running.wait_until_ready();
        running
    }

    fn wait_until_ready(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.request("GET", "/-/ready", "").is_none_or(|answer| !answer.starts_with("HTTP/1.1 200")) {
            assert!(Instant::now() < deadline, "alertmanager is not ready");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn request(&self, method: &str, path: &str, body: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(format!("{head}{body}").as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    pub fn post(&self, alerts: &[Value]) {
        let answer = self.request("POST", "/api/v2/alerts", &Value::from(alerts.to_vec()).to_string());
        assert!(answer.as_deref().is_some_and(|answer| answer.starts_with("HTTP/1.1 200")), "{answer:?}");
    }

    /// The alerts that are held back because of others, by name and what tells them apart.
    pub fn inhibited(&self) -> Vec<String> {
        let answer = self
            .request("GET", "/api/v2/alerts?active=false&inhibited=true&silenced=false", "")
            .expect("an answer");
        let (from, to) = (answer.find('[').expect("a list"), answer.rfind(']').expect("a list"));
        let alerts: Vec<Value> = serde_json::from_str(&answer[from..=to]).expect("JSON");
        let text = |alert: &Value, label: &str| alert["labels"][label].as_str().map(str::to_owned);
        let name = |alert: &Value| {
            let apart = ["slo", "service", "instance"].iter().filter_map(|label| text(alert, label));
            text(alert, "alertname").into_iter().chain(apart).collect::<Vec<_>>().join(" ")
        };
        let held = alerts
            .iter()
            .filter(|alert| alert["status"]["inhibitedBy"].as_array().is_some_and(|by| !by.is_empty()));
        let mut names: Vec<String> = held.map(name).collect();
        names.sort();
        names
    }

    pub fn slack(&self, text: &str) -> String {
        // The message is JSON, with its line breaks escaped.
        self.slack.wait_for(text).replace("\\n", "\n")
    }

    pub fn mail(&self, text: &str) -> String {
        self.mail.wait_for(text)
    }

    pub fn slack_has(&self, text: &str) -> bool {
        self.slack.has(text)
    }

    pub fn mail_has(&self, text: &str) -> bool {
        self.mail.has(text)
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
