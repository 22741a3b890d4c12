//! An API server without a cluster behind it.

use crate::{Output, POD_IP, Process, command, eventually, run, tool};
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

const SERVER: &str = "https://127.0.0.1:6443";
const TOKEN: &str = "tests-only";

/// etcd and kube-apiserver, both of their own release, with the definitions of Istio and of the Gateway API.
pub struct Kubernetes {
    _server: Process,
    _store: Process,
    folder: PathBuf,
}

impl Kubernetes {
    /// Starts both in `folder`, and waits until the definitions are served.
    ///
    /// # Panics
    /// If they do not come up.
    #[must_use]
    pub fn start(folder: &Path) -> Self {
        fs::create_dir_all(folder).expect("the folder can be made");
        let store = etcd(folder);
        let mut server = api_server(folder);
        let kubernetes_config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
            "users": [{ "name": "test", "user": { "token": TOKEN } }],
            "clusters": [{ "name": "test", "cluster": { "server": SERVER, "insecure-skip-tls-verify": true } }],
        });
        fs::write(folder.join("kubeconfig"), kubernetes_config.to_string()).expect("it can be written");
        let ready = |folder: &Path| kubectl(folder, &["get", "--raw", "/readyz"]);
        eventually("the API server is ready", || {
            server.check()?;
            let answer = ready(folder);
            if answer.status == Some(0) { Ok(()) } else { Err(answer.stderr) }
        });
        let this = Self { _server: server, _store: store, folder: folder.to_owned() };
        this.define("istio/crds");
        this
    }

    /// Adds custom resource definitions from a folder of a tool, and waits until they are served.
    ///
    /// # Panics
    /// If the API server refuses one.
    pub fn define(&self, crds: &str) {
        let crds = tool(crds);
        let crds = crds.to_str().expect("text");
        self.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", crds]).expect_success();
        self.kubectl(&["wait", "--for=condition=Established", "--timeout=120s", "crd", "--all"])
            .expect_success();
    }

    /// Runs kubectl.
    #[must_use]
    pub fn kubectl(&self, arguments: &[&str]) -> Output {
        kubectl(&self.folder, arguments)
    }

    /// Applies what stands in a file, a folder of files, or (with `-k`) a kustomization: strictly, by the server.
    #[must_use]
    pub fn try_apply(&self, how: &str, path: &Path) -> Output {
        let path = path.to_str().expect("text");
        self.kubectl(&["apply", "--server-side", "--force-conflicts", "--validate=strict", how, path])
    }

    /// Has the server check what it would apply, as strictly.
    #[must_use]
    pub fn try_without_effect(&self, how: &str, path: &Path) -> Output {
        let path = path.to_str().expect("text");
        let arguments =
            ["apply", "--server-side", "--force-conflicts", "--validate=strict", "--dry-run=server"];
        self.kubectl(&[&arguments[..], &[how, path]].concat())
    }

    /// Like [`Self::try_apply`].
    ///
    /// # Panics
    /// If the server refuses any of it.
    #[track_caller]
    pub fn apply(&self, how: &str, path: &Path) {
        self.try_apply(how, path).expect_success();
    }

    /// Applies one object.
    ///
    /// # Panics
    /// If the server refuses it.
    #[track_caller]
    pub fn apply_object(&self, object: &Value) {
        let file = self.folder.join("object.json");
        fs::write(&file, object.to_string()).expect("it can be written");
        self.apply("-f", &file);
    }

    /// An object, as the server has it.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    #[must_use]
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Value {
        let text = self.kubectl(&["get", kind, name, "-n", namespace, "-o", "json"]).expect_success();
        serde_json::from_str(&text).expect("JSON")
    }

    /// Makes a namespace.
    pub fn namespace(&self, name: &str) {
        self.apply_object(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } }));
    }

    /// Puts a service of Kubernetes in front of a port of this machine.
    pub fn service(&self, namespace: &str, name: &str, port: u16) {
        self.apply_object(&json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": name, "namespace": namespace },
            "spec": { "ports": [{ "name": "http", "port": port }] },
        }));
        self.endpoints(namespace, name, "http", SocketAddr::new(POD_IP.parse().expect("an address"), port));
    }

    /// Says which port of which pod is behind a port of a service, as a cluster's controller would.
    pub fn endpoints(&self, namespace: &str, service: &str, port_name: &str, at: SocketAddr) {
        let labels = json!({ "kubernetes.io/service-name": service });
        self.apply_object(&json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": { "name": service, "namespace": namespace, "labels": labels },
            "ports": [{ "name": port_name, "port": at.port() }],
            "endpoints": [{ "addresses": [at.ip()], "conditions": { "ready": true } }],
        }));
    }

    /// Makes the pod that a kubelet would make of a pod template on the machine with this address.
    pub fn pod(&self, ip: &str, namespace: &str, name: &str, template: &Value) {
        let mut metadata = template["metadata"].clone();
        metadata["name"] = name.into();
        metadata["namespace"] = namespace.into();
        let containers = json!([{ "name": "istio-proxy", "image": "stock-envoy" }]);
        self.apply_object(&json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
            "spec": { "nodeName": "node", "serviceAccountName": "default", "containers": containers },
        }));
        let status = json!({ "status": {
            "phase": "Running", "podIP": ip, "podIPs": [{ "ip": ip }],
            "conditions": [{ "type": "Ready", "status": "True" }],
        } });
        let patch = status.to_string();
        self.kubectl(&[
            "patch",
            "pod",
            name,
            "-n",
            namespace,
            "--subresource=status",
            "--type=merge",
            "-p",
            &patch,
        ])
        .expect_success();
    }

    /// Takes a pod away at once, as nobody else here would.
    pub fn delete_pod(&self, namespace: &str, name: &str) {
        let arguments = ["delete", "pod", name, "-n", namespace, "--force", "--grace-period=0"];
        self.kubectl(&arguments).expect_success();
    }

    /// Where kubectl finds the server.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }
}

