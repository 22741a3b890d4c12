//! A scenario's requests on the harness, each beside what `portcullis explain` says of it.

use portcullis_cli::explain::{Question, Report, Session};
use portcullis_edge_core::{Namespace, Wall};
use portcullis_harness_cli::backend::{self, Modules};
use portcullis_harness_cli::plan::{Action, Plan, Request, Script, Step, Target};
use portcullis_harness_cli::seen::{Call, End, Seen, values};
use portcullis_jwt::Keys;
use portcullis_policy::Policy;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The access log of a run: who answered, and the lines that the module left.
fn access_log(policy: &Policy) -> String {
    let left = Namespace::new(&policy.gateway.instance).log_line();
    format!("%RESPONSE_CODE_DETAILS% %FILTER_STATE(wasm.{left}:PLAIN)%")
}

/// Long enough for every worker to hand over what it has counted.
const UNTIL_FLUSHED: Duration = Duration::from_secs(30);
/// Headers that no two runs have alike.
const CHANCE: [&str; 3] = ["x-request-id", "traceparent", "content-length"];
/// What every proxy takes out itself (RFC 9110 section 7.6.1).
const HOP_BY_HOP: &str = "connection";
/// Fields of log lines that no two runs have alike.
const CHANCE_IN_LINES: [&str; 6] =
    ["timestamp", "request_id", "duration_ms", "trace_id", "span_id", "policy"];

/// What was compared.
#[derive(Default)]
pub struct Tally {
    /// Requests whose explanations were held against what came of them.
    pub compared: usize,
    /// Facts that were held against each other: headers, series, lines.
    pub facts: usize,
    /// Requests that were not compared, by why.
    pub left_out: BTreeMap<&'static str, usize>,
    /// What differs.
    pub differences: Vec<String>,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (requests, facts, differ) = (self.compared, self.facts, self.differences.len());
        write!(f, "explain and the module: {requests} requests, {facts} facts, {differ} differ;")?;
        let left_out = self.left_out.iter().map(|(why, count)| format!(" {count} left out: {why}"));
        write!(f, "{}", left_out.collect::<Vec<_>>().join(";"))
    }
}

/// Runs a scenario and explains its requests.
pub fn compare(mut plan: Plan, modules: &Modules, tally: &mut Tally) {
    let requests = plan.steps.iter().filter(|step| matches!(step.action, Action::Request(_))).count();
    if requests == 0 {
        return;
    }
    if let Some(why) = beyond_explain(&plan) {
        *tally.left_out.entry(why).or_default() += requests;
        return;
    }
    let env = plan.plugins[0].env.clone();
    let policy = Policy::from_json_with(&plan.plugins[0].config, &|name| env.get(name).cloned().into());
    let policy = policy.unwrap_or_else(|errors| panic!("{}: {errors:?}", plan.file.display()));
    plan.access_log = Some(access_log(&policy));
    plan.steps.push(Step {
        action: Action::Advance(UNTIL_FLUSHED),
        title: "flush".to_owned(),
        expect: None,
        each: Vec::new(),
    });
    let ran = backend::harness(&plan, modules);
    let at = Wall(u64::try_from(plan.clock.as_nanos()).expect("a time of this century"));
    let mut pair = Pair {
        has_proxies: policy.client_ip.trusts_proxies(),
        session: Session::new(policy, Keys::default(), at),
        at,
        plan: &plan,
        sizes: sizes(&plan),
        services: plan.upstreams.clone(),
        explained: BTreeMap::new(),
        whole: true,
        tally,
    };
    for (index, seen) in ran.steps.iter().enumerate() {
        pair.step(index, seen);
    }
    pair.series(&ran.steps);
}

