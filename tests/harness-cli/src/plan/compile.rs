//! From a file without mistakes to a plan.

use portcullis_edge_core::{ConfigError, Named, Node};
use portcullis_source::source::Source;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use super::mint::{Minted, mint};
use super::{
    Action, Body, Fate, Fields, Listening, Modules, Move, Plan, Plugin, Reply, Request, Route, Script,
    Shared, Step, Target, Volatile,
};
use crate::model::{self, Fails, Reference, Scenario, Text};

/// The plan of a scenario whose names and files have been checked.
///
/// # Errors
/// A key that cannot be made.
pub fn compile(
    file: &Path,
    scenario: Scenario,
    folder: &Path,
    modules: &Modules,
) -> Result<Plan, Vec<ConfigError>> {
    let start = scenario.clock.0;
    let minted = mint(&scenario.keys.0, &scenario.tokens.0, start)
        .map_err(|why| vec![Node::top().key("keys").error("a key that cannot be made", why)])?;
    let tls = scenario.tls.as_ref().map(|tls| Listening::of(tls, &scenario.certificates.0)).transpose();
    let tls =
        tls.map_err(|why| vec![Node::top().key("certificates").error("one that cannot be made", why)])?;
    let vm_id = scenario.plugins.first().map(|plugin| plugin.vm_id.clone()).unwrap_or_default();
    let make = Make { folder, minted: &minted, tls: tls.as_ref(), vm_id: &vm_id };
    Ok(Plan {
        file: file.to_owned(),
        only: scenario.only.map(|side| (side, scenario.because.clone().unwrap_or_default())),
        clock: start,
        workers: scenario.workers.into(),
        seed: scenario.seed,
        log_level: scenario.log_level,
        plugins: scenario.plugins.iter().map(|plugin| make.plugin(plugin, modules)).collect(),
        routes: routes(&scenario),
        upstreams: make.scripts(&scenario.upstreams),
        properties: make.texts(&scenario.properties),
        foreign_functions: make.texts(&scenario.foreign_functions),
        node: scenario.node,
        cluster_metadata: scenario
            .cluster_metadata
            .0
            .into_iter()
            .map(|(name, values)| (name, values.0))
            .collect(),
        names: scenario.dns.0,
        shared: scenario.shared.as_ref().map(|shared| make.shared(shared)),
        access_log: scenario.access_log,
        volatile: Volatile::of(&scenario.volatile),
        refused: scenario.refused.map(|refused| refused.0),
        start: scenario.start.unwrap_or_default(),
        steps: scenario.steps.into_iter().filter_map(|step| make.step(step)).collect(),
        tokens: minted.tokens.clone(),
        tls: tls.clone(),
        name: scenario.name,
    })
}

fn routes(scenario: &Scenario) -> Vec<Route> {
    if scenario.routes.is_empty() {
        let all = |name: &String| Route::all(Target::Upstream(name.clone()));
        return scenario.upstreams.keys().map(all).collect();
    }
    scenario.routes.iter().filter_map(route).collect()
}

fn route(route: &model::Route) -> Option<Route> {
    let target = match (&route.to, &route.respond) {
        (Some(to), _) => Target::Upstream(to.clone()),
        (None, Some(direct)) => Target::Direct { status: direct.status, body: direct.body.clone() },
        (None, None) => return None,
    };
    Some(Route {
        host: route.host.clone(),
        prefix: route.prefix.clone(),
        headers: route.headers.0.clone(),
        timeout: route.timeout.map(|timeout| timeout.0),
        name: route.name.clone(),
        metadata: route.metadata.0.clone(),
        target,
    })
}

/// What a configuration file says: YAML as JSON text, anything else as it is.
///
/// # Errors
/// Why it cannot be read.
pub fn config_file(path: &Path) -> Result<Vec<u8>, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    if !path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
        return Ok(bytes);
    }
    json_of(String::from_utf8(bytes).map_err(|error| error.to_string())?)
}

/// So many texts are remembered.
const MOST_TEXTS: usize = 64;

/// YAML as JSON. Scenarios share their configurations, so a text that was read before is not read again.
fn json_of(yaml: String) -> Result<Vec<u8>, String> {
    static READ: LazyLock<Mutex<HashMap<String, Vec<u8>>>> = LazyLock::new(Mutex::default);
    let read = || READ.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(json) = read().get(&yaml) {
        return Ok(json.clone());
    }
    let source = Source::parse(yaml.clone()).map_err(|error| error.message)?;
    let json = source.value.to_string().into_bytes();
    let mut read = read();
    if read.len() >= MOST_TEXTS {
        read.clear();
    }
    read.insert(yaml, json.clone());
    Ok(json)
}

struct Make<'a> {
    folder: &'a Path,
    minted: &'a Minted,
    tls: Option<&'a Listening>,
    /// That of the first plugin.
    vm_id: &'a str,
}

