//! Algorithm confusion, generated: every name that may stand in a token's `alg` x every signature that somebody could make x
//! every key. Only exact pairs may pass.

use crate::{ALGORITHMS, KeyKind, b64, der, key_kinds, mac, public_pem, sign};
use serde_json::{Value, json};

/// A token of the matrix.
#[derive(Clone, Debug)]
pub struct Forgery {
    /// What its header says.
    pub alg: String,
    /// Who made the signature.
    pub by: String,
    /// The algorithm whose private key made it, if one did.
    pub honest: Option<&'static str>,
    /// The token.
    pub token: String,
}

/// A key of the matrix, bound to one algorithm.
#[derive(Clone, Debug)]
pub struct Bound {
    /// The key.
    pub kind: KeyKind,
    /// Its algorithm.
    pub alg: &'static str,
    /// Whether the JWK says so, or else the provider's list.
    pub by_jwk: bool,
}

impl Bound {
    /// Every key with every algorithm that it may be bound to, both ways.
    pub fn all() -> Vec<Self> {
        let ways = |kind: KeyKind| {
            let both = |alg: &&'static str| [true, false].map(|by_jwk| (*alg, by_jwk));
            let ways: Vec<_> = kind.fits.iter().flat_map(both).collect();
            ways.into_iter().map(move |(alg, by_jwk)| Self { kind: kind.clone(), alg, by_jwk })
        };
        key_kinds().into_iter().flat_map(ways).collect()
    }

    /// The provider that has it.
    pub fn provider(&self) -> Value {
        let mut jwk = self.kind.jwk.clone();
        let algorithms = if self.by_jwk { json!([]) } else { json!([self.alg]) };
        if self.by_jwk {
            jwk["alg"] = json!(self.alg);
        }
        json!({"algorithms": algorithms, "jwks": {"keys": [jwk]}})
    }

    /// Whether a token may pass.
    pub fn takes(&self, token: &Forgery) -> bool {
        // RFC 9864 has another name for EdDSA with Ed25519.
        let names_it = token.alg == self.alg || (token.alg == "Ed25519" && self.alg == "EdDSA");
        names_it && token.honest == Some(self.alg)
    }
}

/// Every token of the matrix, with these claims.
pub fn forgeries(claims: &Value) -> Vec<Forgery> {
    let claims = b64(claims.to_string());
    let forgers = forgers();
    let tokens = names().into_iter().flat_map(|alg| {
        let signed = format!("{}.{claims}", b64(json!({"alg": alg}).to_string()));
        let token = |forger: &Forger| Forgery {
            alg: alg.clone(),
            by: forger.name.clone(),
            honest: forger.honest,
            token: format!("{signed}.{}", b64((forger.sign)(signed.as_bytes()))),
        };
        forgers.iter().map(token).collect::<Vec<_>>()
    });
    tokens.collect()
}

/// Everything that may stand in a token's `alg`.
fn names() -> Vec<String> {
    let none = [
        "none", "None", "NONE", "nOnE", "", "hs256", "HS256 ", "HS1", "RS1", "ES256K", "Ed25519", "ed25519",
        "A128KW", "dir",
    ];
    ALGORITHMS.into_iter().chain(none).map(str::to_owned).collect()
}

type Sign = Box<dyn Fn(&[u8]) -> Vec<u8>>;

/// Who makes a signature, and how.
struct Forger {
    name: String,
    honest: Option<&'static str>,
    sign: Sign,
}

impl Forger {
    fn new(name: String, sign: impl Fn(&[u8]) -> Vec<u8> + 'static) -> Self {
        Self { name, honest: None, sign: Box::new(sign) }
    }
}

fn forgers() -> Vec<Forger> {
    let honest = ALGORITHMS.into_iter().map(|alg| Forger {
        honest: Some(alg),
        ..Forger::new(alg.to_owned(), move |message| sign(alg, message))
    });
    let zeros = [0, 1, 32, 48, 64, 96, 132, 256].into_iter();
    let zeros = zeros.map(|size| Forger::new(format!("{size} zeros"), move |_| vec![0; size]));
    honest.chain(public_secrets().into_iter().flat_map(macs)).chain(zeros).collect()
}

/// What everybody knows and somebody may take for a secret.
fn public_secrets() -> Vec<(String, Vec<u8>)> {
    let forms = |kind: &'static str| {
        let pem = public_pem(kind);
        [
            (format!("{kind}'s PEM"), pem.as_bytes().to_vec()),
            (format!("{kind}'s trimmed PEM"), pem.trim().as_bytes().to_vec()),
            (format!("{kind}'s DER"), der(pem)),
        ]
    };
    let mut secrets: Vec<_> =
        ["RSA", "P-256", "P-384", "P-521", "Ed25519"].into_iter().flat_map(forms).collect();
    secrets.push(("RSA's PKCS#1 PEM".to_owned(), public_pem("RSA PKCS#1").as_bytes().to_vec()));
    secrets.push(("an empty secret".to_owned(), Vec::new()));
    secrets.push(("a zero".to_owned(), vec![0]));
    secrets
}

fn macs((name, secret): (String, Vec<u8>)) -> Vec<Forger> {
    let with = |alg: &'static str| {
        let secret = secret.clone();
        Forger::new(format!("{alg} with {name}"), move |message| mac(alg, &secret, message))
    };
    ["HS256", "HS384", "HS512"].map(with).into()
}
