//! `portcullis render monitoring`, from its arguments to its exit status.

use clap::Args;
use portcullis_cli::environment::Missing;
use portcullis_monitoring::{Settings, alert_names, framed, index, render};
use portcullis_policy::Policy;
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
        let rendered = render(&policy, &settings(self.settings.as_deref(), &policy, crate::Format::Human)?);
        for (name, text) in rendered.files {
            let path = self.out.join(name);
            let folder = path.parent().unwrap_or(&self.out);
            std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
            std::fs::write(&path, text).map_err(|error| unwritable(&path, &error))?;
        }
        rendered.left_out.iter().for_each(|rule| eprintln!("left out: {rule}"));
        Ok(())
    }
}

/// The settings in a file, checked for themselves and against the policy; the defaults without one.
pub fn settings(file: Option<&Path>, policy: &Policy, format: crate::Format) -> Result<Settings, ExitCode> {
    let Some(file) = file else { return Ok(Settings::default()) };
    let source = crate::read(file)?;
    let checked = Settings::from_value(&source.value).and_then(|settings| {
        let errors = settings.mistakes_with(policy);
        if errors.is_empty() { Ok(settings) } else { Err(errors) }
    });
    checked.map_err(|errors| {
        crate::report(file, &source, &errors, format);
        ExitCode::from(1)
    })
}

/// Writes the page of every alert, and their list.
pub fn runbooks(folder: &Path) -> ExitCode {
    let alerts = alert_names(&Settings::default());
    let written = alerts.iter().try_for_each(|alert| {
        let path = folder.join(format!("{alert}.md"));
        let page = std::fs::read_to_string(&path).unwrap_or_default();
        std::fs::write(path, framed(alert, &page))
    });
    match written.and_then(|()| std::fs::write(folder.join("README.md"), index(&alerts))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => unwritable(folder, &error),
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> ExitCode {
    eprintln!("error: {}: {error}", path.display());
    ExitCode::from(2)
}
