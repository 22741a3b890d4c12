//! The `portcullis` command.

mod commands;
mod deploy;
mod monitoring;
mod running;

use clap::{Parser, Subcommand, ValueEnum};
use portcullis_cli::environment::{self, Missing};
use portcullis_cli::render::{self, Options};
use portcullis_cli::{diagnostics, source::Source};
use portcullis_policy::Policy;
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

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
    /// Writes the JSON Schema of policy files, for editors.
    Schema,
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
    },
    /// Objects for Istio, into a folder: plugin, routes, services, log lines, pods.
    Istio(deploy::Istio),
    /// Objects for Envoy Gateway, into a folder: plugin, routes, services, traffic policies, proxies.
    EnvoyGateway(deploy::EnvoyGateway),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Check { file, format, strict_env } => {
            let missing = if strict_env { Missing::IsAMistake } else { Missing::IsElsewhere };
            check(&file, format, missing)
        }
        Command::Render { proxy: Proxy::Envoy { file, module, listen, admin } } => {
            let text = |address: SocketAddr| address.to_string();
            let (listen, admin) = (listen.map(text), admin.map(text));
            render(&file, &Options { module, listen, admin, ..Options::default() })
        }
        Command::Render { proxy: Proxy::Istio(arguments) } => arguments.run(),
        Command::Render { proxy: Proxy::EnvoyGateway(arguments) } => arguments.run(),
        Command::Render { proxy: Proxy::Monitoring(monitoring) } => monitoring.run(),
        Command::Explain(question) => question.run(),
        Command::Verify(question) => question.run(),
        Command::Schema => {
            println!("{}", schema());
            ExitCode::SUCCESS
        }
    }
}

fn schema() -> String {
    // A schema is plain JSON: writing it as text cannot fail.
    serde_json::to_string_pretty(&portcullis_policy::json_schema()).unwrap_or_default()
}

fn check(file: &Path, format: Format, missing: Missing) -> ExitCode {
    let source = match read(file) {
        Ok(source) => source,
        Err(code) => return code,
    };
    match missing.compile(&source) {
        Ok(policy) => {
            println!(
                "{}: sound ({} routes, {} services)",
                file.display(),
                policy.routes.len(),
                policy.services.len()
            );
            tell_environment(&policy);
            ExitCode::SUCCESS
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

fn render(file: &Path, options: &Options) -> ExitCode {
    let source = match read(file) {
        Ok(source) => source,
        Err(code) => return code,
    };
    match Missing::IsElsewhere.compile(&source) {
        Ok(policy) => {
            print!("{}", render::envoy(&source.value, &policy, options));
            tell_environment(&policy);
            ExitCode::SUCCESS
        }
        Err(errors) => {
            report(file, &source, &errors, Format::Human);
            ExitCode::from(1)
        }
    }
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
