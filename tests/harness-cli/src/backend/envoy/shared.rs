//! Shared data and shared queues on Envoy, where only plugins reach them: for each `vm_id` a listener of its own has a small
//! plugin that writes and reads them (`shared.wat`). The plugins that are tested know nothing of it.

use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use portcullis_e2e::Request;
use serde_json::{Value, json};

use super::bootstrap;
use super::proxy::{Broken, Proxy};
use crate::model::key_bytes;
use crate::plan::{Plan, Shared, Wanted};
use crate::seen::SharedSeen;

static MODULE: LazyLock<String> = LazyLock::new(|| {
    let module = wat::parse_str(include_str!("shared.wat")).expect("it is a module");
    BASE64_STANDARD.encode(module)
});

/// The listeners. They come before that of the plugins, so that these find what is to be there when they start.
pub fn listeners(plan: &Plan) -> Vec<Value> {
    plan.shared_vm_ids().into_iter().map(|vm_id| listener(plan, vm_id)).collect()
}

fn name(vm_id: &str) -> String {
    format!("shared of {vm_id:?}")
}

fn listener(plan: &Plan, vm_id: &str) -> Value {
    let first = plan.shared.as_ref().filter(|shared| shared.vm_id == vm_id);
    let plugin = json!({
        "name": "portcullis-harness",
        "allow_on_headers_stop_iteration": true,
        "vm_config": {
            "vm_id": vm_id,
            "runtime": "envoy.wasm.runtime.v8",
            "code": { "local": { "inline_bytes": *MODULE } },
        },
        "configuration": {
            "@type": "type.googleapis.com/google.protobuf.BytesValue",
            "value": BASE64_STANDARD.encode(first.map(at_the_start).unwrap_or_default()),
        },
    });
    bootstrap::beside(&name(vm_id), &plugin)
}

/// The commands of the start: each VM of the plugin gives them, and the first is heard.
fn at_the_start(shared: &Shared) -> Vec<u8> {
    let behind_length = |bytes: Vec<u8>| [&length(&bytes)[..], &bytes].concat();
    let data = shared.data.iter().map(|(key, value)| command(b'i', key, value));
    let queues = shared.queues.iter().map(|(name, messages)| {
        let messages: Vec<u8> = messages.iter().cloned().flat_map(behind_length).collect();
        command(b'n', name, &messages)
    });
    data.chain(queues).flat_map(behind_length).collect()
}

fn command(letter: u8, key: &[u8], value: &[u8]) -> Vec<u8> {
    [&[letter][..], &length(key), key, value].concat()
}

fn length(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes()
}

/// Writes as another plugin would.
pub fn write(proxy: &Proxy, shared: &Shared) -> Result<(), Broken> {
    for (key, value) in &shared.data {
        ask(proxy, &shared.vm_id, command(b's', key, value))?;
    }
    for (name, messages) in &shared.queues {
        for message in messages {
            ask(proxy, &shared.vm_id, command(b'e', name, message))?;
        }
    }
    Ok(())
}

/// Reads values, and takes messages out of queues.
pub fn read(proxy: &Proxy, wanted: &Wanted<'_>) -> Result<SharedSeen, Broken> {
    let mut seen = SharedSeen::default();
    for key in wanted.found.data.keys() {
        let value = ask(proxy, wanted.vm_id, command(b'g', &key_bytes(key), b""))?;
        seen.data.insert(key.clone(), value);
    }
    for name in wanted.found.queues.keys() {
        let mut messages = Vec::new();
        while let Some(message) = ask(proxy, wanted.vm_id, command(b't', &key_bytes(name), b""))? {
            messages.push(message);
        }
        seen.queues.insert(name.clone(), messages);
    }
    Ok(seen)
}

/// What was found, if there is something.
fn ask(proxy: &Proxy, vm_id: &str, command: Vec<u8>) -> Result<Option<Vec<u8>>, Broken> {
    let answer = proxy.ask_listener(&name(vm_id), &Request::post("/").body(command))?;
    match answer.status {
        200 => Ok(Some(answer.body)),
        400 => Ok(None),
        status => Err(Broken::Failed(format!("shared data cannot be reached: {status} {}", answer.text()))),
    }
}
