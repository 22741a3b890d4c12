use crate::ConfigErrors;
use deserr::Deserr;
use schemars::JsonSchema;

/// The enforcement mode of a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserr, JsonSchema)]
#[deserr(error = ConfigErrors, rename_all = lowercase)]
#[schemars(rename_all = "lowercase")]
pub enum Mode {
    /// What it refuses is refused.
    #[default]
    Enforce,
    /// What it would refuse is counted and logged, and passes; nothing else changes.
    Shadow,
    /// It is not looked at.
    Off,
}

impl Mode {
    /// As a label and log value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
            Self::Off => "off",
        }
    }
}
