//! The gateway's pod: pilot-agent and a stock Envoy.

use crate::istio::status;
use crate::{JWT_SECRET, Kubernetes, POD_IP, Process, command, eventually, tool};
use portcullis_e2e::{Answer, Request, Samples};
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

/// The annotation by which istiod's injector mounts a ConfigMap and tells pilot-agent of it.
const BOOTSTRAP: &str = "sidecar.istio.io/bootstrapOverride";

/// A running proxy of Istio's. There can be one at a time: its ports are fixed.
pub struct Proxy {
    process: Process,
}

impl Proxy {
    /// Starts pilot-agent with Envoy as the container of a pod template would, and waits until Envoy is ready.
    ///
    /// # Panics
    /// If it does not become ready.
    #[must_use]
    pub fn start(
        folder: &Path,
        kubernetes: &Kubernetes,
        namespace: &str,
        pod: &str,
        template: &Value,
    ) -> Self {
        // pilot-agent takes its working folder for the root of the pod's file system.
        let root = folder.join(format!("pod-{pod}"));
        let info = root.join("etc/istio/pod");
        fs::create_dir_all(&info)
            .and_then(|()| fs::create_dir_all(root.join("var/lib/istio/envoy")))
            .expect("folders");
        fs::write(info.join("labels"), downward(&template["metadata"]["labels"])).expect("it can be written");
        fs::write(info.join("annotations"), downward(&template["metadata"]["annotations"]))
            .expect("it can be written");
        let bootstrap = root.join("var/lib/istio/envoy/envoy_bootstrap_tmpl.json");
        fs::copy(tool("istio/envoy_bootstrap_tmpl.json"), bootstrap).expect("it can be copied");
        let mut agent = agent(&root, namespace, pod);
        if let Some(name) = template["metadata"]["annotations"][BOOTSTRAP].as_str() {
            let added = root.join("custom_bootstrap.json");
            let map = kubernetes.get("configmap", namespace, name);
            let text = map["data"]["custom_bootstrap.json"].as_str().expect("the file of that name");
            fs::write(&added, text).expect("it can be written");
            agent.env("ISTIO_BOOTSTRAP_OVERRIDE", added);
        }
        let mut process = Process::start("pilot-agent", &root, agent);
        eventually("the proxy is ready", || {
            process.check()?;
            let ready = status("127.0.0.1:15021", "/healthz/ready");
            if ready == Some(200) { Ok(()) } else { Err(format!("{ready:?}\n{}", process.tail(20))) }
        });
        Self { process }
    }

    /// Where the gateway listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 8080))
    }

    /// Envoy's admin interface.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 15000))
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
        let answer = Request::get("/stats/prometheus").send(SocketAddr::from(([127, 0, 0, 1], port)));
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
        eventually(what, || {
            let connection = portcullis_e2e::Connection::try_open(None, self.address());
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

fn agent(root: &Path, namespace: &str, pod: &str) -> std::process::Command {
    let envoy = portcullis_e2e::binary();
    let config = json!({
        "discoveryAddress": "127.0.0.1:15010",
        "controlPlaneAuthPolicy": "NONE",
        "binaryPath": envoy,
        "concurrency": 2,
    });
    let mut agent = command(tool("istio/pilot-agent"));
    agent.current_dir(root).args(["proxy", "router", "--domain", &format!("{namespace}.svc.cluster.local")]);
    agent.args(["--proxyLogLevel=warning", "--log_output_level=default:info,wasm:debug"]);
    agent.envs([
        ("POD_NAME", pod),
        ("POD_NAMESPACE", namespace),
        ("INSTANCE_IP", POD_IP),
        ("SERVICE_ACCOUNT", "default"),
        ("ISTIO_META_CLUSTER_ID", "Kubernetes"),
        ("ISTIO_META_ISTIO_VERSION", "1.31.0"),
        ("JWT_POLICY", "none"),
        // Else it asks a certificate authority for ever.
        ("FILE_MOUNTED_CERTS", "true"),
        ("PROXY_CONFIG", &config.to_string()),
        ("JWT_SECRET", JWT_SECRET),
    ]);
    agent
}
