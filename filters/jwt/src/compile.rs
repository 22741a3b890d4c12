//! From the section as it is written to the section as it is used; every mistake at once.

use crate::claim_header::ClaimHeader;
use crate::fetch::{FetchFrom, FetchPolicy};
use crate::keyset::{AlgSet, KeySet, SetRules};
use crate::policy::{RawConfirmation, RawFetch, RawJwt, RawProvider, RawSecret, RawSecretEncoding};
use crate::{Alg, Jwt, Key, Provider, Target, base64url, source};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use core::time::Duration;
use portcullis_edge_core::{ConfigError, HeaderName, Node, PolicyDuration};

/// Reads an environment variable of the proxy.
pub type Env<'e> = &'e dyn Fn(&str) -> Option<String>;

/// Collects mistakes while the rest is still checked.
#[derive(Default)]
pub(crate) struct Mistakes(pub(crate) Vec<ConfigError>);

impl Mistakes {
    pub(crate) fn keep<T>(&mut self, result: Result<T, ConfigError>) -> Option<T> {
        result.map_err(|error| self.0.push(error)).ok()
    }

    pub(crate) fn add(&mut self, error: ConfigError) {
        self.0.push(error);
    }

    pub(crate) fn finish<T>(self, value: T) -> Result<T, Vec<ConfigError>> {
        if self.0.is_empty() { Ok(value) } else { Err(self.0) }
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
        let cache_bytes = usize::try_from(self.cache_bytes).unwrap_or(usize::MAX);
        mistakes.finish(Jwt { providers: compiled, sources, cache_bytes })
    }
}

struct Section<'s> {
    raw: &'s RawProvider,
    at: &'s Node,
    env: Env<'s>,
}

