//! The filter's routes and those that Envoy is rendered are the same: random policies and random requests, the filter's table beside
//! an Envoy that has the rendered routes and no filter. `EDGE_POLICIES=1000` asks for more than the usual.

use crate::common::Echo;
use portcullis_cli::render::{Options, dynamic};
use portcullis_e2e::{Answer, Connection, Envoy, EnvoyConfig, PATIENCE, Request, wait_for};
use portcullis_policy::Policy;
use portcullis_route::Segment;
use serde_json::{Value, json};
use std::net::SocketAddr;

const SERVICES: usize = 8;
const REQUESTS: usize = 150;
const METHODS: [&str; 4] = ["GET", "POST", "HEAD", "PUT"];

/// Numbers that look random and are the same in every run (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).expect("64 bits") % end
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

/// A route's path, and one at the service that uses its parameters.
fn template(random: &mut Random) -> (String, Option<String>) {
    let (mut path, mut upstream) = (String::new(), "/up".to_owned());
    let length = 1 + random.below(3);
    for place in 0..length {
        let is_last = place + 1 == length;
        let name = format!("p{place}");
        let segment = match random.below(7) {
            0..=2 => random.pick(&["a", "b", "c", "a.b", "c:x", "~d+1"]).to_owned(),
            3 | 4 => format!("{{{name}}}"),
            5 if is_last => format!("{{{name}}}{}", random.pick(&[":x", ":yy", ":y-y"])),
            6 if is_last => format!("{{*{name}}}"),
            _ => "b".to_owned(),
        };
        if segment.starts_with("{*") {
            upstream += &format!("/{segment}");
        } else if segment.starts_with('{') {
            upstream += &format!("/v/{{{name}}}");
        }
        path += &format!("/{segment}");
    }
    if !path.contains("{*") && random.one_in(5) {
        path += "/";
    }
    // The rest of a path stands at the end.
    let keeps = random.one_in(3) && upstream.matches("{*").count() <= 1;
    (path, keeps.then_some(upstream))
}

fn route(random: &mut Random, index: usize) -> Value {
    let (path, upstream) = template(random);
    let mut methods: Vec<&str> = METHODS.into_iter().filter(|_| random.one_in(2)).collect();
    if methods.is_empty() {
        methods.push("GET");
    }
    let mut route = json!({ "path": path, "methods": methods, "service": format!("s{}", index % SERVICES) });
    if let Some(upstream) = upstream {
        route["upstream_path"] = json!(upstream);
    }
    let all = ["a.test", "b.test", "*.test", "*.a.test", "x.a.test"];
    let hosts: Vec<&str> = all.into_iter().filter(|_| random.one_in(4)).collect();
    if random.one_in(2) {
        route["hosts"] = json!(hosts);
    }
    if random.one_in(3) && !path.contains("{*") {
        route["trailing_slash"] = json!("either");
    }
    if random.one_in(4) {
        route["escaped_slashes"] = json!("keep");
    }
    route
}

/// A sound policy: of the routes that are drawn, those that another one forbids are left out.
fn policy(random: &mut Random, at: SocketAddr) -> (Value, Policy) {
    let services = (0..SERVICES).map(|i| (format!("s{i}"), json!({ "address": at.to_string() })));
    let services: serde_json::Map<_, _> = services.collect();
    let mut policy = json!({ "version": 1, "services": services, "routes": [] });
    if random.one_in(2) {
        policy["path_prefix"] = json!("/api.v1");
    }
    for index in 0..4 + random.below(12) {
        let mut more = policy.clone();
        more["routes"].as_array_mut().expect("a list").push(route(random, index));
        if Policy::from_value(&more).is_ok() {
            policy = more;
        }
    }
    let compiled = Policy::from_value(&policy).unwrap_or_else(|errors| panic!("{errors:?}"));
    (policy, compiled)
}

