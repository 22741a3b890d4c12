//! Failed logins: who may log in, and what came of it. The client's network is known at once, the account only at the end of the request's
//! body.

use crate::facts::{Answerer, Facts};
use crate::guard::refuse_if;
use crate::{LocalReply, Pipeline, Step, Worker};
use core::mem;
use portcullis_business::Unreadable;
use portcullis_edge_core::{Denial, Headers, Host, Mode, Verdict, spelt_alike};
use portcullis_limits::{LOGIN_UNREADABLE, Logins, Noted, StoreError};
use portcullis_policy::GUARDS;

/// How many bytes a login's body may have.
const MOST: usize = 64 * 1024;
/// How many bytes of it to ask the host for: one more tells a body that is too large from one that just fits.
pub const LOGIN_ROOM: usize = MOST + 1;

/// A login whose body is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Login {
    /// Whether its headers say that the body is plain JSON.
    is_json: bool,
}

impl Pipeline {
    /// Whether the client's network may log in, where the request is a login.
    pub(crate) fn check_login(&self, facts: &mut Facts, host: &dyn Host, worker: &mut Worker) -> Verdict {
        let Some((rule, state)) = self.login_rule(facts).zip(worker.guards.logins_mut()) else {
            return Verdict::Continue;
        };
        let network = self.policy.client_ip.network(facts.client).address();
        let suspect = rule.network(network, state, host);
        let judged = suspect.and_then(|suspect| rule.blocked(suspect, state, host));
        judge(facts, rule.mode(), judged)
    }

    /// The rule on failed logins that a request falls under.
    fn login_rule(&self, facts: &Facts) -> Option<&Logins> {
        let rule = self.policy.abuse.logins.as_ref().filter(|rule| rule.is_login(facts.route()))?;
        let network = self.policy.client_ip.network(facts.client).address();
        (!self.policy.abuse.trusts(network)).then_some(rule)
    }

    /// Prepares for the body in which a login names its account.
    pub(crate) fn expect_account(&self, facts: &mut Facts) {
        if GUARDS && self.policy.account.is_some() && self.login_rule(facts).is_some() {
            facts.login = Some(Login { is_json: is_json(&facts.head.headers) });
        }
    }

    /// Whether nothing of the request's body may go on before it has come whole.
    #[must_use]
    pub fn wants_whole(facts: &Facts) -> bool {
        facts.login.is_some()
    }

    /// Whether a body that is waited for, and of which `size` bytes have come, cannot be read whatever else comes.
    #[must_use]
    pub fn is_lost(facts: &Facts, size: usize) -> bool {
        facts.login.is_some_and(|login| !login.is_json || size > MOST)
    }

    /// A body that was waited for has come whole, or is lost: whether the account that it names may log in. `body` is what the host gave of its
    /// `size` bytes when asked for [`LOGIN_ROOM`]. Nothing where the request goes on.
    pub fn on_login_body(
        &self,
        facts: &mut Facts,
        (body, size): (&[u8], usize),
        host: &dyn Host,
        worker: &mut Worker,
    ) -> Option<LocalReply> {
        let login = facts.login.take()?;
        let (rule, field) = self.policy.abuse.logins.as_ref().zip(self.policy.account.as_ref())?;
        let state = worker.guards.logins_mut()?;
        // Without a body there is no account in it.
        if size == 0 {
            return None;
        }
        let is_read = login.is_json && size <= MOST && body.len() == size;
        let account = if is_read { field.text(body) } else { Err(Unreadable) };
        let judged = match account {
            Ok(account) => rule.account(&account, state, host).and_then(|suspect| {
                facts.guard.account = Some(suspect);
                rule.blocked(suspect, state, host)
            }),
            Err(Unreadable) => Ok(Some(Denial::new(LOGIN_UNREADABLE))),
        };
        match judge(facts, rule.mode(), judged) {
            Verdict::Deny(denial) => match self.deny(facts, denial) {
                Step::Reply(reply) => Some(reply),
                _ => Some(LocalReply::unavailable()),
            },
            _ => None,
        }
    }

