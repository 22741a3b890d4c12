//! What is counted of the guards: limits, blocks, breakers, and what they would have done in shadow mode.

use crate::{Facts, Pipeline};
use portcullis_breaker::State;
use portcullis_breaker::metrics::{BreakerMetrics, Guarded};
use portcullis_edge_core::Mode;
use portcullis_limits::metrics::{Activity, LimitKind, LimitMetrics, LimitName, MaskedClient, SUSPICION};
use portcullis_limits::{Noted, StoreError};
use portcullis_metrics::{Registry, labels, metrics};
use portcullis_source_check::metrics::{CheckResult, Header, SourceMetrics};

labels! {
    /// why a client is suspected: its network is on the policy's list, it failed to log in too often, its token is used by too many networks,
    /// its request does not come from the gateway, or not from the instance of the filter before this one
    pub enum Suspicion {
        NetworkBlocked = "network_blocked",
        LoginBlocked = "login_blocked",
        LoginUnreadable = "login_unreadable",
        TokenAbused = "token_abuse",
        InvalidSource = "invalid_source",
        FindingsUnusable = "findings_unusable",
    }
}

labels! {
    /// what would have refused the request: the reason that its answer and the `denied` of its log line give in enforce mode
    pub enum ShadowRefusal {
        RateLimited = "rate_limited",
        TooManyAtOnce = "too_many_at_once",
        NetworkBlocked = "network_blocked",
        LoginBlocked = "login_blocked",
        LoginUnreadable = "login_unreadable",
        TokenAbused = "token_abuse",
        BreakerOpen = "breaker_open",
        InvalidSource = "invalid_source",
        FindingsUnusable = "findings_unusable",
    }
}

metrics! {
    /// What is counted of all guards together.
    pub struct GuardMetrics {
        /// Requests of clients that are suspected of something, and were refused for it.
        gateway_suspicious_requests_total: Counter { reason: Suspicion },
            when SUSPICION, promql "sum by (reason) (increase(gateway_suspicious_requests_total[5m]))";
        /// Requests that a limit, a block or a breaker in shadow mode would have refused.
        gateway_shadow_refusals_total: Counter { reason: ShadowRefusal },
            promql "sum by (reason) (rate(gateway_shadow_refusals_total[5m]))";
        /// Times that the state of a limit, a block or a breaker could not be read or changed; the policy says what becomes of a request then.
        gateway_guard_failures_total: Counter { error: StoreError },
            promql "sum by (error) (rate(gateway_guard_failures_total[5m]))";
    }
}

/// What the guards did with one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuardObservation {
    /// Limits that refused it.
    pub limited: Vec<(LimitName, LimitKind)>,
    /// Who was refused; empty where nobody was.
    pub client: Option<MaskedClient>,
    /// Limits that began with what others had used.
    pub crowded: u32,
    /// Why it was refused as suspicious.
    pub suspicions: Vec<Suspicion>,
    /// What was noticed.
    pub activities: Vec<Activity>,
    /// What would have refused it.
    pub shadow: Vec<ShadowRefusal>,
    /// What the check of its source found.
    pub source: Option<(Header, CheckResult)>,
    /// The breaker that refused it.
    pub refused_by: Option<Guarded>,
    /// Changes of breakers.
    pub transitions: Vec<(Guarded, State)>,
    /// State that could not be had.
    pub failures: Vec<StoreError>,
}

impl GuardObservation {
    pub(crate) fn count(
        &self,
        registry: &mut Registry,
        limits: &LimitMetrics,
        breakers: &BreakerMetrics,
        (guards, source): (&GuardMetrics, &SourceMetrics),
    ) {
        if let Some(checked) = self.source {
            source.gateway_security_header_validation_total.inc(registry, checked);
        }
        for (name, kind) in &self.limited {
            if let Some(client) = &self.client {
                limits.gateway_rate_limit_hits_total.inc(registry, (*name, client));
            }
            limits.auth_rate_limit_hits_total.inc(registry, *kind);
        }
        limits.gateway_rate_limit_crowded_total.add(registry, (), self.crowded.into());
        for activity in &self.activities {
            limits.auth_suspicious_activity_total.inc(registry, *activity);
        }
        if let Some(service) = self.refused_by {
            breakers.gateway_circuit_breaker_refused_total.inc(registry, service);
        }
        for transition in &self.transitions {
            breakers.gateway_circuit_breaker_transitions_total.inc(registry, *transition);
        }
        self.suspicions.iter().for_each(|s| guards.gateway_suspicious_requests_total.inc(registry, *s));
        self.shadow.iter().for_each(|s| guards.gateway_shadow_refusals_total.inc(registry, *s));
        self.failures.iter().for_each(|error| guards.gateway_guard_failures_total.inc(registry, *error));
    }
}

/// A refusal in each of its modes.
fn sort<T: Copy>(
    mode: Mode,
    enforced: T,
    shadow: ShadowRefusal,
    seen: &mut Vec<T>,
    shadows: &mut Vec<ShadowRefusal>,
) {
    match mode {
        Mode::Enforce => seen.push(enforced),
        Mode::Shadow => shadows.push(shadow),
        Mode::Off => {}
    }
}

