//! What the answers to a worker's calls mean, also where the request that asked has ended.

use crate::order::Stage;
use crate::waiting::Asker;
use crate::{Event, Facts, GatewayMetrics, Pipeline, Step, Worker};
use portcullis_edge_core::{Answered, CallError, Host, Mono};

/// What an answer led to.
#[derive(Debug)]
pub struct Taken {
    /// What is to be done with the request; nothing if it has ended.
    pub step: Option<Step>,
    /// Whether the answer was of use to the stage that asked.
    pub usable: bool,
}

impl Pipeline {
    /// Goes on with the request that made a call, if it is still there.
    pub fn on_answer(
        &self,
        facts: Option<&mut Facts>,
        answer: Result<Answered<'_>, CallError>,
        host: &dyn Host,
        worker: &mut Worker,
    ) -> Taken {
        let Some(facts) = facts else {
            // What nobody waits for any more is not read.
            let usable = matches!(answer, Ok(Answered::Http(200, _) | Answered::Grpc(0, _)));
            return Taken { step: None, usable };
        };
        let before = usable_answers(worker);
        let step = self.resume(facts, Event::Answer(answer), host, worker);
        Taken { step: Some(step), usable: usable_answers(worker) != before }
    }

    /// Counts a call that has ended, or that could not be sent.
    pub fn count_call(&self, asker: Asker, usable: bool, now: Mono, metrics: &mut GatewayMetrics) {
        let took = u64::try_from(now.since(asker.since).as_micros()).unwrap_or(u64::MAX);
        // The only other caller is the stage of the fleet's limits, whose service is not the auth service.
        if asker.stage == Stage::Token {
            metrics.auth_service_call(usable, took);
        }
    }
}

fn usable_answers(worker: &Worker) -> u64 {
    worker.tokens.as_ref().map_or(0, |tokens| tokens.answers_believed())
}
