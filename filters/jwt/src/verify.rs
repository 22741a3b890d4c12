//! The verdict on a token: the checks, in their order.

use crate::compile::Mistakes;
use crate::error::refuse;
use crate::jose::{Compact, Header};
use crate::policy::{RawAuth, RawNeed};
use crate::provider::{Provider, Signed};
use crate::registered::Registered;
use crate::source::{self, Found, Source, Strip};
use crate::{Identity, KeySet, Refusal, SignatureCheck, TokenError};
use portcullis_edge_core::{ConfigError, Node, RequestHead, Wall};
use std::rc::Rc;

/// The compiled section: all providers.
#[derive(Debug)]
pub struct Jwt {
    pub(crate) providers: Vec<Provider>,
    pub(crate) sources: Vec<Source>,
    pub(crate) cache_bytes: usize,
}

/// What one route asks for.
#[derive(Clone, Debug)]
pub struct RouteAuth {
    pub(crate) need: RawNeed,
    /// Indices into the providers, in the policy's order.
    pub(crate) providers: Vec<usize>,
    pub(crate) max_token_bytes: usize,
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
        mistakes.finish(RouteAuth { need: self.token, providers, max_token_bytes })
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
                None => {
                    let error =
                        at.error(format!("`{}`", name.escape_debug()), "a provider of the section `jwt`");
                    mistakes.add(error.near(name, all.iter().map(|provider| provider.name.as_str())));
                }
            }
        }
        found
    }
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
    /// Whether the route needs a token.
    #[must_use]
    pub fn need(&self) -> RawNeed {
        self.need
    }

    /// The providers whose tokens it takes.
    #[must_use]
    pub fn providers(&self) -> &[usize] {
        &self.providers
    }
}

/// A decoded token before any key was asked.
pub(crate) struct Decoded<'t> {
    pub(crate) compact: Compact<'t>,
    pub(crate) header: crate::Json,
    pub(crate) claims: crate::Json,
}

impl<'t> Decoded<'t> {
    pub(crate) fn read(token: &'t [u8], max_bytes: usize) -> Result<Self, Refusal> {
        if token.len() > max_bytes {
            return Err(refuse(
                TokenError::TooLarge,
                "the token is larger than the route's providers accept",
            ));
        }
        let compact = Compact::split(token)?;
        let header = compact.header()?;
        // The header's own checks come first: of a JWE or an extension nothing more should be read.
        Header::read(&header)?;
        let claims = compact.claims()?;
        Ok(Self { compact, header, claims })
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
        let exact =
            of_route().find(|(_, provider)| provider.issuer.is_some() && provider.issuer.as_deref() == iss);
        exact.or_else(|| of_route().find(|(_, provider)| provider.issuer.is_none()))
    }

    /// Checks a token for a route.
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
    ) -> Result<Identity, Refusal> {
        let Decoded { compact, header, claims } = Decoded::read(token, route.max_token_bytes)?;
        let header = Header::read(&header)?;
        let registered = Registered::read(&claims)?;
        let no_issuer = refuse(TokenError::InvalidIssuer, "no provider of the route has this `iss`");
        let (index, provider) = self.choose(route, registered.iss).ok_or(no_issuer)?;
        if token.len() > provider.max_token_bytes {
            return Err(refuse(TokenError::TooLarge, "the token is larger than its provider accepts"));
        }
        let signature = compact.signature()?;
        let signed = Signed { header: &header, signed: compact.signed, signature: &signature };
        provider.check_signature(&signed, keys.of(index), host)?;
        let (from, until) = provider.check_claims(&header, &registered, claims.root(), now)?;
        provider.identify(index, claims, from, until)
    }
}
