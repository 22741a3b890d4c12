//! What a route asks for.

use super::jwt::Jwt;
use super::mistakes::Mistakes;
use super::provider::Provider;
use super::raw_request::{RawAuth, RawBadToken, RawNeed};
use crate::error::TokenError;
use portcullis_edge_core::{Class, ConfigError, Mode, Node};

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
    pub(crate) ignores_bad: bool,
    pub(crate) clears_cookie: bool,
    pub(crate) allows_cross_site: bool,
    pub(crate) ends_at_expiry: bool,
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
        if looks && all.len() > 1 && self.providers.is_empty() {
            let names: Vec<&str> = all.iter().map(Provider::name).collect();
            let expected = format!("the providers whose tokens the route takes, of {}", names.join(", "));
            mistakes.add(at.key("providers").error("nothing", expected));
        }
        if self.bad_token == RawBadToken::Ignore && self.token != RawNeed::Optional {
            let expected = "`token: optional` beside it: only there a request may go on without a token";
            mistakes.add(at.key("bad_token").error("`ignore`", expected));
        }
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
            ignores_bad: self.bad_token == RawBadToken::Ignore,
            clears_cookie: self.clear_cookie,
            allows_cross_site: self.allow_cross_site,
            ends_at_expiry: self.end_at_expiry,
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
    let of = |index: &usize| all.get(*index);
    for (place, index) in providers.iter().enumerate() {
        let earlier = providers.iter().take(place).filter_map(of);
        let Some(provider) = of(index) else { continue };
        for other in earlier.filter(|other| other.overlaps(provider)) {
            let found = format!("`{}` and `{}`, both for the same issuer", other.name, provider.name);
            mistakes.add(
                at.key("providers")
                    .error(found, "one provider for each issuer, and one for tokens of no named issuer"),
            );
        }
    }
}

impl RouteAuth {
    /// Two of its providers whose roles cannot be told apart, if there are any.
    #[must_use]
    pub fn with_one_role_prefix<'j>(&self, jwt: &'j Jwt) -> Option<(&'j Provider, &'j Provider)> {
        let own = || self.providers.iter().filter_map(|index| jwt.providers.get(*index));
        own().enumerate().find_map(|(place, provider)| {
            let mut earlier = own().take(place);
            Some((earlier.find(|other| other.role_prefix == provider.role_prefix)?, provider))
        })
    }

    /// Whether the route's good answers carry new tokens, as a login's do.
    #[must_use]
    pub fn issues(&self) -> bool {
        self.issues
    }

    /// Whether a request whose token is refused for this reason goes on as one without a token. Never where the token may be good,
    /// where there are two (services may read the other one), and where a page of another site may have sent it.
    #[must_use]
    pub fn ignores(&self, error: TokenError) -> bool {
        let is_bad = error.reason().class == Class::Unauthenticated;
        self.ignores_bad && is_bad && error != TokenError::TwoTokens
    }

    /// Whether the answer to a request with a bad token from a cookie clears the cookie.
    #[must_use]
    pub fn clears_cookie(&self) -> bool {
        self.clears_cookie
    }

    /// Whether what is still open when the token expires is ended then.
    #[must_use]
    pub fn ends_at_expiry(&self) -> bool {
        self.ends_at_expiry
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

    /// The enforcement mode: the route's, else the section's.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }
}
