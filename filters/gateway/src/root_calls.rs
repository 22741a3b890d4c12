//! Calls of the root context, whoever wants them.
//!
//! The SDK hands the answer to a call to the context whose callback made it, and to nobody if that context is gone by then. But
//! the proxy makes every call the root's: it goes on when the client of the request that wanted it leaves, and has to be counted
//! until its answer comes. So it is the root that makes it, in a callback that the module gives itself.

use crate::host;
use core::cell::{Cell, RefCell};
use portcullis_edge_core::{Call, CallToken, HostError};

/// The calls that the root context makes for its streams.
pub struct RootCalls {
    /// The root's context, as long as it is there.
    root: Cell<Option<u32>>,
    call: RefCell<Option<Call>>,
    sent: Cell<Option<CallToken>>,
}

impl RootCalls {
    /// Those of this root.
    pub fn of(root: u32) -> Self {
        Self { root: Cell::new(Some(root)), call: RefCell::default(), sent: Cell::default() }
    }

    /// Makes a call whose answer comes to the root. `current` is the context whose callback is running.
    pub fn send(&self, call: Call, current: u32) -> Result<CallToken, HostError> {
        let root = self.root.get().ok_or(HostError::NOT_FOUND)?;
        if current == root {
            return host::call(&call);
        }
        self.call.replace(Some(call));
        host::call_back(root);
        self.sent.take().ok_or(HostError::NOT_FOUND)
    }

    /// Makes the call that a stream wants; in a callback of the root.
    pub fn run(&self) {
        if let Some(call) = self.call.take() {
            self.sent.set(host::call(&call).ok());
        }
    }

    /// The root is gone, and nobody can call for others.
    pub fn end(&self) {
        self.root.set(None);
    }
}