/// Why a scenario is about something that `explain` knows nothing of.
fn beyond_explain(plan: &Plan) -> Option<&'static str> {
    let [plugin] = plan.plugins.as_slice() else { return Some("more than one plugin") };
    if plugin.module.file_name().is_none_or(|name| name != "portcullis.wasm") {
        return Some("another module");
    }
    let policy: Value = serde_json::from_slice(&plugin.config).unwrap_or_default();
    let is_odd =
        |action: &Action| matches!(action, Action::Reload { .. } | Action::Faults(_) | Action::Together(_));
    match () {
        () if plan.refused.is_some() || policy.is_null() => Some("no policy"),
        () if policy.get("clusters").is_some() || asks(&policy) => {
            Some("the policy has services of its own to ask")
        }
        () if plan.steps.iter().any(|step| is_odd(&step.action)) => {
            Some("reloads, faults, requests that overlap")
        }
        () if plan.workers > 1 => Some("several workers, each with a cache of its own"),
        () => None,
    }
}

/// Whether tokens are shown to a service.
fn asks(policy: &Value) -> bool {
    policy.get("jwt").is_some_and(|jwt| jwt.to_string().contains(r#""cluster":"#))
}

/// A scenario that ran, and the session that explains it.
struct Pair<'a> {
    session: Session,
    at: Wall,
    plan: &'a Plan,
    services: BTreeMap<String, Script>,
    /// Whether the policy trusts proxies in front.
    has_proxies: bool,
    /// Fields of lines that tell the size of bodies, which no explanation knows.
    sizes: Vec<String>,
    /// What the explanations say has moved.
    explained: BTreeMap<String, i64>,
    /// Whether every request so far was explained.
    whole: bool,
    tally: &'a mut Tally,
}

impl Pair<'_> {
    fn step(&mut self, index: usize, seen: &Seen) {
        match &self.plan.steps[index].action {
            Action::Advance(by) => self.session.advance(*by),
            Action::Upstreams(scripts) => self.services.extend(scripts.clone()),
            Action::Request(request) => self.request(index, request, seen),
            _ => {}
        }
    }

    fn request(&mut self, index: usize, request: &Request, seen: &Seen) {
        let calls: Vec<&Call> = seen.upstreams.values().flatten().collect();
        let answer = calls.first().map(|call| self.service_answers(call));
        if let Some(why) = unexplained(request, seen, answer.as_ref()) {
            *self.tally.left_out.entry(why).or_default() += 1;
            self.whole = false;
            return;
        }
        let mut question = question(request, self.at, answer);
        if !self.has_proxies {
            // The proxy says itself how the client came.
            question.headers.retain(|(name, _)| name != "x-forwarded-proto");
        }
        let report = self.session.explain(&question);
        self.session.advance(portcullis_harness_cli::plan::AFTERWARDS);
        report.metrics.iter().for_each(|(series, by)| {
            *self.explained.entry(as_seen(series)).or_default() += by;
        });
        self.tally.compared += 1;
        let place = format!("{}, step {} ({})", self.plan.name, index + 1, self.plan.steps[index].title);
        let mut facts = Facts { sizes: &self.sizes, ..Facts::default() };
        facts.of(&report, seen, calls.first().copied());
        self.tally.facts += facts.count;
        self.tally.differences.extend(facts.differences.into_iter().map(|what| format!("{place}: {what}")));
    }

    /// What the service that was called answered.
    fn service_answers(&mut self, call: &Call) -> Option<portcullis_harness_cli::plan::Reply> {
        let names: Vec<String> = self.services.keys().cloned().collect();
        let name = match names.as_slice() {
            [only] => only.clone(),
            _ => self.plan.routes.iter().find_map(|route| match &route.target {
                Target::Upstream(name) if call.path.starts_with(route.prefix.as_bytes()) => {
                    Some(name.clone())
                }
                _ => None,
            })?,
        };
        Some(self.services.get_mut(&name)?.answer(&call.method, &call.path))
    }

    /// The series that moved from the first request to the last.
    fn series(&mut self, steps: &[Seen]) {
        if !self.whole || self.tally.compared == 0 {
            return;
        }
        let mut moved: BTreeMap<String, i64> = BTreeMap::new();
        for (series, by) in steps.iter().flat_map(|seen| &seen.metrics) {
            *moved.entry(series.clone()).or_default() += by;
        }
        let is_a_requests = |series: &&String| {
            let name = series.split('{').next().unwrap_or_default();
            // No explanation knows what bodies say.
            let is_of_bodies = name.starts_with("business_");
            (name.ends_with("_total") || name.ends_with("_count"))
                && !OF_THE_WORKER.contains(&name)
                && !is_of_bodies
        };
        let names = moved.keys().chain(self.explained.keys()).filter(is_a_requests).cloned();
        for series in names.collect::<std::collections::BTreeSet<_>>() {
            let of = |all: &BTreeMap<String, i64>| all.get(&series).copied().unwrap_or_default();
            self.tally.facts += 1;
            if of(&moved) != of(&self.explained) {
                let (seen, said) = (of(&moved), of(&self.explained));
                self.tally
                    .differences
                    .push(format!("{}: {series} moved by {seen}, explained: {said}", self.plan.name));
            }
        }
    }
}

