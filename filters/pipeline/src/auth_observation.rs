//! What is counted and logged of a request's bearer.

use crate::lines::SecurityEvent;
use crate::observation::AuthObservation;
use crate::{Facts, Pipeline};
use portcullis_access_log::{SecurityExtra, SecurityRequest, Verdict};
use portcullis_authz::Forbidden;
use portcullis_edge_core::Mode;
use portcullis_jwt::{Refusal, TokenError};

impl Pipeline {
    /// What to count of a request's token; `None` where nothing was looked at.
    pub(crate) fn auth_observation(&self, facts: &Facts, status: u16) -> Option<AuthObservation> {
        let (token, permission) = (&facts.token, facts.rules.verdict);
        // What another instance found out is counted there.
        let checked = token.identity().filter(|_| token.looked);
        let seen = AuthObservation {
            looked: token.looked,
            source: token.source,
            token: token
                .verdict
                .as_ref()
                .map(|verdict| verdict.as_ref().copied().map_err(|refusal| refusal.error)),
            budget_exhausted: token.verdict.and_then(Result::err).and_then(exhausted_of),
            user: checked.map(|identity| identity.user().is_some()),
            role: checked.map(|identity| identity.roles().next().is_some()),
            permission: permission.map(|(verdict, _)| verdict.is_ok()),
            shadow: token.mode == Mode::Shadow,
            shadow_permission: permission.is_some_and(|(_, mode)| mode == Mode::Shadow),
            validation_micros: token.validation_micros,
            context_micros: token.context_micros,
            created: self.issues(facts).then_some((200..300).contains(&status)),
        };
        (seen.looked || seen.permission.is_some() || seen.created.is_some()).then_some(seen)
    }

    /// Whether the answers of a request's route make tokens.
    fn issues(&self, facts: &Facts) -> bool {
        self.route_of(facts).and_then(|route| route.auth.as_ref()).is_some_and(|auth| auth.issues())
    }
}

impl Pipeline {
    /// A request's security events of token and rules.
    pub(crate) fn events<'a>(
        &'a self,
        facts: &'a Facts,
        request: SecurityRequest<'a>,
    ) -> Vec<SecurityEvent<'a>> {
        let refused = facts.token.verdict.as_ref().and_then(|verdict| verdict.as_ref().err());
        let forbidden = facts.rules.verdict;
        let forbidden = forbidden.and_then(|(verdict, mode)| Some((verdict.err()?, mode)));
        let token = refused.map(|refusal| self.refusal(refusal, facts.token.mode, request));
        let permission = forbidden.map(|(forbidden, mode)| self.prohibition(forbidden, mode, request));
        let events = token.map(|extra| ("jwt_validation", extra));
        events.into_iter().chain(permission.map(|extra| ("access_control", extra))).collect()
    }

    fn refusal<'a>(
        &'a self,
        refusal: &Refusal,
        mode: Mode,
        request: SecurityRequest<'a>,
    ) -> SecurityExtra<'a> {
        let providers = self.jwt.as_ref().map(|jwt| jwt.providers());
        let rule = refusal.provider.and_then(|index| providers?.get(index)).map(|provider| provider.name());
        let verdict = Verdict::of(mode);
        let reason = refusal.error.as_str();
        let (stage, detail, request) = ("jwt", Some(refusal.detail), Some(request));
        SecurityExtra {
            verdict,
            reason,
            detail,
            stage,
            rule,
            mode,
            request,
            policy: Some(&self.policy.hash),
            more: Vec::new(),
            left_out: 0,
        }
    }

    fn prohibition<'a>(
        &'a self,
        forbidden: Forbidden,
        mode: Mode,
        request: SecurityRequest<'a>,
    ) -> SecurityExtra<'a> {
        let rule = match forbidden {
            Forbidden::Denied(_) => "deny",
            Forbidden::NotAllowed(_) => "allow",
        };
        let (verdict, reason) = (Verdict::of(mode), forbidden.as_str());
        let (stage, rule, request) = ("authz", Some(rule), Some(request));
        SecurityExtra {
            verdict,
            reason,
            detail: None,
            stage,
            rule,
            mode,
            request,
            policy: Some(&self.policy.hash),
            more: Vec::new(),
            left_out: 0,
        }
    }
}

/// The provider whose limit on trying keys refused a token.
fn exhausted_of(refusal: Refusal) -> Option<usize> {
    refusal.provider.filter(|_| refusal.error == TokenError::TooManyKeys)
}
