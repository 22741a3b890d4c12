//! Shared data and shared queues.

use super::{NEXT_LINE, Verdict, shown};
use crate::model::{Pattern, SharedFound};
use crate::seen::SharedSeen;

impl Verdict<'_> {
    pub(super) fn shared(&mut self, expected: Option<&SharedFound>, found: &SharedSeen) {
        let Some(expected) = expected else { return };
        for (key, pattern) in expected.data.iter() {
            let value = found.data.get(key).and_then(Option::as_deref);
            self.value(&format!("shared data {key}"), Some(pattern), value);
        }
        for (name, patterns) in expected.queues.iter() {
            let messages = found.queues.get(name).map(Vec::as_slice).unwrap_or_default();
            self.messages(name, patterns, messages);
        }
    }

    fn messages(&mut self, name: &str, patterns: &[Pattern], messages: &[Vec<u8>]) {
        if patterns.len() != messages.len() {
            let all: Vec<_> = messages.iter().map(|message| shown(message)).collect();
            let found = if all.is_empty() { "none".to_owned() } else { all.join(NEXT_LINE) };
            return self.add(&format!("shared queue {name}"), format!("{} messages", patterns.len()), found);
        }
        for (place, (pattern, message)) in patterns.iter().zip(messages).enumerate() {
            let what = format!("shared queue {name} message {}", place + 1);
            self.value(&what, Some(pattern), Some(message));
        }
    }
}
