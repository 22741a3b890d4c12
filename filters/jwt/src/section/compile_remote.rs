//! The parts of a provider that are elsewhere: fetched keys, the deny list, the auth service.

use super::mistakes::{Mistakes, NumberRange};
use super::part::Part;
use super::raw_remote::{RawFetch, RawIntrospection, RawRevocation, RawStyle, RawWhenUnknown};
use crate::keys::SetRules;
use crate::remote::{Credential, FetchFrom, FetchPolicy, Introspection, Revocation, Style, Target, basic};
use core::time::Duration;
use portcullis_edge_core::SecretText;
use portcullis_edge_core::{ConfigError, Node, PolicyDuration};

/// kube-apiserver has nothing else for its key set; other servers have JSON only.
const KEY_SETS: &str = "application/jwk-set+json, application/json";

const DOCUMENT_BYTES: NumberRange = NumberRange { least: 256, most: 1_048_576 };

/// How long an auth service may think.
const ASKING: (PolicyDuration, PolicyDuration) = (PolicyDuration::millis(1), PolicyDuration::secs(60));
/// How long it may be believed: so long a revoked token passes.
const BELIEVING: (PolicyDuration, PolicyDuration) = (PolicyDuration::secs(0), PolicyDuration::secs(3600));
/// How long an inactive token may be remembered: so long a token that becomes active is refused.
const DISBELIEVING: (PolicyDuration, PolicyDuration) = (PolicyDuration::secs(0), PolicyDuration::secs(60));

impl Part<'_> {
    pub(crate) fn fetch(&self, raw: &RawFetch, mistakes: &mut Mistakes) -> Option<(FetchPolicy, SetRules)> {
        let at = self.at.key("fetch");
        if self.raw.algorithms.is_empty() {
            mistakes.add(self.at.key("algorithms").error("nothing", "the algorithms of the fetched keys"));
        }
        let durations = [
            ("refresh", raw.refresh, 1_000),
            ("timeout", raw.timeout, 1),
            ("retry", raw.retry, 100),
            ("cooldown", raw.cooldown, 1_000),
        ];
        check_durations(&at, &durations, raw.max_age, mistakes);
        DOCUMENT_BYTES.check(raw.max_bytes, &at.key("max_bytes"), mistakes);
        NumberRange { least: 1, most: 256 }.check(raw.max_keys.into(), &at.key("max_keys"), mistakes);
        check_cluster(&raw.cluster, &at, mistakes);
        let authorization = mistakes.keep(self.authorization(raw.authorization.as_ref(), &at)).flatten();
        let from = mistakes.keep(self.fetch_from(raw, &at))?;
        let policy = FetchPolicy {
            from,
            accept: KEY_SETS,
            authorization,
            cluster: raw.cluster.clone(),
            jwks_cluster: raw.jwks_cluster.clone().unwrap_or_else(|| raw.cluster.clone()),
            refresh: raw.refresh.0,
            timeout: raw.timeout.0,
            retry: raw.retry.0,
            cooldown: raw.cooldown.0,
            max_age: raw.max_age.0,
            max_bytes: usize::try_from(raw.max_bytes).unwrap_or(usize::MAX),
        };
        Some((policy, self.rules(true, usize::from(raw.max_keys))))
    }

    fn fetch_from(&self, raw: &RawFetch, at: &Node) -> Result<FetchFrom, ConfigError> {
        match (&raw.jwks_uri, raw.discovery, &self.raw.issuer) {
            (Some(_), false, _) if raw.discovery_uri.is_some() => {
                Err(at.key("discovery_uri").error("a URI", "`discovery: true` instead of `jwks_uri`"))
            }
            (Some(uri), false, _) => url(uri, &at.key("jwks_uri")).map(FetchFrom::Document),
            (None, true, Some(issuer)) => {
                let usual = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
                let target = match &raw.discovery_uri {
                    Some(uri) => url(uri, &at.key("discovery_uri"))?,
                    None => Target::parse(&usual)
                        .ok_or_else(|| self.at.key("issuer").error("another text", "a URL, for discovery"))?,
                };
                Ok(FetchFrom::Issuer { issuer: issuer.clone(), at: target })
            }
            (None, true, None) => Err(self.at.key("issuer").error("nothing", "the issuer, for discovery")),
            _ => Err(at.error("none or both of `jwks_uri` and `discovery`", "exactly one of them")),
        }
    }

    /// A credential for requests of the gateway's own, as the value of a header.
    pub(crate) fn authorization(
        &self,
        raw: Option<&SecretText>,
        at: &Node,
    ) -> Result<Option<Credential>, ConfigError> {
        let Some(raw) = raw else { return Ok(None) };
        let at = at.key("authorization");
        let Some(text) = raw.resolve(&at, self.env)? else { return Ok(None) };
        text.check_ends(&at)?;
        if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Ok(Some(Credential::new(&text)));
        }
        Err(at.error("another text (not shown)", "the value of a header: printable ASCII"))
    }

    pub(crate) fn introspection(&self, raw: &RawIntrospection) -> Result<Introspection, Vec<ConfigError>> {
        let at = self.at.key("introspection");
        let mut mistakes = Mistakes::default();
        let target = mistakes.keep(url(&raw.url, &at.key("url")));
        let credentials = mistakes.keep(self.credentials(raw, &at)).flatten();
        NumberRange { least: 0, most: 3 }.check(raw.retries.into(), &at.key("retries"), &mut mistakes);
        let durations = [
            ("timeout", raw.timeout, ASKING),
            ("cache", raw.cache, BELIEVING),
            ("negative_cache", raw.negative_cache, DISBELIEVING),
        ];
        for (name, value, (least, most)) in durations {
            value.outside(least, most, &at.key(name)).into_iter().for_each(|error| mistakes.add(error));
        }
        check_cluster(&raw.cluster, &at, &mut mistakes);
        let allow_unavailable = raw.when_unavailable == RawWhenUnknown::Allow;
        if allow_unavailable && self.is_opaque() {
            let expected = "`refuse`: without keys nothing else tells a good token";
            mistakes.add(at.key("when_unavailable").error("`allow`", expected));
        }
        let style = match raw.style {
            RawStyle::Rfc7662 => Style::Rfc7662,
            RawStyle::OrderProcessor => Style::OrderProcessor,
        };
        let Some(target) = target else { return Err(mistakes.0) };
        mistakes.finish(Introspection {
            style,
            target,
            cluster: raw.cluster.clone(),
            credentials,
            timeout: raw.timeout.0,
            retries: raw.retries,
            cache: raw.cache.0,
            negative_cache: raw.negative_cache.0,
            allow_unavailable,
        })
    }

    fn credentials(&self, raw: &RawIntrospection, at: &Node) -> Result<Option<String>, ConfigError> {
        match (&raw.client_id, &raw.client_secret) {
            (Some(id), Some(secret)) => {
                let place = at.key("client_secret");
                let secret = secret.resolve(&place, self.env)?;
                secret.as_ref().map_or(Ok(()), |secret| secret.check_ends(&place))?;
                Ok(secret.map(|secret| basic(id, &secret)))
            }
            (None, None) => Ok(None),
            _ => Err(at.error("one of `client_id` and `client_secret`", "both or none")),
        }
    }
}

