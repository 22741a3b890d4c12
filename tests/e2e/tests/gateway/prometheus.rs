//! Other people's programs read the metrics: a parser of OpenMetrics, and a Prometheus that scrapes the example.

use crate::common::as_rendered;
use portcullis_demo_services::CUSTOMER;
use portcullis_e2e::{Gateway, Request, ReservedPort, eventually_within, workspace};
use portcullis_pipeline::families;
use serde_json::Value;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const OPEN: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Prints how many families, samples and exemplars it has read; fails on what is no OpenMetrics.
const READ: &str = r"
import gzip, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
data = sys.stdin.buffer.read()
text = (gzip.decompress(data) if data[:2] == b'\x1f\x8b' else data).decode()
families = list(parse(text))
samples = [sample for family in families for sample in family.samples]
print(len(families), len(samples), sum(sample.exemplar is not None for sample in samples))
";

/// What Prometheus' Python client makes of a body.
#[track_caller]
fn read(body: &[u8]) -> [usize; 3] {
    let folder = workspace().join(".tools/python");
    assert!(folder.join("prometheus_client").is_dir(), "run `tests/tools.sh openmetrics`");
    let mut command = Command::new("python3");
    command.arg("-c").arg(READ).env("PYTHONPATH", folder);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("python3");
    child.stdin.take().expect("piped").write_all(body).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).expect("text");
    let numbers: Vec<usize> =
        said.split_whitespace().map(|number| number.parse().expect("a number")).collect();
    numbers.try_into().expect("three numbers")
}

fn scrape(gateway: &Gateway, headers: &[(&str, &str)]) -> portcullis_e2e::Answer {
    let listener = gateway.envoy.find_listener("gateway_metrics").expect("a listener of its own");
    let request =
        headers.iter().fold(Request::get("/metrics"), |request, (name, value)| request.header(name, value));
    let answer = request.send(listener);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

#[test]
fn a_parser_of_another_project_reads_openmetrics_with_exemplars_plain_and_compressed() {
    let gateway = Gateway::with_policy(|policy| policy["tracing"] = serde_json::json!({}));
    let traced = Request::get("/api/v1/inventory/assets").header("traceparent", TRACE);
    assert_eq!(gateway.send(&traced).status, 200);
    assert_eq!(gateway.settled("gateway_requests_total", &[], 1.0), 1.0);
    let open = scrape(&gateway, &[("accept", OPEN)]);
    assert_eq!(open.header("content-type").as_deref(), Some(OPEN));
    let [families, samples, exemplars] = read(&open.body);
    assert!(families > 30 && samples > 1_000, "{families} families, {samples} samples");
    // One page may be made by the worker that has not seen the request.
    eventually_within(Duration::from_secs(60), "a page has the exemplar", || {
        let page = scrape(&gateway, &[("accept", OPEN)]);
        page.text().contains("# {trace_id=\"0af7651916cd43dd8448eb211c80319c\"}") && read(&page.body)[2] > 0
    });
    assert!(exemplars <= 3, "{exemplars}");
    let compressed = scrape(&gateway, &[("accept", OPEN), ("accept-encoding", "gzip")]);
    assert_eq!(compressed.header("content-encoding").as_deref(), Some("gzip"));
    assert!(compressed.body.len() * 5 < open.body.len(), "{} of {}", compressed.body.len(), open.body.len());
    assert_eq!(read(&compressed.body)[..2], [families, samples]);
}

#[test]
fn who_asks_for_nothing_in_particular_gets_the_text_format_as_it_is() {
    let gateway = as_rendered();
    for accept in ["*/*", "text/plain;version=0.0.4", "application/openmetrics-text;version=2.0.0"] {
        let answer = scrape(&gateway, &[("accept", accept)]);
        let kind = answer.header("content-type");
        assert_eq!(kind.as_deref(), Some("text/plain; version=0.0.4; charset=utf-8"), "{accept}");
        assert_eq!(answer.header("content-encoding"), None);
        assert!(!answer.text().contains("# EOF"), "{accept}");
    }
}

/// Kills it when the test ends.
struct Prometheus {
    process: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Prometheus {
    fn scrapes(target: SocketAddr) -> Self {
        let binary = workspace().join(".tools/bin/prometheus");
        assert!(binary.is_file(), "run `tests/tools.sh promtool`");
        let folder = tempfile::tempdir().expect("a folder");
        let config = format!(
            "global: {{ scrape_interval: 1s }}\nscrape_configs: [{{ job_name: gateway, static_configs: [{{ targets: ['{target}'] }}] }}]\n"
        );
        std::fs::write(folder.path().join("prometheus.yml"), config).expect("it is written");
        let port = ReservedPort::new();
        let address = port.address();
        drop(port);
        let process = Command::new(binary)
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=data")
            .arg(format!("--web.listen-address={address}"))
            .arg("--enable-feature=exemplar-storage")
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus starts");
        Self { process, address, _folder: folder }
    }

    /// The result of a query, as its API gives it.
    fn query(&self, query: &str) -> Option<Vec<Value>> {
        let escaped: String = query.bytes().map(|b| format!("%{b:02X}")).collect();
        let request = Request::get(format!("/api/v1/query?query={escaped}"));
        let mut connection = portcullis_e2e::Connection::try_open(None, self.address).ok()?;
        let answer = connection.try_send(&request).ok()?;
        let json: Value = serde_json::from_slice(&answer.body).ok()?;
        assert_eq!(json["status"], "success", "{query}: {json}");
        json["data"]["result"].as_array().cloned()
    }

    fn has(&self, query: &str) -> bool {
        self.query(query).is_some_and(|result| !result.is_empty())
    }
}

/// A query that compares is there to be empty while all is well.
fn is_empty_when_healthy(query: &str) -> bool {
    query.ends_with(" == 1")
}

#[test]
fn a_prometheus_that_scrapes_the_example_has_an_answer_to_every_query_of_the_documents() {
    let gateway = Gateway::shipped().start();
    let token = gateway.log_in(&CUSTOMER);
    let scraped = Prometheus::scrapes(gateway.envoy.find_listener("gateway_metrics").expect("a listener"));
    let patience = Duration::from_secs(120);
    eventually_within(patience, "it scrapes twice", || {
        gateway.send(&Request::get("/api/v1/portfolio").bearer(&token));
        gateway.get("/no/such/route");
        scraped.query("count_over_time(up[5m])").is_some_and(|result| {
            let count = result.first().and_then(|series| series["value"][1].as_str()?.parse::<f64>().ok());
            count >= Some(3.0)
        })
    });
    let page = gateway.metrics();
    let (mut asked, mut without) = (0, Vec::new());
    for (_, family) in
        families().filter(|(_, family)| page.help_of(family.name).is_some() || family.name.contains('{'))
    {
        asked += 1;
        let found = scraped.has(family.promql);
        if found == is_empty_when_healthy(family.promql) {
            without.push((family.name, family.promql));
        }
    }
    assert!(asked > 40 && without.is_empty(), "{asked} asked, without an answer: {without:#?}");
    // What it understood of the page as a whole.
    assert!(scraped.has("up == 1") && scraped.has("scrape_samples_scraped > 1000"));
}
