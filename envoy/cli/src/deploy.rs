//! `portcullis render istio` and `render envoy-gateway`, from their arguments to their exit status.

use crate::{Format, read, report, tell_environment};
use clap::Args;
use portcullis_cli::environment::Missing;
use portcullis_cli::render::envoy_gateway;
use portcullis_cli::render::istio::{self, Api, FailStrategy, Target};
use portcullis_cli::render::kubernetes::{self, File, Image, check_label_name, parse_labels};
use portcullis_cli::source::Source;
use portcullis_policy::{ConfigError, Policy};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

/// What is rendered for any control plane.
#[derive(Args)]
pub struct Common {
    /// The policy file.
    file: PathBuf,
    /// The folder for the files; made if it is not there.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The module's image by digest, `REGISTRY/NAME@sha256:DIGEST`; `make image` prints the digest.
    #[arg(long)]
    image: Image,
    /// The Secret to pull the image with.
    #[arg(long, value_name = "NAME", value_parser = check_label_name)]
    pull_secret: Option<String>,
    /// Namespace of all objects.
    #[arg(long, default_value = "gateway", value_parser = check_label_name)]
    namespace: String,
    /// The gateway's name, by which all objects are called (default: the policy's `gateway.name`).
    #[arg(long, value_name = "NAME", value_parser = check_label_name)]
    gateway: Option<String>,
    /// Where a service or cluster of the policy is, such as `order=order.shop.svc:8002`, instead of at the address in the
    /// policy. `NAME.NAMESPACE.svc` is a service of Kubernetes.
    #[arg(long = "service", value_name = "NAME=HOST:PORT", value_parser = service)]
    services: Vec<(String, (String, u16))>,
    /// What happens where the filter cannot be run.
    #[arg(long, value_enum, default_value_t)]
    fail_strategy: FailStrategy,
}

fn service(text: &str) -> Result<(String, (String, u16)), String> {
    let parts = text.split_once('=').and_then(|(name, address)| Some((name, address.rsplit_once(':')?)));
    let (name, (host, port)) = parts.ok_or("expected `NAME=HOST:PORT`")?;
    let port = port.parse().map_err(|_| format!("`{port}` is no port"))?;
    let is_host = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:".contains(&b));
    if is_host { Ok((name.to_owned(), (host.to_owned(), port))) } else { Err(format!("`{host}` is no host")) }
}

#[derive(Args)]
pub struct Istio {
    #[command(flatten)]
    common: Common,
    /// Labels of pods that are there already, `key=value,key=value`. Without it, pods of the gateway are rendered, too.
    #[arg(long, value_parser = labels)]
    selector: Option<Labels>,
    /// What routes are written in.
    #[arg(long, value_enum, default_value_t)]
    api: Api,
    /// The filter stands before a backend, in the sidecars of the pods that `--selector` names, on the port of the service that the
    /// policy's routes lead to.
    #[arg(long, requires = "selector", conflicts_with = "api")]
    sidecar: bool,
}

const NEVER_OPEN: &str = "`--fail-strategy open` with `--api gateway`: the filter names the service of each request, so nothing is served without it";

#[derive(Clone)]
struct Labels(BTreeMap<String, String>);

fn labels(text: &str) -> Result<Labels, String> {
    parse_labels(text).map(Labels)
}

impl Istio {
    pub fn run(&self) -> ExitCode {
        if self.api == Api::Gateway && self.common.fail_strategy == FailStrategy::Open {
            eprintln!("error: {NEVER_OPEN}");
            return ExitCode::from(2);
        }
        self.common.run(|source, policy| {
            let options = self.options(policy).map_err(|error| vec![error])?;
            istio::render(&source.value, policy, &options)
        })
    }

    fn options(&self, policy: &Policy) -> Result<istio::Options, ConfigError> {
        let common = &self.common;
        let image = common.image.clone();
        let mut options = istio::Options::new(policy, image, &common.namespace, common.gateway.as_deref())?;
        options.pull_secret.clone_from(&common.pull_secret);
        options.services = common.services.iter().cloned().collect();
        options.fail_strategy = common.fail_strategy;
        if let Some(Labels(labels)) = &self.selector {
            let labels = labels.clone();
            options.target = if self.sidecar { Target::Sidecar(labels) } else { Target::Selector(labels) };
            options.deploys = false;
        }
        if self.api == Api::Gateway {
            options.target = Target::Gateway(options.target.labels().clone());
        }
        Ok(options)
    }
}

#[derive(Args)]
pub struct EnvoyGateway {
    #[command(flatten)]
    common: Common,
}

impl EnvoyGateway {
    pub fn run(&self) -> ExitCode {
        self.common.run(|source, policy| {
            let options = self.options(policy).map_err(|error| vec![error])?;
            envoy_gateway::render(&source.value, policy, &options)
        })
    }

    fn options(&self, policy: &Policy) -> Result<envoy_gateway::Options, ConfigError> {
        let common = &self.common;
        let (image, gateway) = (common.image.clone(), common.gateway.as_deref());
        let mut options = envoy_gateway::Options::new(policy, image, &common.namespace, gateway)?;
        options.pull_secret.clone_from(&common.pull_secret);
        options.services = common.services.iter().cloned().collect();
        options.fail_strategy = common.fail_strategy;
        Ok(options)
    }
}

impl Common {
    fn run(&self, render: impl FnOnce(&Source, &Policy) -> Result<Vec<File>, Vec<ConfigError>>) -> ExitCode {
        let source = match read(&self.file) {
            Ok(source) => source,
            Err(code) => return code,
        };
        let rendered = Missing::IsElsewhere.compile(&source).and_then(|policy| {
            let files = self.check_services(&policy).and_then(|()| render(&source, &policy))?;
            Ok((policy, files))
        });
        match rendered {
            Ok((policy, files)) => self.write(&policy, &files),
            Err(errors) => {
                report(&self.file, &source, &errors, Format::Human);
                ExitCode::from(1)
            }
        }
    }

    /// A name that the policy does not have is a mistake in the arguments, and is told as one in the policy.
    fn check_services(&self, policy: &Policy) -> Result<(), Vec<ConfigError>> {
        let services = policy.services.iter().map(|service| service.name.as_str());
        let known: Vec<_> =
            services.chain(policy.clusters.iter().map(|cluster| cluster.name.as_str())).collect();
        let unknown = self.services.iter().filter(|(name, _)| !known.contains(&name.as_str()));
        let at = portcullis_policy::Node::top().key("services");
        let error = |(name, _): &(String, _)| {
            at.error(format!("no `{name}`, which `--service` names"), "a service or cluster of the policy")
                .near(name, known.iter().copied())
        };
        let errors: Vec<_> = unknown.map(error).collect();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    fn write(&self, policy: &Policy, files: &[File]) -> ExitCode {
        if let Err(error) = kubernetes::write(&self.out, files) {
            eprintln!("error: {}: {error}", self.out.display());
            return ExitCode::from(2);
        }
        tell_environment(policy);
        eprintln!("{}: {} files; kubectl apply -k {}", self.out.display(), count(files), self.out.display());
        ExitCode::SUCCESS
    }
}

fn count(files: &[File]) -> usize {
    files.iter().filter(|file| !file.objects.is_empty()).count() + 1
}
