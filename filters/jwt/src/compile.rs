//! From the section as it is written to the section as it is used; every mistake at once.

use crate::claim_header::ClaimHeader;
use crate::compile_remote::revocation;
use crate::keyset::{AlgSet, KeySet, SetRules, max_candidates};
use crate::policy::{RawConfirmation, RawJwt, RawPem, RawProvider, RawSecret, RawSecretEncoding};
use crate::secret::Env;
use crate::{Alg, Jwt, Key, Provider, base64url, source};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use core::time::Duration;
use portcullis_edge_core::{ConfigError, HeaderName, Node, PolicyDuration};

/// Collects mistakes while the rest is still checked.
#[derive(Default)]
pub(crate) struct Mistakes(pub(crate) Vec<ConfigError>);

impl Mistakes {
    pub(crate) fn keep<T>(&mut self, result: Result<T, ConfigError>) -> Option<T> {
        result.map_err(|error| self.0.push(error)).ok()
    }

    pub(crate) fn all<T>(&mut self, result: Result<T, Vec<ConfigError>>) -> Option<T> {
        result.map_err(|errors| self.0.extend(errors)).ok()
    }

    pub(crate) fn add(&mut self, error: ConfigError) {
        self.0.push(error);
    }

    pub(crate) fn finish<T>(self, value: T) -> Result<T, Vec<ConfigError>> {
        if self.0.is_empty() { Ok(value) } else { Err(self.0) }
    }
}

/// A number's bounds, both included.
#[derive(Clone, Copy)]
pub(crate) struct NumberRange {
    pub(crate) least: u32,
    pub(crate) most: u32,
}

impl NumberRange {
    pub(crate) fn check(self, found: u32, at: &Node, mistakes: &mut Mistakes) {
        if !(self.least..=self.most).contains(&found) {
            let expected = format!("a number from {} to {}", self.least, self.most);
            mistakes.add(at.error(format!("`{found}`"), expected));
        }
    }
}

impl RawJwt {
    /// Checks the section, which stands at `at`, and resolves its secrets through `env`.
    ///
    /// # Errors
    /// Every mistake, each with its place. None shows a secret.
    pub fn compile(&self, at: &Node, env: Env<'_>) -> Result<Jwt, Vec<ConfigError>> {
        let mut mistakes = Mistakes::default();
        if self.providers.is_empty() {
            mistakes.add(at.key("providers").error("nothing", "one provider at least"));
        }
        let providers = &at.key("providers");
        let compile = |(name, raw): (&String, &RawProvider)| {
            Section { raw, at: &providers.key(name), env }.compile(name)
        };
        let mut compiled = Vec::new();
        for result in self.providers.iter().map(compile) {
            match result {
                Ok(provider) => compiled.push(provider),
                Err(errors) => mistakes.0.extend(errors),
            }
        }
        let sources = source::compile(&self.sources, &at.key("sources"), &mut mistakes);
        NumberRange { least: 1, most: 65_536 }.check(self.max_waiting, &at.key("max_waiting"), &mut mistakes);
        let cache_bytes = usize::try_from(self.cache_bytes).unwrap_or(usize::MAX);
        let max_waiting = usize::try_from(self.max_waiting).unwrap_or(usize::MAX);
        mistakes.finish(Jwt { providers: compiled, sources, cache_bytes, max_waiting, mode: self.mode })
    }
}

/// Headers that proxies and services already read something into.
const NOT_FOR_CLAIMS: [&str; 12] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-forwarded-for",
];

/// One provider's part of the section, and where it stands.
pub(crate) struct Section<'s> {
    pub(crate) raw: &'s RawProvider,
    pub(crate) at: &'s Node,
    pub(crate) env: Env<'s>,
}

