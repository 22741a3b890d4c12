//! The verdict on a token: the checks, in their order.

use crate::error::{Refusal, TokenError, refuse};
use crate::keys::{KeySet, Keys};
use crate::section::{Jwt, Provider, RouteAuth, Signed};
use crate::token::{
    Chosen, Compact, Facts, Header, HeaderMemo, Identity, IssuedBy, Json, Registered, is_b64token,
};
use portcullis_edge_core::{Host, Wall};
use rsa::sha2::{Digest as _, Sha256};

/// What came of a token without asking anybody.
#[derive(Debug)]
pub enum Checked {
    /// It is good.
    Good(Identity),
    /// The provider's auth service must be asked.
    Ask(Question),
}

impl Checked {
    /// The identity of a token that is good by itself.
    #[must_use]
    pub fn good(self) -> Option<Identity> {
        match self {
            Self::Good(identity) => Some(identity),
            Self::Ask(_) => None,
        }
    }
}

/// A token that an auth service must be asked about.
#[derive(Debug)]
pub struct Question {
    /// The provider whose auth service it is.
    pub(crate) provider: usize,
    /// What the token says by itself, already found good; nothing for a token that only the auth service can read.
    pub(crate) identity: Option<Identity>,
    pub(crate) chosen: Chosen,
}

/// A decoded token before any key was asked.
pub(crate) struct Decoded<'t> {
    compact: Compact<'t>,
    header: Header<'t>,
    claims: Json,
}

impl<'t> Decoded<'t> {
    /// Reads a token; `memo` is where its header is kept.
    fn read(token: &'t [u8], max_bytes: usize, memo: &'t mut HeaderMemo) -> Result<Self, Refusal> {
        if token.len() > max_bytes {
            return Err(refuse(
                TokenError::TooLarge,
                "the token is larger than the route's providers accept",
            ));
        }
        let compact = Compact::split(token)?;
        // The header's own checks come first: of a JWE or an extension nothing more should be read.
        let header = Header::read(memo.header_of(&compact)?)?;
        Ok(Self { compact, header, claims: compact.claims()? })
    }
}

impl Jwt {
    /// The provider whose token this is, by its issuer: the one with just that issuer, else the one that names none.
    pub(crate) fn choose(&self, route: &RouteAuth, by: IssuedBy<'_>) -> Option<(usize, &Provider)> {
        let of_route =
            || route.providers.iter().filter_map(|index| Some((*index, self.providers.get(*index)?)));
        let exact = of_route().find(|(_, provider)| provider.issued(by));
        exact.or_else(|| of_route().find(|(_, provider)| provider.takes_any_issuer()))
    }

    /// Whether `route` would ask the provider that gave `identity` about the same token.
    pub(crate) fn would_choose(&self, route: &RouteAuth, identity: &Identity) -> bool {
        let choice = match &identity.chosen {
            Chosen::Opaque => route.opaque,
            _ => self.choose(route, identity.issued_by()).map(|(index, _)| index),
        };
        choice == Some(identity.provider)
    }

    /// Checks a token for a route, as far as that is possible without asking an auth service.
    ///
    /// # Errors
    /// The first check that refuses it.
    pub fn verify(
        &self,
        route: &RouteAuth,
        token: &[u8],
        keys: &Keys,
        now: Wall,
        host: &dyn Host,
    ) -> Result<Checked, Refusal> {
        self.verify_knowing(&mut HeaderMemo::default(), route, token, keys, now, host)
    }

    /// The same, with the header of a token before.
    pub(crate) fn verify_knowing(
        &self,
        memo: &mut HeaderMemo,
        route: &RouteAuth,
        token: &[u8],
        keys: &Keys,
        now: Wall,
        host: &dyn Host,
    ) -> Result<Checked, Refusal> {
        let decoded = match Decoded::read(token, route.max_token_bytes, memo) {
            Ok(decoded) => decoded,
            Err(refusal) => return self.verify_opaque(route, token, refusal),
        };
        let registered = Registered::read(&decoded.claims)?;
        let no_issuer = refuse(TokenError::InvalidIssuer, "no provider of the route has this `iss`");
        let (index, provider) = self.choose(route, registered.issued_by()).ok_or(no_issuer)?;
        provider.check_size(token).map_err(|refusal| refusal.of(index))?;
        if provider.is_opaque {
            let chosen = Chosen::ByToken(registered.iss.map(Into::into), registered.tid.map(Into::into));
            return Ok(Checked::Ask(Question { provider: index, identity: None, chosen }));
        }
        let of_provider = |refusal: Refusal| refusal.of(index);
        let facts = decoded.check(provider, &registered, keys.of(index), now, host).map_err(of_provider)?;
        let identity = provider.identify(index, decoded.claims, facts).map_err(of_provider)?;
        Ok(match &provider.introspection {
            Some(_) => {
                let chosen = Chosen::ByClaims;
                Checked::Ask(Question { provider: index, identity: Some(identity), chosen })
            }
            None => Checked::Good(identity),
        })
    }

    /// A token that is no JWT may still be one that the route's auth service knows.
    fn verify_opaque(&self, route: &RouteAuth, token: &[u8], refusal: Refusal) -> Result<Checked, Refusal> {
        let opaque = route.opaque.and_then(|index| Some((index, self.providers.get(index)?)));
        match opaque {
            Some((index, provider)) if refusal.error == TokenError::Malformed && is_b64token(token) => {
                provider.check_size(token).map_err(|refusal| refusal.of(index))?;
                let chosen = Chosen::Opaque;
                Ok(Checked::Ask(Question { provider: index, identity: None, chosen }))
            }
            _ => Err(refusal),
        }
    }
}

impl Decoded<'_> {
    /// The checks of the token's own provider.
    fn check(
        &self,
        provider: &Provider,
        claims: &Registered<'_>,
        fetched: Option<&KeySet>,
        now: Wall,
        host: &dyn Host,
    ) -> Result<Facts, Refusal> {
        let signature = self.compact.signature()?;
        let (header, by, signed) = (&self.header, claims.issued_by(), self.compact.signed);
        let checked = Signed { header, by, signed, signature: &signature };
        provider.check_signature(&checked, fetched, host)?;
        let (from, until) = provider.check_claims(&self.header, claims, self.claims.root(), now)?;
        let signed = provider.revocation.is_some().then(|| Sha256::digest(self.compact.signed).into());
        Ok(Facts { from, until, signed })
    }
}
