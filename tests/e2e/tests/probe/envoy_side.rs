//! A real Envoy, given cases: each has a listener and a VM of its own.

use crate::case::{Ask, Case, Step};
use crate::printed::{Printed, normal};
use crate::{ACCESS_LOG, guest_file};
use portcullis_e2e::{Connection, Envoy, EnvoyConfig, Lines, PATIENCE, Request, wait_for};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;

/// How long lines are waited for that nobody knows to come.
const GRACE: Duration = Duration::from_secs(2);
/// A listener whose only job is to be asked last: what was posted to the worker before has been done when it answers.
const FENCE: &str = "fence";

/// Where the peers are.
#[derive(Clone, Copy)]
pub struct Peers {
    pub web: SocketAddr,
    pub grpc: SocketAddr,
}

pub struct EnvoySide {
    envoy: Option<Envoy>,
    stderr: Lines,
    stdout: Lines,
    main_thread: String,
}

impl EnvoySide {
    pub fn start(cases: &[&Case], peers: Peers) -> Result<Self, String> {
        let fence = Case::new(FENCE, "");
        let listeners: Vec<Value> = cases.iter().copied().chain([&fence]).map(listener).collect();
        let bootstrap = json!({
            "node": {"id": "probe-node", "cluster": "probe-cluster", "metadata": {"team": "gate", "size": 3, "on": true},
                     "locality": {"region": "r", "zone": "z", "sub_zone": "s"}},
            "static_resources": {"listeners": listeners, "clusters": clusters(peers)},
        });
        let config = EnvoyConfig::json(bootstrap).workers(1).log_level("info");
        let envoy = Envoy::try_start(config).map_err(|error| error.to_string())?;
        // Once the connection to the upstream is there, it does not matter any more which case comes first.
        Request::get("/").send(envoy.listener(FENCE));
        let (stderr, stdout) = (envoy.stderr().clone(), envoy.stdout().clone());
        let first = stderr.wait_for_line(|line| thread(&line.text()).is_some()).text();
        let main_thread = thread(&first).unwrap_or_default().to_owned();
        Ok(Self { envoy: Some(envoy), stderr, stdout, main_thread })
    }

    /// Runs a case. `expected` says how many lines the harness has printed.
    pub fn run(&mut self, case: &Case, expected: &Printed) -> Printed {
        let mut outside = Vec::new();
        for step in &case.steps {
            match step {
                Step::Send(_) if self.has_crashed() => {}
                Step::Send(ask) => {
                    outside.extend(self.send(case, ask));
                    outside.extend(self.access_log(case, &outside, expected));
                }
                Step::Travel(by) => self.travel(case, *by, expected),
                Step::ShutDown => {
                    let expected = expected.main.len() + expected.worker.len();
                    self.wait_for_lines(case, GRACE, expected.saturating_sub(4));
                    self.envoy.take().expect("it runs").shut_down();
                }
            }
        }
        if self.envoy.is_some() && self.has_crashed() {
            outside.push("Envoy has crashed".into());
            self.envoy = None;
            return Printed { outside, ..self.lines(case) };
        }
        self.wait_for_lines(case, PATIENCE, expected.main.len() + expected.worker.len());
        if self.envoy.is_some() {
            self.fence();
        }
        Printed { outside, ..self.lines(case) }
    }

    fn envoy(&self) -> &Envoy {
        self.envoy.as_ref().expect("it runs")
    }

    /// Both threads tick before anything else happens, unless everything has happened.
    fn travel(&self, case: &Case, by: Duration, expected: &Printed) {
        let before = self.lines(case);
        self.envoy().travel(by);
        wait_for(PATIENCE, || {
            let now = self.lines(case);
            let both = now.main.len() > before.main.len() && now.worker.len() > before.worker.len();
            (both || is_complete(&now, expected)).then_some(())
        });
    }

    /// Whether it can go on with another case.
    pub fn runs(&self) -> bool {
        self.envoy.is_some()
    }

    fn has_crashed(&self) -> bool {
        self.envoy.as_ref().is_some_and(|envoy| std::net::TcpStream::connect(envoy.listener(FENCE)).is_err())
    }

    fn lines(&self, case: &Case) -> Printed {
        let mut printed = Printed::default();
        for line in self.stderr.all() {
            let text = line.text();
            let Some(message) = message(&text, case.name) else { continue };
            let own = thread(&text) == Some(&self.main_thread);
            if own { printed.main.push(message) } else { printed.worker.push(message) }
        }
        printed
    }

    fn wait_for_lines(&self, case: &Case, patience: Duration, expected: usize) {
        wait_for(patience, || {
            let printed = self.lines(case);
            (printed.main.len() + printed.worker.len() >= expected).then_some(())
        });
    }

    fn fence(&self) {
        let mark = self.stderr.mark();
        Request::get("/direct").send(self.envoy().listener(FENCE));
        self.stderr.wait_for_line_since(mark, |line| {
            message(&line.text(), FENCE).is_some_and(|message| message.contains("> delete"))
        });
    }

    fn send(&self, case: &Case, ask: &Ask) -> Vec<String> {
        let to = self.envoy().listener(case.name);
        let request = request(ask);
        if ask.http2 {
            return vec![line_of(&request.send_h2(to))];
        }
        let mut connection = Connection::open(to).within(PATIENCE);
        let written = if ask.chunks.len() > 1 {
            self.write_chunks(case, ask, &mut connection)
        } else {
            connection.write(&request.to_bytes())
        };
        written.expect("Envoy reads");
        match connection.read_answer(ask.method) {
            Ok(answer) => vec![line_of(&answer)],
            Err(_) => vec!["client: reset".into()],
        }
    }