impl Section<'_> {
    fn compile(&self, name: &str) -> Result<Provider, Vec<ConfigError>> {
        let mut mistakes = Mistakes::default();
        let raw = self.raw;
        self.check_words(&mut mistakes);
        let keys = self.keys(&mut mistakes);
        let fetch = raw.fetch.as_ref().and_then(|fetch| self.fetch(fetch, &mut mistakes));
        let headers = self.headers(&mut mistakes);
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
        };
        mistakes.finish(provider)
    }

    fn check_words(&self, mistakes: &mut Mistakes) {
        let (raw, at) = (self.raw, self.at);
        if raw.any_audience && !raw.audiences.is_empty() {
            mistakes.add(at.key("any_audience").error("`true` beside `audiences`", "one of the two"));
        }
        if !(64..=65_536).contains(&raw.max_token_bytes) {
            let found = format!("`{}`", raw.max_token_bytes);
            mistakes.add(at.key("max_token_bytes").error(found, "a number of bytes from 64 to 65536"));
        }
        if raw.leeway.0 > Duration::from_secs(600) {
            mistakes.add(at.key("leeway").error("a longer one", "at most 10m: it is for clocks that differ"));
        }
        if raw.max_lifetime.is_some() && !raw.require_exp {
            mistakes.add(
                at.key("max_lifetime").error("a limit", "`require_exp`, without which it limits nothing"),
            );
        }
        if raw.min_secret_bytes.is_some_and(|bytes| !(16..=64).contains(&bytes)) {
            mistakes
                .add(at.key("min_secret_bytes").error("another number", "a number of bytes from 16 to 64"));
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

    fn rules(&self, fetched: bool, max_keys: usize) -> SetRules {
        let min_secret = self.raw.min_secret_bytes.map(usize::from);
        SetRules { algorithms: self.algorithms(), max_keys, fetched, min_secret }
    }

    fn keys(&self, mistakes: &mut Mistakes) -> KeySet {
        let mut keys = Vec::new();
        for (index, secret) in self.raw.secrets.iter().enumerate() {
            keys.extend(mistakes.keep(self.secret(secret, &self.at.key("secrets").index(index))));
        }
        for (index, pem) in self.raw.pem.iter().enumerate() {
            let at = self.at.key("pem").index(index);
            let key = pem.value.resolve(&at.key("value"), self.env).and_then(|text| {
                Key::pem(pem.kid.as_deref(), pem.alg, &text)
                    .map_err(|error| at.key("value").error("another key", error.expected()))
            });
            keys.extend(mistakes.keep(key.and_then(|key| self.accepted(key, &at))));
        }
        let mut set = KeySet::of(keys);
        set.extend(self.inline_set(mistakes));
        if set.keys().is_empty() && self.raw.fetch.is_none() && mistakes.0.is_empty() {
            mistakes.add(self.at.error("no key", "one of `secrets`, `pem`, `jwks` and `fetch`"));
        }
        set
    }

    fn secret(&self, raw: &RawSecret, at: &Node) -> Result<Key, ConfigError> {
        let text = raw.value.resolve(&at.key("value"), self.env)?;
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
        self.accepted(key, at)
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
            let Some(header) = mistakes.keep(name) else { continue };
            if headers.iter().any(|known| known.header.is_spelt_like(raw.header.as_bytes())) {
                mistakes.add(at.error(format!("{found} a second time"), "each header once"));
                continue;
            }
            headers.push(ClaimHeader { claim: raw.claim.clone(), header, encoding: raw.encoding });
        }
        headers
    }

    fn fetch(&self, raw: &RawFetch, mistakes: &mut Mistakes) -> Option<FetchPolicy> {
        let at = self.at.key("fetch");
        if self.raw.algorithms.is_empty() {
            mistakes.add(self.at.key("algorithms").error("nothing", "the algorithms of the fetched keys"));
        }
        check_fetch_numbers(raw, &at, mistakes);
        let from = mistakes.keep(self.fetch_from(raw, &at))?;
        Some(FetchPolicy {
            from,
            cluster: raw.cluster.clone(),
            jwks_cluster: raw.jwks_cluster.clone().unwrap_or_else(|| raw.cluster.clone()),
            refresh: raw.refresh.0,
            timeout: raw.timeout.0,
            retry: raw.retry.0,
            cooldown: raw.cooldown.0,
            max_age: raw.max_age.0,
            max_bytes: usize::try_from(raw.max_bytes).unwrap_or(usize::MAX),
            rules: self.rules(true, usize::from(raw.max_keys)),
        })
    }

    fn fetch_from(&self, raw: &RawFetch, at: &Node) -> Result<FetchFrom, ConfigError> {
        match (&raw.jwks_uri, raw.discovery, &self.raw.issuer) {
            (Some(uri), false, _) => {
                let expected = "an absolute URL, such as `https://idp.example/keys`";
                let target = Target::parse(uri)
                    .ok_or_else(|| at.key("jwks_uri").error(format!("`{}`", uri.escape_debug()), expected))?;
                Ok(FetchFrom::Keys(target))
            }
            (None, true, Some(issuer)) => {
                let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
                let target = Target::parse(&url)
                    .ok_or_else(|| self.at.key("issuer").error("another text", "a URL, for discovery"))?;
                Ok(FetchFrom::Issuer { issuer: issuer.clone(), at: target })
            }
            (None, true, None) => Err(self.at.key("issuer").error("nothing", "the issuer, for discovery")),
            _ => Err(at.error("none or both of `jwks_uri` and `discovery`", "exactly one of them")),
        }
    }
}

fn check_fetch_numbers(raw: &RawFetch, at: &Node, mistakes: &mut Mistakes) {
    let second = Duration::from_secs(1);
    let durations = [
        ("refresh", raw.refresh, second),
        ("timeout", raw.timeout, Duration::from_millis(1)),
        ("retry", raw.retry, Duration::from_millis(100)),
        ("cooldown", raw.cooldown, second),
        ("max_age", raw.max_age, raw.refresh.0),
    ];
    for (name, value, least) in durations {
        if value.0 < least {
            mistakes.add(at.key(name).error(format!("{:?}", value.0), format!("{least:?} or more")));
        }
    }
    if !(256..=1_048_576).contains(&raw.max_bytes) {
        mistakes.add(
            at.key("max_bytes")
                .error(format!("`{}`", raw.max_bytes), "a number of bytes from 256 to 1048576"),
        );
    }
    if !(1..=256).contains(&raw.max_keys) {
        mistakes.add(at.key("max_keys").error(format!("`{}`", raw.max_keys), "a number from 1 to 256"));
    }
    if raw.cluster.is_empty() {
        mistakes.add(at.key("cluster").error("an empty text", "the name of an Envoy cluster"));
    }
}

fn nanos(duration: PolicyDuration) -> u64 {
    u64::try_from(duration.0.as_nanos()).unwrap_or(u64::MAX)
}
