//! The proxy's environment, as far as it can be known away from the proxy.

use portcullis_edge_core::ConfigError;
use portcullis_pipeline::GatewayMetrics;
use portcullis_policy::{Policy, Variable};
use portcullis_source::source::Source;

/// Who answers for a variable that this process does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The proxy may have it: what it stands for is left unchecked.
    IsElsewhere,
    /// Nobody: the policy is wrong.
    IsAMistake,
}

impl Missing {
    /// The variable `name` of this process.
    #[must_use]
    pub fn variable(self, name: &str) -> Variable {
        match (std::env::var(name).ok().filter(|value| !value.is_empty()), self) {
            (Some(value), _) => Variable::Is(value),
            (None, Self::IsElsewhere) => Variable::Elsewhere,
            (None, Self::IsAMistake) => Variable::Unset,
        }
    }

    /// Compiles the policy in a file, with the environment variables of this process.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn compile(self, source: &Source) -> Result<Policy, Vec<ConfigError>> {
        let policy = Policy::from_value_with(&source.value, &|name| self.variable(name))?;
        GatewayMetrics::build(&policy).map_err(|error| vec![error])?;
        Ok(policy)
    }
}

/// What whoever runs the proxy must know; nothing for a policy that refers to no variable.
#[must_use]
pub fn note(policy: &Policy) -> Option<String> {
    let names = &policy.environment;
    (!names.is_empty()).then(|| format!("note: the proxy's environment must have {}", names.join(", ")))
}
