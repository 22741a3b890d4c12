//! Why a token is taken or refused, for people. Prints no signature and no secret.

use crate::error::Refusal;
use crate::keys::{Key, Keys};
use crate::section::{Jwt, RouteAuth, Signed};
use crate::token::{Compact, Header, Registered};
use crate::verify::Checked;
use portcullis_edge_core::{Host, Wall};
use serde_json::{Value, json};

/// What is known of a token. Parts that could not be read are missing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Explanation {
    /// The decoded header.
    pub header: Option<Value>,
    /// The decoded claims.
    pub claims: Option<Value>,
    /// The length of the signature in bytes.
    pub signature_bytes: Option<usize>,
    /// The provider that the token's `iss` leads to.
    pub provider: Option<String>,
    /// The keys that the token may have been signed with, in the order in which they are tried, as far as their cost allows.
    pub candidates: Vec<KeyFacts>,
    /// The one that verified it.
    pub key: Option<KeyFacts>,
    /// Whether the provider's auth service has the last word.
    pub asks_auth_service: bool,
    /// The check that refused it.
    pub refusal: Option<Refusal>,
}

/// A key's name and nothing of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFacts {
    /// Its id.
    pub kid: Option<String>,
    /// Its algorithm.
    pub alg: &'static str,
}

impl Jwt {
    /// Explains the verdict of [`Jwt::verify`] on a token.
    #[must_use]
    pub fn explain(
        &self,
        route: &RouteAuth,
        token: &[u8],
        keys: &Keys,
        now: Wall,
        host: &dyn Host,
    ) -> Explanation {
        let mut explained = Explanation::default();
        match self.verify(route, token, keys, now, host) {
            Ok(checked) => explained.asks_auth_service = matches!(checked, Checked::Ask(_)),
            Err(refusal) => explained.refusal = Some(refusal),
        }
        if let Ok(compact) = Compact::split(token) {
            explained.signature_bytes = compact.signature().ok().map(|signature| signature.len());
            self.explain_parts(&mut explained, route, &compact, keys, host);
        }
        explained
    }

    fn explain_parts(
        &self,
        explained: &mut Explanation,
        route: &RouteAuth,
        token: &Compact<'_>,
        keys: &Keys,
        host: &dyn Host,
    ) {
        let (header, claims) = (token.header().ok(), token.claims().ok());
        explained.header = header.as_ref().map(|json| json.root().to_serde());
        explained.claims = claims.as_ref().map(|json| json.root().to_serde());
        let registered = claims.as_ref().and_then(|json| Registered::read(json).ok());
        let chosen = registered.and_then(|claims| self.choose(route, claims.issued_by()));
        let Some((index, provider)) = chosen else { return };
        explained.provider = Some(provider.name().to_owned());
        let read = header.as_ref().and_then(|json| Header::read(json).ok());
        let Some((header, signature)) = read.zip(token.signature().ok()) else { return };
        let facts = |key: &Key| KeyFacts { kid: key.kid().map(str::to_owned), alg: key.alg().as_str() };
        let by = registered.map(|claims| claims.issued_by()).unwrap_or_default();
        let signed = Signed { header: &header, by, signed: token.signed, signature: &signature };
        explained.candidates = provider.possible_keys(&signed, keys.of(index)).map(facts).collect();
        explained.key = provider.check_signature(&signed, keys.of(index), host).ok().map(facts);
    }
}

impl Explanation {
    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let key = |key: &KeyFacts| json!({"kid": key.kid, "alg": key.alg});
        json!({
            "header": self.header,
            "claims": self.claims,
            "signature_bytes": self.signature_bytes,
            "provider": self.provider,
            "candidate_keys": self.candidates.iter().map(key).collect::<Vec<_>>(),
            "key": self.key.as_ref().map(key),
            "asks_auth_service": self.asks_auth_service,
            "verdict": self.refusal.map_or("good", |refusal| refusal.error.as_str()),
            "detail": self.refusal.map(|refusal| refusal.detail),
        })
    }
}