/// A request for a path of one of the routes, with something else in the place of its parameters, and now and then not quite it.
fn near(random: &mut Random, policy: &Policy) -> (String, String, String) {
    let route = &policy.routes[random.below(policy.routes.len())];
    let value =
        |random: &mut Random| random.pick(&["a", "b", "1", "a:x", "x:yy", "g%2Fn", "%C3%A9", "q:y-y"]);
    let part = |random: &mut Random, segment: &Segment| match segment {
        _ if random.one_in(15) => value(random).to_owned(),
        Segment::Literal(text) => text.clone(),
        Segment::Param(_) => value(random).to_owned(),
        Segment::Verb { verb, .. } => format!("{}{verb}", value(random)),
        Segment::Rest(_) => format!("{}/{}", value(random), value(random)),
    };
    let parts: Vec<_> = route.template.segments().iter().map(|segment| part(random, segment)).collect();
    let slash = if random.one_in(8) { "/" } else { "" };
    let host = route.hosts.first().map_or("other".to_owned(), |host| host.to_string().replace('*', "y"));
    let method = route.methods[random.below(route.methods.len())].clone();
    (method, host, format!("/{}{slash}", parts.join("/")))
}

/// Any request.
fn request(random: &mut Random, prefix: &str) -> (String, String, String) {
    let segment = |random: &mut Random| match random.below(10) {
        0..=5 => random.pick(&["a", "b", "c", "a.b", "c:x", "~d+1"]),
        6 => random.pick(&["1:x", "a:yy", ":x", "q:y-y", "x:x:x", "n:y"]),
        7 => random.pick(&["g%2Fn", "%2F", "a%2Fb:x", "x%20y", "%3B", "%25", "%C3%A9"]),
        8 => random.pick(&["axb", "aab", "", ".a", "a."]),
        _ => "b",
    };
    let mut path = if random.one_in(12) { String::new() } else { prefix.to_owned() };
    (0..1 + random.below(4)).for_each(|_| path += &format!("/{}", segment(random)));
    if random.one_in(5) {
        path += "/";
    }
    let hosts = [
        "a.test",
        "A.test:80",
        "b.test",
        "c.test",
        "x.a.test.",
        "y.a.test",
        "other",
        "test",
        ".test",
        "x.b.test:1",
    ];
    let method = random.pick(&METHODS).to_owned();
    (method, random.pick(&hosts).to_owned(), path)
}

/// What the filter makes of a request: the service, and the path that it is asked for.
fn by_filter(policy: &Policy, (method, host, path): &(String, String, String)) -> Option<(String, String)> {
    let index = policy.table.find(host.as_bytes(), method.as_bytes(), path)?;
    let route = &policy.routes[index];
    let service = policy.services[route.service].name.clone();
    let own = path.strip_prefix(&policy.path_prefix).expect("a route's path begins with the prefix");
    let Some(upstream) = &route.upstream_path else { return Some((service, own.to_owned())) };
    Some((service, filled_in(upstream.segments(), route.template.segments(), path)))
}

/// The path at the service, worked out from segments, as no regular expression does it.
fn filled_in(upstream: &[Segment], template: &[Segment], path: &str) -> String {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let value = |name: &str| -> String {
        let place = template.iter().position(|segment| segment.name() == Some(name)).expect("it was checked");
        match &template[place] {
            Segment::Rest(_) => parts[place..].join("/"),
            Segment::Verb { verb, .. } => {
                parts[place].strip_suffix(verb.as_str()).expect("it matched").to_owned()
            }
            _ => parts[place].to_owned(),
        }
    };
    let part = |segment: &Segment| match segment {
        Segment::Literal(text) => text.clone(),
        Segment::Param(name) | Segment::Rest(name) => value(name),
        Segment::Verb { param, verb } => format!("{}{verb}", value(param)),
    };
    format!("/{}", upstream.iter().map(part).collect::<Vec<_>>().join("/"))
}

fn by_envoy(answer: &Answer) -> Option<(String, String)> {
    let service = answer.header("x-cluster").filter(|_| answer.status == 200)?;
    // An answer to HEAD has no body to tell the path.
    let target = answer.text().split(' ').nth(1).unwrap_or_default().to_owned();
    Some((service, target))
}

