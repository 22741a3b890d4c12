//! The last requests that a service received.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use axum::body::Bytes;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::wire::{Field, text};

/// A request as it arrived, once its body was complete and before any fault or handler touched it.
#[derive(Clone, Debug)]
pub struct Captured {
    /// 1 for the first since the last clearing.
    pub number: u64,
    /// Method.
    pub method: String,
    /// The request target as written: path, query, and a fragment if somebody sent one.
    pub target: String,
    /// Header lines in their order, with the case of their names, duplicates included.
    pub headers: Vec<Field>,
    /// Body without its transfer coding.
    pub body: Bytes,
    /// Trailers after a chunked body; names in lower case.
    pub trailers: Vec<Field>,
    /// Where it came from.
    pub peer: SocketAddr,
}

impl Captured {
    /// The target up to `?` or `#`.
    pub fn path(&self) -> &str {
        self.target.split(['?', '#']).next().unwrap_or_default()
    }

    /// All values of a header, in order.
    pub fn header_values(&self, name: &str) -> Vec<&[u8]> {
        let named = self.headers.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_slice()).collect()
    }

    /// The value of a header that occurs exactly once and is UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        match self.header_values(name).as_slice() {
            [value] => std::str::from_utf8(value).ok(),
            _ => None,
        }
    }

    /// As JSON; bytes that are not UTF-8 show as `\xNN`.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "number": self.number,
            "method": self.method,
            "target": text(self.target.as_bytes()),
            "headers": fields_to_json(&self.headers),
            "body": text(&self.body),
            "body_bytes": self.body.len(),
            "trailers": fields_to_json(&self.trailers),
            "peer": self.peer,
        })
    }
}

fn fields_to_json(fields: &[Field]) -> Value {
    fields.iter().map(|(name, value)| json!([name, text(value)])).collect()
}

/// The last requests of one service, and how many there were in all.
pub(crate) struct CaptureLog {
    limit: usize,
    ring: Mutex<VecDeque<Captured>>,
    count: watch::Sender<u64>,
}

impl CaptureLog {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, ring: Mutex::default(), count: watch::Sender::new(0) }
    }

    /// Numbers and keeps a request, and forgets the oldest beyond the limit.
    pub(crate) fn push(&self, mut request: Captured) -> Captured {
        let mut ring = self.ring();
        self.count.send_modify(|count| *count += 1);
        request.number = *self.count.borrow();
        ring.push_back(request.clone());
        if ring.len() > self.limit {
            ring.pop_front();
        }
        request
    }

    pub(crate) fn all(&self) -> Vec<Captured> {
        self.ring().iter().cloned().collect()
    }

    pub(crate) fn count(&self) -> u64 {
        *self.count.borrow()
    }

    pub(crate) fn clear(&self) {
        let mut ring = self.ring();
        ring.clear();
        self.count.send_replace(0);
    }

    /// Waits until there were at least `count` since the last clearing.
    pub(crate) async fn reached(&self, count: u64) {
        // The sender is `self`, so the channel cannot close while this waits.
        let _ = self.count.subscribe().wait_for(|seen| *seen >= count).await;
    }

    fn ring(&self) -> MutexGuard<'_, VecDeque<Captured>> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
