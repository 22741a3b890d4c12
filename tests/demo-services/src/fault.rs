//! What a test can make a service do wrong.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri};
use serde::{Deserialize, Serialize};

use crate::Service;

/// Which paths a fault applies to. The query plays no part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PathMatch {
    /// This path only.
    Exact(String),
    /// Every path that begins with this text; `/` means all.
    Prefix(String),
}

impl PathMatch {
    fn matches(&self, path: &str) -> bool {
        match self {
            Self::Exact(exact) => path == exact,
            Self::Prefix(prefix) => path.starts_with(prefix),
        }
    }
}

/// When a connection is reset (TCP RST).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reset {
    /// After the request was read, before any byte of an answer.
    BeforeResponse,
    /// After the head and a part of the body. The fault's delay passes between that part and the reset; without a delay a
    /// client may see the reset before it has read the head.
    MidBody,
}

/// A fault: where, what, how often. Without status and reset it only delays.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Whom it befalls.
    pub service: Service,
    /// On which paths.
    pub path: PathMatch,
    /// On this method only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Answer this (200 to 599) instead of asking the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Headers to add to the answer, forced or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// Body of a forced answer; `{"detail": "forced by a fault"}` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Milliseconds to wait before the answer or the reset.
    #[serde(default)]
    pub delay_ms: u64,
    /// Reset the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<Reset>,
    /// Happens to this many requests, then is gone; for ever if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
}

impl Fault {
    /// A fault on these paths that does nothing yet.
    pub fn at(service: Service, path: PathMatch) -> Self {
        Self {
            service,
            path,
            method: None,
            status: None,
            headers: Vec::new(),
            body: None,
            delay_ms: 0,
            reset: None,
            times: None,
        }
    }

    /// On one path.
    pub fn on(service: Service, path: &str) -> Self {
        Self::at(service, PathMatch::Exact(path.to_owned()))
    }

    /// On everything that a service is asked.
    pub fn everywhere(service: Service) -> Self {
        Self::at(service, PathMatch::Prefix("/".to_owned()))
    }

    /// Restricts it to a method.
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// Forces a status.
    pub fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// Adds a header to the answer.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The body of a forced answer.
    pub fn body(mut self, body: &str) -> Self {
        self.body = Some(body.to_owned());
        self
    }

    /// Waits first; whole milliseconds count.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// Resets the connection.
    pub fn reset(mut self, reset: Reset) -> Self {
        self.reset = Some(reset);
        self
    }

    /// Happens to the next `times` matching requests only.
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    fn matches(&self, service: Service, method: &Method, uri: &Uri) -> bool {
        let method_matches = self.method.as_deref().is_none_or(|wanted| method.as_str() == wanted);
        self.service == service && method_matches && self.path.matches(uri.path())
    }

    fn check(&self) -> Result<(), BadFault> {
        if self.status.is_some_and(|status| !(200..=599).contains(&status)) {
            return Err(BadFault::Status);
        }
        if self.times == Some(0) {
            return Err(BadFault::Times);
        }
        self.headers.iter().try_for_each(|(name, value)| parse_header(name, value).map(|_| ()))
    }
}

/// Why a fault was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFault {
    /// Only final statuses can be forced.
    #[error("status must be 200 to 599")]
    Status,
    /// It would never happen.
    #[error("times must be at least 1")]
    Times,
    /// The name or value of an added header.
    #[error("header `{0}` has a name or value that HTTP does not allow")]
    Header(String),
}

/// Names a fault that was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultId(pub u64);

/// A fault in the form in which it is carried out.
pub(crate) struct Effect {
    pub(crate) status: Option<StatusCode>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Option<String>,
    pub(crate) delay: Duration,
    pub(crate) reset: Option<Reset>,
}

impl From<&Fault> for Effect {
    fn from(fault: &Fault) -> Self {
        Self {
            status: fault.status.and_then(|status| StatusCode::from_u16(status).ok()),
            headers: fault
                .headers
                .iter()
                .filter_map(|(name, value)| parse_header(name, value).ok())
                .collect(),
            body: fault.body.clone(),
            delay: Duration::from_millis(fault.delay_ms),
            reset: fault.reset,
        }
    }
}

fn parse_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), BadFault> {
    let bad = || BadFault::Header(name.to_owned());
    Ok((name.parse().map_err(|_| bad())?, value.parse().map_err(|_| bad())?))
}

/// The faults that are set, oldest first.
#[derive(Default)]
pub(crate) struct Faults {
    set: Mutex<Vec<(FaultId, Fault)>>,
    last_id: std::sync::atomic::AtomicU64,
}

impl Faults {
    pub(crate) fn set(&self, fault: Fault) -> Result<FaultId, BadFault> {
        fault.check()?;
        let id = FaultId(1 + self.last_id.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        self.lock().push((id, fault));
        Ok(id)
    }

    /// Removes one; whether it was there.
    pub(crate) fn clear(&self, id: FaultId) -> bool {
        let mut set = self.lock();
        let before = set.len();
        set.retain(|(other, _)| *other != id);
        set.len() < before
    }

    pub(crate) fn clear_all(&self) {
        self.lock().clear();
    }

    pub(crate) fn all(&self) -> Vec<(FaultId, Fault)> {
        self.lock().clone()
    }

    /// What befalls this request: the fault that was set last of those that match, counted down.
    pub(crate) fn take(&self, service: Service, method: &Method, uri: &Uri) -> Option<Effect> {
        let mut set = self.lock();
        let at = set.iter().rposition(|(_, fault)| fault.matches(service, method, uri))?;
        let (_, fault) = set.get_mut(at)?;
        let effect = Effect::from(&*fault);
        fault.times = fault.times.map(|times| times.saturating_sub(1));
        if fault.times == Some(0) {
            set.remove(at);
        }
        Some(effect)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(FaultId, Fault)>> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