fn kubectl(folder: &Path, arguments: &[&str]) -> Output {
    let mut kubectl = command(tool("kubernetes/kubectl"));
    kubectl.env("KUBECONFIG", folder.join("kubeconfig")).env("HOME", folder).args(arguments);
    run(kubectl)
}

fn etcd(folder: &Path) -> Process {
    let mut etcd = command(tool("etcd/etcd"));
    // A test's objects need not outlive the machine.
    etcd.arg("--data-dir").arg(folder.join("etcd")).arg("--unsafe-no-fsync");
    Process::start("etcd", folder, etcd)
}

fn api_server(folder: &Path) -> Process {
    let (key, public) = (folder.join("accounts.key"), folder.join("accounts.pub"));
    let mut generate = command("openssl");
    generate.args(["genrsa", "-out"]).arg(&key).arg("2048");
    run(generate).expect_success();
    let mut extract = command("openssl");
    extract.args(["rsa", "-pubout", "-in"]).arg(&key).arg("-out").arg(&public);
    run(extract).expect_success();
    fs::write(folder.join("tokens"), format!("{TOKEN},admin,admin,system:masters\n"))
        .expect("it can be written");
    let mut server = command(tool("kubernetes/kube-apiserver"));
    server.args([
        "--etcd-servers=http://127.0.0.1:2379",
        "--bind-address=127.0.0.1",
        "--secure-port=6443",
        &format!("--advertise-address={POD_IP}"),
        "--endpoint-reconciler-type=none",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--authorization-mode=AlwaysAllow",
        // Nobody makes the default account of a namespace here.
        "--disable-admission-plugins=ServiceAccount",
    ]);
    server.arg("--cert-dir").arg(folder.join("certificates"));
    server.arg("--token-auth-file").arg(folder.join("tokens"));
    server.arg("--service-account-key-file").arg(&public).arg("--service-account-signing-key-file").arg(&key);
    Process::start("kube-apiserver", folder, server)
}
