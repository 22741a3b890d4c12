//! Which files hold scenarios.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Folders of what was built or fetched, beside those whose names begin with `_` or `.`.
const NO_SOURCES: [&str; 4] = ["target", "node_modules", "vendor", "dist"];
/// Where in a file the header is looked for that names the schema.
const HEADER: u64 = 4096;

/// The scenario files among `paths`: a file is itself; of a folder, all files below it that say that they hold scenarios, in
/// the order of their names. A file says so by its name, `*.scenario.yaml`, or by the header that names the schema to editors
/// (`# yaml-language-server: $schema=...scenario.schema.json`). Folders whose names begin with `_` or `.`, and those of what
/// was built (`target`, ...), are left alone.
///
/// # Errors
/// What cannot be read.
pub fn scenarios(paths: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            below(path, &mut found)?;
        } else {
            std::fs::metadata(path).map_err(|error| named(path, &error))?;
            found.push(path.clone());
        }
    }
    Ok(found)
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::other(format!("{}: {error}", path.display()))
}

fn below(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    let entries = std::fs::read_dir(folder).map_err(|error| named(folder, &error))?;
    let mut entries = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('_') || name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            // A link may lead back to where it stands.
            if !NO_SOURCES.contains(&name.as_str()) && !path.is_symlink() {
                below(&path, found)?;
            }
        } else if holds_a_scenario(&path, &name) {
            found.push(path);
        }
    }
    Ok(())
}

fn holds_a_scenario(path: &Path, name: &str) -> bool {
    let by_name = [".scenario.yaml", ".scenario.yml"].iter().any(|end| name.ends_with(end));
    let is_yaml = [".yaml", ".yml"].iter().any(|end| name.ends_with(end));
    by_name || (is_yaml && has_header(path))
}

/// Whether one of the comments at its start names the schema.
fn has_header(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(HEADER).read_to_end(&mut start));
    let text = String::from_utf8_lossy(&start);
    let mut comments =
        text.lines().take_while(|line| line.is_empty() || line.starts_with('#') || *line == "---");
    read.is_ok()
        && comments.any(|line| line.contains("yaml-language-server") && line.contains("scenario.schema.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "# yaml-language-server: $schema=https://x.test/scenario.schema.json\nname: x\n";

    #[test]
    fn only_what_says_that_it_is_a_scenario_is_taken_from_a_folder_and_built_things_are_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        for (path, text) in [
            ("a.scenario.yaml", "name: x"),
            ("b.yaml", HEADER),
            ("deep/c.yml", HEADER),
            ("docker-compose.yaml", "services: {}\n# yaml-language-server: $schema=scenario.schema.json\n"),
            ("target/d.scenario.yaml", "name: x"),
            ("_parts/e.scenario.yaml", "name: x"),
            (".hidden/f.scenario.yaml", "name: x"),
        ] {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().expect("it has one")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        }
        std::os::unix::fs::symlink(folder.path(), folder.path().join("deep/round")).expect("a link");
        let of = |paths: &[PathBuf]| -> Vec<String> {
            let found = scenarios(paths).expect("all can be read");
            let short =
                |path: &PathBuf| path.strip_prefix(folder.path()).map(|path| path.display().to_string());
            found.iter().map(|path| short(path).expect("it is below")).collect()
        };
        assert_eq!(of(&[folder.path().to_owned()]), ["a.scenario.yaml", "b.yaml", "deep/c.yml"]);
        let named = folder.path().join("docker-compose.yaml");
        assert_eq!(of(&[named]), ["docker-compose.yaml"], "what is named is taken, whatever it is");
    }
}
