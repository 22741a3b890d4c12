use portcullis_edge_core::{ConfigError, Node};

/// Collects mistakes while the rest is still checked.
#[derive(Default)]
pub(crate) struct Mistakes(pub(crate) Vec<ConfigError>);

impl Mistakes {
    pub(crate) fn keep<T>(&mut self, result: Result<T, ConfigError>) -> Option<T> {
        result.map_err(|error| self.0.push(error)).ok()
    }

    pub(crate) fn all<T>(&mut self, result: Result<T, Vec<ConfigError>>) -> Option<T> {
        result.map_err(|errors| self.0.extend(errors)).ok()
    }

    pub(crate) fn add(&mut self, error: ConfigError) {
        self.0.push(error);
    }

    pub(crate) fn finish<T>(self, value: T) -> Result<T, Vec<ConfigError>> {
        if self.0.is_empty() { Ok(value) } else { Err(self.0) }
    }
}

/// A number's bounds, both included.
#[derive(Clone, Copy)]
pub(crate) struct NumberRange {
    pub(crate) least: u32,
    pub(crate) most: u32,
}

impl NumberRange {
    pub(crate) fn check(self, found: u32, at: &Node, mistakes: &mut Mistakes) {
        if !(self.least..=self.most).contains(&found) {
            let expected = format!("a number from {} to {}", self.least, self.most);
            mistakes.add(at.error(format!("`{found}`"), expected));
        }
    }
}
