//! The verdict on a token: the checks, in their order.

use crate::compile::Mistakes;
use crate::error::refuse;
use crate::identity::{Chosen, Facts};
use crate::introspection::is_b64token;
use crate::jose::{Compact, Header, HeaderMemo};
use crate::policy::{RawAuth, RawNeed};
use crate::provider::{Provider, Signed};
use crate::registered::Registered;
use crate::source::{self, Found, Source, Strip};
use crate::{Identity, Json, JsonRef, KeySet, Refusal, SignatureCheck, TokenError};
use portcullis_edge_core::{ConfigError, Mode, Node, RequestHead, Wall};
use rsa::sha2::{Digest as _, Sha256};
use std::rc::Rc;

/// The compiled section: all providers.
#[derive(Debug)]
pub struct Jwt {
    pub(crate) providers: Vec<Provider>,
    pub(crate) sources: Vec<Source>,
    pub(crate) cache_bytes: usize,
    pub(crate) max_waiting: usize,
    pub(crate) mode: Mode,
}

/// What one route asks for.
#[derive(Clone, Debug)]
pub struct RouteAuth {
    pub(crate) need: RawNeed,
    /// Indices into the providers, in the policy's order.
    pub(crate) providers: Vec<usize>,
    pub(crate) max_token_bytes: usize,
    /// The provider of tokens that are no JWTs.
    pub(crate) opaque: Option<usize>,
    pub(crate) mode: Mode,
    pub(crate) issues: bool,
}

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

impl Question {
    /// What the token says by itself, already found good; nothing for a token that only the auth service can read.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }
}

/// Fetched key sets, one place for each provider.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    fetched: Vec<Option<Rc<KeySet>>>,
    generation: u64,
}

impl Keys {
    /// The keys of a provider, if they are there.
    #[must_use]
    pub fn of(&self, provider: usize) -> Option<&KeySet> {
        self.fetched.get(provider).and_then(Option::as_deref)
    }

    /// Puts a provider's keys in their place, or takes them away.
    pub fn set(&mut self, provider: usize, keys: Option<Rc<KeySet>>) {
        if self.fetched.len() <= provider {
            self.fetched.resize(provider.saturating_add(1), None);
        }
        if let Some(place) = self.fetched.get_mut(provider) {
            *place = keys;
            self.generation = self.generation.wrapping_add(1);
        }
    }

    /// Changes whenever any keys do.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }
}

impl RawAuth {
    /// Checks a route's need, which stands at `at`, against the providers.
    ///
    /// # Errors
    /// Unknown names, and providers that a token could not tell apart.
    pub fn compile(&self, jwt: Option<&Jwt>, at: &Node) -> Result<RouteAuth, Vec<ConfigError>> {
        let mut mistakes = Mistakes::default();
        let all = jwt.map(|jwt| jwt.providers.as_slice()).unwrap_or_default();
        let looks = matches!(self.token, RawNeed::Optional | RawNeed::Required);
        if all.is_empty() && self.token != RawNeed::None {
            mistakes.add(at.error("no section `jwt` in the policy", "one, with the providers of the tokens"));
        }
        if !looks && !self.providers.is_empty() {
            mistakes.add(at.key("providers").error("providers", "none where no token is taken"));
        }
        let providers = self.find_providers(all, at, &mut mistakes);
        if looks {
            tell_apart(&providers, all, at, &mut mistakes);
        }
        let sizes = providers.iter().filter_map(|index| all.get(*index)).map(|p| p.max_token_bytes);
        let max_token_bytes = sizes.max().unwrap_or(0);
        let is_opaque = |index: &&usize| all.get(**index).is_some_and(|provider| provider.is_opaque);
        let mut opaque = providers.iter().filter(is_opaque).copied();
        let (opaque, another) = (opaque.next(), opaque.next());
        if looks && another.is_some() {
            mistakes.add(at.key("providers").error(
                "two providers with `introspection` and no keys",
                "one at most: an opaque token does not say whose it is",
            ));
        }
        let mode = self.mode.or(jwt.map(|jwt| jwt.mode)).unwrap_or_default();
        mistakes.finish(RouteAuth {
            need: self.token,
            providers,
            max_token_bytes,
            opaque,
            mode,
            issues: self.issues,
        })
    }

