//! The example on the real control plane of Istio, in front of a stock Envoy. Run by `make test-deploy`, in a namespace of its own.

mod canary;
mod changes;
mod failures;
mod gateway_api;
mod objects;
mod same;
mod sidecar;
mod world;
