use crate::Findings;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use core::fmt;
use hmac::{Hmac, Mac};
use portcullis_edge_core::{Class, Mode, Reason};
use sha2::Sha256;

/// The instance of the filter whose findings this one takes has left none, or none that can be believed.
pub const FINDINGS_UNUSABLE: Reason =
    Reason::new("findings_unusable", Class::Unavailable, "The service is unavailable");

/// Longest value that is read, in bytes. A token of the greatest size allowed makes about 20 KiB.
const LONGEST: usize = 128 * 1024;

const VERSION: &[u8] = b"1.";

/// Why findings cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unusable {
    /// There are none: the instance is not in the chain before this one, or does not publish.
    Absent,
    /// An instance of another release left them, in a form that this one does not read.
    OtherVersion,
    /// None of the secrets sealed them for this stream and instance.
    Refused,
}

impl Unusable {
    /// As log lines show it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "findings_absent",
            Self::OtherVersion => "findings_of_other_version",
            Self::Refused => "findings_refused",
        }
    }
}

/// Leaves findings.
#[derive(Clone)]
pub struct Publisher {
    instance: String,
    state: String,
    secret: Vec<u8>,
}

/// Takes findings.
#[derive(Clone)]
pub struct Reader {
    instance: String,
    state: String,
    secrets: Vec<Vec<u8>>,
    mode: Mode,
}

/// Shows no secret.
impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Publisher({})", self.instance)
    }
}

/// Shows no secret.
impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reader({})", self.instance)
    }
}

impl Publisher {
    pub(crate) fn new(instance: &str, secret: Vec<u8>) -> Self {
        Self { instance: instance.to_owned(), state: state_of(instance), secret }
    }

    /// The name of the filter state.
    #[must_use]
    pub fn state(&self) -> &str {
        &self.state
    }

    /// The value of the filter state; nothing where the host does not say when the stream `began`, for it would be good for all.
    #[must_use]
    pub fn seal(&self, findings: &Findings, began: &[u8]) -> Option<Vec<u8>> {
        let json = serde_json::to_vec(findings).ok()?;
        let mac = mac(&self.secret, &self.instance, began, &json)?.finalize().into_bytes();
        Some([VERSION, BASE64_URL_SAFE_NO_PAD.encode(mac).as_bytes(), b".", &json].concat())
    }
}

impl Reader {
    pub(crate) fn new(instance: &str, secrets: Vec<Vec<u8>>, mode: Mode) -> Self {
        Self { instance: instance.to_owned(), state: state_of(instance), secrets, mode }
    }

    /// The instance whose findings are taken.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// The name of the filter state.
    #[must_use]
    pub fn state(&self) -> &str {
        &self.state
    }

    /// Enforcement mode: what becomes of a request without findings.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// What the filter state of a stream says that `began` then.
    ///
    /// # Errors
    /// Why that cannot be used.
    pub fn open(&self, value: Option<&[u8]>, began: &[u8]) -> Result<Findings, Unusable> {
        let value = value.filter(|value| !value.is_empty()).ok_or(Unusable::Absent)?;
        let (given, json) = read(value)?;
        let is_good = |secret: &Vec<u8>| {
            // The comparison takes the same time for all wrong ones.
            mac(secret, &self.instance, began, json).is_some_and(|mac| mac.verify_slice(&given).is_ok())
        };
        if !self.secrets.iter().any(is_good) {
            return Err(Unusable::Refused);
        }
        // Sealed by us, and yet of another form: another release's.
        serde_json::from_slice(json).map_err(|_| Unusable::OtherVersion)
    }
}

fn state_of(instance: &str) -> String {
    format!("portcullis_findings_{instance}")
}

/// Seal and findings.
fn read(value: &[u8]) -> Result<(Vec<u8>, &[u8]), Unusable> {
    if value.len() > LONGEST {
        return Err(Unusable::Refused);
    }
    let rest = match value.strip_prefix(VERSION) {
        Some(rest) => rest,
        None if is_versioned(value) => return Err(Unusable::OtherVersion),
        None => return Err(Unusable::Refused),
    };
    let end = rest.iter().position(|byte| *byte == b'.').ok_or(Unusable::Refused)?;
    let (seal, json) = rest.split_at_checked(end).ok_or(Unusable::Refused)?;
    let seal = BASE64_URL_SAFE_NO_PAD.decode(seal).map_err(|_| Unusable::Refused)?;
    Ok((seal, json.get(1..).unwrap_or_default()))
}

/// Whether a value begins with a number and a dot.
fn is_versioned(value: &[u8]) -> bool {
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (1..=4).contains(&digits) && value.get(digits) == Some(&b'.')
}

/// Nothing without a secret or the time at which the stream began: such a seal could be anybody's, or good for every stream.
fn mac(secret: &[u8], instance: &str, began: &[u8], json: &[u8]) -> Option<Hmac<Sha256>> {
    let length = u8::try_from(began.len()).ok().filter(|length| *length > 0)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok().filter(|_| !secret.is_empty())?;
    for part in [b"portcullis findings 1\n", instance.as_bytes(), b"\n", &[length], began, json] {
        mac.update(part);
    }
    Some(mac)
}

#[cfg(test)]
#[path = "seal_tests.rs"]
mod tests;
