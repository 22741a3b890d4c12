//! Limits that a service counts for the whole fleet, by Envoy's rate limit service protocol, version 3.
//!
//! The policy says what the limits are: each descriptor carries its limit, so that the service's own configuration has nothing but the
//! domain. Whatever one proxy alone sees of more than a limit, it refuses itself; and what the service has refused it does not ask
//! about again until there is something to be had. So a key that is hot, or an attacker, does not become the service's load.

use crate::gcra::Rate;
use crate::headers::Standing;
use crate::key::{Caller, KeyPart};
use crate::limits::{Checked, Hit, LIMIT_UNKNOWN, LimitState, Limits, RATE_LIMITED, Rule};
use crate::protobuf::{Message, fields, messages, number};
use crate::secret::Hashed;
use crate::section::OnFailure;
use crate::store::StoreError;
use core::hash::Hasher;
use core::time::Duration;
use portcullis_edge_core::{Answered, Call, CallError, Denial, GrpcCall, Host, Mode, Mono, Now, Quota};
use siphasher::sip128::{Hasher128, SipHasher13};

/// A question to the service: which limits it is about, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked(Vec<(usize, Hashed)>);

/// What is to be done about fleet-wide limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fleet {
    /// None concerns the request.
    Nothing,
    /// The service is to be asked.
    Ask(Call, Asked),
    /// The service has refused this before, and there is nothing to be had yet.
    Refused(Box<Denial>),
}

const SERVICE: &str = "envoy.service.ratelimit.v3.RateLimitService";
const METHOD: &str = "ShouldRateLimit";
const OVER_LIMIT: u64 = 2;

/// Keys that a worker remembers to be used up.
const REMEMBERED: usize = 1024;

/// What a worker remembers of the service's refusals: by hash, the key and until when it is used up.
pub(crate) struct Refusals(Vec<(u64, u64)>);

impl Default for Refusals {
    fn default() -> Self {
        Self(vec![(0, 0); REMEMBERED])
    }
}

impl Refusals {
    fn slot(&mut self, key: Hashed) -> Option<&mut (u64, u64)> {
        // A place has 64 bits, and an index in wasm has 32.
        let index = usize::try_from(key.place.checked_rem(REMEMBERED as u64)?).ok()?;
        self.0.get_mut(index)
    }

    /// For how long a key is still used up.
    fn left(&mut self, key: Hashed, now: Mono) -> Option<Duration> {
        let (known, until) = *self.slot(key)?;
        let left = Mono(until).since(now);
        (known == key.print && left > Duration::ZERO).then_some(left)
    }

    fn note(&mut self, key: Hashed, until: Mono) {
        self.slot(key).into_iter().for_each(|slot| *slot = (key.print, until.0));
    }
}

/// Envoy's units (`RateLimitUnit`).
fn unit(window: Duration) -> u64 {
    match window.as_secs() {
        1 => 1,
        60 => 2,
        3_600 => 3,
        _ => 4,
    }
}

/// The windows that the service counts in.
pub(crate) const UNITS: [u64; 4] = [1, 60, 3_600, 86_400];

impl Limits {
    /// Whether any limit is the fleet's.
    #[must_use]
    pub fn has_fleet(&self) -> bool {
        self.service.is_some() && self.rules.iter().any(|rule| rule.is_fleet && rule.is_on())
    }

    /// The cluster of the service that counts for the fleet, if any limit is the fleet's.
    #[must_use]
    pub fn fleet_cluster(&self) -> Option<&str> {
        self.service.as_ref().filter(|_| self.has_fleet()).map(|service| service.cluster.as_str())
    }

