//! `portcullis apply`, from its arguments to its exit status.

use clap::Args;
use portcullis_cli::apply::{self, Admin, Folder, Outcome};
use portcullis_cli::environment::Missing;
use portcullis_cli::render::dynamic;
use portcullis_cli::source::Source;
use portcullis_policy::Policy;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

#[derive(Args)]
pub struct Apply {
    /// The policy file.
    file: PathBuf,
    /// The folder that `portcullis render envoy --dynamic` wrote and that Envoy watches.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Envoy's admin interface (default: that of the policy, or of the rendering).
    #[arg(long, value_name = "IP:PORT")]
    admin: Option<String>,
    /// How long Envoy has for its word on each file.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = humantime::parse_duration)]
    within: Duration,
    /// Do not look into the files that the policy names (certificates, keys).
    #[arg(long)]
    no_files: bool,
}

impl Apply {
    pub fn run(&self) -> ExitCode {
        let source = match crate::read(&self.file) {
            Ok(source) => source,
            Err(code) => return code,
        };
        let compiled = Missing::IsElsewhere.compile(&source);
        match compiled.and_then(|policy| crate::looked_into(policy, !self.no_files)) {
            Ok(policy) => self.give(&source, &policy).unwrap_or_else(|error| self.failed(&error)),
            Err(errors) => {
                crate::report(&self.file, &source, &errors, crate::Format::Human);
                ExitCode::from(1)
            }
        }
    }

    fn give(&self, source: &Source, policy: &Policy) -> io::Result<ExitCode> {
        let folder = Folder::open(&self.dir)?;
        let options = folder.options()?;
        let address = self.admin.as_ref().or(options.admin.as_ref()).unwrap_or(&policy.gateway.admin);
        let admin = Admin::at(address, &policy.gateway.name);
        let files = dynamic::dynamic(&source.value, policy, &options, &folder.path());
        let outcome = apply::apply(&folder, &files, &admin, self.within)?;
        Ok(told(&outcome))
    }

    fn failed(&self, error: &io::Error) -> ExitCode {
        eprintln!("error: {}: {error}", self.dir.display());
        ExitCode::from(2)
    }
}

fn told(outcome: &Outcome) -> ExitCode {
    match outcome {
        Outcome::Accepted(files) if files.is_empty() => println!("nothing to change"),
        Outcome::Accepted(files) => {
            println!("accepted: {}", files.join(", "));
            if files.iter().any(|file| file == "envoy.yaml") {
                println!(
                    "envoy.yaml has changed, which Envoy reads at its start only: restart it for that part"
                );
            }
        }
        Outcome::Rejected(file) => {
            eprintln!("error: Envoy refuses {file} (its log says why); the old policy serves on");
            return ExitCode::from(3);
        }
        Outcome::Silent(file) => {
            eprintln!("error: Envoy has said nothing about {file} in time; the new files are in place");
            return ExitCode::from(4);
        }
    }
    ExitCode::SUCCESS
}
