//! The section `source`.

use crate::sign::Signer;
use crate::verify::{Required, RequiredSignature};
use deserr::Deserr;
use portcullis_edge_core::{
    ConfigError, ConfigErrors, Env, HeaderName, Mode, Networks, Node, PolicyDuration, SecretText,
};
use schemars::JsonSchema;

/// `source`: how backends know that a request comes from the gateway.
#[derive(Clone, Debug, Default, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawSourceCheck {
    /// At the gateway: sign what goes to services (default: not signed).
    #[deserr(default)]
    #[schemars(default, skip_serializing_if = "Option::is_none", with = "RawSign")]
    pub sign: Option<RawSign>,
    /// In front of a backend: refuse what does not come from the gateway (default: nothing is refused).
    #[deserr(default)]
    #[schemars(default, skip_serializing_if = "Option::is_none", with = "RawRequire")]
    pub require: Option<RawRequire>,
}

/// How requests are signed.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawSign {
    /// The secret that gateway and backends share, of 32 bytes or more; `${ENV:NAME}` takes it from the proxy's environment.
    pub secret: SecretText,
    /// The header with the signature. A client's own is removed.
    #[deserr(default = default_signature_header())]
    #[schemars(default = "default_signature_header")]
    pub header: String,
}

/// What a request needs.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawRequire {
    /// The header that says where a request comes from.
    #[deserr(default = default_header())]
    #[schemars(default = "default_header")]
    pub header: String,
    /// The value that it must have, once.
    #[deserr(default = default_value())]
    #[schemars(default = "default_value")]
    pub value: String,
    /// The signature that must stand beside it (default: none is needed).
    #[deserr(default)]
    #[schemars(default, skip_serializing_if = "Option::is_none", with = "RawRequiredSignature")]
    pub signature: Option<RawRequiredSignature>,
    /// Clients that need neither, if they connect directly and not through a trusted proxy: health checks of a node, for example.
    #[deserr(default)]
    #[schemars(default)]
    pub exempt_networks: Vec<String>,
    /// Enforcement mode (default `enforce`).
    #[deserr(default)]
    #[schemars(default)]
    pub mode: Mode,
}

/// Which signatures are good.
#[derive(Clone, Debug, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, deny_unknown_fields)]
#[schemars(deny_unknown_fields)]
pub struct RawRequiredSignature {
    /// The secrets of which one must have signed: the present one, and while it is replaced the one before.
    #[schemars(length(min = 1, max = 4))]
    pub secrets: Vec<SecretText>,
    /// The header with the signature.
    #[deserr(default = default_signature_header())]
    #[schemars(default = "default_signature_header")]
    pub header: String,
    /// How old it may be, from `1s` to `1h`. Clocks may differ by as much in the other direction.
    #[deserr(default = default_max_age())]
    #[schemars(default = "default_max_age")]
    pub max_age: PolicyDuration,
}

fn default_header() -> String {
    "X-Source".to_owned()
}

fn default_value() -> String {
    "gateway".to_owned()
}

fn default_signature_header() -> String {
    "X-Source-Signature".to_owned()
}

fn default_max_age() -> PolicyDuration {
    PolicyDuration::secs(30)
}

/// The compiled section.
#[derive(Clone, Debug, Default)]
pub struct SourceCheck {
    /// Signs what goes to services.
    pub sign: Option<Signer>,
    /// What a request needs; nothing where the check is off.
    pub require: Option<Required>,
}

const MOST_SECRETS: usize = 4;

impl RawSourceCheck {
    /// Checks the section, which stands at `at`; secrets are looked up in `env`.
    ///
    /// # Errors
    /// Every mistake.
    pub fn compile(&self, at: &Node, env: Env<'_>) -> Result<SourceCheck, Vec<ConfigError>> {
        let mut errors = Vec::new();
        let mut keep = |error| errors.push(error);
        let sign = self.sign.as_ref().and_then(|raw| raw.compile(&at.key("sign"), env, &mut keep));
        let require = self.require.as_ref().and_then(|raw| raw.compile(&at.key("require"), env, &mut keep));
        if errors.is_empty() { Ok(SourceCheck { sign, require }) } else { Err(errors) }
    }

    /// The header with the signature that the gateway adds, as written.
    #[must_use]
    pub fn signature_header(&self) -> Option<&str> {
        self.sign.as_ref().map(|sign| sign.header.as_str())
    }
}

impl RawSign {
    fn compile(&self, at: &Node, env: Env<'_>, keep: &mut dyn FnMut(ConfigError)) -> Option<Signer> {
        let header = header(&self.header, &at.key("header"), keep);
        let secret = secret(&self.secret, &at.key("secret"), env, keep);
        Some(Signer::new(header?, secret))
    }
}

impl RawRequire {
    fn compile(&self, at: &Node, env: Env<'_>, keep: &mut dyn FnMut(ConfigError)) -> Option<Required> {
        let header = header(&self.header, &at.key("header"), keep);
        if self.value.is_empty() || !self.value.bytes().all(|b| b.is_ascii_graphic()) {
            let found = format!("`{}`", self.value.escape_debug());
            keep(at.key("value").error(found, "visible ASCII characters, one at least"));
        }
        let mut errors = Vec::new();
        let exempt = Networks::compile(&self.exempt_networks, &at.key("exempt_networks"), &mut errors);
        errors.into_iter().for_each(&mut *keep);
        let signature = self.signature.as_ref().map(|raw| raw.compile(&at.key("signature"), env, keep));
        let (header, signature) = (header?, signature.map_or(Some(None), |compiled| compiled.map(Some))?);
        let required =
            Required { header, value: self.value.clone().into_bytes(), signature, exempt, mode: self.mode };
        (self.mode != Mode::Off).then_some(required)
    }
}

impl RawRequiredSignature {
    fn compile(
        &self,
        at: &Node,
        env: Env<'_>,
        keep: &mut dyn FnMut(ConfigError),
    ) -> Option<RequiredSignature> {
        let header = header(&self.header, &at.key("header"), keep);
        let shortest = PolicyDuration::secs(1);
        self.max_age
            .outside(shortest, PolicyDuration::secs(3600), &at.key("max_age"))
            .into_iter()
            .for_each(&mut *keep);
        let count = self.secrets.len();
        if !(1..=MOST_SECRETS).contains(&count) {
            keep(at.key("secrets").error(format!("{count} secrets"), format!("1 to {MOST_SECRETS}")));
        }
        let secrets = self.secrets.iter().enumerate();
        let secrets = secrets.map(|(index, raw)| secret(raw, &at.key("secrets").index(index), env, keep));
        let secrets = secrets.collect();
        Some(RequiredSignature { header: header?, secrets, max_age: self.max_age.0 })
    }
}

fn header(name: &str, at: &Node, keep: &mut dyn FnMut(ConfigError)) -> Option<HeaderName> {
    let wrong = |_| at.error(format!("`{}`", name.escape_debug()), "the name of a header");
    HeaderName::parse(name).map_err(wrong).map_err(keep).ok()
}

/// The secret's bytes; empty where it can only be known elsewhere.
fn secret(raw: &SecretText, at: &Node, env: Env<'_>, keep: &mut dyn FnMut(ConfigError)) -> Vec<u8> {
    let mut errors = Vec::new();
    let secret = raw.hmac_key(at, env, &mut errors);
    errors.into_iter().for_each(keep);
    secret
}
