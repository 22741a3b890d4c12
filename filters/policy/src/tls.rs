//! Checks of the listener's TLS. The files themselves are on the proxy's machine: whoever is there looks into them.

use crate::gateway::check_address;
use crate::raw::{ClientCertificates, RawTls};
use crate::upstream::check_text;
use portcullis_edge_core::{ConfigError, HeaderName, Node};

const MOST_CERTIFICATES: usize = 100;

/// Every mistake in the section, which stands at `at`.
pub(crate) fn check(raw: &RawTls, at: &Node) -> Vec<ConfigError> {
    let mut errors = check_certificates(raw, &at.key("certificates"));
    errors.extend(raw.redirect_from.iter().filter_map(|from| check_address(from, &at.key("redirect_from"))));
    let clients = raw.client_certificates.iter();
    errors.extend(clients.flat_map(|clients| check_clients(clients, &at.key("client_certificates"))));
    errors
}

fn check_certificates(raw: &RawTls, at: &Node) -> Vec<ConfigError> {
    let count = raw.certificates.len();
    if count == 0 || count > MOST_CERTIFICATES {
        return vec![at.error(format!("{count} certificates"), format!("1 to {MOST_CERTIFICATES}"))];
    }
    let files = raw.certificates.iter().enumerate().flat_map(|(index, own)| {
        let at = at.index(index);
        [(at.key("certificate_file"), &own.certificate_file), (at.key("key_file"), &own.key_file)]
    });
    files.filter_map(|(at, file)| check_text(file, &at)).collect()
}

fn check_clients(raw: &ClientCertificates, at: &Node) -> Vec<ConfigError> {
    let file = check_text(&raw.ca_file, &at.key("ca_file"));
    let wrong = raw.subject_header.as_ref().and_then(|name| {
        let expected = HeaderName::parse(name).err()?;
        Some(at.key("subject_header").error(format!("`{}`", name.escape_debug()), expected))
    });
    file.into_iter().chain(wrong).collect()
}
