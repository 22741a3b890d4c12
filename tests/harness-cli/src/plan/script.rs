//! What an upstream answers, whatever side it stands on.

use std::time::Duration;

use super::{Body, Fields};
use crate::model::Pattern;

/// What an upstream answers: a request gets the first reply that fits it and is not used up.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// The replies.
    pub replies: Vec<Reply>,
}

/// A reply.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Reply {
    pub path: Option<Pattern>,
    pub method: Option<String>,
    /// So often still; `None`: for ever.
    pub times: Option<u32>,
    pub status: u16,
    pub headers: Fields,
    pub body: Body,
    /// Every piece of the body is a message of gRPC.
    pub is_grpc: bool,
    pub delay: Duration,
    pub fate: Fate,
}

/// How an exchange ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Fate {
    #[default]
    Answer,
    Refused,
    Reset,
    ResetAfterBody,
    Never,
}

impl Script {
    /// Whether nobody listens.
    #[must_use]
    pub fn is_refusing(&self) -> bool {
        self.replies.iter().any(|reply| reply.fate == Fate::Refused)
    }

    /// Whether it speaks gRPC.
    #[must_use]
    pub fn is_grpc(&self) -> bool {
        self.replies.iter().any(|reply| reply.is_grpc)
    }

    /// The reply to a request.
    pub fn answer(&mut self, method: &str, path: &[u8]) -> Reply {
        match self.replies.iter_mut().find(|reply| reply.fits(method, path)) {
            Some(reply) => {
                reply.times = reply.times.map(|times| times.saturating_sub(1));
                reply.clone()
            }
            None => Reply::none_fits(method, path),
        }
    }
}

impl Reply {
    fn fits(&self, method: &str, path: &[u8]) -> bool {
        let used_up = self.times == Some(0);
        let fits_path = self.path.as_ref().is_none_or(|pattern| pattern.fits(path, &|_| Vec::new()));
        !used_up && fits_path && self.method.as_deref().is_none_or(|own| own == method)
    }

    fn none_fits(method: &str, path: &[u8]) -> Self {
        let body = format!("the scenario has no reply to {method} {}\n", path.escape_ascii());
        Self {
            path: None,
            method: None,
            times: None,
            status: 404,
            headers: vec![("content-type".into(), b"text/plain".to_vec())],
            body: Body::Whole(body.into_bytes()),
            is_grpc: false,
            delay: Duration::ZERO,
            fate: Fate::Answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, times: Option<u32>, path: &str) -> Reply {
        let path = Some(Pattern::parse(path).expect("a pattern"));
        Reply { status, times, path, ..Reply::none_fits("", b"") }
    }

    #[test]
    fn the_first_reply_that_fits_and_is_not_used_up_is_given() {
        let mut script = Script { replies: vec![reply(500, Some(1), "/a"), reply(200, None, "~^/")] };
        let statuses: Vec<_> =
            ["/b", "/a", "/a", "x"].map(|path| script.answer("GET", path.as_bytes()).status).into();
        assert_eq!(statuses, [200, 500, 200, 404]);
    }
}
