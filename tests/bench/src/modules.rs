//! The modules that are measured.

use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

/// How to build what is missing.
const HOW: &str = "build it with `cargo build --release --target wasm32-wasip1 -p portcullis-gateway` and \
    `cargo build --release --target wasm32-wasip1 -p portcullis-bench --examples --features modules`";

/// Where release modules lie in a target folder.
const RELEASE: &str = "wasm32-wasip1/release";

/// A module: the one that was named, else the one in the target folder that this program lies in.
///
/// # Errors
/// If there is none, saying how to build it.
pub fn find(named: Option<&Path>, name: &str) -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    match named {
        Some(path) => existing(&[path.to_owned()]),
        None => existing(&candidates(&program, name)),
    }
}

fn candidates(program: &Path, name: &str) -> Vec<PathBuf> {
    program.ancestors().skip(1).take(4).map(|folder| folder.join(RELEASE).join(name)).collect()
}

fn existing(candidates: &[PathBuf]) -> Result<PathBuf> {
    match candidates.iter().find(|path| path.is_file()) {
        // Envoy is started elsewhere.
        Some(path) => Ok(path.canonicalize()?),
        None => bail!("no module at {candidates:?}: {HOW}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_looked_for_in_the_target_folder_of_the_program() {
        let wanted = PathBuf::from("/t/wasm32-wasip1/release/portcullis.wasm");
        for program in ["/t/release/portcullis-bench", "/t/debug/deps/portcullis_bench-0123"] {
            assert!(candidates(Path::new(program), "portcullis.wasm").contains(&wanted), "{program}");
        }
    }

    #[test]
    fn a_missing_module_says_how_to_build_it() {
        let error = find(Some(Path::new("/nowhere.wasm")), "portcullis.wasm").expect_err("there is none");
        assert!(
            error.to_string().contains("/nowhere.wasm") && error.to_string().contains("cargo build"),
            "{error}"
        );
    }
}
