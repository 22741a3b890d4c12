//! What was found in shared data and shared queues.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Keys and names as the scenario writes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SharedSeen {
    /// Values; `None` where there is none.
    pub data: BTreeMap<String, Option<Vec<u8>>>,
    /// Messages that were taken out of queues.
    pub queues: BTreeMap<String, Vec<Vec<u8>>>,
}

impl SharedSeen {
    pub(super) fn write(&self, out: &mut String) {
        for (key, value) in &self.data {
            let value =
                value.as_ref().map_or_else(|| "absent".to_owned(), |value| value.escape_ascii().to_string());
            let _ = writeln!(out, "shared data {key}: {value}");
        }
        for (name, messages) in &self.queues {
            let _ = writeln!(out, "shared queue {name}: {} messages", messages.len());
            for message in messages {
                let _ = writeln!(out, "shared queue {name}:   | {}", message.escape_ascii());
            }
        }
    }
}
