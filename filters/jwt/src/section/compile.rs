//! From the section as it is written to the section as it is used; every mistake at once.

use super::compile_remote::revocation;
use super::compile_sources;
use super::jwt::Jwt;
use super::mistakes::{Mistakes, NumberRange};
use super::part::Part;
use super::provider::Provider;
use super::raw::{RawConfirmation, RawJwt, RawProvider};
use crate::token::{ClaimHeader, Issuer, fits_list};
use core::time::Duration;
use portcullis_edge_core::Env;
use portcullis_edge_core::{ConfigError, HeaderName, Node, PolicyDuration};

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
        let compile =
            |(name, raw): (&String, &RawProvider)| Part { raw, at: &providers.key(name), env }.compile(name);
        let mut compiled: Vec<Provider> = Vec::new();
        for result in self.providers.iter().map(compile) {
            match result {
                Ok(provider) => compiled.push(provider),
                Err(errors) => mistakes.0.extend(errors),
            }
        }
        let prefixes: Vec<String> = compiled.iter().map(|provider| provider.role_prefix.clone()).collect();
        for provider in &mut compiled {
            let is_foreign = |prefix: &&String| {
                **prefix != provider.role_prefix && prefix.starts_with(&provider.role_prefix)
            };
            provider.foreign_prefixes = prefixes.iter().filter(is_foreign).cloned().collect();
        }
        let sources = compile_sources::compile(&self.sources, &at.key("sources"), &mut mistakes);
        NumberRange { least: 1, most: 65_536 }.check(self.max_waiting, &at.key("max_waiting"), &mut mistakes);
        let per_client = self.max_waiting_per_client.unwrap_or(self.max_waiting.div_ceil(4).max(1));
        NumberRange { least: 1, most: 65_536 }.check(
            per_client,
            &at.key("max_waiting_per_client"),
            &mut mistakes,
        );
        let cache_bytes = usize::try_from(self.cache_bytes).unwrap_or(usize::MAX);
        let max_waiting = usize::try_from(self.max_waiting).unwrap_or(usize::MAX);
        let max_waiting_per_client = usize::try_from(per_client).unwrap_or(usize::MAX);
        let issuer_header = self.issuer_header.as_ref();
        let issuer_header =
            issuer_header.and_then(|name| mistakes.keep(header_name(name, &at.key("issuer_header"))));
        mistakes.finish(Jwt {
            providers: compiled,
            sources,
            cache_bytes,
            max_waiting,
            max_waiting_per_client,
            mode: self.mode,
            issuer_header,
        })
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

impl Part<'_> {
    fn compile(&self, name: &str) -> Result<Provider, Vec<ConfigError>> {
        let mut mistakes = Mistakes::default();
        let raw = self.raw;
        self.check_words(&mut mistakes);
        let keys = self.keys(&mut mistakes);
        let fetch = raw.fetch.as_ref().and_then(|fetch| self.fetch(fetch, &mut mistakes));
        let headers = self.headers(&mut mistakes);
        let revocation = raw.revocation.as_ref().and_then(|raw| mistakes.all(revocation(self, raw)));
        let introspection = raw.introspection.as_ref().and_then(|raw| mistakes.all(self.introspection(raw)));
        let provider = Provider {
            name: name.to_owned(),
            issuers: raw.issuer.iter().chain(&raw.issuer_aliases).map(|name| Issuer::new(name)).collect(),
            tenants: raw.tenants.clone(),
            audiences: raw.audiences.clone(),
            any_audience: raw.any_audience,
            algorithms: self.algorithms(),
            keys,
            fetch,
            types: raw.typ.clone(),
            leeway_nanos: nanos(raw.leeway),
            max_lifetime_nanos: raw.max_lifetime.map(nanos),
            max_token_bytes: usize::try_from(raw.max_token_bytes).unwrap_or(usize::MAX),
            max_check_micros: raw.max_check_micros,
            require_exp: raw.require_exp,
            takes_bound_tokens: raw.confirmation == RawConfirmation::Bearer,
            required: raw.required_claims.iter().map(|r| (r.claim.clone(), r.one_of.clone())).collect(),
            user: raw.user_claim.clone(),
            role: raw.role_claim.clone(),
            role_prefix: raw.role_prefix.clone(),
            foreign_prefixes: Vec::new(),
            scope: raw.scope_claim.clone(),
            headers,
            revocation,
            introspection,
            is_opaque: self.is_opaque(),
        };
        mistakes.finish(provider)
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
        NumberRange { least: 100, most: 1_000_000 }.check(
            raw.max_check_micros,
            &at.key("max_check_micros"),
            mistakes,
        );
        self.check_issuer(mistakes);
        if !fits_list(&raw.role_prefix) {
            mistakes.add(
                at.key("role_prefix")
                    .error("another text", "printable characters, no comma, no space at an end"),
            );
        }
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

    fn check_issuer(&self, mistakes: &mut Mistakes) {
        let (raw, at) = (self.raw, self.at);
        let mut names = raw.issuer.iter().chain(&raw.issuer_aliases).map(|name| Issuer::new(name));
        let leaves_tenant = names.any(|name| name.has_tenant());
        if raw.issuer.is_none() && !raw.issuer_aliases.is_empty() {
            mistakes.add(at.key("issuer_aliases").error("aliases", "an `issuer` beside them"));
        }
        let says_which = raw.any_tenant || !raw.tenants.is_empty();
        if leaves_tenant && !says_which {
            let expected = "the tenants whose tokens are taken, or `any_tenant: true`";
            mistakes.add(at.key("tenants").error("nothing beside `{tenantid}`", expected));
        }
        if says_which && !leaves_tenant {
            let key = if raw.any_tenant { "any_tenant" } else { "tenants" };
            mistakes.add(
                at.key(key)
                    .error("a rule on tenants", "`{tenantid}` in `issuer`, without which it says nothing"),
            );
        }
        if raw.any_tenant && !raw.tenants.is_empty() {
            mistakes.add(at.key("any_tenant").error("`true` beside `tenants`", "one of the two"));
        }
    }

    fn headers(&self, mistakes: &mut Mistakes) -> Vec<ClaimHeader> {
        let mut headers: Vec<ClaimHeader> = Vec::new();
        for (index, raw) in self.raw.claim_to_headers.iter().enumerate() {
            let at = self.at.key("claim_to_headers").index(index).key("header");
            let found = format!("`{}`", raw.header.escape_debug());
            let name = header_name(&raw.header, &at);
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

/// A header that the gateway fills from a token.
fn header_name(name: &str, at: &Node) -> Result<HeaderName, ConfigError> {
    let found = format!("`{}`", name.escape_debug());
    match HeaderName::parse(name) {
        Ok(name) if NOT_FOR_CLAIMS.contains(&name.as_str()) => {
            Err(at.error(found, "a header that has no other meaning yet"))
        }
        Ok(name) => Ok(name),
        Err(expected) => Err(at.error(found, expected)),
    }
}

fn nanos(duration: PolicyDuration) -> u64 {
    u64::try_from(duration.0.as_nanos()).unwrap_or(u64::MAX)
}
