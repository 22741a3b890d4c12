use std::io;
use std::path::{Path, PathBuf};

/// Why no image was written.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A file cannot be read or written.
    #[error("{path}: {source}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not what it should be.
    #[error("{path}: found {found}, expected {expected}", path = .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What it holds.
        found: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// Packing failed.
    #[error("the layer cannot be packed: {0}")]
    Pack(#[from] io::Error),
}

impl ImageError {
    pub(crate) fn file(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::File { path: path.into(), source }
    }

    pub(crate) fn content(path: &Path, found: impl Into<String>, expected: &'static str) -> Self {
        Self::Content { path: path.to_owned(), found: found.into(), expected }
    }
}