impl Make<'_> {
    fn text(&self, text: &Text) -> Vec<u8> {
        text.render(&|reference| match reference {
            Reference::Token(name) => self.minted.tokens.get(name).cloned().unwrap_or_default().into_bytes(),
            Reference::Answer(_) => Vec::new(),
        })
    }

    fn texts(&self, texts: &Named<Text>) -> BTreeMap<String, Vec<u8>> {
        texts.iter().map(|(name, text)| (name.clone(), self.text(text))).collect()
    }

    fn shared(&self, shared: &model::Shared) -> Shared {
        Shared::of(shared, self.vm_id, &|text| self.text(text))
    }

    fn fields(&self, headers: &model::Headers) -> Fields {
        let each = headers.iter().flat_map(|(name, values)| {
            values.0.iter().map(move |value| (name.to_ascii_lowercase(), self.text(value)))
        });
        each.collect()
    }

    fn config(&self, config: Option<&Value>, file: Option<&String>) -> Vec<u8> {
        match (config, file) {
            (Some(Value::String(text)), _) => text.clone().into_bytes(),
            (Some(value), _) => value.to_string().into_bytes(),
            (None, Some(file)) => config_file(&self.folder.join(file)).unwrap_or_default(),
            (None, None) => Vec::new(),
        }
    }

    fn plugin(&self, plugin: &model::Plugin, modules: &Modules) -> Plugin {
        let module = modules.find(self.folder, &plugin.module).unwrap_or_default();
        let stem = Path::new(&plugin.module).file_stem().unwrap_or_default();
        Plugin {
            name: plugin.name.clone().unwrap_or_else(|| stem.to_string_lossy().into_owned()),
            config: self.config(plugin.config.as_ref(), plugin.config_file.as_ref()),
            module,
            root_id: plugin.root_id.clone(),
            vm_id: plugin.vm_id.clone(),
            vm_config: plugin.vm_config.clone(),
            env: plugin.env.0.clone(),
            failure_policy: plugin.failure_policy,
        }
    }

    fn scripts(&self, upstreams: &Named<Vec<model::Reply>>) -> BTreeMap<String, Script> {
        let script = |replies: &Vec<model::Reply>| Script {
            replies: replies.iter().map(|reply| self.reply(reply)).collect(),
        };
        upstreams.iter().map(|(name, replies)| (name.clone(), script(replies))).collect()
    }

    fn reply(&self, reply: &model::Reply) -> Reply {
        if let Some(grpc) = &reply.grpc {
            return self.grpc(reply, grpc);
        }
        let mut headers = self.fields(&reply.headers);
        let jwks = reply.jwks.as_ref().map(|names| self.jwks(names));
        let json = reply.json.as_ref().or(jwks.as_ref());
        let text = self.text_or_file(reply.body.as_ref(), reply.body_file.as_ref());
        let body = self.body(text, json, reply.chunks.as_ref(), &reply.trailers, &mut headers);
        with_content(reply, headers, body)
    }

    /// An answer without messages has trailers alone, which are its headers.
    fn grpc(&self, reply: &model::Reply, grpc: &model::Grpc) -> Reply {
        let status = ("grpc-status".to_owned(), grpc.status.to_string().into_bytes());
        let message = grpc.message.iter().map(|text| ("grpc-message".to_owned(), text.clone().into_bytes()));
        let trailers: Fields =
            std::iter::once(status).chain(message).chain(self.fields(&reply.trailers)).collect();
        let mut headers = vec![("content-type".to_owned(), b"application/grpc".to_vec())];
        headers.extend(self.fields(&reply.headers));
        let body = if grpc.messages.is_empty() {
            headers.extend(trailers);
            Body::None
        } else {
            Body::Chunked(grpc.messages.iter().map(|message| self.text(message)).collect(), trailers)
        };
        Reply { is_grpc: true, ..with_content(reply, headers, body) }
    }

    fn jwks(&self, names: &[String]) -> Value {
        let keys: Vec<_> = names.iter().filter_map(|name| self.minted.jwks.get(name).cloned()).collect();
        serde_json::json!({ "keys": keys })
    }

    /// A file that is not there has been told before.
    fn text_or_file(&self, text: Option<&Text>, file: Option<&String>) -> Option<Vec<u8>> {
        let read = |file: &String| std::fs::read(self.folder.join(file)).unwrap_or_default();
        text.map(|text| self.text(text)).or_else(|| file.map(read))
    }

    fn body(
        &self,
        text: Option<Vec<u8>>,
        json: Option<&Value>,
        chunks: Option<&Vec<Text>>,
        trailers: &model::Headers,
        headers: &mut Fields,
    ) -> Body {
        match (text, json, chunks) {
            (Some(text), _, _) => Body::Whole(text),
            (_, Some(json), _) => {
                if !headers.iter().any(|(name, _)| name == "content-type") {
                    headers.push(("content-type".into(), b"application/json".to_vec()));
                }
                Body::Whole(self.text(&Text::template(&json.to_string())))
            }
            (_, _, Some(chunks)) => {
                Body::Chunked(chunks.iter().map(|chunk| self.text(chunk)).collect(), self.fields(trailers))
            }
            _ => Body::None,
        }
    }

    fn step(&self, step: model::Step) -> Option<Step> {
        let mut each = Vec::new();
        let (action, title) = if let Some(request) = step.request {
            let request = self.request(&request);
            let title = title(&request);
            (Action::Request(Box::new(request)), title)
        } else if let Some(joint) = step.together {
            let requests: Vec<_> = joint.iter().map(|one| self.request(&one.request)).collect();
            each = joint.into_iter().map(|one| one.expect.unwrap_or_default()).collect();
            let titles: Vec<_> = requests.iter().map(title).collect();
            let title = format!("together {}", titles.join(", "));
            (Action::Together(requests), title)
        } else if let Some(moves) = step.connection {
            let moves = moves.iter().filter_map(|one| Move::of(one, &|text| self.text(text)));
            (Action::Connection(moves.collect()), "connection".to_owned())
        } else if let Some(by) = step.advance {
            (Action::Advance(by.0), format!("advance {by}"))
        } else if let Some(reload) = step.reload {
            let config = self.config(reload.config.as_ref(), reload.config_file.as_ref());
            (Action::Reload { plugin: reload.plugin.into(), config }, "reload".to_owned())
        } else if let Some(upstreams) = step.upstreams {
            let names: Vec<_> = upstreams.keys().map(String::as_str).collect();
            let title = format!("upstreams {}", names.join(", "));
            (Action::Upstreams(self.scripts(&upstreams)), title)
        } else if let Some(shared) = step.shared {
            (Action::Shared(self.shared(&shared)), "shared".to_owned())
        } else {
            (Action::Faults(step.faults?), "faults".to_owned())
        };
        Some(Step { action, title, expect: step.expect, each })
    }

    /// A field, as often as it says.
    fn bare(&self, field: &[Text]) -> Fields {
        let texts: Vec<_> = field.iter().map(|text| self.text(text)).collect();
        let [name, value, times @ ..] = texts.as_slice() else { return Fields::new() };
        let times = times.first().and_then(|times| std::str::from_utf8(times).ok()?.parse().ok());
        let name = String::from_utf8_lossy(name).into_owned();
        vec![(name, value.clone()); times.unwrap_or(1)]
    }

    fn request(&self, request: &model::Request) -> Request {
        let fields = &request.0;
        let bare = fields.fields.as_ref().map(|bare| bare.iter().flat_map(|one| self.bare(one)).collect());
        let mut headers = self.fields(&fields.headers);
        let body = self.body(
            self.text_or_file(fields.body.as_ref(), fields.body_file.as_ref()),
            fields.json.as_ref(),
            fields.chunks.as_ref(),
            &fields.trailers,
            &mut headers,
        );
        Request {
            method: fields.method.clone(),
            path: fields.path.as_ref().map(|path| self.text(path)).unwrap_or_default(),
            wire: fields.wire.as_ref().map(|wire| self.text(wire)),
            authority: fields.authority.clone(),
            headers,
            body,
            unfinished: fields.unfinished,
            leaves: fields.leaves.map(|leaves| leaves.0),
            http2: fields.http2 || bare.is_some(),
            fields: bare,
            tls: self.tls.map(|tls| tls.shown(fields.tls.as_ref(), &fields.authority)),
            from: fields.from.0,
        }
    }
}

