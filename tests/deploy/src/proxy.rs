//! A pod's proxy: pilot-agent and a stock Envoy, as a gateway or beside a backend.

use crate::istio::status;
use crate::{JWT_SECRET, Kubernetes, Machine, POD_IP, Process, SOURCE_SECRET, eventually, tool};
use portcullis_e2e::{Answer, Request, Samples};
use serde_json::{Value, json};
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The annotation by which istiod's injector mounts a ConfigMap and tells pilot-agent of it.
const BOOTSTRAP: &str = "sidecar.istio.io/bootstrapOverride";

/// A pod that is to be started: there is no kubelet to do it.
pub struct Pod<'a> {
    /// Where. There can be one proxy on a machine: its ports are fixed.
    pub machine: &'a Machine,
    /// Where the pod is known.
    pub kubernetes: &'a Kubernetes,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// What it was made of.
    pub template: &'a Value,
    /// What its proxy is: a `router` (a gateway), or a `sidecar`.
    pub role: &'static str,
}

/// A running proxy of Istio's.
pub struct Proxy {
    process: Process,
    ip: IpAddr,
}

impl Proxy {
    /// Starts pilot-agent with Envoy as the container of a pod would, and waits until Envoy is ready.
    ///
    /// # Panics
    /// If it does not become ready.
    #[must_use]
    pub fn start(folder: &Path, pod: &Pod<'_>) -> Self {
        // pilot-agent takes its working folder for the root of the pod's file system.
        let root = folder.join(format!("pod-{}", pod.name));
        prepare(&root, &pod.template["metadata"]);
        let mut agent = agent(&root, pod);
        if let Some(file) = bootstrap(&root, pod) {
            agent.env("ISTIO_BOOTSTRAP_OVERRIDE", file);
        }
        let mut process = Process::start("pilot-agent", &root, agent);
        let ready = pod.machine.at(15021);
        eventually("the proxy is ready", || {
            process.check()?;
            let ready = status(ready, "/healthz/ready");
            if ready == Some(200) { Ok(()) } else { Err(format!("{ready:?}\n{}", process.tail(20))) }
        });
        Self { process, ip: pod.machine.at(0).ip() }
    }

    /// Where the gateway listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.at(8080)
    }

    /// Envoy's admin interface, which is reached on the proxy's own machine alone.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.at(15000)
    }

    fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip, port)
    }

    /// Seconds that Envoy has run.
    ///
    /// # Panics
    /// If it does not say so.
    #[must_use]
    pub fn uptime(&self) -> u64 {
        let answer = Request::get("/server_info").send(self.admin()).json();
        let text = answer["uptime_current_epoch"].as_str().and_then(|text| text.strip_suffix('s'));
        text.and_then(|seconds| seconds.parse().ok()).unwrap_or_else(|| panic!("{answer}"))
    }

    /// Sends a request to the gateway.
    #[must_use]
    pub fn send(&self, request: &Request) -> Answer {
        request.send(self.address())
    }

    /// What Prometheus gets at a port of the pod: 15090 is Envoy's own, 15020 the agent's merged one.
    ///
    /// # Panics
    /// If Prometheus would refuse it.
    #[must_use]
    pub fn samples(&self, port: u16) -> Samples {
        let answer = Request::get("/stats/prometheus").send(self.at(port));
        Samples::parse(answer.text()).unwrap_or_else(|error| panic!(":{port}: {error}"))
    }

    /// What the pod's container has printed: the agent's log, Envoy's log and the access log.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Waits until the gateway answers a request as wanted.
    ///
    /// # Panics
    /// With its last answer, if it never does.
    #[track_caller]
    pub fn eventually(&self, what: &str, request: &Request, is_wanted: impl Fn(&Answer) -> bool) -> Answer {
        self.eventually_at(8080, what, request, is_wanted)
    }

    /// Waits until a port of the pod answers a request as wanted.
    ///
    /// # Panics
    /// With its last answer, if it never does.
    #[track_caller]
    pub fn eventually_at(
        &self,
        port: u16,
        what: &str,
        request: &Request,
        is_wanted: impl Fn(&Answer) -> bool,
    ) -> Answer {
        eventually(what, || {
            let connection = portcullis_e2e::Connection::try_open(None, self.at(port));
            let answer = connection.and_then(|mut connection| connection.send_raw(&request.to_bytes()));
            let answer = answer.map_err(|error| error.to_string())?;
            if is_wanted(&answer) { Ok(answer) } else { Err(format!("{answer:?}")) }
        })
    }
}

/// A map as the downward API writes it into a file: `key="value"`, escaped.
fn downward(map: &Value) -> String {
    let fields = map.as_object().into_iter().flatten();
    fields.map(|(key, value)| format!("{key}={}\n", json!(value.as_str().unwrap_or_default()))).collect()
}

/// The files that a kubelet mounts into every pod of Istio's.
fn prepare(root: &Path, metadata: &Value) {
    let info = root.join("etc/istio/pod");
    let template = root.join("var/lib/istio/envoy");
    [&info, &template].into_iter().for_each(|folder| fs::create_dir_all(folder).expect("folders"));
    fs::write(info.join("labels"), downward(&metadata["labels"])).expect("it can be written");
    fs::write(info.join("annotations"), downward(&metadata["annotations"])).expect("it can be written");
    fs::copy(tool("istio/envoy_bootstrap_tmpl.json"), template.join("envoy_bootstrap_tmpl.json"))
        .expect("it can be copied");
}

/// What the pod's annotation says that its bootstrap has beyond Istio's, as a file.
fn bootstrap(root: &Path, pod: &Pod<'_>) -> Option<PathBuf> {
    let name = pod.template["metadata"]["annotations"][BOOTSTRAP].as_str()?;
    let map = pod.kubernetes.get("configmap", pod.namespace, name);
    let text = map["data"]["custom_bootstrap.json"].as_str().expect("the file of that name");
    let added = root.join("custom_bootstrap.json");
    fs::write(&added, text).expect("it can be written");
    Some(added)
}

fn agent(root: &Path, pod: &Pod<'_>) -> Command {
    let envoy = portcullis_e2e::binary();
    let config = json!({
        "discoveryAddress": format!("{POD_IP}:15010"),
        "controlPlaneAuthPolicy": "NONE",
        "binaryPath": envoy,
        "concurrency": 2,
    });
    let mut agent = pod.machine.command(tool("istio/pilot-agent"), root);
    agent.args(["proxy", pod.role, "--domain", &format!("{}.svc.cluster.local", pod.namespace)]);
    agent.args(["--proxyLogLevel=warning", "--log_output_level=default:info,wasm:debug"]);
    agent.envs([
        ("POD_NAME", pod.name),
        ("POD_NAMESPACE", pod.namespace),
        ("INSTANCE_IP", pod.machine.pod_ip()),
        ("SERVICE_ACCOUNT", "default"),
        ("ISTIO_META_CLUSTER_ID", "Kubernetes"),
        ("ISTIO_META_ISTIO_VERSION", "1.31.0"),
        ("JWT_POLICY", "none"),
        // Else it asks a certificate authority for ever.
        ("FILE_MOUNTED_CERTS", "true"),
        ("PROXY_CONFIG", &config.to_string()),
        ("JWT_SECRET", JWT_SECRET),
        ("SOURCE_SECRET", SOURCE_SECRET),
    ]);
    agent
}
