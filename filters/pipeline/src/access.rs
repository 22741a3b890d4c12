//! What is known of who asks.

use portcullis_authz::{Forbidden, Scalar, Subject};
use portcullis_edge_core::{Mode, Mono};
use portcullis_jwt::{Identity, Pending, Refusal, Strip, Value};
use std::rc::Rc;

/// Who asks, and what was decided about it.
#[derive(Debug, Default)]
pub struct Access {
    /// Whether a token was looked for.
    pub(crate) looked: bool,
    /// Where the token stood: an index into the kinds of the policy's sources.
    pub(crate) source: Option<usize>,
    /// What came of the token; nothing where no token was looked at, or none was there and none is needed.
    pub(crate) token: Option<Result<(), Refusal>>,
    /// Whose token it is.
    pub(crate) identity: Option<Rc<Identity>>,
    /// Whether an auth service was asked.
    pub(crate) asked: bool,
    /// How seriously the check of the token is meant.
    pub(crate) mode: Mode,
    /// The change that takes the token out of the request.
    pub(crate) strip: Option<Strip>,
    /// What the route's rules said, and how seriously they are meant.
    pub(crate) permission: Option<(Result<(), Forbidden>, Mode)>,
    /// The question that an auth service has not answered yet.
    pub(crate) pending: Option<Box<Pending>>,
    /// When the check of the token began; anew for a request that has waited for keys.
    pub(crate) began: Mono,
    /// From there to the token's verdict, in microseconds.
    pub(crate) validation_micros: Option<u64>,
    /// From the verdict to the headers that tell the service, in microseconds.
    pub(crate) context_micros: Option<u64>,
}

impl Access {
    /// The bearer that services are told of. In shadow mode nobody is.
    pub(crate) fn bearer(&self) -> Option<&Rc<Identity>> {
        self.identity.as_ref().filter(|_| self.mode == Mode::Enforce)
    }

    /// The user's name, as log lines show it.
    pub(crate) fn user(&self) -> Option<&str> {
        self.identity.as_ref()?.user()
    }

    /// How the bearer was authenticated, as log lines show it.
    pub(crate) fn flow(&self) -> &'static str {
        match (&self.identity, self.asked) {
            (None, _) => "none",
            (Some(_), false) => "jwt",
            (Some(_), true) => "introspection",
        }
    }
}

/// The bearer of a token, as rules see it.
pub struct Bearer<'i>(pub &'i Identity);

impl Subject for Bearer<'_> {
    fn has_role(&self, role: &str) -> bool {
        self.0.has_role(role)
    }

    fn has_scope(&self, scope: &str) -> bool {
        self.0.has_scope(scope)
    }

    fn any_claim(&self, path: &[String], test: &mut dyn FnMut(Scalar<'_>) -> bool) -> bool {
        self.0.any_claim(path, |value| scalar(value).is_some_and(&mut *test))
    }
}

fn scalar(value: Value<'_>) -> Option<Scalar<'_>> {
    match value {
        Value::Text(text) => Some(Scalar::Text(text)),
        Value::UInt(n) => Some(Scalar::UInt(n)),
        Value::Int(n) => Some(Scalar::Int(n)),
        Value::Float(n) => Some(Scalar::Float(n)),
        Value::Bool(b) => Some(Scalar::Bool(b)),
        Value::Null | Value::List | Value::Object => None,
    }
}