/// Method and path, the first line, or the fields.
fn title(request: &Request) -> String {
    if let Some(fields) = &request.fields {
        let all: Vec<_> =
            fields.iter().map(|(name, value)| format!("{name}={}", value.escape_ascii())).collect();
        return all.join(" ").chars().take(120).collect();
    }
    match &request.wire {
        Some(wire) => {
            wire.split(|byte| b"\r\n".contains(byte)).next().unwrap_or_default().escape_ascii().to_string()
        }
        None => format!("{} {}", request.method, request.path.escape_ascii()),
    }
}

/// A reply with these headers and this body; all else is as written.
fn with_content(reply: &model::Reply, headers: Fields, body: Body) -> Reply {
    Reply {
        path: reply.path.clone(),
        method: reply.method.clone(),
        times: reply.times,
        status: reply.status,
        headers,
        body,
        is_grpc: false,
        delay: reply.delay.map_or(Duration::ZERO, |delay| delay.0),
        fate: fate(reply.fails),
    }
}

fn fate(fails: Option<Fails>) -> Fate {
    match fails {
        None => Fate::Answer,
        Some(Fails::Refused) => Fate::Refused,
        Some(Fails::Reset) => Fate::Reset,
        Some(Fails::ResetAfterBody) => Fate::ResetAfterBody,
        Some(Fails::Never) => Fate::Never,
    }
}
