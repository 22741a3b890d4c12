//! The harness, given a case.

use portcullis_harness::{LoadedModule, LogLevel, Node, Plugin, Proxy, Received, Reply, Request, Upstream};
use serde_json::json;

use crate::case::{Answer, Ask, Case, End, Step, answer};
use crate::printed::{Printed, normal};
use crate::{ACCESS_LOG, grpc};

pub fn run(case: &Case, module: &LoadedModule) -> Printed {
    let mut proxy = match build(case, module) {
        Ok(proxy) => proxy,
        Err(error) => {
            let line = format!("does not start: {error}");
            return Printed { outside: vec![line], ..Printed::default() };
        }
    };
    let mut printed = Printed::default();
    for step in &case.steps {
        match step {
            Step::Send(ask) => printed.outside.extend(send(&mut proxy, ask)),
            Step::Travel(by) => proxy.advance(*by),
            Step::ShutDown => proxy.shut_down(),
        }
    }
    for line in proxy.logs().iter() {
        // What a guest writes to stderr may have several lines; only the first has Envoy's prefix.
        let first = line.message.lines().next().unwrap_or_default();
        let text = normal(&format!("{}| {first}", short(&line.plugin)));
        if line.worker == 0 { printed.worker.push(text) } else { printed.main.push(text) }
    }
    printed
}

/// Plugins are named `case#number`.
fn short(plugin: &str) -> &str {
    plugin.rsplit_once('#').map_or(plugin, |(_, number)| number)
}

fn build(case: &Case, module: &LoadedModule) -> Result<Proxy, portcullis_harness::Error> {
    let mut builder = Proxy::builder().log_level(LogLevel::Info).access_log(ACCESS_LOG);
    for (number, script) in case.scripts.iter().enumerate() {
        let plugin = Plugin::loaded(module)
            .name(&format!("{}#{number}", case.name))
            .root_id(&number.to_string())
            .vm_id(case.name)
            .vm_config(case.vm_configuration)
            .allow_on_headers_stop_iteration(case.allow_stop_iteration)
            .config(script);
        builder = builder.plugin(plugin);
    }
    builder
        .node(node())
        .direct_response("/direct", 200, "direct")
        .upstream("web", Upstream::answer_with(|request| reply(&answer(&path(request)))))
        .peer("grpc", Upstream::answer_with(grpc::harness_reply))
        .peer("refused", Upstream::refuse())
        .build()
}

/// As in Envoy's bootstrap.
fn node() -> Node {
    Node {
        id: "probe-node".into(),
        cluster: "probe-cluster".into(),
        locality: ["r", "z", "s"].map(str::to_owned),
        metadata: json!({"team": "gate", "size": 3, "on": true}),
    }
}

fn path(request: &Received) -> String {
    request.header(":path").unwrap_or_default()
}

fn reply(answer: &Answer) -> Reply {
    match answer.end {
        End::NoHeaders => return Reply::reset(),
        End::Never => return Reply::never(),
        End::Whole => {}
    }
    let mut reply = Reply::status(answer.status);
    for (name, value) in answer.headers {
        reply = reply.header(name, value);
    }
    for (name, value) in answer.trailers {
        reply = reply.trailer(name, value);
    }
    match (answer.body, answer.trailers) {
        ("", []) if answer.status != 204 => reply.header("content-length", "0"),
        ("", _) => reply,
        (body, []) => reply.header("content-length", body.len().to_string()).chunk(body),
        (body, _) => reply.header("transfer-encoding", "chunked").chunk(body),
    }
}

fn request(ask: &Ask) -> Request {
    let mut request = Request::new(ask.method, ask.path);
    for (name, value) in &ask.headers {
        request = request.header(name, value);
    }
    let chunked = ask.chunks.len() > 1 || !ask.trailers.is_empty();
    if ask.http2 {
        request = request.http2();
    } else if chunked {
        // The framing is gone before filters see it.
    } else if !ask.chunks.is_empty() || ask.method == "POST" {
        let length: usize = ask.chunks.iter().map(|chunk| chunk.len()).sum();
        request = request.header("content-length", length.to_string());
    }
    for chunk in ask.chunks.iter().filter(|chunk| !chunk.is_empty()) {
        request = request.chunk(chunk);
    }
    for (name, value) in &ask.trailers {
        request = request.trailer(name, value);
    }
    request
}

fn send(proxy: &mut Proxy, ask: &Ask) -> Vec<String> {
    let outcome = match proxy.send(request(ask)) {
        Ok(outcome) => outcome,
        Err(error) => return vec![format!("error: {error}")],
    };
    let client = &outcome.client;
    let headers = client.headers.iter().flat_map(|headers| headers.iter());
    let headers = headers.filter(|(name, _)| *name != b":status");
    let trailers = client.trailers.iter().flat_map(|trailers| trailers.iter());
    let mut lines = match client.reset {
        true => vec!["client: reset".to_owned()],
        false => vec![crate::client_line(client.status().unwrap_or(0), headers, &client.body, trailers)],
    };
    lines.extend(outcome.access_log.iter().map(|line| normal(&format!("access log: {line}"))));
    lines
}
