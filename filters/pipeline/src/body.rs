//! Answers that the gateway writes itself.

use portcullis_edge_core::{Denial, Reason, Wall};
use serde::Serialize;

/// An answer given in the service's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalReply {
    /// HTTP status.
    pub status: u16,
    /// Headers besides `:status` and `content-length`.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Body.
    pub body: Vec<u8>,
    /// `grpc-status`, where the client speaks gRPC.
    pub grpc_status: Option<i32>,
    /// Why, as the proxy's response code details; begins with `portcullis`, by which the proxy's configuration can tell
    /// answers of ours from its own.
    pub details: String,
}

impl LocalReply {
    /// The answer when the host fails us in the middle of a request, about which nothing more can be told.
    #[must_use]
    pub fn unavailable() -> Self {
        let denial = Denial::new(Reason::SERVICE_UNAVAILABLE);
        let headers = vec![("content-type".to_owned(), JSON.into())];
        let body = denial_body(&denial, Wall::default(), "");
        Self {
            status: denial.reason.answer().status,
            headers,
            body,
            grpc_status: None,
            details: format!("{DETAILS}_host_failure"),
        }
    }
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: &'a str,
    message: &'a str,
    code: &'a str,
    timestamp: String,
    request_id: &'a str,
}

/// The body of a 429.
#[derive(Serialize)]
struct QuotaBody<'a> {
    #[serde(flatten)]
    error: ErrorBody<'a>,
    retry_after: u64,
    limit: u64,
    remaining: u64,
    reset_time: String,
}

#[derive(Serialize)]
struct HealthBody<'a> {
    status: &'a str,
    service: &'a str,
    version: &'a str,
    timestamp: String,
}

/// Begins the response code details of every answer of ours.
pub(crate) const DETAILS: &str = "portcullis";

/// An error is for whoever asked, and now (RFC 9111 section 5.2.2.5): a 404 without it is kept by default.
pub(crate) fn not_to_be_kept() -> (String, Vec<u8>) {
    ("cache-control".to_owned(), b"no-store".to_vec())
}

pub(crate) const JSON: &str = "application/json";

/// The body of an error: a code for programs, a sentence for people, what support needs to find the log line.
pub(crate) fn error_body(code: &str, message: &str, at: Wall, request_id: &str) -> Vec<u8> {
    to_json(&ErrorBody { error: code, message, code, timestamp: at.rfc3339(), request_id })
}

pub(crate) fn denial_body(denial: &Denial, at: Wall, request_id: &str) -> Vec<u8> {
    let code = denial.reason.answer().code;
    let error =
        ErrorBody { error: code, message: denial.reason.message, code, timestamp: at.rfc3339(), request_id };
    match denial.quota {
        None => to_json(&error),
        Some(quota) => to_json(&QuotaBody {
            error,
            retry_after: denial.retry_after.map_or(0, |after| after.as_secs().max(1)),
            limit: quota.limit,
            remaining: quota.remaining,
            reset_time: quota.reset.rfc3339(),
        }),
    }
}

pub(crate) fn health_body(gateway: &str, at: Wall) -> Vec<u8> {
    let version = env!("CARGO_PKG_VERSION");
    to_json(&HealthBody { status: "healthy", service: gateway, version, timestamp: at.rfc3339() })
}

/// Only a map with keys that are no text can fail to serialise; there is none here.
fn to_json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_default()
}
