//! Tokens: what their check costs, against Envoy's own `jwt_authn`, in chains that otherwise do the same work.

use crate::contenders::Bench;
use crate::measure::Requests;
use crate::policy::Document;
use anyhow::Result;
use portcullis_token_lab::{mint, public_jwk};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// The algorithms that are compared.
pub const ALGORITHMS: [&str; 3] = ["RS256", "ES256", "HS256"];

/// Native chain with `jwt_authn` in it.
pub const NATIVE: &str = "native chain with jwt_authn";
/// The gateway, checking tokens.
pub const GATEWAY: &str = "portcullis";

/// Tokens that are used in turn where none may be known: far more than the smallest cache holds.
const DISTINCT: usize = 2_000;

const ISSUER: &str = "https://idp.example";

/// Whether tokens are met for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Every token is new.
    First,
    /// It is the same token every time.
    Repeated,
}

impl Sight {
    /// What is measured then.
    pub fn title(self, alg: &str) -> String {
        match self {
            Self::First => {
                format!("{alg} tokens, each seen for the first time (jwt_authn without its cache)")
            }
            Self::Repeated => format!("One {alg} token again and again (jwt_authn with its cache)"),
        }
    }
}

/// The `number`th token.
pub fn token(alg: &str, number: usize) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    mint(
        alg,
        &json!({"iss": ISSUER, "sub": "alice", "role": "customer", "iat": now, "exp": now + 86_400,
        "type": "access_token", "jti": format!("{number:08}-0000-4000-8000-000000000000")}),
    )
}

/// The `number`th token with the order processor's claims, and so many permissions, of which each is some 20 bytes.
pub fn with_permissions(alg: &str, number: usize, permissions: usize) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut claims = json!({"sub": format!("customer{number:05}"), "role": "customer", "iat": now, "exp": now + 86_400,
        "type": "access_token"});
    if permissions > 0 {
        let permission = |n: usize| format!("orders:{n:04}:read");
        claims["permissions"] = (0..permissions).map(permission).collect();
    }
    mint(alg, &claims)
}

/// The requests of a measurement.
pub fn requests(alg: &str, sight: Sight) -> Requests {
    let count = if sight == Sight::First { DISTINCT } else { 1 };
    Requests::with_tokens((0..count).map(|number| token(alg, number)))
}

/// The section `jwt` for one algorithm. The smallest cache knows some ten tokens.
fn section(alg: &str, sight: Sight) -> Value {
    with_cache(alg, (sight == Sight::First).then_some(4_096))
}

/// The same with so much memory for known tokens, or the default.
fn with_cache(alg: &str, bytes: Option<u32>) -> Value {
    let mut section =
        json!({"providers": {"idp": {"issuer": ISSUER, "jwks": {"keys": [public_jwk(alg, "k")]}}}});
    bytes.into_iter().for_each(|bytes| section["cache_bytes"] = bytes.into());
    section
}

/// Envoy's filter, set up to do the same.
pub fn jwt_authn(alg: &str, sight: Sight) -> Value {
    let mut provider = json!({
        "issuer": ISSUER,
        "forward": true,
        "local_jwks": {"inline_string": json!({"keys": [public_jwk(alg, "k")]}).to_string()},
        "claim_to_headers": [
            {"header_name": "x-user-id", "claim_name": "sub"}, {"header_name": "x-user-role", "claim_name": "role"}],
    });
    if sight == Sight::Repeated {
        provider["jwt_cache_config"] = json!({"jwt_cache_size": 1000});
    }
    json!({
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": {"idp": provider},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "idp"}}],
        },
    })
}

/// The policy with tokens on every route.
pub fn policy(bench: &Document, alg: &str, sight: Sight) -> Document {
    bench.with_tokens(section(alg, sight), |_| json!({}))
}

/// The policy of a soak: HS256 tokens on every route, and so much memory for known ones, or the default.
pub fn soaked(bench: &Document, cache: Option<u32>) -> Document {
    bench.with_tokens(with_cache("HS256", cache), |_| json!({}))
}

/// A policy with so many routes and providers: the routes take the providers' tokens in turn.
pub fn many(bench: &Document, routes: usize, providers: usize) -> Document {
    let mut section = section("HS256", Sight::Repeated);
    for other in 1..providers {
        let mut provider = section["providers"]["idp"].clone();
        provider["issuer"] = format!("https://idp{other}.example").into();
        section["providers"][format!("idp{other}")] = provider;
    }
    let provider = |route: usize| match route % providers {
        0 => "idp".to_owned(),
        other => format!("idp{other}"),
    };
    bench.with_routes(routes).with_tokens(section, |route| json!({"providers": [provider(route)]}))
}

/// Starts what is compared.
///
/// # Errors
/// If the policy has a mistake.
pub fn chains(bench: &Bench, alg: &str, sight: Sight) -> Result<Vec<(String, crate::bootstrap::Bootstrap)>> {
    let plain = bench.rendered(bench.document())?;
    let ours = bench.rendered(&policy(bench.document(), alg, sight))?;
    Ok(vec![
        (crate::contenders::BARE.to_owned(), plain.clone().bare()),
        (NATIVE.to_owned(), plain.native_with(jwt_authn(alg, sight))),
        (GATEWAY.to_owned(), ours),
    ])
}
