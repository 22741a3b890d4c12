//! How backends know their gateway: the check in front of a backend, and the gateway's signature.

use crate::{Facts, HeaderOps, Pipeline};
use portcullis_edge_core::{Denial, Host, Mode, Verdict, spelt_alike};
use portcullis_source_check::{Claims, INVALID_SOURCE};

const USER: &str = "x-user-id";
const ROLE: &str = "x-user-role";
const SOURCE: &str = "x-source";

impl Pipeline {
    /// The stage `Source`.
    pub(crate) fn check_source(&self, facts: &mut Facts, host: &dyn Host) -> Verdict {
        let Some(required) = &self.policy.source.require else { return Verdict::Continue };
        // Of a client that a proxy tells of, the address is only as good as everybody in that proxy's network.
        if !facts.by_proxy && required.exempts(facts.client.address()) {
            facts.unvouched = true;
            return Verdict::Continue;
        }
        let result = required.check(&facts.head.headers, self.identity_names(), host.now().wall);
        facts.guard.source = Some((result, required.mode()));
        match (result, required.mode()) {
            (Err(_), Mode::Enforce) => Denial::new(INVALID_SOURCE).into(),
            _ => Verdict::Continue,
        }
    }

    /// Takes out of an exempt client's request what only the gateway may say: nothing there has been checked.
    pub(crate) fn without_claims(&self, facts: &Facts, ops: &mut HeaderOps) {
        if !facts.unvouched {
            return;
        }
        let (user, role) = self.identity_names();
        let required = self.policy.source.require.iter().flat_map(|required| required.headers());
        let names: Vec<&str> = required.chain([user, role]).collect();
        let is_claim = |name: &&[u8]| names.iter().any(|own| spelt_alike(own.as_bytes(), name));
        ops.remove
            .extend(facts.head.headers.iter().map(|(name, _)| name).filter(is_claim).map(<[u8]>::to_vec));
    }

    /// The names of the headers with user and roles.
    pub(crate) fn identity_names(&self) -> (&str, &str) {
        let names = self.policy.trust.identity();
        names.map_or((USER, ROLE), |names| (names.user.as_str(), names.role.as_str()))
    }

    /// Signs a request that goes on to its service.
    pub(crate) fn sign(&self, facts: &Facts, host: &dyn Host, ops: &mut HeaderOps) {
        let Some(signer) = &self.policy.source.sign else { return };
        let source = self.policy.trust.to_set().find(|(name, _)| name.as_str() == SOURCE);
        let bearer = facts.token.bearer();
        let roles = bearer.map(|bearer| bearer.roles().collect::<Vec<_>>().join(",")).unwrap_or_default();
        let claims = Claims {
            source: source.map_or(&b""[..], |(_, value)| value),
            request_id: facts.request_id().as_bytes(),
            user: bearer.and_then(|bearer| bearer.user()).unwrap_or_default().as_bytes(),
            role: roles.as_bytes(),
        };
        ops.set(signer.header().as_str(), &signer.sign(&claims, host.now().wall));
    }
}
