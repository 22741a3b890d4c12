//! Policies from JSON, tokens of every algorithm, and a host that checks signatures as Envoy's does.

use portcullis_edge_core::{ConfigErrors, Headers, Host, MemoryHost, Mono, Node, Now, RequestHead, Wall};
use portcullis_jwt::{
    Alg, Authn, Identity, Jwt, Keys, Polled, RawAuth, RawJwt, Refusal, RouteAuth, TokenError, Tokens,
};
use serde_json::{Value, json};

/// Long enough for every HMAC.
pub const SECRET: &[u8] = portcullis_token_lab::SECRET.as_bytes();
/// 2026-11-24.
pub const NOW: u64 = 1_795_000_000;

pub fn at(seconds: u64) -> Wall {
    Wall(seconds * 1_000_000_000)
}

pub use portcullis_token_lab::b64;
pub use portcullis_token_lab::public_pem;

/// An HMAC under any secret.
pub fn mac(alg: Alg, secret: &[u8], message: &[u8]) -> Vec<u8> {
    portcullis_token_lab::mac(alg.as_str(), secret, message)
}

/// A token with this header and these claims, as texts, signed for `alg`.
pub fn token_of(alg: Alg, header: &str, claims: &str) -> String {
    portcullis_token_lab::mint_with(alg.as_str(), header, claims)
}

/// A token with these claims.
pub fn token(alg: Alg, claims: &Value) -> String {
    portcullis_token_lab::mint(alg.as_str(), claims)
}

/// Compiles the section `jwt`.
pub fn try_jwt(section: Value) -> Result<Jwt, Vec<String>> {
    let texts =
        |errors: Vec<portcullis_edge_core::ConfigError>| errors.iter().map(ToString::to_string).collect();
    let raw: RawJwt = deserr::deserialize(section).map_err(|errors: ConfigErrors| texts(errors.0))?;
    let env = |name: &str| (name == "JWT_SECRET").then(|| String::from_utf8(SECRET.to_vec()).unwrap()).into();
    raw.compile(&Node::top().key("jwt"), &env).map_err(texts)
}

pub fn jwt(section: Value) -> Jwt {
    try_jwt(section).unwrap()
}

/// One HS256 provider, with these further settings.
pub fn hs256_provider(more: Value) -> Value {
    let mut provider = json!({"secrets": [{"alg": "HS256", "value": "${ENV:JWT_SECRET}"}]});
    provider.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    provider
}

pub fn hs256_jwt(more: Value) -> Jwt {
    jwt(json!({"providers": {"main": hs256_provider(more)}}))
}

pub fn route(jwt: &Jwt, auth: Value) -> RouteAuth {
    let raw: RawAuth = deserr::deserialize::<_, _, ConfigErrors>(auth).unwrap();
    raw.compile(Some(jwt), &Node::top().key("auth")).unwrap()
}

pub fn check_at(jwt: &Jwt, token: &str, now: Wall) -> Result<Identity, Refusal> {
    verify(jwt, token, now, &MemoryHost::default())
}

fn verify(jwt: &Jwt, token: &str, now: Wall, host: &dyn Host) -> Result<Identity, Refusal> {
    let checked = jwt.verify(&route(jwt, json!({})), token.as_bytes(), &Keys::default(), now, host)?;
    Ok(checked.good().expect("no auth service in these tests"))
}

/// The verdict on a token now, by pure Rust and by the host, which must be the same.
pub fn check(jwt: &Jwt, token: &str) -> Result<Identity, TokenError> {
    let pure = check_at(jwt, token, at(NOW));
    let host = verify(jwt, token, at(NOW), &native());
    assert_eq!(pure.as_ref().err(), host.as_ref().err(), "pure Rust and the host disagree");
    pure.map_err(|refusal| refusal.error)
}

/// A host that reads `verify_signature`'s arguments and answers as Envoy does: SPKI keys, DER signatures, no PSS, no Ed25519.
pub fn native() -> MemoryHost {
    MemoryHost::default().with_signatures(Box::new(|arguments| {
        let fields = fields(arguments);
        let [hash, key, signature, text] = [1, 2, 3, 4].map(|n| fields[&n].as_slice());
        let valid = native_verdict(hash, key, signature, text).unwrap_or(false);
        Some(if valid { vec![0x08, 1] } else { b"\x12\x03bad".to_vec() })
    }))
}