impl Pipeline {
    /// What there is to count of the guards; nothing for most requests.
    pub(crate) fn guard_observation(&self, facts: &Facts) -> Option<Box<GuardObservation>> {
        if facts.guard.is_quiet() && self.without_findings(facts).is_none() {
            return None;
        }
        let mut seen = GuardObservation::default();
        self.see_limits(facts, &mut seen);
        self.see_abuse(facts, &mut seen);
        self.see_breaker(facts, &mut seen);
        self.see_source(facts, &mut seen);
        self.see_findings(facts, &mut seen);
        seen.failures.extend(facts.guard.failures.iter().chain(&facts.guard.limits.failures));
        Some(Box::new(seen))
    }

    fn see_limits(&self, facts: &Facts, seen: &mut GuardObservation) {
        let (limits, places) = (&self.policy.limits, &self.policy.concurrency);
        for hit in &facts.guard.limits.hits {
            let what = (LimitName(hit.rule), limits.kind(hit.rule));
            sort(hit.mode, what, ShadowRefusal::RateLimited, &mut seen.limited, &mut seen.shadow);
        }
        let before = limits.names().count();
        for (index, mode) in &facts.guard.places {
            let what = (LimitName(before.saturating_add(*index)), places.kind(*index));
            sort(*mode, what, ShadowRefusal::TooManyAtOnce, &mut seen.limited, &mut seen.shadow);
        }
        seen.client = (!seen.limited.is_empty()).then(|| MaskedClient(facts.client.masked()));
        seen.crowded = facts.guard.limits.crowded;
    }

    fn see_abuse(&self, facts: &Facts, seen: &mut GuardObservation) {
        let guard = &facts.guard;
        let refusals = [
            (guard.blocked, Suspicion::NetworkBlocked, ShadowRefusal::NetworkBlocked),
            (guard.login_blocked, Suspicion::LoginBlocked, ShadowRefusal::LoginBlocked),
            (guard.login_unreadable, Suspicion::LoginUnreadable, ShadowRefusal::LoginUnreadable),
            (guard.token_abused, Suspicion::TokenAbused, ShadowRefusal::TokenAbused),
        ];
        for (mode, suspicion, shadow) in refusals {
            sort(mode.unwrap_or(Mode::Off), suspicion, shadow, &mut seen.suspicions, &mut seen.shadow);
        }
        let noticed = [
            (guard.login == Some(Noted::Blocks)).then_some(Activity::BruteForce),
            (guard.account_login == Some(Noted::Blocks)).then_some(Activity::BruteForce),
            guard.token_abused.filter(|mode| *mode != Mode::Off).map(|_| Activity::TokenAbuse),
        ];
        seen.activities.extend(noticed.into_iter().flatten());
    }

    fn see_source(&self, facts: &Facts, seen: &mut GuardObservation) {
        let Some((result, mode)) = facts.guard.source else { return };
        seen.source = Some(self.policy.source.counted(result, mode == Mode::Shadow));
        if result.is_err() {
            let (suspicion, shadow) = (Suspicion::InvalidSource, ShadowRefusal::InvalidSource);
            sort(mode, suspicion, shadow, &mut seen.suspicions, &mut seen.shadow);
        }
    }

    fn see_findings(&self, facts: &Facts, seen: &mut GuardObservation) {
        if let Some((_, mode)) = self.without_findings(facts) {
            let (suspicion, shadow) = (Suspicion::FindingsUnusable, ShadowRefusal::FindingsUnusable);
            sort(mode, suspicion, shadow, &mut seen.suspicions, &mut seen.shadow);
        }
    }

    fn see_breaker(&self, facts: &Facts, seen: &mut GuardObservation) {
        let breakers = &self.policy.breakers;
        let service = self.route_of(facts).map(|route| breakers.label(route.service));
        match facts.guard.breaker_open {
            Some(Mode::Enforce) => seen.refused_by = service,
            Some(Mode::Shadow) => seen.shadow.push(ShadowRefusal::BreakerOpen),
            Some(Mode::Off) | None => {}
        }
        let changes = facts.guard.transitions.iter();
        seen.transitions.extend(changes.map(|change| (breakers.label(change.service), change.to)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_breaker::BREAKER_OPEN;
    use portcullis_findings::FINDINGS_UNUSABLE;
    use portcullis_limits::{
        LOGIN_BLOCKED, LOGIN_UNREADABLE, NETWORK_BLOCKED, RATE_LIMITED, TOKEN_ABUSED, TOO_MANY_AT_ONCE,
    };
    use portcullis_source_check::INVALID_SOURCE;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn labels_are_the_reasons_of_log_lines() {
        let reasons = [
            RATE_LIMITED,
            TOO_MANY_AT_ONCE,
            NETWORK_BLOCKED,
            LOGIN_BLOCKED,
            LOGIN_UNREADABLE,
            TOKEN_ABUSED,
            BREAKER_OPEN,
            INVALID_SOURCE,
            FINDINGS_UNUSABLE,
        ];
        let labels: Vec<_> = ShadowRefusal::VALUES.iter().map(|(_, text)| *text).collect();
        assert_eq!(labels, reasons.map(|reason| reason.name));
        let suspicions: Vec<_> = Suspicion::VALUES.iter().map(|(_, text)| *text).collect();
        assert_eq!(
            suspicions,
            [
                NETWORK_BLOCKED,
                LOGIN_BLOCKED,
                LOGIN_UNREADABLE,
                TOKEN_ABUSED,
                INVALID_SOURCE,
                FINDINGS_UNUSABLE
            ]
            .map(|reason| reason.name)
        );
    }
}
