//! A gateway and its watchers.

use crate::receivers::{Inbox, mail, slack};
use portcullis_demo_services::{CUSTOMER, Claims, DEMO_JWT_SECRET, Tokens};
use portcullis_e2e::{Answer, Gateway, Request, ReservedPort, example_policy, workspace};
use portcullis_monitoring::{Settings, render};
use portcullis_monitoring_tests::stack::{LogFile, Logs, Process, faster, watching};
use portcullis_monitoring_tests::{Prometheus, tool};
use portcullis_policy::Policy;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// The example's, with clients of their own addresses, and a limit that is soon reached.
pub fn policy() -> Value {
    let mut policy = example_policy();
    policy["client_ip"] = json!({ "trusted_hops": 1, "trusted_proxies": ["0.0.0.0/0", "::/0"] });
    policy["limits"]["rules"]["balance"] =
        json!({ "key": ["ip"], "limit": 3, "window": "1d", "routes": ["/balance"] });
    policy["abuse"]["tokens"] = json!({ "networks": 2, "within": "1h" });
    policy["breakers"]["*"] = json!({ "consecutive_failures": 5, "open_for": "10m", "successes": 3 });
    policy
}

/// A good token of a user with this role.
pub fn token(user: &str, role: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let now = i64::try_from(now).expect("seconds");
    let claims = Claims {
        sub: user.to_owned(),
        role: role.to_owned(),
        exp: now + 3_600,
        iat: now,
        kind: "access_token".to_owned(),
    };
    Tokens::new(DEMO_JWT_SECRET, Duration::from_secs(1)).sign(&claims).expect("a token")
}

/// What a backend would want to see, where a policy says so.
pub const MARK: &str = "x-backend-mark";

/// Sends a request of this client.
pub fn send(gateway: &Gateway, client: &str, request: Request) -> Answer {
    gateway.send(&request.header("x-forwarded-for", client).header(MARK, "gateway"))
}

/// Logs in with a wrong password so often that the client is blocked.
pub fn brute_force(gateway: &Gateway, client: &str) {
    let wrong = json!({ "username": CUSTOMER.username, "password": "Wrong-Wrong-1" });
    for _ in 0..5 {
        assert_eq!(send(gateway, client, Request::post("/api/v1/auth/login").json(&wrong)).status, 401);
    }
}

/// Uses one token from more networks than may be.
pub fn token_abuse(gateway: &Gateway) {
    let token = token("abused", "customer");
    let profile = || Request::get("/api/v1/auth/profile").bearer(&token);
    for client in ["192.0.2.1", "192.0.3.1"] {
        send(gateway, client, profile());
    }
    assert_eq!(send(gateway, "192.0.4.1", profile()).status, 403);
}

/// What is rendered for a policy, in a folder.
pub fn rendered(policy: &Value, settings: &Value) -> TempDir {
    let secret = |_: &str| Some("a secret of thirty-two bytes or more".to_owned()).into();
    let policy = Policy::from_value_with(policy, &secret).expect("a sound policy");
    let settings = Settings::from_value(settings).expect("sound settings");
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in render(&policy, &settings).files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("it can be written");
    }
    folder
}

/// An Alertmanager as rendered, with a Slack and a mail server.
pub struct Messages {
    _port: ReservedPort,
    pub slack: Inbox,
    pub mail: Inbox,
    _process: Process,
}

impl Messages {
    fn start(
        folder: &Path,
        rendered: &Path,
        port: ReservedPort,
        (slack, mail): (Inbox, Inbox),
        pace: u32,
    ) -> Self {
        let config = fs::read_to_string(rendered.join("alertmanager.yaml")).expect("rendered");
        fs::write(rendered.join("alertmanager.yaml"), faster(&config, pace)).expect("it can be written");
        let mut command = Command::new("unshare");
        // Debian's build looks for its templates below /usr/share alone.
        command
            .args(["--map-root-user", "--mount", "sh", "-c"])
            .args([r#"mount --bind "$1" /usr/share && shift && exec "$@""#, "sh"])
            .args([&workspace().join(".tools/alertmanager/share"), &tool("alertmanager")])
            .arg(format!("--config.file={}", rendered.join("alertmanager.yaml").display()))
            .arg(format!("--storage.path={}", folder.join("alertmanager").display()))
            .arg(format!("--web.listen-address={}", port.address()))
            .arg("--cluster.listen-address=");
        let ready = format!("http://{}/-/ready", port.address());
        let _process = Process::start(command, &ready, &folder.join("alertmanager.log"));
        Self { _port: port, slack, mail, _process }
    }
}

/// All that watches a gateway.
pub struct Watchers {
    pub prometheus: Prometheus,
    pub logs: Logs,
    pub messages: Messages,
    pub file: LogFile,
    _folders: [TempDir; 2],
}

/// Settings of a team that works at any hour, whose Slack and mail server listen on these ports.
fn settings(secret: &Path, smtp: u16, pages: &[String], sources: Value) -> Value {
    json!({
        "business_hours": { "days": "sunday:saturday", "from": "00:00", "to": "24:00", "time_zone": "UTC" },
        "receivers": [
            { "name": "team", "slack": { "url_file": secret, "channel": "#gateway" } },
            { "name": "on-call", "email": { "to": "on-call@example.org" } },
        ],
        "smtp": { "server": format!("127.0.0.1:{smtp}"), "require_tls": false },
        "scrape": { "targets": pages },
        "sources": sources,
    })
}

impl Watchers {
    /// Starts everything over these gateways. `more` are further Envoys, of which only what they say of themselves is looked at; `change`
    /// is done to the rules as rendered.
    pub fn start(
        gateways: &[&Gateway],
        more: &[&Gateway],
        pace: u32,
        change: impl Fn(String) -> String,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let inboxes = (Inbox::default(), Inbox::default());
        let secret = folder.path().join("slack-url");
        fs::write(&secret, format!("http://127.0.0.1:{}/hook", slack(&inboxes.0)))
            .expect("it can be written");
        let page =
            |gateway: &&Gateway| gateway.envoy.find_listener("gateway_metrics").map(|it| it.to_string());
        let pages: Vec<_> = gateways.iter().filter_map(page).collect();
        let envoys = [gateways, more].concat();
        let envoys: Vec<_> =
            envoys.iter().map(|gateway| gateway.envoy.admin().address().to_string()).collect();
        let (collector, alertmanager) = (ReservedPort::new(), ReservedPort::new());
        let sources = json!({
            "envoy": envoys, "collector": [collector.address().to_string()], "prometheus": [],
            "alertmanager": [alertmanager.address().to_string()],
        });
        let settings = settings(&secret, mail(&inboxes.1), &pages, sources);
        let rendered = rendered(&policy(), &settings);
        let rules = rendered.path().join("rules.yaml");
        let text = fs::read_to_string(&rules).expect("rendered");
        fs::write(&rules, change(text)).expect("it can be written");
        let messages = Messages::start(folder.path(), rendered.path(), alertmanager, inboxes, pace);
        let file = LogFile::new(&folder.path().join("lines"));
        let prometheus = watching(rendered.path(), pace);
        let mut logs = Logs::start(folder.path(), rendered.path(), &prometheus.address(), collector, pace);
        logs.start_collector(&file);
        Self { prometheus, logs, messages, file, _folders: [folder, rendered] }
    }

    /// What a query says now; nothing where it has no result.
    pub fn value(&self, query: &str) -> Option<f64> {
        self.prometheus.now(query).expect("a sound query").into_values().next()
    }
}
