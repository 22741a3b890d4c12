//! Where the Envoy under test is.

use std::path::{Path, PathBuf};

/// The root of this checkout.
pub fn workspace() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("this crate lies two folders below the root")
}

/// The Envoy under test: `$PORTCULLIS_ENVOY`, else the one that `tests/tools.sh envoy` fetched into the checkout.
///
/// # Panics
/// If there is none, saying how to get it.
pub fn binary() -> PathBuf {
    let named = std::env::var_os("PORTCULLIS_ENVOY").filter(|path| !path.is_empty()).map(PathBuf::from);
    let fetched = workspace().join(".tools/envoy/envoy");
    find(named, fetched).unwrap_or_else(|reason| panic!("{reason}"))
}

fn find(named: Option<PathBuf>, fetched: PathBuf) -> Result<PathBuf, String> {
    match named {
        Some(path) if path.is_file() => Ok(path),
        Some(path) => Err(format!("PORTCULLIS_ENVOY names {}, which is no file", path.display())),
        None if fetched.is_file() => Ok(fetched),
        None => Err(format!(
            "there is no Envoy at {}: run `tests/tools.sh envoy`, or set PORTCULLIS_ENVOY",
            fetched.display()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_envoy_says_how_to_get_it() {
        let error = find(None, "/nowhere/envoy".into()).expect_err("nothing is there");
        assert!(error.contains("tests/tools.sh envoy") && error.contains("/nowhere/envoy"), "{error}");
    }

    #[test]
    fn a_wrong_variable_is_an_error_and_never_replaced_by_the_default() {
        let error = find(Some("/nowhere/mine".into()), std::env::current_exe().expect("a test is a program"));
        assert!(error.expect_err("nothing is there").contains("PORTCULLIS_ENVOY names /nowhere/mine"));
    }
}