    /// What is to be done about the fleet's limits that concern a request.
    pub fn ask_fleet(
        &self,
        caller: &Caller<'_>,
        now: Now,
        checked: &mut Checked,
        state: &mut LimitState,
        host: &dyn Host,
    ) -> Fleet {
        let Some(service) = &self.service else { return Fleet::Nothing };
        let (mut message, mut asked) =
            (Message::default().bytes(1, service.domain.as_bytes()), Asked::default());
        let fleet = self.rules.iter().enumerate().filter(|(_, rule)| rule.is_fleet && rule.is_on());
        for (index, rule) in fleet {
            let Some((identity, rate, cost)) = rule.concerns(caller) else { continue };
            let key = match rule.hash(identity, caller, state, host) {
                Ok(Some(key)) => key,
                Ok(None) => continue,
                Err(error) => {
                    checked.failures.push(error);
                    continue;
                }
            };
            if let Some(left) = state.refusals.left(key, now.mono) {
                checked.hits.push(Hit { rule: index, mode: rule.mode });
                if rule.mode == Mode::Enforce {
                    return Fleet::Refused(self.used_up(index, rate, 0, left, now, checked));
                }
                continue;
            }
            message = message.message(2, &descriptor(rule, rate, cost, caller));
            asked.0.push((index, key));
        }
        if asked.0.is_empty() {
            return Fleet::Nothing;
        }
        let (cluster, timeout) = (service.cluster.clone(), service.timeout.0);
        let call = GrpcCall { cluster, service: SERVICE, method: METHOD, message: message.done(), timeout };
        Fleet::Ask(Call::Grpc(call), asked)
    }

    /// Takes the service's answer, or why there is none.
    ///
    /// # Errors
    /// The denial.
    pub fn on_fleet_answer(
        &self,
        asked: &Asked,
        answer: Result<Answered<'_>, CallError>,
        now: Now,
        checked: &mut Checked,
        state: &mut LimitState,
    ) -> Result<(), Box<Denial>> {
        let statuses = match answer {
            Ok(Answered::Grpc(0, message)) => read(message, asked.0.len()),
            _ => None,
        };
        let Some(statuses) = statuses else { return self.without_answer(asked, checked) };
        let mut denial = None;
        for ((index, key), status) in asked.0.iter().zip(statuses) {
            let Some(rule) = self.rules.get(*index) else { continue };
            if status.is_over {
                state.refusals.note(*key, now.mono.plus(status.reset));
                checked.hits.push(Hit { rule: *index, mode: rule.mode });
            }
            if rule.mode != Mode::Enforce {
                continue;
            }
            let rate = Rate::new(status.limit.max(1), rule.window, status.limit.max(1)).unwrap_or(rule.rate);
            if status.is_over && denial.is_none() {
                denial = Some(self.used_up(*index, rate, status.remaining, status.reset, now, checked));
            } else if denial.is_none() {
                let standing = Standing {
                    rule: *index,
                    limit: rate.limit(),
                    remaining: status.remaining,
                    reset: status.reset,
                };
                checked.consider(standing);
            }
        }
        denial.map_or(Ok(()), Err)
    }

    fn used_up(
        &self,
        rule: usize,
        rate: Rate,
        remaining: u64,
        reset: Duration,
        now: Now,
        checked: &mut Checked,
    ) -> Box<Denial> {
        checked.standing = Some(Standing { rule, limit: rate.limit(), remaining, reset });
        let mut denial = Denial::new(RATE_LIMITED).retry_after(reset);
        denial.quota = Some(Quota { limit: rate.limit(), remaining, reset: now.wall.plus(reset) });
        Box::new(denial)
    }

    /// The service could not be asked, or said nothing that can be used.
    fn without_answer(&self, asked: &Asked, checked: &mut Checked) -> Result<(), Box<Denial>> {
        checked.failures.push(StoreError::Service);
        let rules = asked.0.iter().filter_map(|(index, _)| self.rules.get(*index));
        let mut strict =
            rules.filter(|rule| rule.on_failure == OnFailure::Deny && rule.mode == Mode::Enforce);
        if strict.next().is_some() { Err(Box::new(LIMIT_UNKNOWN.into())) } else { Ok(()) }
    }
}

