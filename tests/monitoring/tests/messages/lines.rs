//! Alerts on log lines: the gateway's own lines, written again with times that are known, through the collector into the store, and looked
//! at by its ruler. Windows are as long as rendered; only how often rules are evaluated is not.

use crate::world::{policy, rendered, send, token};
use portcullis_demo_services::CUSTOMER;
use portcullis_e2e::{Gateway, Request, ReservedPort, eventually_within};
use portcullis_edge_core::Wall;
use portcullis_monitoring::Settings;
use portcullis_monitoring::logs::alerts;
use portcullis_monitoring_tests::stack::{LogFile, Logs};
use portcullis_monitoring_tests::{Prometheus, in_logsql};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(60);

/// Firing alerts: the name and the user, and the value.
type Firing = BTreeMap<(String, String), String>;

/// Header and payload of a token, as far as the rule asks: sixteen characters of the header, and one too few.
const TOKEN: &str = "eyJ0123456789abcdef.eyJzdWIi";
const SHORTER: &str = "eyJ0123456789abcde.eyJzdWIi";

/// Lines of a gateway: of one refused request of each of these users, of one without a token, of a good one.
struct Samples {
    refused: BTreeMap<&'static str, Vec<Value>>,
    nobody: Vec<Value>,
    good: Vec<Value>,
}

impl Samples {
    fn of(gateway: &Gateway) -> Self {
        let insights = || Request::get("/api/v1/insights/portfolio");
        let refused =
            |user: &'static str| (user, lines_of(gateway, insights().bearer(&token(user, "public")), 403));
        let profile = Request::get("/api/v1/auth/profile").bearer(&token(CUSTOMER.username, "customer"));
        Self {
            refused: ["eve", "carol", "dave"].map(refused).into(),
            nobody: lines_of(gateway, insights(), 401),
            good: lines_of(gateway, profile, 200),
        }
    }
}

/// Sends a request, and gives the lines of it, its own being the last.
fn lines_of(gateway: &Gateway, request: Request, status: u16) -> Vec<Value> {
    let mark = gateway.envoy.stdout().mark();
    assert_eq!(send(gateway, "203.0.113.9", request).status, status);
    let is_request =
        |line: &portcullis_e2e::Line| line.json().is_some_and(|line| line["action"] == "request");
    gateway.envoy.stdout().wait_for_line_since(mark, is_request);
    gateway.envoy.stdout().since(mark).iter().filter_map(portcullis_e2e::Line::json).collect()
}

/// The log file of a gateway, whose lines have the age in seconds that they are given.
struct Written {
    file: PathBuf,
    now: SystemTime,
    lines: usize,
}

impl Written {
    fn line(&mut self, line: &Value, age: u64) {
        let mut line = line.clone();
        let at = (self.now - Duration::from_secs(age)).duration_since(UNIX_EPOCH).expect("after 1970");
        line["timestamp"] = Wall(u64::try_from(at.as_nanos()).expect("before 2554")).rfc3339().into();
        line["request_id"] = format!("r-{}", self.lines).into();
        let mut file = OpenOptions::new().create(true).append(true).open(&self.file).expect("a file");
        writeln!(file, "{line}").expect("it can be written");
        self.lines += 1;
    }

    /// So many requests with these lines, evenly from one age to another.
    fn requests(&mut self, lines: &[Value], count: u64, (from, to): (u64, u64)) {
        for request in 0..count {
            let age = from + (to - from) * request / count;
            lines.iter().for_each(|line| self.line(line, age));
        }
    }
}

/// A store with its ruler, over lines of known age.
struct World {
    samples: Samples,
    written: Written,
    logs: Logs,
    rules: Value,
    prometheus: Prometheus,
    _folder: TempDir,
    _rendered: TempDir,
}

impl World {
    fn start() -> Self {
        let gateway = Gateway::shipped().policy(|old| *old = policy()).start();
        let samples = Samples::of(&gateway);
        let (folder, rendered) = (tempfile::tempdir().expect("a folder"), rendered(&policy(), &json!({})));
        let rules = fs::read_to_string(rendered.path().join("logs/victoria-logs-rules.yaml"));
        let often = rules.expect("rendered").replace("interval: 1m", "interval: 1s");
        let rules = serde_saphyr::from_str(&often.replace("interval: 15s", "interval: 1s")).expect("YAML");
        let prometheus = Prometheus::with(&[]);
        let (port, address) = (ReservedPort::new(), prometheus.address());
        let mut logs = Logs::start(folder.path(), rendered.path(), &address, port, 1);
        let file = LogFile::new(&folder.path().join("lines"));
        logs.start_collector(&file);
        let file = folder.path().join("lines/gateway.log");
        let written = Written { file, now: SystemTime::now(), lines: 0 };
        Self { samples, written, logs, rules, prometheus, _folder: folder, _rendered: rendered }
    }

    /// As much as may be: fifty refusals of two users within ten minutes, and more just before; many of nobody, many good requests, a token
    /// that is too short, and one that is too old.
    fn write_as_much_as_may_be(&mut self) {
        let Self { samples, written, .. } = self;
        let recent = (60, 400);
        samples.refused.values().for_each(|lines| written.requests(lines, 50, recent));
        written.requests(&samples.refused["dave"], 50, (700, 760));
        written.requests(&samples.nobody, 60, recent);
        written.requests(&samples.good, 60, recent);
        written.line(&saying(&samples.good, "message", SHORTER), 60);
        written.line(&saying(&samples.good, "message", TOKEN), 400);
    }

