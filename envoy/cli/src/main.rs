//! The `portcullis` command.

mod commands;
mod deploy;
mod monitoring;
mod running;

use clap::{Parser, Subcommand, ValueEnum};
use portcullis_cli::certificates;
use portcullis_cli::environment::{self, Missing};
use portcullis_cli::render::Options;
use portcullis_cli::{diagnostics, metrics, source::Source};
use portcullis_policy::Policy;
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

/// Checks a gateway's policy and renders the configuration that goes with it.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Says everything that is wrong with a policy. Exit status: 0 sound, 1 not, 2 unreadable.
    Check {
        /// The policy file.
        file: PathBuf,
        /// How mistakes are shown.
        #[arg(long, value_enum, default_value_t = Format::Human)]
        format: Format,
        /// Take an environment variable that is not set here for one that the proxy has not either. Without it, what such a
        /// variable stands for is left unchecked.
        #[arg(long)]
        strict_env: bool,
        /// Do not look into the files that the policy names (certificates, keys), which lie on the proxy's machine.
        #[arg(long)]
        no_files: bool,
        /// A settings file for `render monitoring`, checked as well: for itself, and against the policy.
        #[arg(long, value_name = "FILE")]
        monitoring: Option<PathBuf>,
    },
    /// Writes a proxy's whole configuration for a policy.
    Render {
        #[command(subcommand)]
        proxy: Proxy,
    },
    /// Runs the gateway's own pipeline on one request and says what becomes of it and why: route, client, each stage's verdict, the
    /// token, the rules, what the service would see, the answer, the metrics that move, the log lines. Never a signature, a secret or a
    /// full address. Exit status: 0 not denied, 1 denied, 2 unusable arguments. Needs the variables that the policy refers to.
    Explain(commands::Explain),
    /// Asks a running Envoy whether it guards what it should: the filter loaded, on every listener and first there, the file's policy, the
    /// settings around it as the policy says they are. Exit status: 0 all well, 1 something is not, 2 no answer.
    Verify(running::Verify),
    /// Gives a running Envoy a new policy, and waits for its word. Exit status: 0 accepted, 1 the policy is not sound, 2 it cannot be
    /// tried, 3 Envoy refuses it (and serves on with the old one), 4 Envoy says nothing in time.
    Apply(commands::Apply),
    /// Writes a page of the documentation that is made from the code.
    Docs {
        /// Which.
        page: Page,
    },
    /// Writes the JSON Schema of policy files, for editors.
    Schema {
        /// That of settings files for `render monitoring` instead.
        #[arg(long)]
        monitoring: bool,
    },
    /// Writes what there is to count: every metric with its type, labels, meaning and a query.
    Metrics {
        /// As JSON, for programs.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Page {
    /// Every field of a policy: `docs/policy.md`.
    Policy,
    /// The pages of alerts, into the folder `docs/runbooks`: frames are made anew, what people wrote stays.
    Runbooks,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// With the lines of the file.
    Human,
    /// One line a mistake: file:line:column: message.
    Short,
}

