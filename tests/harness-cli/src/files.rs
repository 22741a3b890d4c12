//! Which files hold scenarios.

use std::io;
use std::path::{Path, PathBuf};

/// The scenario files among `paths`: a file is itself, a folder all `.yaml` files below it but those in folders whose name
/// begins with `_`, in the order of their names.
///
/// # Errors
/// What cannot be read.
pub fn scenarios(paths: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            below(path, &mut found)?;
        } else {
            std::fs::metadata(path)
                .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
            found.push(path.clone());
        }
    }
    Ok(found)
}

fn below(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut entries =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('_') || name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            below(&path, found)?;
        } else if name.ends_with(".yaml") {
            found.push(path);
        }
    }
    Ok(())
}