fn native_verdict(hash: &[u8], key: &[u8], signature: &[u8], text: &[u8]) -> Option<bool> {
    use p256::ecdsa::signature::Verifier as _;
    use rsa::pkcs8::DecodePublicKey as _;
    if let Ok(key) = rsa::RsaPublicKey::from_public_key_der(key) {
        return Some(rsa_verdict(hash, &key, signature, text));
    }
    if let Ok(key) = p256::ecdsa::VerifyingKey::from_public_key_der(key) {
        return Some(key.verify(text, &p256::ecdsa::Signature::from_der(signature).ok()?).is_ok());
    }
    let key = p384::ecdsa::VerifyingKey::from_public_key_der(key).ok()?;
    Some(key.verify(text, &p384::ecdsa::Signature::from_der(signature).ok()?).is_ok())
}

fn rsa_verdict(hash: &[u8], key: &rsa::RsaPublicKey, signature: &[u8], text: &[u8]) -> bool {
    use rsa::Pkcs1v15Sign as Scheme;
    use rsa::sha2::{Digest as _, Sha256, Sha384, Sha512};
    match hash {
        b"sha256" => key.verify(Scheme::new::<Sha256>(), &Sha256::digest(text), signature).is_ok(),
        b"sha384" => key.verify(Scheme::new::<Sha384>(), &Sha384::digest(text), signature).is_ok(),
        b"sha512" => key.verify(Scheme::new::<Sha512>(), &Sha512::digest(text), signature).is_ok(),
        other => panic!("an unknown hash {other:?}"),
    }
}

fn fields(mut message: &[u8]) -> std::collections::HashMap<u64, Vec<u8>> {
    let mut fields = std::collections::HashMap::new();
    while !message.is_empty() {
        let tag = varint(&mut message);
        assert_eq!(tag & 7, 2, "length-delimited");
        let length = usize::try_from(varint(&mut message)).unwrap();
        let (value, rest) = message.split_at(length);
        fields.insert(tag >> 3, value.to_vec());
        message = rest;
    }
    fields
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let first = bytes[0];
        *bytes = &bytes[1..];
        value |= u64::from(first & 0x7f) << shift;
        if first < 0x80 {
            break;
        }
    }
    value
}

/// A worker with its shared data, on one route.
pub struct Worker {
    pub tokens: Tokens,
    pub host: MemoryHost,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Anonymous,
    User(Option<String>),
    Refused(TokenError),
    Wait,
    Ask,
}

impl Worker {
    pub fn new(section: Value) -> Self {
        Self { tokens: Tokens::new(jwt(section)), host: MemoryHost::default() }
    }

    pub fn route(&self, auth: Value) -> RouteAuth {
        route(self.tokens.jwt(), auth)
    }

    /// A request with these `Authorization` values.
    pub fn request(&mut self, route: &RouteAuth, authorization: &[&str], now: u64) -> Authn {
        let pairs = authorization.iter().map(|value| ("authorization", value.as_bytes()));
        let head = RequestHead { headers: Headers::from_pairs(pairs), peer: Vec::new() };
        match self.tokens.find(route, &head) {
            Ok(found) => self.tokens.authenticate(route, found.as_ref(), moment(now), &self.host),
            Err(refusal) => Authn::Refused(refusal),
        }
    }

    /// The same with one token.
    pub fn token(&mut self, route: &RouteAuth, token: &str, now: u64) -> Outcome {
        outcome(&self.request(route, &[&format!("Bearer {token}")], now))
    }

    pub fn poll(&mut self, now: u64) -> Polled {
        self.host.set_now(moment(now));
        self.tokens.poll(&self.host)
    }
}

pub fn outcome(authn: &Authn) -> Outcome {
    match authn {
        Authn::Anonymous => Outcome::Anonymous,
        Authn::Bearer { identity, .. } => Outcome::User(identity.user().map(str::to_owned)),
        Authn::Refused(refusal) => Outcome::Refused(refusal.error),
        Authn::Wait(_) => Outcome::Wait,
        Authn::Ask(_) => Outcome::Ask,
    }
}

pub fn user(name: &str) -> Outcome {
    Outcome::User(Some(name.to_owned()))
}

/// Both clocks; the monotonic one has started elsewhere, as clocks do.
pub fn moment(seconds: u64) -> Now {
    Now { wall: at(seconds), mono: Mono((seconds - 1_000_000) * 1_000_000_000) }
}
