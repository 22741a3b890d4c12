use portcullis_edge_core::Headers;

/// What a host can tell of a stream when asked. Each answer costs a host call, so each is asked for only where needed.
pub trait Stream {
    /// The response's headers, while they may be changed.
    fn response_headers(&mut self) -> Headers;
    /// Envoy's response code details: `via_upstream`, or who else gave the answer and why.
    fn code_details(&mut self) -> Vec<u8>;
    /// Envoy's response flags, one bit each; 0 where there are none.
    fn response_flags(&mut self) -> u64;
    /// The status the client got; `None` if it got none.
    fn response_code(&mut self) -> Option<u16>;
    /// Whether the client's connection to the host is TLS.
    fn client_tls(&mut self) -> bool;
    /// Nanoseconds from the first byte sent to the service to the last of its answer; `None` where none came.
    fn upstream_nanos(&mut self) -> Option<u64> {
        None
    }
    /// Address and port of the host that served; empty where none did.
    fn upstream_host(&mut self) -> Vec<u8> {
        Vec::new()
    }
    /// Bytes of the request's body.
    fn request_bytes(&mut self) -> Option<u64> {
        None
    }
    /// Bytes of the answer's body.
    fn response_bytes(&mut self) -> Option<u64> {
        None
    }
    /// A header of the request as it went on from the proxy, whoever wrote it; `None` if it has none.
    fn sent_header(&mut self, _name: &str) -> Option<Vec<u8>> {
        None
    }
    /// Nanoseconds from the request's first byte to now, as the host measured them.
    fn duration_nanos(&mut self) -> u64;
}
