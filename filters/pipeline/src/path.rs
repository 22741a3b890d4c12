//! A request's path, normalised once.

use portcullis_edge_core::RequestHead;
use portcullis_route::{NormalPath, PathError};
use std::borrow::Cow;

/// The normal path of a request, without a copy of what the request holds already.
#[derive(Debug)]
pub(crate) enum RequestPath {
    /// The path is in normal form as the client sent it; so many bytes of `:path`.
    AsSent(usize),
    /// The normal form is another than what the client sent.
    Rewritten(String),
    /// It has no normal form.
    Unusable,
}

impl RequestPath {
    pub fn new(normal: Result<NormalPath<'_>, PathError>) -> Self {
        match normal.map(|normal| normal.path) {
            Ok(Cow::Borrowed(path)) => Self::AsSent(path.len()),
            Ok(Cow::Owned(path)) => Self::Rewritten(path),
            Err(_) => Self::Unusable,
        }
    }

    /// The normal form, if it is not what the client sent.
    pub fn rewritten(&self) -> Option<&str> {
        match self {
            Self::Rewritten(path) => Some(path),
            Self::AsSent(_) | Self::Unusable => None,
        }
    }

    /// The normal form of the path of `head`, the request it was made from.
    pub fn normal<'a>(&'a self, head: &'a RequestHead) -> Option<&'a str> {
        match self {
            Self::Rewritten(path) => Some(path),
            Self::AsSent(length) => core::str::from_utf8(head.path().get(..*length)?).ok(),
            Self::Unusable => None,
        }
    }

    /// The normal form with the query of `target`, as a `:path` for the service.
    pub fn with_query_of(&self, target: &[u8], head: &RequestHead) -> Option<Vec<u8>> {
        let mut out = self.normal(head)?.as_bytes().to_vec();
        if let Some(query) = target.iter().position(|b| *b == b'?') {
            out.extend_from_slice(target.get(query..)?);
        }
        Some(out)
    }
}
