//! `new`: a filter to begin with, and its test.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use portcullis_harness_cli::model::json_schema;

use super::{show, unusable};

/// What to make.
#[derive(clap::Args)]
pub struct Arguments {
    /// The language it is written in.
    language: Language,
    /// The folder to make; its last part is the filter's name.
    folder: PathBuf,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Language {
    Rust,
    Go,
}

const SCENARIO: &str = include_str!("../templates/scenario.yaml.txt");
const RUST: [(&str, &str); 3] = [
    ("Cargo.toml", include_str!("../templates/rust/Cargo.toml.txt")),
    ("src/lib.rs", include_str!("../templates/rust/lib.rs.txt")),
    ("README.md", include_str!("../templates/rust/README.md.txt")),
];
const GO: [(&str, &str); 4] = [
    ("go.mod", include_str!("../templates/go/go.mod.txt")),
    ("main.go", include_str!("../templates/go/main.go.txt")),
    ("host.go", include_str!("../templates/go/host.go.txt")),
    ("README.md", include_str!("../templates/go/README.md.txt")),
];

/// Exit status 0, or 2 if the folder is there already or cannot be written.
pub fn new(arguments: &Arguments) -> ExitCode {
    match make(arguments) {
        Ok(()) => {
            show(&format!("{}: see README.md there\n", arguments.folder.display()));
            ExitCode::SUCCESS
        }
        Err(error) => unusable(&format!("{}: {error}", arguments.folder.display())),
    }
}

fn make(arguments: &Arguments) -> io::Result<()> {
    let name = name(&arguments.folder)?;
    // The folder itself must be new: nothing that is there is written over.
    arguments.folder.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    std::fs::create_dir(&arguments.folder)?;
    let file = name.replace('-', "_");
    let files: &[(&str, &str)] = match arguments.language {
        Language::Rust => &RUST,
        Language::Go => &GO,
    };
    let module = match arguments.language {
        Language::Rust => format!("target/wasm32-wasip1/release/{file}.wasm"),
        Language::Go => format!("{file}.wasm"),
    };
    let filled =
        |text: &str| text.replace("@NAME@", &name).replace("@FILE@", &file).replace("@MODULE@", &module);
    let scenario = format!("{file}.scenario.yaml");
    for (path, text) in files.iter().chain([&(scenario.as_str(), SCENARIO)]) {
        write(&arguments.folder.join(path), &filled(text))?;
    }
    write(&arguments.folder.join("scenario.schema.json"), &format!("{:#}\n", json_schema()))
}

/// The name of a crate, of a Go module and of a file.
fn name(folder: &Path) -> io::Result<String> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    let is_name = name.chars().all(letter) && name.starts_with(|c: char| c.is_ascii_lowercase());
    let wrong = "a filter's name has lower-case letters, digits, `-` and `_`, and begins with a letter";
    if is_name { Ok(name) } else { Err(io::Error::other(wrong)) }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    std::fs::write(path, text)
}
