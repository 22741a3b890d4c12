use super::set::KeySet;
use std::rc::Rc;

/// Fetched key sets, one place for each provider.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    fetched: Vec<Option<Rc<KeySet>>>,
    generation: u64,
}

impl Keys {
    /// The keys of a provider, if they are there.
    #[must_use]
    pub fn of(&self, provider: usize) -> Option<&KeySet> {
        self.fetched.get(provider).and_then(Option::as_deref)
    }

    /// Puts a provider's keys in their place, or takes them away.
    pub fn set(&mut self, provider: usize, keys: Option<Rc<KeySet>>) {
        if self.fetched.len() <= provider {
            self.fetched.resize(provider.saturating_add(1), None);
        }
        if let Some(place) = self.fetched.get_mut(provider) {
            *place = keys;
            self.generation = self.generation.wrapping_add(1);
        }
    }

    /// Changes whenever any keys do.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }
}
