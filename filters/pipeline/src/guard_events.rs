//! The log lines of what the guards did. Every one of these events has its line.

use crate::lines::SecurityEvent;
use crate::{Facts, Pipeline};
use portcullis_access_log::{Fact, SecurityExtra, SecurityRequest, Verdict};
use portcullis_edge_core::Mode;
use portcullis_limits::{
    LOGIN_BLOCKED, LOGIN_UNREADABLE, NETWORK_BLOCKED, Noted, RATE_LIMITED, TOKEN_ABUSED, TOO_MANY_AT_ONCE,
};

/// What happened, as a line's action, reason, stage, rule and mode.
struct Event<'a> {
    action: &'static str,
    reason: &'static str,
    stage: &'static str,
    rule: Option<&'a str>,
    mode: Mode,
    verdict: Verdict,
    more: Vec<(&'static str, Fact<'a>)>,
}

impl<'a> Event<'a> {
    fn refusal(action: &'static str, stage: &'static str, reason: &'static str, mode: Mode) -> Self {
        Self { action, reason, stage, rule: None, mode, verdict: Verdict::of(mode), more: Vec::new() }
    }

    fn of(self, rule: Option<&'a str>) -> Self {
        Self { rule, ..self }
    }
}

impl Pipeline {
    /// What the guards did with a request, as security events.
    pub(crate) fn guard_extras<'a>(
        &'a self,
        facts: &'a Facts,
        request: SecurityRequest<'a>,
    ) -> impl Iterator<Item = SecurityEvent<'a>> {
        self.guard_events(facts).into_iter().map(move |event| {
            let extra = SecurityExtra {
                verdict: event.verdict,
                reason: event.reason,
                detail: None,
                stage: event.stage,
                rule: event.rule,
                mode: event.mode,
                request: Some(request),
                policy: Some(&self.policy.hash),
                more: event.more,
                left_out: 0,
            };
            (event.action, extra)
        })
    }

    fn guard_events(&self, facts: &Facts) -> Vec<Event<'_>> {
        let mut events = self.abuse_events(facts);
        events.extend(source_event(facts));
        events.extend(self.findings_event(facts));
        events.extend(self.limit_events(facts));
        events.extend(self.breaker_events(facts));
        events
    }

    fn abuse_events(&self, facts: &Facts) -> Vec<Event<'_>> {
        let guard = &facts.guard;
        let seen = [
            (guard.blocked, NETWORK_BLOCKED.name),
            (guard.login_blocked, LOGIN_BLOCKED.name),
            (guard.login_unreadable, LOGIN_UNREADABLE.name),
            (guard.token_abused, TOKEN_ABUSED.name),
        ];
        let refused = seen.into_iter().filter_map(|(mode, reason)| Some((mode?, reason)));
        let mut events: Vec<_> = refused
            .map(|(mode, reason)| Event::refusal("suspicious_activity", "abuse", reason, mode))
            .collect();
        // Of an account's block the line says so: it concerns its owner too.
        for (login, rule) in [(guard.login, None), (guard.account_login, Some("account"))] {
            if login == Some(Noted::Blocks) {
                let mode = self.policy.abuse.logins.as_ref().map_or(Mode::Off, |rule| rule.mode());
                let event = Event::refusal("suspicious_activity", "abuse", "brute_force", mode);
                events.push(Event { verdict: Verdict::Noted, ..event.of(rule) });
            }
        }
        events
    }

    fn findings_event(&self, facts: &Facts) -> Option<Event<'_>> {
        let (unusable, mode) = self.without_findings(facts)?;
        let event = Event::refusal("suspicious_activity", "findings", unusable.as_str(), mode);
        Some(event.of(self.policy.findings.reader.as_ref().map(|reader| reader.instance())))
    }

    fn limit_events(&self, facts: &Facts) -> Vec<Event<'_>> {
        let limits = facts.guard.limits.hits.iter().map(|hit| {
            let event = Event::refusal("rate_limit_violation", "limits", RATE_LIMITED.name, hit.mode);
            let standing = facts.guard.limits.standing.filter(|standing| standing.rule == hit.rule);
            let more = standing.into_iter().flat_map(|standing| {
                [("limit", Fact::Number(standing.limit)), ("remaining", Fact::Number(standing.remaining))]
            });
            Event { more: more.collect(), ..event.of(self.policy.limits.names().nth(hit.rule)) }
        });
        let places = facts.guard.places.iter().map(|(index, mode)| {
            let event = Event::refusal("rate_limit_violation", "concurrency", TOO_MANY_AT_ONCE.name, *mode);
            event.of(self.policy.concurrency.names().nth(*index))
        });
        limits.chain(places).collect()
    }

    fn breaker_events(&self, facts: &Facts) -> Vec<Event<'_>> {
        let changes = facts.guard.transitions.iter().map(|change| {
            let service = self.policy.services.get(change.service).map(|service| service.name.as_str());
            let mode = self.policy.breakers.mode(change.service);
            let event = Event::refusal("circuit_breaker_change", "breaker", change.why.as_str(), mode);
            let more =
                vec![("from", Fact::Text(change.from.as_str())), ("to", Fact::Text(change.to.as_str()))];
            Event { verdict: Verdict::Noted, more, ..event.of(service) }
        });
        changes.collect()
    }
}

fn source_event(facts: &Facts) -> Option<Event<'static>> {
    let (result, mode) = facts.guard.source?;
    let wrong = result.err()?;
    Some(Event::refusal("security_header_validation", "source", wrong.as_str(), mode))
}