impl Section<'_> {
    fn compile(&self, name: &str) -> Result<Provider, Vec<ConfigError>> {
        let mut mistakes = Mistakes::default();
        let raw = self.raw;
        self.check_words(&mut mistakes);
        let keys = self.keys(&mut mistakes);
        let fetch = raw.fetch.as_ref().and_then(|fetch| self.fetch(fetch, &mut mistakes));
        let headers = self.headers(&mut mistakes);
        let revocation =
            raw.revocation.as_ref().and_then(|r| mistakes.all(revocation(r, &self.at.key("revocation"))));
        let introspection = raw.introspection.as_ref().and_then(|raw| mistakes.all(self.introspection(raw)));
        let provider = Provider {
            name: name.to_owned(),
            issuer: raw.issuer.clone(),
            audiences: raw.audiences.clone(),
            any_audience: raw.any_audience,
            algorithms: self.algorithms(),
            keys,
            fetch,
            types: raw.typ.clone(),
            leeway_nanos: nanos(raw.leeway),
            max_lifetime_nanos: raw.max_lifetime.map(nanos),
            max_token_bytes: usize::try_from(raw.max_token_bytes).unwrap_or(usize::MAX),
            require_exp: raw.require_exp,
            takes_bound_tokens: raw.confirmation == RawConfirmation::Bearer,
            required: raw.required_claims.iter().map(|r| (r.claim.clone(), r.one_of.clone())).collect(),
            user: raw.user_claim.clone(),
            role: raw.role_claim.clone(),
            scope: raw.scope_claim.clone(),
            headers,
            revocation,
            introspection,
            is_opaque: self.is_opaque(),
        };
        mistakes.finish(provider)
    }

    /// Whether no key of any kind is given.
    pub(crate) fn is_opaque(&self) -> bool {
        let raw = self.raw;
        raw.secrets.is_empty() && raw.pem.is_empty() && raw.jwks.is_none() && raw.fetch.is_none()
    }

    fn check_words(&self, mistakes: &mut Mistakes) {
        let (raw, at) = (self.raw, self.at);
        if raw.any_audience && !raw.audiences.is_empty() {
            mistakes.add(at.key("any_audience").error("`true` beside `audiences`", "one of the two"));
        }
        NumberRange { least: 64, most: 65_536 }.check(
            raw.max_token_bytes,
            &at.key("max_token_bytes"),
            mistakes,
        );
        if let Some(bytes) = raw.min_secret_bytes {
            NumberRange { least: 16, most: 64 }.check(bytes.into(), &at.key("min_secret_bytes"), mistakes);
        }
        if raw.leeway.0 > Duration::from_secs(600) {
            mistakes.add(at.key("leeway").error("a longer one", "at most 10m: it is for clocks that differ"));
        }
        if raw.max_lifetime.is_some() && !raw.require_exp {
            mistakes.add(
                at.key("max_lifetime").error("a limit", "`require_exp`, without which it limits nothing"),
            );
        }
        for (index, rule) in raw.required_claims.iter().enumerate() {
            if rule.one_of.iter().any(|v| v.is_null() || v.is_array() || v.is_object()) {
                let place = at.key("required_claims").index(index).key("one_of");
                mistakes.add(place.error("null, a list or an object", "texts, numbers and booleans"));
            }
        }
    }

    /// What the provider says, else everything: then each key says it.
    fn algorithms(&self) -> AlgSet {
        if self.raw.algorithms.is_empty() {
            return Alg::ALL.into_iter().collect();
        }
        self.raw.algorithms.iter().copied().collect()
    }

    pub(crate) fn rules(&self, fetched: bool, max_keys: usize) -> SetRules {
        let min_secret = self.raw.min_secret_bytes.map(usize::from);
        SetRules { algorithms: self.algorithms(), max_keys, fetched, min_secret }
    }

    fn keys(&self, mistakes: &mut Mistakes) -> KeySet {
        let mut keys = Vec::new();
        for (index, secret) in self.raw.secrets.iter().enumerate() {
            keys.extend(mistakes.keep(self.secret(secret, &self.at.key("secrets").index(index))).flatten());
        }
        for (index, pem) in self.raw.pem.iter().enumerate() {
            keys.extend(mistakes.keep(self.pem(pem, &self.at.key("pem").index(index))).flatten());
        }
        let mut set = KeySet::of(keys);
        set.extend(self.inline_set(mistakes));
        check_names(&set, self.at, mistakes);
        if self.is_opaque() && self.raw.introspection.is_none() {
            mistakes
                .add(self.at.error("no key", "one of `secrets`, `pem`, `jwks`, `fetch` and `introspection`"));
        }
        set
    }

    fn pem(&self, raw: &RawPem, at: &Node) -> Result<Option<Key>, ConfigError> {
        let Some(text) = raw.value.resolve(&at.key("value"), self.env)? else { return Ok(None) };
        let key = Key::pem(raw.kid.as_deref(), raw.alg, &text)
            .map_err(|error| at.key("value").error("another key", error.expected()))?;
        self.accepted(key, at).map(Some)
    }

    fn secret(&self, raw: &RawSecret, at: &Node) -> Result<Option<Key>, ConfigError> {
        let Some(text) = raw.value.resolve(&at.key("value"), self.env)? else { return Ok(None) };
        let bytes = match raw.encoding {
            RawSecretEncoding::Text => Some(text.as_bytes().to_vec()),
            RawSecretEncoding::Base64url => base64url::decode(text.as_bytes()),
            RawSecretEncoding::Base64 => STANDARD.decode(text.as_bytes()).ok(),
        };
        let bytes =
            bytes.ok_or_else(|| at.key("value").error("another text (not shown)", "its `encoding`"))?;
        let min = self.raw.min_secret_bytes.map(usize::from);
        let key = Key::secret(raw.kid.as_deref(), raw.alg, &bytes, min).map_err(|error| {
            at.error(format!("a secret of {} bytes for {}", bytes.len(), raw.alg), error.expected())
        })?;
        self.accepted(key, at).map(Some)
    }

    fn accepted(&self, key: Key, at: &Node) -> Result<Key, ConfigError> {
        if self.algorithms().contains(key.alg()) {
            return Ok(key);
        }
        Err(at.key("alg").error(format!("`{}`", key.alg()), "one of the provider's `algorithms`"))
    }

    fn inline_set(&self, mistakes: &mut Mistakes) -> KeySet {
        let Some(jwks) = &self.raw.jwks else { return KeySet::default() };
        let at = self.at.key("jwks");
        let bytes = jwks.0.to_string().into_bytes();
        let set = match KeySet::read(&bytes, &self.rules(false, 256)) {
            Ok(set) => set,
            Err(error) => {
                mistakes.add(
                    at.error(error.as_str(), "a JWK Set: an object with a list `keys` (RFC 7517 section 5)"),
                );
                return KeySet::default();
            }
        };
        for skipped in set.skipped().iter().filter(|skipped| skipped.why.is_mistake()) {
            mistakes.add(at.key("keys").index(skipped.index).error("another key", skipped.why.expected()));
        }
        if set.keys().is_empty() && mistakes.0.is_empty() {
            mistakes.add(at.key("keys").error("no key that verifies signatures", "one at least"));
        }
        set
    }

    fn headers(&self, mistakes: &mut Mistakes) -> Vec<ClaimHeader> {
        let mut headers: Vec<ClaimHeader> = Vec::new();
        for (index, raw) in self.raw.claim_to_headers.iter().enumerate() {
            let at = self.at.key("claim_to_headers").index(index).key("header");
            let found = format!("`{}`", raw.header.escape_debug());
            let name = HeaderName::parse(&raw.header).map_err(|expected| at.error(found.clone(), expected));
            let name = name.and_then(|name| {
                let taken = NOT_FOR_CLAIMS.contains(&name.as_str());
                if taken {
                    Err(at.error(found.clone(), "a header that means nothing else yet"))
                } else {
                    Ok(name)
                }
            });
            let Some(header) = mistakes.keep(name) else { continue };
            if headers.iter().any(|known| known.header.is_spelt_like(raw.header.as_bytes())) {
                mistakes.add(at.error(format!("{found} a second time"), "each header once"));
                continue;
            }
            headers.push(ClaimHeader { claim: raw.claim.clone(), header, encoding: raw.encoding });
        }
        headers
    }
}

/// Keys without ids are told apart by trying, which has its limit: those beyond would never be tried.
fn check_names(set: &KeySet, at: &Node, mistakes: &mut Mistakes) {
    for alg in Alg::ALL {
        let nameless = set.keys().iter().filter(|key| key.alg() == alg && key.kid().is_none()).count();
        let most = max_candidates(alg);
        if nameless > most {
            let found = format!("{nameless} keys for {alg} without `kid`");
            mistakes.add(at.error(found, format!("{most} at most: no token is tried against more of them")));
        }
    }
}

fn nanos(duration: PolicyDuration) -> u64 {
    u64::try_from(duration.0.as_nanos()).unwrap_or(u64::MAX)
}
