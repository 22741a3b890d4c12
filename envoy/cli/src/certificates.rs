//! The certificates and keys that a policy names, looked into where they lie: whoever checks a policy on the proxy's machine learns
//! there what Envoy would refuse.

use p256::pkcs8::{DecodePrivateKey, EncodePublicKey};
use portcullis_edge_core::{ConfigError, Node};
use portcullis_policy::{Policy, RawTls, ServiceTls};
use rsa::pkcs1::DecodeRsaPrivateKey;
use std::time::SystemTime;
use x509_cert::Certificate;
use x509_cert::der::Encode;

/// Every mistake in the files that the policy names, as of `now`.
#[must_use]
pub fn check(policy: &Policy, now: SystemTime) -> Vec<ConfigError> {
    let at = Node::top().key("gateway").key("tls");
    let listener = policy.gateway.tls.iter().flat_map(|tls| of_listener(tls, &at, now));
    let services = policy.services.iter().flat_map(|service| {
        let at = Node::top().key("services").key(&service.name).key("tls");
        service.tls.iter().flat_map(move |tls| of_service(tls, &at, now)).collect::<Vec<_>>()
    });
    let clusters = policy.clusters.iter().flat_map(|cluster| {
        let at = Node::top().key("clusters").key(&cluster.name).key("ca_file");
        let file = cluster.tls.as_ref().and_then(|tls| tls.ca_file.as_deref());
        file.and_then(|file| chain(file, &at, now).err())
    });
    listener.chain(services).chain(clusters).collect()
}

fn of_listener(tls: &RawTls, at: &Node, now: SystemTime) -> Vec<ConfigError> {
    let list = at.key("certificates");
    let own = tls.certificates.iter().enumerate();
    let mut errors: Vec<_> =
        own.flat_map(|(i, own)| pair(&own.certificate_file, &own.key_file, &list.index(i), now)).collect();
    let clients = tls.client_certificates.iter();
    let at = at.key("client_certificates").key("ca_file");
    errors.extend(clients.filter_map(|clients| chain(&clients.ca_file, &at, now).err()));
    errors
}

fn of_service(tls: &ServiceTls, at: &Node, now: SystemTime) -> Vec<ConfigError> {
    let ca = tls.ca_file.as_ref().and_then(|file| chain(file, &at.key("ca_file"), now).err());
    let own = tls.certificate_file.as_ref().zip(tls.key_file.as_ref());
    let own = own.into_iter().flat_map(|(certificate, key)| pair(certificate, key, at, now));
    ca.into_iter().chain(own).collect()
}

/// The mistakes in a certificate and its key.
fn pair(certificate: &str, key: &str, at: &Node, now: SystemTime) -> Vec<ConfigError> {
    let at_key = at.key("key_file");
    let chain = chain(certificate, &at.key("certificate_file"), now);
    let public = read(key, &at_key).and_then(|text| {
        public_key(&text).ok_or_else(|| {
            at_key.error(
                found(key, "in which there is no usable key"),
                "an RSA or ECDSA private key in PEM, without a password",
            )
        })
    });
    match (chain, public) {
        (Ok(chain), Ok(public)) if is_of(&chain, &public) => Vec::new(),
        (Ok(_), Ok(_)) => {
            let other = format!("the private key of `{}`", certificate.escape_debug());
            vec![at_key.error(found(key, "which is another certificate's key"), other)]
        }
        (chain, public) => chain.err().into_iter().chain(public.err()).collect(),
    }
}

fn is_of(chain: &[Certificate], public: &[u8]) -> bool {
    let own = chain.first().and_then(|first| first.tbs_certificate.subject_public_key_info.to_der().ok());
    own.is_some_and(|own| own == public)
}

/// The certificates in a file, all of which are good at `now`.
fn chain(file: &str, at: &Node, now: SystemTime) -> Result<Vec<Certificate>, ConfigError> {
    let text = read(file, at)?;
    let chain = Certificate::load_pem_chain(text.as_bytes()).ok().filter(|chain| !chain.is_empty());
    let chain = chain
        .ok_or_else(|| at.error(found(file, "in which there is no certificate"), "certificates in PEM"))?;
    match chain.iter().find_map(|certificate| out_of_time(certificate, now)) {
        Some(why) => Err(at.error(found(file, &why), "certificates that are valid now")),
        None => Ok(chain),
    }
}

fn out_of_time(certificate: &Certificate, now: SystemTime) -> Option<String> {
    let validity = &certificate.tbs_certificate.validity;
    let (from, until) = (validity.not_before.to_system_time(), validity.not_after.to_system_time());
    let time = |time| humantime::format_rfc3339_seconds(time);
    match now {
        now if now > until => Some(format!("which expired at {}", time(until))),
        now if now < from => Some(format!("which is not valid before {}", time(from))),
        _ => None,
    }
}

fn read(file: &str, at: &Node) -> Result<String, ConfigError> {
    std::fs::read_to_string(file).map_err(|error| {
        at.error(
            found(file, &format!("which cannot be read: {error}")),
            "a file that is there (`--no-files` leaves files unchecked)",
        )
    })
}

fn found(file: &str, what: &str) -> String {
    format!("`{}`, {what}", file.escape_debug())
}

/// The public key (SPKI, DER) of a private key in PEM: PKCS #8, PKCS #1 or SEC 1, whose file may have parameters before it.
fn public_key(pem: &str) -> Option<Vec<u8>> {
    let pem = pem
        .find("PRIVATE KEY-----")
        .and_then(|at| pem.get(..at)?.rfind("-----BEGIN"))
        .and_then(|at| pem.get(at..))?;
    let rsa = rsa::RsaPrivateKey::from_pkcs8_pem(pem)
        .or_else(|_| rsa::RsaPrivateKey::from_pkcs1_pem(pem).map_err(|_| p256::pkcs8::Error::KeyMalformed));
    let der = rsa.ok().map(|key| key.to_public_key().to_public_key_der());
    let der = der.or_else(|| p256_key(pem).map(|key| key.public_key().to_public_key_der()));
    let der = der.or_else(|| p384_key(pem).map(|key| key.public_key().to_public_key_der()));
    let der = der.or_else(|| p521_key(pem).map(|key| key.public_key().to_public_key_der()));
    der?.ok().map(|der| der.as_bytes().to_vec())
}

fn p256_key(pem: &str) -> Option<p256::SecretKey> {
    p256::SecretKey::from_pkcs8_pem(pem).ok().or_else(|| p256::SecretKey::from_sec1_pem(pem).ok())
}

fn p384_key(pem: &str) -> Option<p384::SecretKey> {
    p384::SecretKey::from_pkcs8_pem(pem).ok().or_else(|| p384::SecretKey::from_sec1_pem(pem).ok())
}

fn p521_key(pem: &str) -> Option<p521::SecretKey> {
    p521::SecretKey::from_pkcs8_pem(pem).ok().or_else(|| p521::SecretKey::from_sec1_pem(pem).ok())
}