/// `RateLimitDescriptor`: what is counted, and the limit (`RateLimitOverride`).
fn descriptor(rule: &Rule, rate: Rate, cost: u64, caller: &Caller<'_>) -> Message {
    let entry = |key: &str, value: &[u8]| Message::default().bytes(1, key.as_bytes()).bytes(2, value);
    let mut message = Message::default().message(1, &entry("limit", rule.name.as_bytes()));
    for part in &rule.key {
        let (name, value) = value(part, rule, caller);
        message = message.message(1, &entry(&name, &value));
    }
    let limit = Message::default().number(1, rate.limit()).number(2, unit(rule.window));
    let message = message.message(2, &limit);
    if cost == 1 { message } else { message.message(3, &Message::default().number(1, cost)) }
}

/// A part of a key, as the service sees it. What may be a secret (a header) is sent as a hash.
fn value(part: &KeyPart, rule: &Rule, caller: &Caller<'_>) -> (String, Vec<u8>) {
    match part {
        KeyPart::Ip => {
            let network = caller.network.map_or_else(|| "unknown".to_owned(), |network| network.to_string());
            ("ip".to_owned(), network.into_bytes())
        }
        KeyPart::Route => {
            let route = caller.route.and_then(|route| rule.route_ids.get(route)).copied().unwrap_or(0);
            ("route".to_owned(), format!("{route:016x}").into_bytes())
        }
        KeyPart::Service => ("service".to_owned(), caller.service.unwrap_or_default().into()),
        KeyPart::Header(name) => (name.as_str().to_owned(), hashed(caller.headers.all(name.as_str()))),
        KeyPart::User => {
            let user = caller.subject.and_then(|subject| subject.user()).unwrap_or_default();
            ("user".to_owned(), user.into())
        }
        KeyPart::Role => {
            let mut roles = Vec::new();
            caller
                .subject
                .iter()
                .for_each(|subject| subject.each_role(&mut |role| roles.push(role.to_owned())));
            ("role".to_owned(), roles.join(",").into_bytes())
        }
        KeyPart::Claim(path) => {
            let mut values = Vec::new();
            let visit = &mut |value: &[u8]| values.push(value.to_vec());
            caller.subject.iter().for_each(|subject| {
                subject.each_value(path.steps(), visit);
            });
            (format!("claim:{}", path.steps().join("/")), values.join(&b','))
        }
    }
}

/// The same in every proxy of the fleet, so without a secret.
fn hashed<'v>(values: impl Iterator<Item = &'v [u8]>) -> Vec<u8> {
    let mut hasher = SipHasher13::new();
    values.for_each(|value| {
        hasher.write_usize(value.len());
        hasher.write(value);
    });
    format!("{:032x}", hasher.finish128().as_u128()).into_bytes()
}

/// `DescriptorStatus`.
struct Status {
    is_over: bool,
    limit: u64,
    remaining: u64,
    reset: Duration,
}

/// The statuses of `RateLimitResponse`; nothing unless there is one for each descriptor.
fn read(message: &[u8], expected: usize) -> Option<Vec<Status>> {
    let response = fields(message)?;
    let statuses: Option<Vec<_>> = messages(&response, 2).map(status).collect();
    statuses.filter(|statuses| statuses.len() == expected)
}

fn status(message: &[u8]) -> Option<Status> {
    let status = fields(message)?;
    let limit = fields(messages(&status, 2).next().unwrap_or_default())?;
    let reset = fields(messages(&status, 4).next().unwrap_or_default())?;
    let nanos = u32::try_from(number(&reset, 2)).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    Some(Status {
        is_over: number(&status, 1) == OVER_LIMIT,
        limit: number(&limit, 1),
        remaining: number(&status, 3),
        reset: Duration::new(number(&reset, 1), nanos),
    })
}

#[cfg(test)]
#[path = "fleet_tests.rs"]
mod tests;
