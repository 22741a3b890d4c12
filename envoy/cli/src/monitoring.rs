//! `portcullis render monitoring`, from its arguments to its exit status.

use clap::Args;
use portcullis_cli::environment::Missing;
use portcullis_monitoring::{Settings, render};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Args)]
pub struct Monitoring {
    /// The policy file.
    file: PathBuf,
    /// The site's settings; left out: the defaults.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// The folder to write to.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Monitoring {
    pub fn run(&self) -> ExitCode {
        match self.write() {
            Ok(()) => ExitCode::SUCCESS,
            Err(code) => code,
        }
    }

    fn write(&self) -> Result<(), ExitCode> {
        let source = crate::read(&self.file)?;
        let policy = Missing::IsElsewhere.compile(&source).map_err(|errors| {
            crate::report(&self.file, &source, &errors, crate::Format::Human);
            ExitCode::from(1)
        })?;
        let rendered = render(&policy, &self.settings()?);
        std::fs::create_dir_all(&self.out).map_err(|error| unwritable(&self.out, &error))?;
        for (name, text) in rendered.files {
            let path = self.out.join(name);
            std::fs::write(&path, text).map_err(|error| unwritable(&path, &error))?;
        }
        rendered.left_out.iter().for_each(|rule| eprintln!("left out: {rule}"));
        Ok(())
    }

    fn settings(&self) -> Result<Settings, ExitCode> {
        let Some(file) = &self.settings else {
            return Ok(Settings::from_value(&serde_json::json!({})).unwrap_or_default());
        };
        let source = crate::read(file)?;
        Settings::from_value(&source.value).map_err(|errors| {
            crate::report(file, &source, &errors, crate::Format::Human);
            ExitCode::from(1)
        })
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> ExitCode {
    eprintln!("error: {}: {error}", path.display());
    ExitCode::from(2)
}
