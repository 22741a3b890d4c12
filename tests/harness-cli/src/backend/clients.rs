//! Clients of the harness: one, or several whose requests overlap.

use std::time::Duration;

use portcullis_harness::{ClientResponse, Error, Proxy, StreamHandle};

use super::LONGEST;
use super::harness::fields;
use super::sendable::sendable;
use crate::plan::Request;
use crate::seen::{Answer, End};

/// Each sends when those before it wait for an answer; all are followed to their ends. A client for which no answer comes goes away
/// when it said it would, or after as long as a step may last. `None` if a callback never came back.
pub(super) fn ask(proxy: &mut Proxy, requests: &[Request]) -> Result<Option<Vec<Answer>>, Error> {
    let mut clients = Vec::new();
    let before = proxy.failures().len();
    for request in requests {
        clients.push(Client::send(proxy, request));
        proxy.run();
    }
    loop {
        if is_lost(proxy, before) {
            return Ok(None);
        }
        clients.iter_mut().for_each(|client| client.look(proxy));
        let open = clients.iter_mut().filter(|client| client.answer.is_none());
        let Some(next) = open.min_by_key(|client| client.until) else { break };
        match next.follow(proxy) {
            Ok(()) => {}
            Err(Error::Failed(_)) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(Some(clients.into_iter().filter_map(|client| client.answer).collect()))
}

/// Whether a callback has used up its budget since.
fn is_lost(proxy: &Proxy, before: usize) -> bool {
    let failures = proxy.failures();
    failures.iter().skip(before).any(|failure| failure.kind.is_endless())
}

struct Client {
    /// `None` if its handshake failed.
    handle: Option<StreamHandle>,
    /// When it gives up, by the wall clock.
    until: Duration,
    patience: End,
    answer: Option<Answer>,
}

impl Client {
    fn send(proxy: &mut Proxy, request: &Request) -> Self {
        let until = proxy.wall_clock().saturating_add(request.leaves.unwrap_or(LONGEST));
        let patience = if request.leaves.is_some() { End::Left } else { End::Never };
        // Who is not let in sends nothing that any filter could see.
        if request.tls.as_ref().is_some_and(|shown| !shown.is_let_in) {
            let answer = Some(Answer { end: End::Broken, ..Answer::default() });
            return Self { handle: None, until, patience, answer };
        }
        Self { handle: Some(proxy.start(sendable(request))), until, patience, answer: None }
    }

    /// Takes an answer that has come to its end. One that is shorter than announced never does, whatever the proxy thinks of it.
    fn look(&mut self, proxy: &Proxy) {
        let Some(handle) = self.handle.as_ref().filter(|_| self.answer.is_none()) else { return };
        if proxy.has_ended(handle) {
            self.answer = Some(answer(&proxy.outcome(handle).client)).filter(|one| one.end != End::Never);
        }
    }

    /// Waits for its answer until it gives up.
    fn follow(&mut self, proxy: &mut Proxy) -> Result<(), Error> {
        let Some(handle) = self.handle.clone() else { return Ok(()) };
        let left = self.until.saturating_sub(proxy.wall_clock());
        if proxy.has_ended(&handle) {
            proxy.advance(left);
        } else {
            proxy.finish_within(&handle, left)?;
        }
        self.look(proxy);
        if self.answer.is_none() && proxy.wall_clock() >= self.until {
            let so_far = answer(&proxy.outcome(&handle).client);
            self.answer = Some(Answer { end: self.patience.clone(), ..so_far });
            proxy.client_leaves(&handle);
        }
        Ok(())
    }
}

fn answer(client: &ClientResponse) -> Answer {
    Answer {
        status: client.status(),
        headers: client.headers.as_ref().map(fields).unwrap_or_default(),
        body: client.body.clone(),
        trailers: client.trailers.as_ref().map(fields).unwrap_or_default(),
        end: match (client.complete, client.reset) {
            _ if client.invalid => {
                End::Invalid(client.flaw.as_ref().map(ToString::to_string).unwrap_or_default())
            }
            (_, true) => End::Broken,
            (true, false) => End::Complete,
            (false, false) => End::Never,
        },
    }
}