    fn find_providers(&self, all: &[Provider], at: &Node, mistakes: &mut Mistakes) -> Vec<usize> {
        if self.providers.is_empty() {
            return (0..all.len()).collect();
        }
        let mut found = Vec::new();
        for (place, name) in self.providers.iter().enumerate() {
            let at = at.key("providers").index(place);
            match all.iter().position(|provider| provider.name == *name) {
                Some(index) if found.contains(&index) => {
                    mistakes.add(at.error(format!("`{name}` a second time"), "each provider once"));
                }
                Some(index) => found.push(index),
                None => mistakes.add(unknown_provider(name, all.iter().map(Provider::name), &at)),
            }
        }
        found
    }
}

/// The mistake of a route that names a provider which the section `jwt` does not have.
#[must_use]
pub fn unknown_provider<'n>(name: &str, known: impl IntoIterator<Item = &'n str>, at: &Node) -> ConfigError {
    at.error(format!("`{}`", name.escape_debug()), "a provider of the section `jwt`").near(name, known)
}

/// A token is its issuer's: two providers for one `iss` on one route would make the verdict depend on their order.
fn tell_apart(providers: &[usize], all: &[Provider], at: &Node, mistakes: &mut Mistakes) {
    let of = |index: &usize| all.get(*index).map(|provider| (&provider.name, &provider.issuer));
    for (place, index) in providers.iter().enumerate() {
        let earlier = providers.iter().take(place).filter_map(of);
        let Some((name, issuer)) = of(index) else { continue };
        for (other, _) in earlier.filter(|(_, other)| *other == issuer) {
            let found = format!("`{other}` and `{name}`, both for the same issuer");
            mistakes.add(
                at.key("providers")
                    .error(found, "one provider for each issuer, and one for tokens of no named issuer"),
            );
        }
    }
}

impl RouteAuth {
    /// Whether the route's good answers carry new tokens, as a login's do.
    #[must_use]
    pub fn issues(&self) -> bool {
        self.issues
    }

    /// Whether the route needs a token.
    #[must_use]
    pub fn need(&self) -> RawNeed {
        self.need
    }

    /// Whether tokens are looked at at all.
    #[must_use]
    pub fn looks(&self) -> bool {
        self.need != RawNeed::None && self.mode != Mode::Off
    }

    /// How seriously that is meant: by the route's `auth`, else by the section.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The providers whose tokens it takes.
    #[must_use]
    pub fn providers(&self) -> &[usize] {
        &self.providers
    }
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
    /// The providers, in the order of their indices.
    #[must_use]
    pub fn providers(&self) -> &[Provider] {
        &self.providers
    }

    /// Memory for verified tokens in bytes.
    #[must_use]
    pub fn cache_bytes(&self) -> usize {
        self.cache_bytes
    }

    /// How many requests of one worker may wait for keys or an answer.
    #[must_use]
    pub fn max_waiting(&self) -> usize {
        self.max_waiting
    }

