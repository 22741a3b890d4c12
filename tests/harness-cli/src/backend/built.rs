//! The harness's proxy, as a scenario describes it.

use std::sync::OnceLock;
use std::time::Duration;

use portcullis_harness::{Builder, Dns, LoadError, LoadedModule, LogLevel, Proxy, Upstream};

use super::harness::Modules;
use super::sendable;
use crate::model::{self, FailurePolicy, Level};
use crate::plan::{self, Body, Fate, Plan, Script, Shared};

pub(super) fn builder(plan: &Plan, modules: &Modules) -> Result<Builder, LoadError> {
    let mut builder = Proxy::builder()
        .starting_at(plan.clock)
        .workers(plan.workers)
        .log_level(level(plan.log_level))
        .facing_clients(own_address())
        .pass_server_header_through();
    for plugin in &plan.plugins {
        builder = builder.plugin(described(plugin, modules.load(&plugin.module)?));
    }
    for (name, script) in &plan.upstreams {
        // Nobody can ask a TCP service what it will answer: it listens, or it does not.
        let refuses = plan.is_tcp() && script.is_refusing();
        builder = if refuses {
            builder.peer(name, Upstream::refuse())
        } else {
            builder.peer(name, upstream(script))
        };
    }
    for route in &plan.routes {
        builder = builder.routed(sendable::route(route));
    }
    builder = builder.node(sendable::node(&plan.node));
    for (cluster, values) in &plan.cluster_metadata {
        for (namespace, value) in values {
            builder = builder.cluster_metadata(cluster, namespace, value.clone());
        }
    }
    for (path, value) in &plan.properties {
        builder = builder.property(path.split('.'), value);
    }
    for (name, answer) in &plan.foreign_functions {
        let answer = answer.clone();
        builder = builder.foreign_function(name, move |_| Ok(answer.clone()));
    }
    for (name, dns) in &plan.names {
        builder = builder.dns(name, name_server(dns));
    }
    if let Some(shared) = &plan.shared {
        builder = with_shared(builder, shared);
    }
    if let Some(seed) = plan.seed {
        builder = builder.seed(seed);
    }
    if let Some(format) = &plan.access_log {
        builder = builder.access_log(format);
    }
    Ok(if plan.counts_cost() { builder.profiled() } else { builder })
}

fn name_server(dns: &model::Dns) -> Dns {
    let addresses = Dns::addresses(dns.addresses.iter().map(|address| address.0));
    if dns.fails { Dns::fails() } else { addresses.ttl(Duration::from_secs(dns.seconds())) }
}

fn with_shared(mut builder: Builder, shared: &Shared) -> Builder {
    for (key, value) in &shared.data {
        builder = builder.shared_data(&shared.vm_id, key, value);
    }
    for (name, messages) in &shared.queues {
        builder =
            messages.iter().fold(builder, |builder, message| builder.queued(&shared.vm_id, name, message));
    }
    builder
}

/// The address that Envoy takes for the machine's own: the first of IPv4 that is no loopback's.
#[must_use]
pub fn own_address() -> &'static str {
    static ADDRESS: OnceLock<String> = OnceLock::new();
    ADDRESS.get_or_init(find_own_address)
}

fn find_own_address() -> String {
    let interfaces = nix::ifaddrs::getifaddrs().into_iter().flatten();
    let mut addresses = interfaces.filter_map(|interface| Some(interface.address?.as_sockaddr_in()?.ip()));
    addresses.find(|address| !address.is_loopback()).unwrap_or(std::net::Ipv4Addr::LOCALHOST).to_string()
}

fn described(plugin: &plan::Plugin, module: LoadedModule) -> portcullis_harness::Plugin {
    let described = portcullis_harness::Plugin::loaded(&module)
        .name(&plugin.name)
        .root_id(&plugin.root_id)
        .vm_id(&plugin.vm_id)
        .vm_config(&plugin.vm_config)
        .config(&plugin.config)
        .failure_policy(match plugin.failure_policy {
            FailurePolicy::Closed => portcullis_harness::FailurePolicy::Closed,
            FailurePolicy::Open => portcullis_harness::FailurePolicy::Open,
            FailurePolicy::Reload => portcullis_harness::FailurePolicy::Reload,
        });
    plugin.env.iter().fold(described, |described, (name, value)| described.env(name, value))
}

fn level(level: Level) -> LogLevel {
    match level {
        Level::Trace => LogLevel::Trace,
        Level::Debug => LogLevel::Debug,
        Level::Info => LogLevel::Info,
        Level::Warn => LogLevel::Warn,
        Level::Error => LogLevel::Error,
        Level::Critical => LogLevel::Critical,
    }
}

pub(super) fn upstream(script: &Script) -> Upstream {
    let mut script = script.clone();
    Upstream::answer_with(move |received| {
        let method = received.header(":method").unwrap_or_default();
        reply(script.answer(&method, received.headers.get(":path").unwrap_or_default()))
    })
}

fn reply(reply: plan::Reply) -> portcullis_harness::Reply {
    use portcullis_harness::Reply;
    let answer = match reply.fate {
        Fate::Refused => return Reply::refuse(),
        Fate::Never => return Reply::never(),
        Fate::Reset => return Reply::reset().delay(reply.delay),
        Fate::Answer | Fate::ResetAfterBody => Reply::status(reply.status).delay(reply.delay),
    };
    let answer = reply.headers.iter().fold(answer, |answer, (name, value)| answer.header(name, value));
    let breaks = reply.fate == Fate::ResetAfterBody;
    let length = reply.body.announced(breaks).to_string();
    let answer = match reply.body {
        Body::Chunked(messages, trailers) if reply.is_grpc => {
            let answer = messages.iter().fold(answer, |answer, message| answer.chunk(message));
            trailers.iter().fold(answer, |answer, (name, value)| answer.trailer(name, value))
        }
        Body::None if reply.is_grpc || [204, 304].contains(&reply.status) => answer,
        Body::None => answer.header("content-length", length),
        Body::Whole(body) if body.is_empty() => answer.header("content-length", length),
        Body::Whole(body) => answer.header("content-length", length).chunk(body),
        Body::Chunked(chunks, trailers) => {
            let answer = answer.header("transfer-encoding", "chunked");
            let answer = chunks.iter().fold(answer, |answer, chunk| answer.chunk(chunk));
            trailers.iter().fold(answer, |answer, (name, value)| answer.trailer(name, value))
        }
    };
    if breaks { answer.reset_after() } else { answer }
}
