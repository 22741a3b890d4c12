//! What instances of the filter in one proxy leave each other: the stage `Findings`, and what is made of them.

use crate::guard::refuse_if;
use crate::token::TokenSlot;
use crate::{Facts, HeaderOps, Pipeline};
use portcullis_client_ip::{ClientIp, Sender};
use portcullis_edge_core::{Denial, Host, Mode, StreamFact, Verdict};
use portcullis_findings::{FINDINGS_UNUSABLE, Findings, FindingsResult, HandedBearer, Unusable};
use portcullis_jwt::{Handed, Identity};
use std::rc::Rc;

/// What came of the findings of the instance before; nothing where the policy takes none.
#[derive(Debug, Default)]
pub struct FindingsSlot(Option<Result<Box<Findings>, Unusable>>);

impl FindingsSlot {
    /// The findings that are taken.
    pub(crate) fn taken(&self) -> Option<&Findings> {
        self.0.as_ref()?.as_deref().ok()
    }

    /// Why there are none, where there should be some.
    pub(crate) fn unusable(&self) -> Option<Unusable> {
        self.0.as_ref()?.as_ref().err().copied()
    }

    /// What to count.
    pub(crate) fn result(&self) -> Option<FindingsResult> {
        Some(self.0.as_ref()?.as_ref().map(|_| ()).map_err(|why| *why).into())
    }

    /// Who sent the request, by the findings that are taken. `X-Forwarded-For` says it already.
    pub(crate) fn sender(&self) -> Option<Sender> {
        let findings = self.taken()?;
        let client = findings.client.map_or(ClientIp::UNKNOWN, ClientIp::from);
        Some(Sender { client, by_proxy: findings.by_proxy, forwarded_for: None })
    }

    /// Who asks, by the findings that are taken.
    pub(crate) fn token(&self) -> TokenSlot {
        let bearer = self.taken().and_then(|findings| findings.bearer.as_ref());
        let identity = bearer.and_then(identity).map(Rc::new);
        TokenSlot { asked: bearer.is_some_and(|bearer| bearer.asked), identity, ..TokenSlot::default() }
    }

    /// Whether the instance before made this header, name in lower case, of what it knows of the bearer.
    pub(crate) fn has_made(&self, name: &[u8]) -> bool {
        let bearer = self.taken().and_then(|findings| findings.bearer.as_ref());
        bearer.is_some_and(|bearer| bearer.headers.iter().any(|made| made.as_bytes() == name))
    }
}

fn identity(bearer: &HandedBearer) -> Option<Identity> {
    let claims = serde_json::to_vec(&bearer.claims).ok()?;
    let (user, roles, scopes) = (bearer.user.as_deref(), &bearer.roles, &bearer.scopes);
    Identity::handed(Handed { user, roles, scopes, claims: &claims })
}

impl Pipeline {
    /// What the instance that the policy names has found out.
    pub(crate) fn take_findings(&self, host: &dyn Host) -> FindingsSlot {
        let Some(reader) = &self.policy.findings.reader else { return FindingsSlot::default() };
        let began = host.stream(StreamFact::Began).unwrap_or_default();
        let opened = reader.open(host.filter_state(reader.state()).as_deref(), &began);
        FindingsSlot(Some(opened.map(Box::new)))
    }

    /// The enforcement mode of the stage, where the request has no findings that can be believed.
    pub(crate) fn without_findings(&self, facts: &Facts) -> Option<(Unusable, Mode)> {
        let unusable = facts.findings.unusable()?;
        Some((unusable, self.policy.findings.reader.as_ref()?.mode()))
    }

    /// The stage `Findings`.
    pub(crate) fn check_findings(&self, facts: &Facts) -> Verdict {
        match self.without_findings(facts) {
            Some((_, mode)) => refuse_if(mode, Denial::new(FINDINGS_UNUSABLE)),
            None => Verdict::Continue,
        }
    }

    /// Leaves for later instances what this one has found out of a request that goes on.
    pub(crate) fn publish_findings(&self, facts: &Facts, host: &dyn Host, ops: &mut HeaderOps) {
        let Some(publisher) = &self.policy.findings.publisher else { return };
        let began = host.stream(StreamFact::Began).unwrap_or_default();
        let sealed = publisher.seal(&self.findings(facts, host), &began);
        ops.state.extend(sealed.map(|sealed| (publisher.state().to_owned().into(), sealed)));
    }

    fn findings(&self, facts: &Facts, host: &dyn Host) -> Findings {
        let taken = facts.findings.taken();
        let by_stranger = || !self.policy.client_ip.trusts_proxies() && Self::came_by_a_proxy(&facts.head);
        Findings {
            client: facts.client.address(),
            by_proxy: facts.by_proxy,
            by_stranger: taken.map_or_else(by_stranger, |taken| taken.by_stranger),
            over_tls: facts.over_tls && (self.trusts_forwarded_proto(facts) || is_tls(host)),
            request_id: facts.request_id().to_owned(),
            bearer: facts.token.bearer().map(|identity| self.handed_bearer(facts, identity)),
        }
    }

    fn handed_bearer(&self, facts: &Facts, identity: &Identity) -> HandedBearer {
        let texts = |list: &mut dyn Iterator<Item = &str>| list.map(str::to_owned).collect();
        let names = self.policy.trust.identity().into_iter().flat_map(|names| names.all());
        let claims = self.jwt.iter().flat_map(|jwt| jwt.headers(identity)).map(|(name, _)| name);
        let own = names.map(|name| name.as_str()).chain(claims).map(str::to_owned);
        let before = facts.findings.taken().and_then(|taken| taken.bearer.as_ref());
        let before = before.iter().flat_map(|bearer| bearer.headers.iter().cloned());
        HandedBearer {
            user: identity.user().map(str::to_owned),
            roles: texts(&mut identity.roles()),
            scopes: texts(&mut identity.scopes()),
            claims: identity.claims().to_serde(),
            asked: facts.token.asked,
            headers: own.chain(before).collect(),
        }
    }
}

/// Whether the client's connection has TLS.
pub(crate) fn is_tls(host: &dyn Host) -> bool {
    host.stream(StreamFact::TlsVersion).is_some_and(|version| !version.is_empty())
}