    /// Which kinds of places tokens are taken from, each once: labels of metrics.
    pub fn source_kinds(&self) -> impl Iterator<Item = &'static str> {
        let is_used = |kind: &&'static str| self.sources.iter().any(|source| source.kind() == *kind);
        source::KINDS.into_iter().filter(is_used)
    }

    /// The kind of the place where a token stood, as an index into [`Jwt::source_kinds`].
    #[must_use]
    pub fn source_kind(&self, found: &Found<'_>) -> Option<usize> {
        let kind = self.sources.get(found.source())?.kind();
        self.source_kinds().position(|known| known == kind)
    }

    /// What is fetched: the provider's name, and `keys` or `deny_list`; in the order of [`crate::Tokens::facts`].
    pub fn fetched(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.providers.iter().flat_map(|provider| {
            let keys = provider.fetch.is_some().then_some((provider.name(), "keys"));
            keys.into_iter().chain(provider.revocation.is_some().then_some((provider.name(), "deny_list")))
        })
    }

    /// Whether an auth service is asked about the tokens of any provider.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.providers.iter().any(|provider| provider.introspection.is_some())
    }

    /// The token of a request; `None` where there is none.
    ///
    /// # Errors
    /// [`TokenError::TwoTokens`].
    pub fn find<'h>(&self, head: &'h RequestHead) -> Result<Option<Found<'h>>, Refusal> {
        source::find(&self.sources, head)
    }

    /// The change that takes the token out of the request, where its source says so.
    #[must_use]
    pub fn strip(&self, head: &RequestHead, found: &Found<'_>) -> Option<Strip> {
        source::strip(&self.sources, head, found)
    }

    /// The headers that a token's claims become: names (lower case) and values.
    pub fn headers<'i>(&'i self, identity: &'i Identity) -> impl Iterator<Item = (&'i str, &'i [u8])> {
        let provider = self.providers.get(identity.provider);
        identity.headers.iter().filter_map(move |(at, value)| {
            provider.and_then(|p| p.headers.get(*at)).map(|header| (header.header.as_str(), value.as_ref()))
        })
    }

    /// Every header that claims may become: a client's copy of any of them must go, on every route.
    pub fn header_names(&self) -> impl Iterator<Item = &str> {
        self.providers.iter().flat_map(Provider::header_names)
    }

    /// The provider whose token this is, by its `iss`: the one with just that issuer, else the one that names none.
    pub(crate) fn choose(&self, route: &RouteAuth, iss: Option<&str>) -> Option<(usize, &Provider)> {
        let of_route =
            || route.providers.iter().filter_map(|index| Some((*index, self.providers.get(*index)?)));
        let exact = of_route().find(|(_, provider)| provider.issuer.as_deref() == iss);
        exact.or_else(|| of_route().find(|(_, provider)| provider.issuer.is_none()))
    }

    /// Whether `route` would ask the provider that gave `identity` about the same token.
    pub(crate) fn would_choose(&self, route: &RouteAuth, identity: &Identity) -> bool {
        let by = |iss| self.choose(route, iss).map(|(index, _)| index);
        let choice = match &identity.chosen {
            Chosen::ByClaims => by(identity.claims().member("iss").and_then(JsonRef::text)),
            Chosen::ByToken(iss) => by(iss.as_deref()),
            Chosen::Opaque => route.opaque,
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
        host: &dyn SignatureCheck,
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
        host: &dyn SignatureCheck,
    ) -> Result<Checked, Refusal> {
        let decoded = match Decoded::read(token, route.max_token_bytes, memo) {
            Ok(decoded) => decoded,
            Err(refusal) => return self.verify_opaque(route, token, refusal),
        };
        let registered = Registered::read(&decoded.claims)?;
        let no_issuer = refuse(TokenError::InvalidIssuer, "no provider of the route has this `iss`");
        let (index, provider) = self.choose(route, registered.iss).ok_or(no_issuer)?;
        provider.check_size(token).map_err(|refusal| refusal.of(index))?;
        if provider.is_opaque {
            let chosen = Chosen::ByToken(registered.iss.map(Into::into));
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
        host: &dyn SignatureCheck,
    ) -> Result<Facts, Refusal> {
        let signature = self.compact.signature()?;
        let checked = Signed { header: &self.header, signed: self.compact.signed, signature: &signature };
        provider.check_signature(&checked, fetched, host)?;
        let (from, until) = provider.check_claims(&self.header, claims, self.claims.root(), now)?;
        let signed = provider.revocation.is_some().then(|| Sha256::digest(self.compact.signed).into());
        Ok(Facts { from, until, signed })
    }
}
