//! What the gateway answers itself: preflights, the health page, the metrics.

use crate::body::{self, DETAILS, LocalReply};
use crate::facts::{Answerer, Facts};
use crate::{HeaderOps, Pipeline, Step};
use portcullis_metrics::Format;

impl Pipeline {
    /// The answer to a preflight of a route.
    pub(crate) fn answer_preflight(&self, facts: &mut Facts) -> Step {
        let head = &facts.head;
        let path = facts.path.normal(head).unwrap_or_default();
        let methods: Vec<&str> = self.policy.table.methods(self.authority(head), path).collect();
        let cors = self.policy.cors.iter();
        let headers = cors.flat_map(|cors| cors.preflight(&head.headers, &methods));
        let headers = headers.map(|(name, value)| (name.to_owned(), value)).collect();
        let reply = LocalReply {
            status: 200,
            headers,
            body: Vec::new(),
            grpc_status: None,
            details: format!("{DETAILS}_preflight"),
        };
        Step::Reply(answered_here(facts, reply))
    }

    /// The health page.
    pub(crate) fn health(&self, facts: &mut Facts) -> Step {
        let body = body::health_body(&self.policy.gateway.name, facts.started.wall);
        Step::Reply(self.reply(facts, 200, body::JSON, body))
    }

    /// The answer to [`Step::ServeMetrics`].
    pub fn metrics_reply(&self, facts: &mut Facts, format: Format, text: String) -> LocalReply {
        let mut reply = self.reply(facts, 200, format.content_type(), text.into_bytes());
        // A cache must not give one reader what another had asked for.
        reply.headers.push(("vary".to_owned(), b"Accept".to_vec()));
        reply
    }

    /// The format in which the metrics are asked for.
    #[must_use]
    pub fn metrics_format(&self, facts: &Facts) -> Format {
        Format::negotiate(facts.head.headers.all("accept"))
    }

    /// An answer of ours, bare: it passes through [`Pipeline::on_response`] like everybody's, and gets its headers there.
    pub(crate) fn reply(
        &self,
        facts: &mut Facts,
        status: u16,
        content_type: &str,
        body: Vec<u8>,
    ) -> LocalReply {
        let mut ops = HeaderOps::default();
        ops.set("content-type", content_type.as_bytes());
        if let Some(cors) = &self.policy.cors {
            cors.mark(&facts.head.headers).iter().for_each(|(name, value)| ops.set(name, value));
        }
        let (headers, details) = (ops.set, DETAILS.to_owned());
        answered_here(facts, LocalReply { status, headers, body, grpc_status: None, details })
    }
}

fn answered_here(facts: &mut Facts, reply: LocalReply) -> LocalReply {
    facts.answerer = Answerer::Gateway;
    facts.status = Some(reply.status);
    reply
}
