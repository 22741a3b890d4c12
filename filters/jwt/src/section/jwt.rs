use super::provider::Provider;
use crate::error::Refusal;
use crate::token::{self, Found, Identity, KINDS, Source, Strip};
use portcullis_edge_core::{HeaderName, Mode, RequestHead};

/// The compiled section: all providers.
#[derive(Debug)]
pub struct Jwt {
    pub(crate) providers: Vec<Provider>,
    pub(crate) sources: Vec<Source>,
    pub(crate) cache_bytes: usize,
    pub(crate) max_waiting: usize,
    pub(crate) max_waiting_per_client: usize,
    pub(crate) mode: Mode,
    /// Tells services who issued the token.
    pub(crate) issuer_header: Option<HeaderName>,
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

    /// How many of them may be of one client network.
    #[must_use]
    pub fn max_waiting_per_client(&self) -> usize {
        self.max_waiting_per_client
    }

    /// Which kinds of places tokens are taken from, each once: labels of metrics.
    pub fn source_kinds(&self) -> impl Iterator<Item = &'static str> {
        let is_used = |kind: &&'static str| self.sources.iter().any(|source| source.kind() == *kind);
        KINDS.into_iter().filter(is_used)
    }

    /// The kind of the place where a token stood, as an index into [`Jwt::source_kinds`].
    #[must_use]
    pub fn source_kind(&self, found: &Found<'_>) -> Option<usize> {
        let kind = self.sources.get(found.source())?.kind();
        self.source_kinds().position(|known| known == kind)
    }

    /// What is fetched: the provider's name, and `keys` or `deny_list`; in the order of `Tokens::facts`.
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

    /// The clusters of the auth services that are asked.
    pub fn auth_clusters(&self) -> impl Iterator<Item = &str> {
        self.providers.iter().filter_map(|provider| Some(provider.introspection.as_ref()?.cluster.as_str()))
    }

    /// The token of a request; `None` where there is none.
    ///
    /// # Errors
    /// [`crate::TokenError::TwoTokens`].
    pub fn find<'h>(&self, head: &'h RequestHead) -> Result<Option<Found<'h>>, Refusal> {
        token::find(&self.sources, head)
    }

    /// The change that takes the token out of the request, where its source says so.
    #[must_use]
    pub fn strip(&self, head: &RequestHead, found: &Found<'_>) -> Option<Strip> {
        token::strip(&self.sources, head, found)
    }

    /// The change that takes the token out of the request, whatever its source says.
    #[must_use]
    pub fn take_out(&self, head: &RequestHead, found: &Found<'_>) -> Option<Strip> {
        token::take_out(&self.sources, head, found)
    }

    /// The subprotocol to open a WebSocket with where its client offers none but the marker before the token; if the service, which does
    /// not see that, chooses none.
    #[must_use]
    pub fn answered_protocol(&self, head: &RequestHead, found: &Found<'_>) -> Option<&str> {
        token::answered_protocol(&self.sources, head, found)
    }

    /// The `Set-Cookie` that takes a bad token out of the browser, where it came in a cookie.
    #[must_use]
    pub fn clear_cookie(&self, found: &Found<'_>) -> Option<&str> {
        token::clear(&self.sources, found)
    }

    /// Whether the token of the request may be used: one from a cookie is not, where a page of another site may have sent it.
    ///
    /// # Errors
    /// [`TokenError::CrossSite`](crate::TokenError::CrossSite).
    pub fn check_site(&self, head: &RequestHead, found: &Found<'_>) -> Result<(), Refusal> {
        token::check_site(&self.sources, head, found)
    }

    /// The headers that a token's claims become, and the one that tells its issuer: names (lower case) and values.
    pub fn headers<'i>(&'i self, identity: &'i Identity) -> impl Iterator<Item = (&'i str, &'i [u8])> {
        let provider = self.providers.get(identity.provider());
        let of_claims = identity.headers().filter_map(move |(at, value)| {
            provider.and_then(|p| p.headers.get(at)).map(|header| (header.header.as_str(), value))
        });
        let issuer = self.issuer_header.as_ref().zip(provider.map(|provider| provider.issuer_of(identity)));
        of_claims.chain(issuer.map(|(header, issuer)| (header.as_str(), issuer.as_bytes())))
    }

    /// Every header that tokens may become: a client's copy of any of them must go, on every route.
    pub fn header_names(&self) -> impl Iterator<Item = &str> {
        let of_claims = self.providers.iter().flat_map(Provider::header_names);
        of_claims.chain(self.issuer_header.as_ref().map(HeaderName::as_str))
    }
}
