//! Whether what came of a TCP connection is what the scenario expects.

use super::Verdict;
use crate::model::Heard;
use crate::seen::Conversation;

impl Verdict<'_> {
    pub(super) fn connection(&mut self, expected: Option<&Heard>, found: Option<&Conversation>) {
        let (Some(expected), Some(found)) = (expected, found) else { return };
        self.value("client got", expected.client.as_ref(), Some(&found.of_client()));
        self.value("upstream got", expected.upstream.as_ref(), found.of_upstream().as_deref());
        if let Some(closed) = expected.closed
            && closed != found.is_closed()
        {
            self.add("closed", closed.to_string(), found.is_closed().to_string());
        }
    }
}
