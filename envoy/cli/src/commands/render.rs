//! `portcullis render envoy`, to standard output or into a folder that Envoy watches.

use portcullis_cli::apply::Folder;
use portcullis_cli::environment::Missing;
use portcullis_cli::render::{self, Options, dynamic};
use std::path::Path;
use std::process::ExitCode;

pub fn render(file: &Path, options: &Options, folder: Option<&Path>) -> ExitCode {
    let source = match crate::read(file) {
        Ok(source) => source,
        Err(code) => return code,
    };
    let policy = match Missing::IsElsewhere.compile(&source) {
        Ok(policy) => policy,
        Err(errors) => {
            crate::report(file, &source, &errors, crate::Format::Human);
            return ExitCode::from(1);
        }
    };
    match folder {
        None => print!("{}", render::envoy(&source.value, &policy, options)),
        Some(path) => {
            let written = Folder::create(path).and_then(|folder| {
                let files = dynamic::dynamic(&source.value, &policy, options, &folder.path());
                folder.fill(&files, options)
            });
            if let Err(error) = written {
                eprintln!("error: {}: {error}", path.display());
                return ExitCode::from(2);
            }
        }
    }
    crate::tell_environment(&policy);
    ExitCode::SUCCESS
}