/// Families that a worker moves, and no request alone.
const OF_THE_WORKER: [&str; 1] = ["gateway_jwt_cache_requests_total"];

/// A series of Prometheus's as the harness writes it: labels in the order of their names, without quotes.
fn as_seen(series: &str) -> String {
    let Some((name, labels)) = series.strip_suffix('}').and_then(|series| series.split_once('{')) else {
        return series.to_owned();
    };
    let mut labels: Vec<String> = labels.split("\",").map(|label| label.replace('"', "")).collect();
    labels.sort();
    format!("{name}{{{}}}", labels.join(","))
}

/// Why a request's end is not one that `explain` can know.
fn unexplained(
    request: &Request,
    seen: &Seen,
    answer: Option<&Option<portcullis_harness_cli::plan::Reply>>,
) -> Option<&'static str> {
    use portcullis_harness_cli::plan::Fate;
    let details = seen.access_log.first().and_then(|line| line.split(' ').next()).unwrap_or_default();
    let is_ours = details.starts_with("portcullis");
    let service =
        answer.and_then(Option::as_ref).filter(|reply| reply.fate == Fate::Answer && reply.delay.is_zero());
    match () {
        () if request.wire.is_some()
            || request.fields.is_some()
            || std::str::from_utf8(&request.path).is_err() =>
        {
            Some("bytes that are no arguments")
        }
        () if seen.answer.as_ref().is_none_or(|answer| answer.end != End::Complete) => {
            Some("no whole answer")
        }
        () if !seen.traps.is_empty() => Some("the module failed"),
        () if is_ours => None,
        () if details == "via_upstream" && service.is_some() => None,
        () => Some("the proxy answered in the place of filter and service"),
    }
}

fn question(
    request: &Request,
    at: Wall,
    answer: Option<Option<portcullis_harness_cli::plan::Reply>>,
) -> Question {
    let host = ("host".to_owned(), request.authority.clone().into_bytes());
    let given = request.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
    let (status, headers) = answer.flatten().map_or((200, Vec::new()), |reply| (reply.status, reply.headers));
    Question {
        method: request.method.clone(),
        path: String::from_utf8_lossy(&request.path).into_owned(),
        headers: given.chain([host]).collect(),
        body: request.body.bytes(),
        peer: request.from,
        appended: (request.from == std::net::Ipv4Addr::LOCALHOST)
            .then(|| backend::own_address().parse().expect("an address")),
        at,
        auth_answer: Vec::new(),
        service_status: status,
        service_headers: headers
            .into_iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value))
            .collect(),
        before: 0,
        state: false,
    }
}

/// Facts of a request that are held against each other.
#[derive(Default)]
struct Facts<'a> {
    sizes: &'a [String],
    count: usize,
    differences: Vec<String>,
}

