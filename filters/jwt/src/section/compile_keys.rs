//! Keys that stand in the policy, checked.

use super::mistakes::Mistakes;
use super::part::Part;
use super::raw::{RawPem, RawSecret, RawSecretEncoding};
use crate::keys::{Key, KeySet};
use crate::token::{Alg, base64url};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use portcullis_edge_core::{ConfigError, Node};

impl Part<'_> {
    /// The keys that stand in the policy.
    pub(super) fn keys(&self, mistakes: &mut Mistakes) -> KeySet {
        let mut keys = Vec::new();
        for (index, secret) in self.raw.secrets.iter().enumerate() {
            keys.extend(mistakes.keep(self.secret(secret, &self.at.key("secrets").index(index))).flatten());
        }
        for (index, pem) in self.raw.pem.iter().enumerate() {
            keys.extend(mistakes.keep(self.pem(pem, &self.at.key("pem").index(index))).flatten());
        }
        let mut set = KeySet::of(keys);
        set.extend(self.inline_set(mistakes));
        check_names(&set, self.raw.max_check_micros, self.at, mistakes);
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
        let place = at.key("value");
        let Some(text) = raw.value.resolve(&place, self.env)? else { return Ok(None) };
        text.check_ends(&place)?;
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
}

/// Keys without ids can only be tried one after another, which has its limit: those beyond it would never be tried.
fn check_names(set: &KeySet, max_micros: u32, at: &Node, mistakes: &mut Mistakes) {
    for alg in Alg::ALL {
        let nameless = || set.keys().iter().filter(|key| key.alg() == alg && key.kid().is_none());
        let cost: u32 = nameless().map(Key::cost_micros).fold(0, u32::saturating_add);
        let count = nameless().count();
        if count > 1 && cost > max_micros {
            let found = format!("{count} keys for {alg} without `kid`, which take {cost} us to try");
            mistakes
                .add(at.error(found, format!("a `kid`, or a larger `max_check_micros` than {max_micros}")));
        }
    }
}
