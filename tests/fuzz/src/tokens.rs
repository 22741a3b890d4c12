//! Tokens. The first byte of an input chooses what the rest is:
//! the bytes of a token; a whole `Authorization` value, cookie header or path; or header and claims (NUL between), which are
//! then signed honestly, so that the checks behind the signature are reached too.
//!
//! Never a panic. No token is taken whose signing input is not one that was signed honestly; the cache changes no verdict; what
//! is taken really says what its checks ask for.
#![no_main]

mod json;
mod seed;

use libfuzzer_sys::fuzz_target;
use portcullis_edge_core::{ConfigErrors, Headers, MemoryHost, Mono, Node, Now, RequestHead, Wall};
use portcullis_jwt::{Authn, Identity, RawAuth, RawJwt, RouteAuth, TokenError, Tokens, Variable};
use portcullis_token_lab::{SECRET, b64, mac};
use seed::NOW;
use serde_json::{Value, json};
use std::sync::OnceLock;

/// The tokens with good signatures, which are among the seeds.
fn honest() -> &'static [String] {
    static TOKENS: OnceLock<Vec<String>> = OnceLock::new();
    TOKENS.get_or_init(seed::tokens)
}

fn section() -> Value {
    json!({
        "sources": [{"header": "authorization"}, {"cookie": "t", "strip": true}, {"query": "t", "strip": true}],
        "providers": {
            "own": {
                "secrets": [{"alg": "HS256", "value": "${ENV:SECRET}"}],
                "jwks": seed::key_set(),
                "required_claims": [{"claim": "type", "one_of": ["access_token"]}],
                "claim_to_headers": [{"claim": "/a/b", "header": "x-a"}, {"claim": "c", "header": "x-c", "encoding": "json"}],
            },
            "partner": {
                "issuer": "https://idp.example", "audiences": ["shop"], "leeway": "5s", "max_lifetime": "1h",
                "typ": ["at+jwt"], "secrets": [{"alg": "HS256", "value": "${ENV:SECRET}"}],
            },
        },
    })
}

struct Worker {
    tokens: Tokens,
    route: RouteAuth,
}

impl Worker {
    fn new() -> Self {
        let raw: RawJwt = deserr::deserialize::<_, _, ConfigErrors>(section()).expect("a section");
        let env = |_: &str| Variable::Is(SECRET.to_owned());
        let jwt = raw.compile(&Node::top(), &env).expect("a sound section");
        let route = RawAuth::default().compile(Some(&jwt), &Node::top()).expect("a sound route");
        Self { tokens: Tokens::new(jwt), route }
    }

    fn request(&mut self, head: &RequestHead) -> Result<std::rc::Rc<Identity>, TokenError> {
        let now = Now { wall: Wall(NOW * 1_000_000_000), mono: Mono(1) };
        let found = self.tokens.find(&self.route, head).map_err(|refusal| refusal.error)?;
        if let Some(found) = &found {
                let _ = self.tokens.jwt().strip(head, found);
        }
        match self.tokens.authenticate(&self.route, found.as_ref(), now, &MemoryHost::default()) {
            Authn::Bearer { identity, .. } => Ok(identity),
            Authn::Refused(refusal) => Err(refusal.error),
            other => panic!("nobody to wait for: {other:?}"),
        }
    }
}

fn head(path: &[u8], name: &str, value: &[u8]) -> RequestHead {
    let headers = Headers::from_pairs([(":method", &b"GET"[..]), (":path", path), (name, value)]);
    RequestHead { headers, peer: Vec::new() }
}

fn bearer(token: &[u8]) -> RequestHead {
    head(b"/", "authorization", &[b"Bearer ", token].concat())
}

/// Only what was signed is taken, wherever it stands.
fn forgery(head: &RequestHead) {
    let mut worker = Worker::new();
    let first = worker.request(head);
    let second = worker.request(head);
    assert_eq!(first.as_ref().err(), second.as_ref().err(), "the cache has changed the verdict");
    if first.is_err() {
        return;
    }
    let values: Vec<u8> = head.headers.iter().flat_map(|(_, value)| value.to_vec()).collect();
    let signed = |token: &String| token.rsplit_once('.').expect("three parts").0.as_bytes().to_vec();
    let is_honest = honest().iter().any(|token| {
        let signed = signed(token);
        // A query may spell any byte of it otherwise.
        values.contains(&b'%') || values.windows(signed.len()).any(|window| window == signed)
    });
    assert!(is_honest, "taken, and nobody has signed it");
}

/// Header and claims of anybody's choice under an honest signature.
fn signed(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let (header, claims) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    json::readers_agree(claims);
    let input = format!("{}.{}", b64(header), b64(claims));
    let token = format!("{input}.{}", b64(mac("HS256", SECRET.as_bytes(), input.as_bytes())));
    let mut worker = Worker::new();
    let route = worker.route.clone();
    let explained = worker.tokens.jwt().explain(
        &route,
        token.as_bytes(),
        worker.tokens.keys(),
        Wall(NOW * 1_000_000_000),
        &MemoryHost::default(),
    );
    let verdict = worker.request(&bearer(token.as_bytes()));
    assert_eq!(explained.refusal.map(|refusal| refusal.error), verdict.as_ref().err().copied());
    if let Ok(identity) = verdict {
        says_what_is_asked_for(header, claims, &identity);
    }
}

/// The checks once more, on another reading of the same bytes.
fn says_what_is_asked_for(header: &[u8], claims: &[u8], identity: &Identity) {
    let header: Value = serde_json::from_slice(header).expect("JSON");
    let claims: Value = serde_json::from_slice(claims).expect("JSON");
    assert_eq!(header["alg"], "HS256");
    assert!(header.get("crit").is_none() && header.get("enc").is_none());
    assert!(claims.get("cnf").is_none());
    let is_partners = claims["iss"] == "https://idp.example";
    let leeway = if is_partners { 5.0 } else { 0.0 };
    assert!(claims["exp"].as_f64().expect("a number") + leeway > NOW as f64);
    assert!(claims.get("nbf").is_none_or(|nbf| nbf.as_f64().expect("a number") - leeway <= NOW as f64));
    if is_partners {
        let aud = &claims["aud"];
        assert!(aud == "shop" || aud.as_array().is_some_and(|list| list.contains(&json!("shop"))));
        assert!(header["typ"].as_str().is_some_and(|typ| typ.to_ascii_lowercase().ends_with("at+jwt")));
    } else {
        let typ = &claims["type"];
        assert!(
            typ == "access_token" || typ.as_array().is_some_and(|list| list.contains(&json!("access_token")))
        );
        assert!(claims.get("aud").is_none());
    }
    assert!(
        identity
            .user()
            .is_none_or(|user| !user.chars().any(char::is_control) && user == user.trim_matches(' '))
    );
    assert!(identity.roles().all(|role| !role.is_empty() && !role.contains(',')));
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else { return };
    match kind % 5 {
        0 => forgery(&bearer(rest)),
        1 => forgery(&head(b"/", "authorization", rest)),
        2 => forgery(&head(b"/", "cookie", rest)),
        3 => forgery(&head(rest, "accept", b"*/*")),
        _ => signed(rest),
    }
});