impl Facts<'_> {
    fn same(&mut self, what: &str, seen: impl fmt::Debug, said: impl fmt::Debug, is_same: bool) {
        self.count += 1;
        if !is_same {
            self.differences.push(format!("{what}: the module {seen:?}, explained {said:?}"));
        }
    }

    fn of(&mut self, report: &Report, seen: &Seen, call: Option<&Call>) {
        let answer = seen.answer.as_ref().expect("an answer that is whole");
        self.same(
            "goes on",
            call.is_some(),
            report.changes.is_some(),
            call.is_some() == report.changes.is_some(),
        );
        self.same("status", answer.status, report.answer.status, answer.status == Some(report.answer.status));
        for (name, value) in report.answer.headers.iter().filter(|(name, _)| !is_chance(name)) {
            let has = values(&answer.headers, name);
            self.same(
                &format!("answer's {name}"),
                shown(&has),
                shown(&[value]),
                has.contains(&value.as_slice()),
            );
        }
        if let (Some(changes), Some(call)) = (&report.changes, call) {
            self.request(changes, call);
        }
        self.lines(report, seen);
    }

    fn request(&mut self, changes: &portcullis_pipeline::HeaderOps, call: &Call) {
        for (name, value) in changes.set.iter().filter(|(name, _)| !is_chance(name) && name != HOP_BY_HOP) {
            let has = if name == ":path" { vec![call.path.as_slice()] } else { values(&call.headers, name) };
            // A signature is not shown.
            let is_same = has.contains(&value.as_slice()) || value.ends_with(b"not shown]");
            self.same(&format!("request's {name}"), shown(&has), shown(&[value]), is_same);
        }
        for name in &changes.remove {
            let name = String::from_utf8_lossy(name).into_owned();
            let is_set = changes.set.iter().any(|(set, _)| *set == name);
            let has = values(&call.headers, &name);
            self.same(&format!("request's {name}"), shown(&has), "removed", has.is_empty() || is_set);
        }
    }

    fn lines(&mut self, report: &Report, seen: &Seen) {
        let text = seen.access_log.join("\n");
        let text = text.split_once(' ').map_or("", |(_, lines)| lines);
        let mut lines: Vec<Value> =
            text.lines().filter(|line| *line != "-").map(|line| without_chance(line, self.sizes)).collect();
        let mut said: Vec<Value> = report.lines.iter().map(|line| without_chance(line, self.sizes)).collect();
        self.count += lines.len();
        lines.retain(|line| match said.iter().position(|other| other == line) {
            Some(place) => {
                said.remove(place);
                false
            }
            None => true,
        });
        let text = |lines: &[Value]| lines.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n  ");
        if !(lines.is_empty() && said.is_empty()) {
            self.differences.push(format!("lines:\n  {}\nexplained:\n  {}", text(&lines), text(&said)));
        }
    }
}

fn is_chance(name: &str) -> bool {
    CHANCE.iter().any(|chance| name.eq_ignore_ascii_case(chance))
}

fn shown(values: &[impl AsRef<[u8]>]) -> Vec<String> {
    values.iter().map(|value| String::from_utf8_lossy(value.as_ref()).into_owned()).collect()
}

fn without_chance(line: &str, more: &[String]) -> Value {
    let mut value: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("a line is no JSON: {line}"));
    strip(&mut value, more);
    value
}

fn strip(value: &mut Value, more: &[String]) {
    if let Value::Object(fields) = value {
        fields.retain(|name, _| !CHANCE_IN_LINES.contains(&name.as_str()) && !more.contains(name));
        fields.values_mut().for_each(|value| strip(value, more));
    }
}

/// The names of fields that tell the size of bodies.
fn sizes(plan: &Plan) -> Vec<String> {
    let policy: Value = serde_json::from_slice(&plan.plugins[0].config).unwrap_or_default();
    let fields = policy.pointer("/logs/fields").and_then(Value::as_object).into_iter().flatten();
    let is_size = |field: &Value| matches!(field["from"].as_str(), Some("request_bytes" | "response_bytes"));
    fields.filter(|(_, field)| is_size(field)).map(|(name, _)| name.clone()).collect()
}
