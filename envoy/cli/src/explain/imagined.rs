//! A stream in no proxy, whose service answers as the question says.

use super::run::Question;
use portcullis_edge_core::Headers;
use portcullis_pipeline::{Pipeline, Stream};
use portcullis_security_headers::TrustHeaders;

/// An answer, from upstream, without delay.
pub(super) struct Imagined<'q> {
    status: u16,
    headers: &'q [(String, Vec<u8>)],
    trust: &'q TrustHeaders,
}

impl<'q> Imagined<'q> {
    pub fn of(question: &'q Question, pipeline: &'q Pipeline) -> Self {
        Self::answer(question.service_status, &question.service_headers, pipeline)
    }

    pub fn answer(status: u16, headers: &'q [(String, Vec<u8>)], pipeline: &'q Pipeline) -> Self {
        Self { status, headers, trust: &pipeline.policy().trust }
    }
}

impl Stream for Imagined<'_> {
    fn response_headers(&mut self) -> Headers {
        let status = self.status.to_string();
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        Headers::from_pairs([(":status", status.as_bytes())].into_iter().chain(headers))
    }

    fn code_details(&mut self) -> Vec<u8> {
        b"via_upstream".to_vec()
    }

    fn response_flags(&mut self) -> u64 {
        0
    }

    fn response_code(&mut self) -> Option<u16> {
        Some(self.status)
    }

    fn client_tls(&mut self) -> bool {
        false
    }

    /// A proxy that writes trust headers is imagined to have done so.
    fn sent_header(&mut self, name: &str) -> Option<Vec<u8>> {
        let mut set = self.trust.to_set();
        set.find(|(own, _)| own.as_str() == name).map(|(_, value)| value.to_vec())
    }

    fn upstream_nanos(&mut self) -> Option<u64> {
        Some(0)
    }

    fn duration_nanos(&mut self) -> u64 {
        0
    }
}
