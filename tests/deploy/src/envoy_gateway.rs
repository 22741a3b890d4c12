//! Envoy Gateway without Kubernetes: objects in a file, and an Envoy that it starts itself.

use crate::{JWT_SECRET, Process, command, eventually, run, tool};
use portcullis_e2e::{Answer, Request};
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The namespace that it works in.
pub const NAMESPACE: &str = "envoy-gateway-system";
const ADMIN: u16 = 19901;
const VERSION: &str = "1.40.0";

/// A running Envoy Gateway with its Envoy.
pub struct EnvoyGateway {
    process: Process,
    folder: PathBuf,
    secret: Value,
}

impl EnvoyGateway {
    /// Starts it with these objects, and waits until the gateway answers `/health`.
    ///
    /// # Panics
    /// If it does not.
    #[must_use]
    pub fn start(folder: &Path, objects: &[Value]) -> Self {
        let folder = folder.join("envoy-gateway");
        let binary = folder.join(format!("data/envoy-versions/{VERSION}/bin/envoy"));
        fs::create_dir_all(folder.join("resources"))
            .and_then(|()| fs::create_dir_all(binary.parent().expect("a folder")))
            .expect("folders");
        // Where it looks before it would download one.
        fs::copy(portcullis_e2e::binary(), &binary).expect("it can be copied");
        let secret = certificates(&folder);
        let config = folder.join("config.yaml");
        fs::write(&config, configuration(&folder).to_string()).expect("it can be written");
        let mut gateway = command(tool("envoy-gateway/envoy-gateway"));
        gateway.arg("server").arg("--config-path").arg(&config);
        gateway.env("HOME", &folder).env("JWT_SECRET", JWT_SECRET);
        apply(&folder, objects, &secret);
        let mut process = Process::start("envoy-gateway", &folder, gateway);
        let at = SocketAddr::from(([127, 0, 0, 1], 8080));
        eventually("the gateway answers", || {
            process.check()?;
            let status = crate::istio::status(at, "/health");
            if status == Some(200) { Ok(()) } else { Err(format!("{status:?}\n{}", process.tail(20))) }
        });
        Self { process, folder, secret }
    }

    /// Where the gateway listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 8080))
    }

    /// Envoy's admin interface.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], ADMIN))
    }

    /// Replaces all objects.
    pub fn apply(&self, objects: &[Value]) {
        apply(&self.folder, objects, &self.secret);
    }

    /// Sends a request to the gateway.
    #[must_use]
    pub fn send(&self, request: &Request) -> Answer {
        request.send(self.address())
    }

    /// What it and its Envoy have printed.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }
}

/// In one piece, by renaming: to half a file it answers by ending Envoy.
fn apply(folder: &Path, objects: &[Value], secret: &Value) {
    let all = objects.iter().map(standalone).chain([secret.clone()]);
    let text = all.map(|object| object.to_string()).collect::<Vec<_>>().join("\n---\n");
    let new = folder.join("new.yaml");
    fs::write(&new, text)
        .and_then(|()| fs::rename(&new, folder.join("resources/all.yaml")))
        .expect("it can be written");
}

/// All that is changed for a gateway without a cluster: who provides Envoy, which one, and where its admin interface is (Envoy
/// Gateway's own takes the usual port).
fn standalone(object: &Value) -> Value {
    let mut object = object.clone();
    if object["kind"] == "EnvoyProxy" {
        object["spec"]["provider"] = json!({ "type": "Host", "host": { "envoyVersion": VERSION } });
        object["spec"]["concurrency"] = 2.into();
        let text = object["spec"]["bootstrap"]["value"].as_str().expect("a bootstrap");
        let mut bootstrap: Value = serde_saphyr::from_str(text).expect("YAML");
        bootstrap["admin"] =
            json!({ "address": { "socket_address": { "address": "127.0.0.1", "port_value": ADMIN } } });
        object["spec"]["bootstrap"]["value"] = bootstrap.to_string().into();
    }
    object
}

fn configuration(folder: &Path) -> Value {
    let path = |name: &str| folder.join(name);
    let infrastructure = json!({ "type": "Host", "host": {
        "configHome": path("config"), "dataHome": path("data"), "stateHome": path("state"), "runtimeDir": path("runtime"),
    } });
    let resources = json!({ "type": "File", "file": { "paths": [path("resources")] } });
    json!({
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "EnvoyGateway",
        "gateway": { "controllerName": "gateway.envoyproxy.io/gatewayclass-controller" },
        "provider": { "type": "Custom", "custom": { "resource": resources, "infrastructure": infrastructure } },
        "extensionApis": { "enableBackend": true, "enableEnvoyPatchPolicy": true },
    })
}

/// Envoy fetches modules from Envoy Gateway itself, over mutual TLS, with paths and names that it has in Kubernetes. Returns the Secret
/// with Envoy's certificate: left out, one of another authority is made at each start.
fn certificates(folder: &Path) -> Value {
    let mut make = command(tool("envoy-gateway/envoy-gateway"));
    make.args(["certgen", "--local", "--config-home"]).arg(folder.join("config")).env("HOME", folder);
    run(make).expect_success();
    let hosts = folder.join("hosts");
    fs::write(
        &hosts,
        "127.0.0.1 localhost envoy-gateway envoy-gateway.envoy-gateway-system.svc.cluster.local\n",
    )
    .expect("it can be written");
    let own = folder.join("config/certs/envoy");
    for (from, to) in [(hosts.as_path(), "/etc/hosts"), (own.as_path(), "/certs")] {
        let mut mount = command("mount");
        mount.arg("--bind").arg(from).arg(to);
        run(mount).expect_success();
    }
    let data = |name: &str| {
        let mut encode = command("base64");
        encode.arg("-w0").arg(own.join(name));
        run(encode).expect_success()
    };
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": { "name": "envoy", "namespace": NAMESPACE },
        "data": { "ca.crt": data("ca.crt"), "tls.crt": data("tls.crt"), "tls.key": data("tls.key") },
    })
}
