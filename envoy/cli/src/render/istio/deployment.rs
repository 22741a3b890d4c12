//! The gateway's pods: Istio's gateway proxy, injected by istiod.

use super::proxy_config::{ANNOTATION, annotation};
use super::{Options, Target, bootstrap, tls};
use crate::render::kubernetes::{File, GATEWAY_API};
use portcullis_policy::Policy;
use serde_json::{Map, Value, json};

const OURS: &str = "The gateway's pods, and how they are reached. The Secret that holds their variables is not written here.";
const REACHED: &str = "How the gateway's pods are reached; the Gateway is bound to it.";
const THEIRS: &str = "For the pods that you have: kubectl patch deployment NAME --patch-file this file. Their bootstrap has what these\n\
    annotations say, so they are started anew.";

/// Pods of our own, or what others must have. A Gateway of the Gateway API is bound to a Service, so there is one for others' pods too.
pub fn proxies(policy: &Policy, listeners: &[Value], ports: &[u16], options: &Options) -> Vec<File> {
    let annotation = annotation(policy, listeners);
    let labels = options.target.labels();
    let labels: Map<String, Value> = labels.iter().map(|(k, v)| (k.clone(), v.as_str().into())).collect();
    let folders: Vec<_> = listeners.iter().filter_map(tls::context).flat_map(tls::folders).collect();
    let pods = Pods { policy, ports, folders: &folders, options, labels: &labels };
    if options.deploys {
        return vec![File::resource("proxies.yaml", OURS, pods.objects(&annotation))];
    }
    let patch = vec![patch(policy, &annotation, options)];
    let patch = File { name: "pod-patch.yaml", about: THEIRS, objects: patch, is_resource: false };
    match options.target {
        Target::Selector(_) | Target::Sidecar(_) => vec![patch],
        Target::Gateway(_) => vec![patch, File::resource("service.yaml", REACHED, vec![pods.service()])],
    }
}

fn patch(policy: &Policy, annotation: &str, options: &Options) -> Value {
    let mut metadata = json!({ "annotations": annotations(annotation, options) });
    if let Some((name, value)) = of_gateway(options) {
        metadata["labels"] = json!({ name: value });
    }
    json!({ "spec": { "template": {
        "metadata": metadata,
        "spec": { "containers": [{ "name": "istio-proxy", "env": variables(policy, options) }] },
    } } })
}

/// The label by which Istio knows the pods that an object for a Gateway is for.
fn of_gateway(options: &Options) -> Option<(String, Value)> {
    let is_one = matches!(options.target, Target::Gateway(_));
    is_one.then(|| (format!("{GATEWAY_API}/gateway-name"), options.gateway.as_str().into()))
}

/// The annotations of a pod: its proxy's configuration, and what its bootstrap has beyond Istio's.
pub fn annotations(config: &str, options: &Options) -> Value {
    json!({ ANNOTATION: config, bootstrap::ANNOTATION: bootstrap::name(options) })
}

/// From the Secret that is called like the gateway.
pub fn variables(policy: &Policy, options: &Options) -> Vec<Value> {
    let secret = &options.gateway;
    let variable = |name: &String| json!({ "name": name, "valueFrom": { "secretKeyRef": { "name": secret, "key": name } } });
    policy.environment.iter().map(variable).collect()
}

struct Pods<'a> {
    policy: &'a Policy,
    ports: &'a [u16],
    /// With the files of `gateway.tls`.
    folders: &'a [String],
    options: &'a Options,
    labels: &'a Map<String, Value>,
}

impl Pods<'_> {
    fn objects(&self, annotation: &str) -> Vec<Value> {
        let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": self.metadata() });
        vec![account, self.deployment(annotation), self.service()]
    }

    fn metadata(&self) -> Value {
        json!({ "name": self.options.gateway, "namespace": self.options.namespace, "labels": self.labels })
    }

    fn deployment(&self, annotation: &str) -> Value {
        let mut labels = self.labels.clone();
        labels.insert("sidecar.istio.io/inject".to_owned(), "true".into());
        labels.extend(of_gateway(self.options));
        let mut annotations = annotations(annotation, self.options);
        annotations["inject.istio.io/templates"] = "gateway".into();
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": self.metadata(),
            "spec": {
                "replicas": 1,
                "selector": { "matchLabels": self.labels },
                "template": {
                    "metadata": { "labels": labels, "annotations": annotations },
                    "spec": self.pod(),
                },
            },
        })
    }

    fn pod(&self) -> Value {
        let port =
            |port: &u16| json!({ "containerPort": port, "name": format!("http-{port}"), "protocol": "TCP" });
        let mut pod = json!({
            "serviceAccountName": self.options.gateway,
            // Room for what Istio's proxy does when it is told to end.
            "terminationGracePeriodSeconds": 30,
            "securityContext": { "sysctls": [{ "name": "net.ipv4.ip_unprivileged_port_start", "value": "0" }] },
            "containers": [{
                "name": "istio-proxy",
                // istiod's webhook puts its own image in this place.
                "image": "auto",
                "env": variables(self.policy, self.options),
                "ports": self.ports.iter().map(port).collect::<Vec<_>>(),
                "securityContext": {
                    "runAsNonRoot": true,
                    "allowPrivilegeEscalation": false,
                    "capabilities": { "drop": ["ALL"] },
                },
            }],
        });
        if !self.folders.is_empty() {
            let volumes = self.folders.iter().enumerate();
            let (volumes, mounts): (Vec<_>, Vec<_>) =
                volumes.map(|(at, folder)| self.volume(at, folder)).unzip();
            pod["volumes"] = volumes.into();
            pod["containers"][0]["volumeMounts"] = mounts.into();
        }
        pod
    }

    /// A Secret as a folder: `GATEWAY-tls` is the first one's, `GATEWAY-tls-2` the second one's.
    fn volume(&self, at: usize, folder: &str) -> (Value, Value) {
        let number = if at == 0 { String::new() } else { format!("-{}", at.saturating_add(1)) };
        let name = format!("tls{number}");
        let secret = format!("{}-{name}", self.options.gateway);
        let volume = json!({ "name": name, "secret": { "secretName": secret } });
        (volume, json!({ "name": name, "mountPath": folder, "readOnly": true }))
    }

    fn service(&self) -> Value {
        let port = |port: &u16| json!({ "name": format!("http-{port}"), "port": port, "targetPort": port });
        let spec = json!({
            "type": "ClusterIP",
            "selector": self.labels,
            "ports": self.ports.iter().map(port).collect::<Vec<_>>(),
        });
        json!({ "apiVersion": "v1", "kind": "Service", "metadata": self.metadata(), "spec": spec })
    }
}
