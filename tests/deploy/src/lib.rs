//! Control planes without a cluster: the real etcd, kube-apiserver, istiod, pilot-agent and Envoy Gateway as plain processes, in a
//! network namespace of the test's own (`in-namespace.sh`), in front of the demo services and a stock Envoy.
//!
//! What a cluster has and this has not: a kubelet and controllers. So a test makes the one pod itself, out of the pod template that was
//! rendered, and nothing is deployed, scaled or rolled out.

mod compare;
mod day;
mod demo;
mod envoy_gateway;
mod istio;
mod kubernetes;
mod machine;
mod process;
mod proxy;
mod registry;
mod rendered;
mod rules;
mod seen;
mod steps;
mod wait;

pub use compare::{Difference, differences, is_known, metric_differences};
pub use day::{Exchange, day};
pub use demo::Demo;
pub use envoy_gateway::{EnvoyGateway, NAMESPACE as ENVOY_GATEWAY_NAMESPACE};
pub use istio::Istiod;
pub use kubernetes::Kubernetes;
pub use machine::Machine;
pub use process::{Output, Process, command, root, run, tool};
pub use proxy::{Pod, Proxy};
pub use registry::Registry;
pub use rendered::Rendered;
pub use rules::Rules;
pub use seen::{Seen, example, portcullis, read};
pub use steps::Steps;
pub use wait::{PATIENCE, eventually, wait_until};

/// The address of the pod on this machine, and of the demo services as seen from it.
pub const POD_IP: &str = "10.99.0.2";
/// The secret that the demo services sign tokens with.
pub const JWT_SECRET: &str = "portcullis-demo-secret-for-local-use-only";
/// The secret that a gateway and the backends behind it share.
pub const SOURCE_SECRET: &str = "a-secret-that-gateway-and-backends-share";