    /// One refusal more of one user, and a token in the message of a line and in a field of another.
    fn write_a_bit_more(&mut self) {
        let Self { samples, written, .. } = self;
        written.now = SystemTime::now();
        written.requests(&samples.refused["eve"], 1, (60, 60));
        written.line(&saying(&samples.good, "message", TOKEN), 200);
        let mut line = samples.good.last().expect("its own").clone();
        line["extra"]["tenant"] = TOKEN.into();
        written.line(&line, 200);
    }

    fn wait_until_stored(&self) {
        let wanted = self.written.lines;
        eventually_within(LONG, &format!("{wanted} lines are stored"), || {
            self.logs.count("_time:2h *") == wanted
        });
    }

    /// What fires by these rules: they are evaluated anew, over all that is stored.
    fn firing(&mut self, rules: &Value) -> Firing {
        self.logs.start_ruler(&rules.to_string());
        let mut said = Vec::new();
        eventually_within(LONG, "every rule is evaluated", || {
            said = self.logs.rules();
            let is_evaluated = |rule: &Value| !text(&rule["lastEvaluation"]).starts_with("0001");
            !said.is_empty() && said.iter().all(is_evaluated)
        });
        let faults: Vec<_> = said.iter().filter(|rule| !text(&rule["lastError"]).is_empty()).collect();
        assert!(faults.is_empty(), "{faults:#?}");
        let alerts = said.iter().flat_map(|rule| rule["alerts"].as_array().into_iter().flatten());
        let of =
            |alert: &Value| ((text(&alert["name"]), text(&alert["labels"]["user"])), text(&alert["value"]));
        alerts.map(of).collect()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn saying(lines: &[Value], field: &str, text: &str) -> Value {
    let mut line = lines.last().expect("its own").clone();
    line[field] = text.into();
    line
}

/// Changes of the rules, each of which must be noticed.
const CHANGES: [(&str, &str); 14] = [
    ("lines:>50", "lines:>49"),
    ("lines:>50", "lines:>51"),
    ("_time:10m", "_time:5m"),
    ("_time:10m", "_time:20m"),
    (r#"level:="WARN""#, r#"level:="INFO""#),
    (r#" action:="request" user"#, " user"),
    (" user:*", ""),
    ("by (user)", "by (action)"),
    ("_time:5m", "_time:150s"),
    ("_time:5m", "_time:10m"),
    ("{16,}", "{15,}"),
    ("{16,}", "{17,}"),
    ("lines:>0", "lines:>2"),
    ("*:~", "_msg:~"),
];

#[test]
fn alerts_on_lines_fire_above_their_threshold_and_not_at_it() {
    let mut world = World::start();
    let rules = world.rules.clone();
    world.write_as_much_as_may_be();
    world.wait_until_stored();
    assert_eq!(world.firing(&rules), Firing::new());

    world.write_a_bit_more();
    world.wait_until_stored();
    let of = |alert: &str, user: &str, value: &str| ((alert.to_owned(), user.to_owned()), value.to_owned());
    let fires: Firing = [of("UserRefusedOften", "eve", "51"), of("TokenInLog", "", "2")].into();
    assert_eq!(world.firing(&rules), fires);

    for (was, is) in CHANGES {
        let found = world.firing(&changed(&rules, was, is));
        assert_ne!(found, fires, "{is} instead of {was} goes unnoticed");
    }
    println!("2 alerts on lines: {} changes, all noticed", CHANGES.len());

    // What the ruler writes to Prometheus is what the store has.
    let all = i32::try_from(world.written.lines).expect("some hundreds");
    eventually_within(LONG, "the counts are recorded", || {
        let counted = world.prometheus.now("gateway_log:lines:count1h").expect("a sound query");
        counted.into_values().next() == Some(f64::from(all))
    });
    ask_as_loki(&world.logs);
}

/// The rules with another text in their queries.
fn changed(rules: &Value, was: &str, is: &str) -> Value {
    let mut changed = rules.clone();
    for group in changed["groups"].as_array_mut().expect("groups") {
        for rule in group["rules"].as_array_mut().expect("rules") {
            rule["expr"] = text(&rule["expr"]).replace(was, is).into();
        }
    }
    assert_ne!(changed, *rules, "no rule has {was}");
    changed
}

/// Loki's own rules, as far as a store with another language can be asked them: without their thresholds, in its words.
fn ask_as_loki(logs: &Logs) {
    let rules = alerts("gateway", &[], &Settings::default());
    let counts: Vec<String> =
        rules.iter().map(|rule| rule.expr.rsplit_once(" > ").expect("a threshold").0.to_owned()).collect();
    let [refused, token] = &in_logsql(&counts)[..] else { panic!("two rules") };
    let found = |query: String| {
        let rows = logs.ask(&query);
        let of = |row: &Value| (text(&row["user"]), row["value"].clone());
        rows.iter().map(of).collect::<BTreeMap<_, _>>()
    };
    let of = |user: &str, value: &str| (user.to_owned(), Value::from(value));
    let users = [of("carol", "50"), of("dave", "50"), of("eve", "51")];
    assert_eq!(found(format!("_time:10m offset 30s {refused}")), users.into());
    // A line of Loki's is its message: one of the two.
    assert_eq!(found(format!("_time:5m offset 30s {token}")), [of("", "1")].into());
}
