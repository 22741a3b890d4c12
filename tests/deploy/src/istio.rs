//! istiod as a plain process.

use crate::{Kubernetes, Output, Process, command, eventually, run, tool};
use portcullis_e2e::Request;
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

/// istiod: pilot-discovery, serving xDS in plain text on 15010.
pub struct Istiod {
    process: Process,
}

impl Istiod {
    /// Starts it with the mesh configuration in `values`, a file of values for istiod's Helm chart.
    ///
    /// What is added keeps a *stock* Envoy acceptable, which has none of the extensions of Istio's own: no metadata exchange, no ALPN
    /// filter, no metrics by `istio.stats`.
    ///
    /// # Panics
    /// If it does not come up.
    #[must_use]
    pub fn start(folder: &Path, kubernetes: &Kubernetes, values: &Path) -> Self {
        let folder = folder.join("istiod");
        fs::create_dir_all(&folder).expect("the folder can be made");
        let mesh = folder.join("mesh.yaml");
        fs::write(&mesh, mesh_config(values).to_string()).expect("it can be written");
        let mut istiod = command(tool("istio/pilot-discovery"));
        istiod.current_dir(&folder).arg("discovery");
        istiod.arg("--kubeconfig").arg(kubernetes.config()).arg("--meshConfig").arg(&mesh);
        istiod.args([
            "--networksConfig",
            "/none",
            "--httpAddr",
            "127.0.0.1:15080",
            "--grpcAddr",
            "0.0.0.0:15010",
        ]);
        istiod.args(["--secureGRPCAddr", "", "--httpsAddr", "", "--monitoringAddr", "127.0.0.1:15014"]);
        istiod.args(["--ctrlz_address", "127.0.0.1"]);
        istiod.envs([
            ("POD_NAME", "istiod-0"),
            ("POD_NAMESPACE", "istio-system"),
            ("CLUSTER_ID", "Kubernetes"),
            ("PILOT_ENABLE_METADATA_EXCHANGE", "false"),
            ("PILOT_ENABLE_ALPN_FILTER", "false"),
        ]);
        let mut process = Process::start("istiod", &folder, istiod);
        eventually("istiod is ready", || {
            process.check()?;
            status(address("127.0.0.1:15080"), "/ready")
                .filter(|s| *s == 200)
                .map(drop)
                .ok_or_else(|| "not ready".to_owned())
        });
        Self { process }
    }

    /// What istiod counts about itself, as Prometheus text.
    #[must_use]
    pub fn metrics(&self) -> String {
        Request::get("/metrics").send(address("127.0.0.1:15014")).text().to_owned()
    }

    /// What it has printed.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// `istioctl analyze` over what the API server has in a namespace: the messages, none if all is well.
    #[must_use]
    pub fn analyze(kubernetes: &Kubernetes, namespace: &str) -> String {
        let mut istioctl = command(tool("istio/istioctl"));
        istioctl.arg("--kubeconfig").arg(kubernetes.config());
        istioctl.args(["analyze", "-n", namespace, "--output", "json", "--failure-threshold", "Error"]);
        let output = run(istioctl);
        format!("{}{}", output.stdout, output.stderr)
    }
}

impl Istiod {
    /// `istioctl validate`: the rules that Istio's webhook has beyond the definitions.
    #[must_use]
    pub fn validate(file: &Path) -> Output {
        let mut istioctl = command(tool("istio/istioctl"));
        istioctl.args(["validate", "-f"]).arg(file);
        run(istioctl)
    }
}

fn mesh_config(values: &Path) -> Value {
    let text = fs::read_to_string(values).unwrap_or_else(|error| panic!("{}: {error}", values.display()));
    let values: Value = serde_saphyr::from_str(&text).expect("the values are YAML");
    let mut mesh = values["meshConfig"].clone();
    mesh["enableAutoMtls"] = false.into();
    mesh["enableTracing"] = false.into();
    mesh["ingressControllerMode"] = "OFF".into();
    mesh["defaultProviders"] = json!({});
    mesh["defaultConfig"] =
        json!({ "discoveryAddress": "127.0.0.1:15010", "controlPlaneAuthPolicy": "NONE" });
    mesh
}

/// The status of a GET, if there is an answer.
pub(crate) fn status(at: SocketAddr, path: &str) -> Option<u16> {
    let mut connection = portcullis_e2e::Connection::try_open(None, at).ok()?;
    connection.send_raw(&Request::get(path).to_bytes()).ok().map(|answer| answer.status)
}

pub(crate) fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address and a port")
}
