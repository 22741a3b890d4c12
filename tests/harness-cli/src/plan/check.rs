//! What the parser cannot see: names that one part of a file uses and another defines, files, and fields that exclude each
//! other. Looks at the document itself, so that a mistake elsewhere hides none of these.

mod told;

use portcullis_edge_core::{ConfigError, Node};
use serde_json::{Map, Value};
use std::path::Path;

use super::{Modules, never};
use crate::model::{Reference, references};
use crate::problem::{quoted, shown, unknown};

/// Every mistake of this kind.
pub fn errors(document: &Value, folder: &Path, modules: &Modules) -> Vec<ConfigError> {
    let mut check = Check { document, folder, modules, errors: Vec::new() };
    check.sides();
    check.plugins();
    check.routes();
    check.told();
    check.tokens();
    check.certificates();
    check.upstreams("upstreams", &document["upstreams"], &Node::top().key("upstreams"));
    check.start();
    check.steps();
    check.errors
}

/// What only a step with a request can expect.
const OF_ANSWERS: [&str; 6] = ["status", "headers", "body", "json", "trailers", "access_log"];

/// What can be expected of one of several requests.
const OF_ONE: [&str; 6] = ["status", "headers", "body", "json", "trailers", "end"];

/// A field is sent so often at most.
const MOST_FIELDS: u64 = 10_000;

struct Check<'a> {
    document: &'a Value,
    folder: &'a Path,
    modules: &'a Modules,
    errors: Vec<ConfigError>,
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn items(value: &Value) -> impl Iterator<Item = (usize, &Value)> {
    value.as_array().into_iter().flatten().enumerate()
}

fn given<'a>(object: &Map<String, Value>, names: &[&'a str]) -> Vec<&'a str> {
    names.iter().copied().filter(|name| object.contains_key(*name)).collect()
}

impl<'a> Check<'a> {
    fn error(&mut self, at: &Node, found: impl Into<String>, expected: impl Into<String>) {
        self.errors.push(at.error(found, expected));
    }