    /// Each chunk waits for the one before to have been seen, so that they arrive one by one.
    fn write_chunks(&self, case: &Case, ask: &Ask, connection: &mut Connection) -> std::io::Result<()> {
        let head = request(&Ask { chunks: vec![], trailers: vec![], ..ask.clone() });
        connection.write(&head.header("transfer-encoding", "chunked").to_bytes())?;
        let mut seen = self.lines(case).worker.len();
        for chunk in &ask.chunks {
            wait_for(PATIENCE, || (self.lines(case).worker.len() > seen).then_some(()));
            seen = self.lines(case).worker.len();
            connection.write(format!("{:x}\r\n{chunk}\r\n", chunk.len()).as_bytes())?;
        }
        wait_for(PATIENCE, || (self.lines(case).worker.len() > seen).then_some(()));
        connection.write(b"0\r\n\r\n")
    }

    /// The line of the stream that was just answered.
    fn access_log(&self, case: &Case, before: &[String], expected: &Printed) -> Option<String> {
        let prefix = format!("{} ", case.name);
        let logged = |lines: &[String]| lines.iter().filter(|line| line.starts_with("access log: ")).count();
        let seen = logged(before);
        let patience = if logged(&expected.outside) > seen { PATIENCE } else { GRACE };
        let line = wait_for(patience, || {
            let all = self.stdout.all();
            let mut own = all.iter().filter_map(|line| line.text().strip_prefix(&prefix).map(str::to_owned));
            own.nth(seen)
        });
        line.map(|line| normal(&format!("access log: {line}")))
    }
}

fn is_complete(now: &Printed, expected: &Printed) -> bool {
    now.main.len() + now.worker.len() >= expected.main.len() + expected.worker.len()
}

fn request(ask: &Ask) -> Request {
    let mut request = Request::new(ask.method, ask.path);
    for (name, value) in &ask.headers {
        request = request.header(name, value);
    }
    for (name, value) in &ask.trailers {
        request = request.trailer(name, value);
    }
    request.body(ask.chunks.concat())
}

fn line_of(answer: &portcullis_e2e::Answer) -> String {
    let fields = |headers: &portcullis_e2e::Headers| -> Vec<(Vec<u8>, Vec<u8>)> {
        headers.0.iter().map(|(name, value)| (name.clone().into_bytes(), value.clone())).collect()
    };
    let (headers, trailers) = (fields(&answer.headers), fields(&answer.trailers));
    let pair = |(name, value): &(Vec<u8>, Vec<u8>)| (name.clone(), value.clone());
    let headers: Vec<_> = headers.iter().map(pair).collect();
    let borrowed = headers.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
    let trailers = trailers.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
    crate::client_line(answer.status, borrowed, &answer.body, trailers)
}

/// `[time][thread][level]..`
fn thread(line: &str) -> Option<&str> {
    line.split_once("][")?.1.split(']').next()
}

/// The text of a line that a plugin of the case has logged, behind the plugin's number. Envoy writes `[name] root_id vm_id`.
fn message(line: &str, case: &str) -> Option<String> {
    let (_, rest) = line.split_once("wasm log ")?;
    let (who, text) = rest.split_once(": ")?;
    let mut words = who.rsplit(' ');
    let (vm, number) = (words.next()?, words.next()?);
    if vm != case {
        return None;
    }
    Some(normal(&format!("{number}| {text}")))
}

fn listener(case: &Case) -> Value {
    let mut filters: Vec<Value> =
        case.scripts.iter().enumerate().map(|(n, script)| plugin(case, n, script)).collect();
    filters.push(json!({
        "name": "router",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
    }));
    let format = format!("{} {ACCESS_LOG}\n", case.name);
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": case.name,
        "use_remote_address": false,
        "http_protocol_options": {"enable_trailers": true},
        "http_filters": filters,
        "access_log": [{"name": "stdout", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
            "log_format": {"text_format_source": {"inline_string": format}},
        }}],
        "route_config": {"name": "routes", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"match": {"prefix": "/direct"}, "direct_response": {"status": 200, "body": {"inline_string": "direct"}}},
            {"match": {"prefix": "/"}, "route": {"cluster": "web"}},
        ]}]},
    });
    json!({
        "name": case.name,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    })
}

fn plugin(case: &Case, number: usize, script: &str) -> Value {
    let text =
        |text: &str| json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": text});
    json!({
        "name": format!("wasm{number}"),
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": format!("{}#{number}", case.name),
                "root_id": number.to_string(),
                "configuration": text(script),
                "allow_on_headers_stop_iteration": case.allow_stop_iteration,
                "vm_config": {
                    "vm_id": case.name,
                    "runtime": "envoy.wasm.runtime.v8",
                    "configuration": text(case.vm_configuration),
                    "code": {"local": {"filename": guest_file("probe")}},
                },
            },
        },
    })
}

fn clusters(peers: Peers) -> Value {
    let cluster = |name: &str, address: SocketAddr| {
        let socket = json!({"address": address.ip().to_string(), "port_value": address.port()});
        json!({
            "name": name, "type": "STATIC", "connect_timeout": "5s",
            "load_assignment": {"cluster_name": name, "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address": {"socket_address": socket}}}]}]},
        })
    };
    let mut grpc = cluster("grpc", peers.grpc);
    grpc["typed_extension_protocol_options"] = json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}}}});
    let mut web = cluster("web", peers.web);
    web["typed_extension_protocol_options"] = json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http_protocol_options": {"enable_trailers": true}}}});
    json!([web, grpc, cluster("refused", ([127, 0, 0, 1], 1).into())])
}