    /// Whether the answer of a request is one to [`Pipeline::note_login`].
    #[must_use]
    pub fn is_login(&self, facts: &Facts) -> bool {
        GUARDS && self.policy.abuse.logins.as_ref().is_some_and(|rule| rule.is_login(facts.route()))
    }

    /// Notes what a login was answered with: as soon as that is known, so that nobody puts it off by not reading the answer.
    pub fn note_login(&self, facts: &mut Facts, status: u16, host: &dyn Host, worker: &mut Worker) {
        if mem::replace(&mut facts.guard.login_noted, true) {
            return;
        }
        // Only what the service says is a login's outcome: a 401 of ours, or a request that was never sent, is none.
        let is_answer = facts.answerer == Answerer::Service;
        let rule = self.login_rule(facts).filter(|rule| is_answer && rule.is_failure(status));
        let Some((rule, state)) = rule.zip(worker.guards.logins_mut()) else { return };
        let network = self.policy.client_ip.network(facts.client).address();
        let noted =
            rule.network(network, state, host).and_then(|suspect| rule.note(suspect, status, state, host));
        let account = facts.guard.account.map(|suspect| rule.note(suspect, status, state, host));
        keep(noted, &mut facts.guard.login, &mut facts.guard.failures);
        account.into_iter().for_each(|noted| {
            keep(noted, &mut facts.guard.account_login, &mut facts.guard.failures);
        });
    }
}

fn keep(noted: Result<Noted, StoreError>, place: &mut Option<Noted>, failures: &mut Vec<StoreError>) {
    match noted {
        Ok(noted) => *place = Some(noted),
        Err(error) => failures.push(error),
    }
}

/// What follows from a block, or from not knowing of one.
fn judge(facts: &mut Facts, mode: Mode, judged: Result<Option<Denial>, StoreError>) -> Verdict {
    match judged {
        Ok(None) => Verdict::Continue,
        Ok(Some(denial)) => {
            match denial.reason {
                LOGIN_UNREADABLE => facts.guard.login_unreadable = Some(mode),
                _ => facts.guard.login_blocked = Some(mode),
            }
            refuse_if(mode, denial)
        }
        Err(error) => {
            facts.guard.failures.push(error);
            Verdict::Continue
        }
    }
}

/// Whether a body is JSON in UTF-8 (RFC 8259, RFC 6839), and no reader is told anything else: a form may be JSON, too, and says other things.
fn is_json(headers: &Headers) -> bool {
    let of = |wanted: &'static [u8]| headers.iter().filter(move |(name, _)| spelt_alike(name, wanted));
    let mut types = of(b"content-type");
    let (Some((name, value)), None) = (types.next(), types.next()) else { return false };
    name == b"content-type" && is_json_type(value) && of(b"content-encoding").next().is_none()
}

fn is_json_type(value: &[u8]) -> bool {
    let value = value.to_ascii_lowercase();
    let mut parts = value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let media = parts.next().unwrap_or_default();
    let is_json = media == b"application/json"
        || (media.starts_with(b"application/") && media.ends_with(b"+json") && !media.contains(&b','));
    is_json && parts.all(|part| [&b"charset=utf-8"[..], b"charset=\"utf-8\""].contains(&part))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn json(headers: &[(&str, &str)]) -> bool {
        is_json(&Headers::from_pairs(headers.iter().map(|(name, value)| (*name, value.as_bytes()))))
    }

    #[test]
    fn only_plain_json_in_utf_8_is_read() {
        for good in ["application/json", "Application/JSON; charset=UTF-8", "application/vnd.api+json"] {
            assert!(json(&[("content-type", good)]), "{good}");
        }
        for bad in [
            "",
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/json; charset=utf-7",
            "application/json; charset=utf-8; charset=utf-7",
            "application/json, application/x-www-form-urlencoded",
            "application/x-www-form-urlencoded, application/a+json",
        ] {
            assert!(!json(&[("content-type", bad)]), "{bad}");
        }
        let plain = ("content-type", "application/json");
        assert!(!json(&[]) && !json(&[plain, plain]) && !json(&[plain, ("content_type", "text/plain")]));
        assert!(
            !json(&[plain, ("content-encoding", "gzip")]) && !json(&[("content_type", "application/json")])
        );
    }
}