/// The rendered routes, telling in each answer which service was asked.
fn routes(document: &Value, policy: &Policy) -> (String, String) {
    let files = dynamic::dynamic(document, policy, &Options::default(), "/nowhere");
    let routes = files.into_iter().find(|file| file.kind == dynamic::Kind::Routes).expect("there are routes");
    let mut resources: Value = serde_saphyr::from_str(&routes.text).expect("it is YAML");
    let config = &mut resources["resources"][0];
    config["response_headers_to_add"] =
        json!([{ "header": { "key": "x-cluster", "value": "%UPSTREAM_CLUSTER%" } }]);
    config["name"] = json!("routes");
    (routes.version, resources.to_string())
}

fn envoy(document: &Value, policy: &Policy) -> Envoy {
    let options = Options { metrics_listener: false, ..Options::default() };
    let mut bootstrap = portcullis_cli::render::bootstrap(document, policy, &options);
    let manager = bootstrap
        .pointer_mut("/static_resources/listeners/0/filter_chains/0/filters/0/typed_config")
        .expect("a listener has a connection manager");
    let fields = manager.as_object_mut().expect("an object");
    ["route_config", "access_log", "local_reply_config"].iter().for_each(|key| drop(fields.remove(*key)));
    let source =
        json!({ "path_config_source": { "path": "@FOLDER@/routes.yaml" }, "resource_api_version": "V3" });
    fields.insert("rds".into(), json!({ "route_config_name": "routes", "config_source": source }));
    fields.insert("path_with_escaped_slashes_action".into(), json!("KEEP_UNCHANGED"));
    fields.insert("strip_trailing_host_dot".into(), json!(true));
    fields.insert("merge_slashes".into(), json!(false));
    fields["http_filters"].as_array_mut().expect("a list").retain(|filter| filter["name"] != "portcullis");
    Envoy::start(EnvoyConfig::json(bootstrap).file("routes.yaml", &routes(document, policy).1))
}

#[test]
fn the_filter_and_envoy_route_alike() {
    let policies = std::env::var("EDGE_POLICIES").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let echo = Echo::start();
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let (document, compiled) = policy(&mut random, echo.address());
    let envoy = envoy(&document, &compiled);
    let (mut asked, mut routed, mut differ) = (0, 0, Vec::new());
    for _ in 0..policies {
        let (document, compiled) = policy(&mut random, echo.address());
        let (version, text) = routes(&document, &compiled);
        envoy.replace_file("routes.yaml", &text);
        wait_until(&envoy, &version);
        let mut connection = Connection::open(envoy.address());
        for _ in 0..REQUESTS {
            let request = match random.one_in(2) && !compiled.routes.is_empty() {
                true => near(&mut random, &compiled),
                false => request(&mut random, &compiled.path_prefix),
            };
            // What has no normal form never gets as far as to a route.
            let Ok(normal) = compiled.table.normalise(request.2.as_bytes()) else { continue };
            let request = (request.0, request.1, normal.path.into_owned());
            let sent = Request::new(&request.0, &request.2).host(&request.1);
            let answer = connection.send(&sent);
            let (mut ours, theirs) = (by_filter(&compiled, &request), by_envoy(&answer));
            if let (Some((_, path)), "HEAD") = (&mut ours, request.0.as_str()) {
                path.clear();
            }
            asked += 1;
            routed += usize::from(ours.is_some());
            if ours != theirs {
                differ.push(format!(
                    "{request:?}: filter {ours:?}, Envoy {theirs:?} in {}",
                    document["routes"]
                ));
            }
        }
    }
    println!("{policies} policies, {asked} requests, {routed} of them routed, {} differ", differ.len());
    assert!(routed * 10 > asked, "hardly any request met a route: {routed} of {asked}");
    assert!(differ.is_empty(), "{:#?}", &differ[..differ.len().min(5)]);
}

#[track_caller]
fn wait_until(envoy: &Envoy, version: &str) {
    let line = format!("http.gateway.rds.routes.version_text: \"{version}\"");
    let taken = wait_for(PATIENCE, || {
        let stats = envoy.admin().get("/stats?filter=rds.routes.version_text");
        String::from_utf8_lossy(&stats.body).contains(&line).then_some(())
    });
    assert!(taken.is_some(), "Envoy does not take these routes: {}", envoy.stderr().tail(3));
}
