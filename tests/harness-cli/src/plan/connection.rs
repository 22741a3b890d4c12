//! What the two ends of a TCP connection do.

use crate::model::{self, Party, Text};

/// What one end does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// It sends this.
    Sends(Party, Vec<u8>),
    /// It ends its half of the connection.
    Ends(Party),
    /// It breaks the connection off.
    Resets(Party),
}

impl Move {
    /// A move, with its text rendered; `None` for one that the check has refused.
    pub(super) fn of(step: &model::Move, render: &dyn Fn(&Text) -> Vec<u8>) -> Option<Self> {
        let sends = |party, text: &Option<Text>| text.as_ref().map(|text| Self::Sends(party, render(text)));
        sends(Party::Client, &step.client)
            .or_else(|| sends(Party::Upstream, &step.upstream))
            .or_else(|| step.ends.map(Self::Ends))
            .or_else(|| step.resets.map(Self::Resets))
    }

    /// Who makes it.
    #[must_use]
    pub fn party(&self) -> Party {
        match self {
            Self::Sends(party, _) | Self::Ends(party) | Self::Resets(party) => *party,
        }
    }

    /// In words.
    #[must_use]
    pub fn show(&self) -> String {
        let who = match self.party() {
            Party::Client => "client",
            Party::Upstream => "upstream",
        };
        match self {
            Self::Sends(_, bytes) => format!("{who} sends \"{}\"", bytes.escape_ascii()),
            Self::Ends(_) => format!("{who} ends"),
            Self::Resets(_) => format!("{who} resets"),
        }
    }
}