#[derive(Subcommand)]
enum Proxy {
    /// Rules, alerts and their routing for Prometheus and Alertmanager. What would have no data under this policy is left out, and named.
    Monitoring(monitoring::Monitoring),
    /// A static bootstrap for Envoy.
    Envoy {
        /// The policy file.
        file: PathBuf,
        /// Path of the module, as Envoy will open it.
        #[arg(long, default_value = "portcullis.wasm")]
        module: String,
        /// Listen here instead of at `gateway.listen`.
        #[arg(long, value_name = "IP:PORT")]
        listen: Option<SocketAddr>,
        /// Admin interface here instead of at `gateway.admin`.
        #[arg(long, value_name = "IP:PORT")]
        admin: Option<SocketAddr>,
        /// Write a folder of files that Envoy watches instead, so that `portcullis apply` can give it a new policy while it runs. Envoy
        /// is started with `-c DIR/envoy.yaml`.
        #[arg(long, value_name = "DIR")]
        dynamic: Option<PathBuf>,
    },
    /// Objects for Istio, into a folder: plugin, routes, services, log lines, pods.
    Istio(deploy::Istio),
    /// Objects for Envoy Gateway, into a folder: plugin, routes, services, traffic policies, proxies.
    EnvoyGateway(deploy::EnvoyGateway),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Check { file, format, strict_env, no_files, monitoring } => {
            let missing = if strict_env { Missing::IsAMistake } else { Missing::IsElsewhere };
            check(&file, format, missing, !no_files, monitoring.as_deref())
        }
        Command::Render { proxy: Proxy::Envoy { file, module, listen, admin, dynamic } } => {
            let text = |address: SocketAddr| address.to_string();
            let (listen, admin) = (listen.map(text), admin.map(text));
            let options = Options { module, listen, admin, ..Options::default() };
            commands::render(&file, &options, dynamic.as_deref())
        }
        Command::Render { proxy: Proxy::Istio(arguments) } => arguments.run(),
        Command::Render { proxy: Proxy::EnvoyGateway(arguments) } => arguments.run(),
        Command::Render { proxy: Proxy::Monitoring(monitoring) } => monitoring.run(),
        Command::Explain(question) => question.run(),
        Command::Verify(question) => question.run(),
        Command::Apply(change) => change.run(),
        Command::Docs { page: Page::Policy } => {
            print!("{}", portcullis_cli::docs::policy());
            ExitCode::SUCCESS
        }
        Command::Docs { page: Page::Runbooks } => monitoring::runbooks(Path::new("docs/runbooks")),
        Command::Schema { monitoring } => {
            let schema = match monitoring {
                true => portcullis_monitoring::json_schema(),
                false => portcullis_policy::json_schema(),
            };
            println!("{schema:#}");
            ExitCode::SUCCESS
        }
        Command::Metrics { json } => {
            match json {
                true => println!("{:#}", metrics::list()),
                false => print!("{}", metrics::page()),
            }
            ExitCode::SUCCESS
        }
    }
}

fn check(
    file: &Path,
    format: Format,
    missing: Missing,
    with_files: bool,
    monitoring: Option<&Path>,
) -> ExitCode {
    let source = match read(file) {
        Ok(source) => source,
        Err(code) => return code,
    };
    match missing.compile(&source).and_then(|policy| looked_into(policy, with_files)) {
        Ok(policy) => {
            println!(
                "{}: sound ({} routes, {} services)",
                file.display(),
                policy.routes.len(),
                policy.services.len()
            );
            tell_environment(&policy);
            match monitoring::settings(monitoring, &policy, format) {
                Ok(_) => ExitCode::SUCCESS,
                Err(code) => code,
            }
        }
        Err(errors) => {
            report(file, &source, &errors, format);
            ExitCode::from(1)
        }
    }
}

/// To standard error: standard output is for the result.
fn tell_environment(policy: &Policy) {
    if let Some(note) = environment::note(policy) {
        eprintln!("{note}");
    }
}

fn report(file: &Path, source: &Source, errors: &[portcullis_policy::ConfigError], format: Format) {
    let path = file.display().to_string();
    match format {
        Format::Human => {
            let colour = std::io::stderr().is_terminal();
            eprintln!(
                "{}\n\n{path}: {}",
                diagnostics::show(&path, source, errors, colour),
                count(errors.len())
            );
        }
        Format::Short => eprintln!("{}", diagnostics::list(&path, source, errors)),
    }
}

fn count(errors: usize) -> String {
    if errors == 1 { "1 error".to_owned() } else { format!("{errors} errors") }
}

/// The policy, unless a file that it names is not what it should be.
fn looked_into(policy: Policy, with_files: bool) -> Result<Policy, Vec<portcullis_policy::ConfigError>> {
    let errors = if with_files { certificates::check(&policy, SystemTime::now()) } else { Vec::new() };
    if errors.is_empty() { Ok(policy) } else { Err(errors) }
}

fn read(file: &Path) -> Result<Source, ExitCode> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        eprintln!("error: {}: {error}", file.display());
        ExitCode::from(2)
    })?;
    Source::parse(text).map_err(|error| {
        let path = file.display().to_string();
        eprintln!("{}", diagnostics::show_not_yaml(&path, &error, std::io::stderr().is_terminal()));
        ExitCode::from(1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_to_listen_at_is_ip_and_port() {
        let parse = |address| {
            Arguments::try_parse_from(["portcullis", "render", "envoy", "p.yaml", "--listen", address])
                .is_ok()
        };
        assert!(parse("127.0.0.1:80") && parse("[::1]:80"));
        assert!(!parse("127.0.0.1") && !parse("localhost:80") && !parse("1.2.3.4:99999"));
    }
}
