//! What instances of the filter in one proxy leave each other: the stage `Findings`, and what is made of them.

use crate::facts::Target;
use crate::guard::refuse_if;
use crate::request_id::HEADER;
use crate::token::TokenSlot;
use crate::{Facts, HeaderOps, Pipeline};
use portcullis_client_ip::{ClientIp, Sender};
use portcullis_edge_core::{Denial, Headers, Host, Mode, StreamFact, Verdict};
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

    /// The headers by which the instance before tells services of the bearer.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let bearer = self.taken().and_then(|findings| findings.bearer.as_ref());
        let headers = bearer.into_iter().flat_map(|bearer| &bearer.headers);
        headers.map(|(name, value)| (name.as_str(), value.as_bytes()))
    }

    /// Whether a header, name in lower case, says what the instance before made it say, and nothing else.
    pub(crate) fn has_made(&self, name: &[u8], headers: &Headers) -> bool {
        let mut made = self.headers().filter(|(made, _)| made.as_bytes() == name);
        made.next().is_some_and(|(name, value)| headers.all(name).eq([value]))
    }
}

fn identity(bearer: &HandedBearer) -> Option<Identity> {
    let claims = serde_json::to_vec(&bearer.claims).ok()?;
    let (user, roles, scopes) = (bearer.user.as_deref(), &bearer.roles, &bearer.scopes);
    Identity::handed(Handed { user, roles, scopes, claims: &claims })
}

impl Pipeline {
    /// What the instance that the policy names has found out.
    pub(crate) fn take_findings(&self, headers: &Headers, host: &dyn Host) -> FindingsSlot {
        let Some(reader) = &self.policy.findings.reader else { return FindingsSlot::default() };
        let began = host.stream(StreamFact::Began).unwrap_or_default();
        let opened = reader.open(host.filter_state(reader.state()).as_deref(), &began);
        // The id is of one request alone; another one's findings have another id.
        let is_of_this = |findings: &Findings| headers.all(HEADER).eq([findings.request_id.as_bytes()]);
        let opened =
            opened.and_then(|found| if is_of_this(&found) { Ok(found) } else { Err(Unusable::Refused) });
        FindingsSlot(Some(opened.map(Box::new)))
    }

    /// Why the request has no findings that can be believed, and the enforcement mode of the stage; nothing where it has some, or needs
    /// none: pages come before.
    pub(crate) fn without_findings(&self, facts: &Facts) -> Option<(Unusable, Mode)> {
        if matches!(facts.target, Target::Page(_)) {
            return None;
        }
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

    /// What to count.
    pub(crate) fn findings_result(&self, facts: &Facts) -> Option<FindingsResult> {
        match self.without_findings(facts) {
            Some((unusable, _)) => Some(Err(unusable).into()),
            None => facts.findings.taken().map(|_| Ok(()).into()),
        }
    }

    /// Takes out of a request what an earlier instance tells services of a bearer: where a token is checked here, only this check counts.
    pub(crate) fn without_handed_headers(&self, facts: &Facts, ops: &mut HeaderOps) {
        if facts.token.looked {
            let names = facts.findings.headers().map(|(name, _)| name.as_bytes().to_vec());
            ops.remove.extend(names.filter(|name| facts.head.headers.iter().any(|(own, _)| own == name)));
        }
    }

    /// Leaves for later instances what this one has found out of a request that goes on.
    pub(crate) fn publish_findings(&self, facts: &Facts, host: &dyn Host, ops: &mut HeaderOps) {
        let Some(publisher) = &self.policy.findings.publisher else { return };
        let began = host.stream(StreamFact::Began).unwrap_or_default();
        let sealed = publisher.seal(&self.findings(facts, host, ops), &began);
        ops.state.extend(sealed.map(|sealed| (publisher.state().to_owned().into(), sealed)));
    }

    fn findings(&self, facts: &Facts, host: &dyn Host, ops: &HeaderOps) -> Findings {
        Findings {
            client: facts.client.address(),
            by_proxy: facts.by_proxy,
            by_stranger: self.came_by_a_stranger(&facts.head, &facts.findings),
            over_tls: facts.over_tls && (self.trusts_forwarded_proto(facts) || is_tls(host)),
            request_id: facts.request_id().to_owned(),
            bearer: facts.token.bearer().map(|identity| self.handed_bearer(facts, identity, ops)),
        }
    }

    fn handed_bearer(&self, facts: &Facts, identity: &Identity, ops: &HeaderOps) -> HandedBearer {
        let texts = |list: &mut dyn Iterator<Item = &str>| list.map(str::to_owned).collect();
        let names = self.policy.trust.identity().into_iter().flat_map(|names| names.all());
        let said = names.filter_map(|name| Some((name.as_str(), value_of(ops, name.as_str())?)));
        let claims = self.jwt.iter().flat_map(|jwt| jwt.headers(identity));
        let before = facts.findings.headers().filter(|_| !facts.token.looked);
        let text = |value: &[u8]| String::from_utf8(value.to_vec()).ok();
        let headers = said.chain(claims).chain(before);
        HandedBearer {
            user: identity.user().map(str::to_owned),
            roles: texts(&mut identity.roles()),
            scopes: texts(&mut identity.scopes()),
            claims: identity.claims().to_serde(),
            asked: facts.token.asked,
            headers: headers.filter_map(|(name, value)| Some((name.to_owned(), text(value)?))).collect(),
        }
    }
}

fn value_of<'o>(ops: &'o HeaderOps, name: &str) -> Option<&'o [u8]> {
    ops.set.iter().rev().find(|(set, _)| set == name).map(|(_, value)| value.as_slice())
}

/// Whether the client's connection has TLS.
pub(crate) fn is_tls(host: &dyn Host) -> bool {
    host.stream(StreamFact::TlsVersion).is_some_and(|version| !version.is_empty())
}