pub(crate) fn revocation(part: &Part<'_>, raw: &RawRevocation) -> Result<Revocation, Vec<ConfigError>> {
    let at = &part.at.key("revocation");
    let mut mistakes = Mistakes::default();
    let authorization = mistakes.keep(part.authorization(raw.authorization.as_ref(), at)).flatten();
    let durations = [("refresh", raw.refresh, 1_000), ("timeout", raw.timeout, 1)];
    check_durations(at, &durations, raw.max_age, &mut mistakes);
    DOCUMENT_BYTES.check(raw.max_bytes, &at.key("max_bytes"), &mut mistakes);
    NumberRange { least: 1, most: 65_536 }.check(raw.max_entries, &at.key("max_entries"), &mut mistakes);
    check_cluster(&raw.cluster, at, &mut mistakes);
    let Some(target) = mistakes.keep(url(&raw.url, &at.key("url"))) else { return Err(mistakes.0) };
    let fetch = FetchPolicy {
        from: FetchFrom::Document(target),
        accept: "application/json",
        authorization,
        cluster: raw.cluster.clone(),
        jwks_cluster: raw.cluster.clone(),
        refresh: raw.refresh.0,
        timeout: raw.timeout.0,
        retry: Duration::from_secs(1),
        cooldown: raw.refresh.0,
        max_age: raw.max_age.0,
        max_bytes: usize::try_from(raw.max_bytes).unwrap_or(usize::MAX),
    };
    let max_entries = usize::try_from(raw.max_entries).unwrap_or(usize::MAX);
    let allow_unknown = raw.when_unknown == RawWhenUnknown::Allow;
    mistakes.finish(Revocation { fetch, max_entries, allow_unknown })
}

fn url(text: &str, at: &Node) -> Result<Target, ConfigError> {
    let expected = "an absolute URL, such as `https://idp.example/keys`";
    Target::parse(text).ok_or_else(|| at.error(format!("`{}`", text.escape_debug()), expected))
}

fn check_cluster(name: &str, at: &Node, mistakes: &mut Mistakes) {
    if name.is_empty() {
        mistakes.add(at.key("cluster").error("an empty text", "the name of an Envoy cluster"));
    }
}

/// Each duration with its least value in milliseconds; the first is how often, which `max_age` must reach.
fn check_durations(
    at: &Node,
    durations: &[(&str, PolicyDuration, u64)],
    max_age: PolicyDuration,
    mistakes: &mut Mistakes,
) {
    for (name, value, least) in durations {
        let least = Duration::from_millis(*least);
        if value.0 < least {
            mistakes.add(at.key(name).error(format!("{:?}", value.0), format!("{least:?} or more")));
        }
    }
    if durations.first().is_some_and(|(_, refresh, _)| max_age < *refresh) {
        mistakes.add(at.key("max_age").error(format!("{:?}", max_age.0), "`refresh` or more"));
    }
}