    fn names(&self, section: &str) -> Vec<&'a str> {
        let section: &'a Value = &self.document[section];
        entries(section).map(|(name, _)| name.as_str()).collect()
    }

    fn known(&mut self, section: &str, name: &Value, at: &Node) {
        let Some(name) = name.as_str() else { return };
        let known = self.names(section);
        if !known.contains(&name) {
            self.errors.push(unknown(at, name, section, known.into_iter()));
        }
    }

    /// `object` must have exactly one of these (`least` 1), or at most one (`least` 0).
    fn one_of(&mut self, object: &Value, names: &[&str], least: usize, at: &Node) {
        let Some(object) = object.as_object() else { return };
        let given = given(object, names);
        if given.len() < least || given.len() > 1 {
            let shown: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
            let amount = if least == 1 { "exactly" } else { "at most" };
            let found = if given.is_empty() { "none of them".to_owned() } else { given.join(" and ") };
            self.error(at, found, format!("{amount} one of {}", shown.join(", ")));
        }
    }

    fn sides(&mut self) {
        let top = Node::top();
        let (only, because) = (self.document.get("only"), self.document.get("because"));
        if only.is_some() && because.and_then(Value::as_str).is_none_or(|because| because.trim().is_empty()) {
            self.error(&top.key("only"), "no `because`", "the reason in `because`");
        }
        if only.is_none() && because.is_some() {
            self.error(&top.key("because"), "no `only`", "the side in `only`");
        }
        let refused = self.document.get("refused").is_some();
        let steps = items(&self.document["steps"]).next().is_some();
        if refused == steps {
            let found = if steps { "both" } else { "neither" };
            self.error(&top.key("steps"), found, "either `steps`, or `refused` with what is logged");
        }
    }

    fn plugins(&mut self) {
        for (index, plugin) in items(&self.document["plugins"]) {
            let at = Node::top().key("plugins").index(index);
            if let Some(module) = plugin["module"].as_str()
                && self.modules.find(self.folder, module).is_none()
            {
                let folders = self.modules.folders.iter().map(|folder| format!(", {}", folder.display()));
                let places: String = folders.collect();
                let expected = format!("a file in {}{places}", shown_folder(self.folder));
                self.error(&at.key("module"), quoted(module), expected);
            }
            self.config(plugin, 0, &at);
        }
    }

    fn config(&mut self, object: &Value, least: usize, at: &Node) {
        self.one_of(object, &["config", "config_file"], least, at);
        let Some(file) = object["config_file"].as_str() else { return };
        if let Err(why) = super::compile::config_file(&self.folder.join(file)) {
            self.error(&at.key("config_file"), quoted(file), format!("a configuration file ({why})"));
        }
    }

    fn routes(&mut self) {
        let at = Node::top().key("routes");
        for (index, route) in items(&self.document["routes"]) {
            self.one_of(route, &["to", "respond"], 1, &at.index(index));
            self.known("upstreams", &route["to"], &at.index(index).key("to"));
        }
        let upstreams = self.names("upstreams");
        if self.document.get("routes").is_none() && upstreams.len() > 1 {
            let found = format!("{} upstreams and no routes", upstreams.len());
            self.error(&at, found, "routes that say which upstream requests go to");
        }
    }

    fn upstreams(&mut self, _section: &str, upstreams: &'a Value, at: &Node) {
        for (name, replies) in entries(upstreams) {
            let count = replies.as_array().map_or(0, Vec::len);
            let is_grpc = |reply: &Value| reply.get("grpc").is_some() || reply.get("fails").is_some();
            let some = items(replies).any(|(_, reply)| reply.get("grpc").is_some());
            if let Some((index, _)) = items(replies).find(|(_, reply)| some && !is_grpc(reply)) {
                let at = at.key(name).index(index);
                self.error(&at, "a reply without `grpc` beside others with it", "`grpc` in all of them");
            }
            for (index, reply) in items(replies) {
                self.reply(reply, count, &at.key(name).index(index));
            }
        }
    }

    fn reply(&mut self, reply: &'a Value, count: usize, at: &Node) {
        self.body(reply, &["body", "body_file", "json", "jwks", "chunks", "grpc"], at);
        for (index, name) in items(&reply["jwks"]) {
            self.known("keys", name, &at.key("jwks").index(index));
        }
        if reply["fails"] == "refused" && count > 1 {
            self.error(&at.key("fails"), "`refused` beside other replies", "it alone: nobody listens");
        }
        self.references(reply, at, false);
    }

    fn body(&mut self, object: &Value, names: &[&str], at: &Node) {
        self.one_of(object, names, 0, at);
        if let Some(file) = object["body_file"].as_str()
            && let Err(why) = std::fs::metadata(self.folder.join(file))
        {
            self.error(&at.key("body_file"), quoted(file), format!("a file beside the scenario ({why})"));
        }
        if object.get("trailers").is_some() && object.get("chunks").or(object.get("grpc")).is_none() {
            self.error(&at.key("trailers"), "trailers without `chunks`", "a body in `chunks` before them");
        }
    }

    fn steps(&mut self) {
        let plugins = items(&self.document["plugins"]).count();
        for (index, step) in items(&self.document["steps"]) {
            let at = Node::top().key("steps").index(index);
            self.one_of(
                step,
                &["request", "together", "connection", "advance", "reload", "upstreams", "shared", "faults"],
                1,
                &at,
            );
            self.connection(step, &at);
            self.request(&step["request"], &at.key("request"));
            self.together(&step["together"], &at.key("together"));
            if step["faults"].is_object() && self.document["only"] != "harness" {
                self.error(&at.key("faults"), "faults on both sides", "`only: harness`: Envoy has no faults");
            }
            for (name, _) in entries(&step["upstreams"]) {
                self.known("upstreams", &name.as_str().into(), &at.key("upstreams").key(name));
            }
            self.upstreams("steps", &step["upstreams"], &at.key("upstreams"));
            self.shared(&step["shared"], &at.key("shared"));
            if step["reload"].is_object() {
                self.config(&step["reload"], 1, &at.key("reload"));
                let plugin = step["reload"]["plugin"].as_u64().unwrap_or(0);
                if usize::try_from(plugin).is_ok_and(|plugin| plugin >= plugins) {
                    let expected = format!("a plugin's place, below {plugins}");
                    self.error(&at.key("reload").key("plugin"), quoted(&plugin.to_string()), expected);
                }
            }
            self.expect(step, &at);
        }
    }

    fn request(&mut self, request: &'a Value, at: &Node) {
        self.references(request, at, false);
        self.one_of(request, &["path", "wire", "fields"], 1, at);
        self.known("certificates", &request["tls"]["certificate"], &at.key("tls").key("certificate"));
        if request.get("tls").is_some() && self.document.get("tls").is_none() {
            self.error(&at.key("tls"), "a listener without TLS", "`tls` at the top");
        }
        for (index, field) in items(&request["fields"]) {
            let count = field.as_array().map_or(0, Vec::len);
            let times =
                field.get(2).is_none_or(|times| times.as_u64().is_some_and(|times| times <= MOST_FIELDS));
            if !(2..=3).contains(&count) || !times {
                let expected =
                    format!("a name, a value and, if it is not once, how often ({MOST_FIELDS} at most)");
                self.error(&at.key("fields").index(index), shown(field), expected);
            }
        }
        let instead = ["method", "authority", "headers", "http2"];
        for name in request.as_object().map(|request| given(request, &instead)).unwrap_or_default() {
            if request.get("fields").is_some() {
                self.error(&at.key(name), format!("`{name}` beside `fields`"), "it among the fields");
            }
        }
        self.body(request, &["body", "body_file", "json", "chunks"], at);
        if request["unfinished"] == true && request.get("chunks").is_none() {
            self.error(&at.key("unfinished"), "no `chunks`", "a body in `chunks` that has no end");
        }
    }

    /// Requests that overlap, and what is expected of the answer of each.
    fn together(&mut self, joint: &'a Value, at: &Node) {
        for (index, one) in items(joint) {
            let at = at.index(index);
            self.request(&one["request"], &at.key("request"));
            let at = at.key("expect");
            self.expected(&one["expect"], &at, true);
            for (name, _) in entries(&one["expect"]).filter(|(name, _)| !OF_ONE.contains(&name.as_str())) {
                self.error(&at.key(name), format!("`{name}` of one request"), "it in `expect` of the step");
            }
        }
    }

    /// What the two ends of a TCP connection do.
    fn connection(&mut self, step: &'a Value, at: &Node) {
        for (index, one) in items(&step["connection"]) {
            let at = at.key("connection").index(index);
            self.one_of(one, &["client", "upstream", "ends", "resets"], 1, &at);
            self.references(one, &at, false);
        }
        let of_steps = |name: &str| items(&self.document["steps"]).any(|(_, step)| step.get(name).is_some());
        if step.get("connection").is_some() && (of_steps("request") || of_steps("together")) {
            self.error(
                &at.key("connection"),
                "a connection beside requests",
                "scenarios of their own for both",
            );
        }
        if step.get("connection").is_some() && self.names("upstreams").is_empty() {
            self.error(&at.key("connection"), "no upstream", "one in `upstreams` that connections go to");
        }
    }

    fn start(&mut self) {
        let at = Node::top().key("start");
        let Some(start) = self.document["start"].as_object() else { return };
        self.expected(&self.document["start"], &at, false);
        for name in given(start, &[&OF_ANSWERS[..], &["refused"]].concat()) {
            self.error(
                &at.key(name),
                format!("`{name}` of a start"),
                "`logs`, `metrics`, `upstreams`, `shared`, `trap` or `end`",
            );
        }
    }

    /// What is wrong with an expectation by itself.
    fn expected(&mut self, expect: &'a Value, at: &Node, answers: bool) {
        for (name, _) in entries(&expect["upstreams"]) {
            self.known("upstreams", &name.as_str().into(), &at.key("upstreams").key(name));
        }
        self.shared(&expect["shared"], &at.key("shared"));
        self.references(expect, at, answers);
        never::look(expect, at, &mut self.errors);
    }

    fn expect(&mut self, step: &'a Value, at: &Node) {
        let at = at.key("expect");
        self.expected(&step["expect"], &at, step.get("request").is_some());
        let Some(expect) = step["expect"].as_object() else { return };
        if step.get("request").is_none() {
            let joint = step.get("together").is_some();
            for name in given(expect, &OF_ANSWERS).into_iter().filter(|name| !joint || *name != "access_log")
            {
                self.error(
                    &at.key(name),
                    format!("`{name}` without a request"),
                    "it in a step with a `request`",
                );
            }
        }
        if step.get("connection").is_none() && expect.contains_key("connection") {
            let found = "`connection` without a connection";
            self.error(&at.key("connection"), found, "it in a step with a `connection`");
        }
        if step.get("reload").is_none() && expect.contains_key("refused") {
            self.error(&at.key("refused"), "`refused` without a reload", "it in a step with a `reload`");
        }
        if expect.contains_key("access_log") && self.document.get("access_log").is_none() {
            self.error(&at.key("access_log"), "no format", "`access_log` at the top, with a format");
        }
    }

    /// References in every text below.
    fn references(&mut self, value: &'a Value, at: &Node, answers: bool) {
        match value {
            Value::String(text) => references(text).into_iter().for_each(|r| self.reference(r, at, answers)),
            Value::Array(_) => {
                items(value).for_each(|(index, item)| self.references(item, &at.index(index), answers));
            }
            Value::Object(_) => {
                entries(value).for_each(|(name, item)| self.references(item, &at.key(name), answers));
            }
            _ => {}
        }
    }

    fn reference(&mut self, reference: Result<Reference, &str>, at: &Node, answers: bool) {
        match reference {
            Ok(Reference::Token(name)) => self.known("tokens", &name.into(), at),
            Ok(Reference::Answer(name)) if !answers => {
                let found = format!("`${{answer.{name}}}` before there is an answer");
                self.error(at, found, "it in what is expected of a request");
            }
            Ok(Reference::Answer(_)) => {}
            Err(name) if name.starts_with("case.") => {
                self.error(at, quoted(&format!("${{{name}}}")), "the name of a column of `cases`");
            }
            Err(name) => {
                let found = shown(&format!("${{{name}}}").into());
                self.error(at, found, "`${token.NAME}` or `${answer.HEADER}`");
            }
        }
    }
}

fn shown_folder(folder: &Path) -> String {
    if folder.as_os_str().is_empty() { ".".to_owned() } else { folder.display().to_string() }
}
