//! A context of a VM: a root (one plugin) or a stream of it.

use std::rc::Rc;

use crate::callout::Response;
use crate::stream::StreamRef;
use crate::{BufferType, HeaderMap};

/// A plugin of the chain as its VM sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PluginInfo {
    pub name: String,
    pub root_id: String,
    pub configuration: Vec<u8>,
}

/// What a body buffer points at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum BodyView {
    /// Nothing: reads give no bytes.
    #[default]
    None,
    /// The bytes that are passing.
    Chunk,
    /// What filters have kept back.
    Buffered,
}

/// Which parts of its stream a context can see just now. Envoy keeps pointers, and nulls them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct View {
    pub request_headers: bool,
    pub request_trailers: bool,
    pub request_body: BodyView,
    pub response_headers: bool,
    pub response_trailers: bool,
    pub response_body: BodyView,
    pub buffering_request: bool,
    pub buffering_response: bool,
    pub end_of_stream: bool,
    pub access_log: bool,
    pub downstream_data: bool,
    pub upstream_data: bool,
}

/// What only root contexts have.
#[derive(Debug, Default)]
pub(crate) struct RootState {
    pub configuring: bool,
    pub response: Option<Response>,
    pub grpc_initial: Option<HeaderMap>,
    pub grpc_trailing: Option<HeaderMap>,
    pub grpc_message: Option<Vec<u8>>,
    /// The arguments of `proxy_on_foreign_function`, while it runs; what was found of a name, until another buffer is read.
    pub call_data: Option<Vec<u8>>,
    /// The plugin is gone; `proxy_done` is awaited.
    pub done_pending: bool,
    pub closing: bool,
    /// Streams that still use this root.
    pub streams: u32,
}

/// A context.
#[derive(Debug)]
pub(crate) struct Context {
    pub parent: u32,
    pub plugin: Rc<PluginInfo>,
    /// `proxy_on_context_create` has run.
    pub created: bool,
    pub stream: Option<StreamRef>,
    pub view: View,
    pub root: RootState,
    pub status: (u32, String),
    /// The buffer that was asked for last.
    pub last_buffer: Option<BufferType>,
    /// The stream has been failed because the VM has.
    pub failed: bool,
}

impl Context {
    pub fn root(plugin: Rc<PluginInfo>) -> Self {
        Self {
            parent: 0,
            plugin,
            created: false,
            stream: None,
            view: View::default(),
            root: RootState::default(),
            status: (0, String::new()),
            last_buffer: None,
            failed: false,
        }
    }

    pub fn stream(parent: u32, plugin: Rc<PluginInfo>, stream: StreamRef) -> Self {
        Self { parent, stream: Some(stream), ..Self::root(plugin) }
    }
}
