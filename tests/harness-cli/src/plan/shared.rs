//! Shared data and shared queues, written and read from outside.

use std::collections::BTreeSet;

use super::{Action, Plan};
use crate::model::{self, Expect, SharedFound, Text, key_bytes};

/// What is written.
#[derive(Clone, Debug, Default)]
pub struct Shared {
    /// Whose.
    pub vm_id: String,
    /// Keys and values.
    pub data: Vec<(Vec<u8>, Vec<u8>)>,
    /// Names of queues, and messages.
    pub queues: Vec<(Vec<u8>, Vec<Vec<u8>>)>,
}

impl Shared {
    pub(super) fn of(shared: &model::Shared, first: &str, text: &dyn Fn(&Text) -> Vec<u8>) -> Self {
        let messages = |messages: &Vec<Text>| messages.iter().map(text).collect();
        Self {
            vm_id: shared.vm_id.clone().unwrap_or_else(|| first.to_owned()),
            data: shared.data.iter().map(|(key, value)| (key_bytes(key), text(value))).collect(),
            queues: shared.queues.iter().map(|(name, list)| (key_bytes(name), messages(list))).collect(),
        }
    }
}

/// What is read after a step: keys and names as the scenario writes them.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// Whose.
    pub vm_id: &'a str,
    /// What is expected of them.
    pub found: &'a SharedFound,
}

impl Plan {
    /// What is to be read after a step.
    #[must_use]
    pub fn wanted<'a>(&'a self, expect: Option<&'a Expect>) -> Option<Wanted<'a>> {
        let found = expect?.shared.as_ref()?;
        let first = self.plugins.first().map_or("", |plugin| plugin.vm_id.as_str());
        Some(Wanted { vm_id: found.vm_id.as_deref().unwrap_or(first), found })
    }

    /// The `vm_id`s whose shared data or queues are written or read from outside.
    #[must_use]
    pub fn shared_vm_ids(&self) -> BTreeSet<&str> {
        let steps = self.steps.iter().filter_map(|step| match &step.action {
            Action::Shared(shared) => Some(shared.vm_id.as_str()),
            _ => None,
        });
        let expected = self.steps.iter().map(|step| step.expect.as_ref()).chain([Some(&self.start)]);
        let read = expected.filter_map(|expect| Some(self.wanted(expect)?.vm_id));
        self.shared.iter().map(|shared| shared.vm_id.as_str()).chain(steps).chain(read).collect()
    }
}
