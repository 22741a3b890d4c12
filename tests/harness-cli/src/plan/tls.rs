//! Certificates of a scenario, made anew in every run, and what each client shows of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use sha2::{Digest, Sha256};

use crate::model::{self, Clients, Version};

/// A certificate and its key.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Certificate {
    pub told: model::Certificate,
    pub pem: String,
    pub der: Vec<u8>,
    pub key_pem: String,
    pub key_der: Vec<u8>,
    /// SHA-256 of the DER form, in hexadecimal digits.
    pub sha256: String,
}

/// A listener that speaks TLS.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Listening {
    pub own: Arc<Certificate>,
    pub clients: Clients,
    /// The authority that the scenario's certificates are signed by.
    pub authority: String,
    certificates: BTreeMap<String, Arc<Certificate>>,
}

/// What a client shows.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Shown {
    pub server_name: String,
    pub version: Version,
    pub certificate: Option<Arc<Certificate>>,
    pub own: Arc<Certificate>,
    /// The handshake succeeds.
    pub is_let_in: bool,
}

impl Listening {
    /// Makes all certificates.
    ///
    /// # Errors
    /// Why one cannot be made.
    pub fn of(tls: &model::Tls, certificates: &BTreeMap<String, model::Certificate>) -> Result<Self, String> {
        Self::make(tls, certificates).map_err(|error| error.to_string())
    }

    fn make(
        tls: &model::Tls,
        certificates: &BTreeMap<String, model::Certificate>,
    ) -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name = name("CN=authority of the scenario");
        let key = KeyPair::generate()?;
        let authority = params.self_signed(&key)?.pem();
        let issuer = Issuer::new(params, key);
        let make = |told: &model::Certificate| certificate(told, &issuer).map(Arc::new);
        let certificates = certificates.iter().map(|(name, told)| Ok((name.clone(), make(told)?)));
        Ok(Self {
            own: make(&tls.certificate)?,
            clients: tls.clients,
            authority,
            certificates: certificates.collect::<Result<_, rcgen::Error>>()?,
        })
    }

    /// What a client shows that asks for this host.
    #[must_use]
    pub fn shown(&self, shown: Option<&model::Shown>, authority: &str) -> Shown {
        let shown = shown.cloned().unwrap_or_default();
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        let has = shown.certificate.as_ref().and_then(|name| self.certificates.get(name)).cloned();
        let is_let_in = match (self.clients, &has) {
            (Clients::None, _) | (Clients::Asked, None) => true,
            (Clients::Required, None) => false,
            (_, Some(certificate)) => !certificate.told.self_signed,
        };
        Shown {
            server_name: shown.server_name.unwrap_or_else(|| host.to_owned()),
            version: shown.version,
            // Who is not asked shows none.
            certificate: has.filter(|_| self.clients != Clients::None),
            own: self.own.clone(),
            is_let_in,
        }
    }
}

/// `CN=alice,O=shop`: the last part stands first in the certificate.
fn name(subject: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    for (kind, value) in subject.rsplit(',').filter_map(kind_and_value) {
        name.push(kind, value);
    }
    name
}

fn kind_and_value(part: &str) -> Option<(DnType, &str)> {
    let (kind, value) = part.split_once('=')?;
    let kind = match kind.trim() {
        "CN" => DnType::CommonName,
        "O" => DnType::OrganizationName,
        "OU" => DnType::OrganizationalUnitName,
        "C" => DnType::CountryName,
        "ST" => DnType::StateOrProvinceName,
        "L" => DnType::LocalityName,
        _ => return None,
    };
    Some((kind, value))
}

/// Whether a subject can be written into a certificate.
#[must_use]
pub fn is_subject(subject: &str) -> bool {
    subject.is_empty() || subject.split(',').all(|part| kind_and_value(part).is_some())
}

fn certificate(told: &model::Certificate, issuer: &Issuer<'_, KeyPair>) -> Result<Certificate, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = name(&told.subject);
    for dns in &told.dns {
        params.subject_alt_names.push(SanType::DnsName(dns.as_str().try_into()?));
    }
    for uri in &told.uris {
        params.subject_alt_names.push(SanType::URI(uri.as_str().try_into()?));
    }
    let key = KeyPair::generate()?;
    let made = if told.self_signed { params.self_signed(&key)? } else { params.signed_by(&key, issuer)? };
    let digest = Sha256::digest(made.der());
    Ok(Certificate {
        told: told.clone(),
        pem: made.pem(),
        der: made.der().to_vec(),
        key_pem: key.serialize_pem(),
        key_der: key.serialize_der(),
        sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
    })
}
