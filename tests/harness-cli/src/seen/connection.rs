//! What came of a TCP connection.

use std::fmt::Write as _;

/// What came of a connection, move by move.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversation {
    /// What happened (the opening, and each move), and what both ends heard of it.
    pub turns: Vec<(String, Heard)>,
}

/// What both ends heard after a move.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// The client.
    pub client: Got,
    /// The upstream; `None` if it has seen no connection yet.
    pub upstream: Option<Got>,
}

/// What one end got since.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Got {
    /// Bytes.
    pub bytes: Vec<u8>,
    /// How the other half stands.
    pub ending: Ending,
}

/// How one half of a connection stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// More may come.
    #[default]
    Open,
    /// It has been ended.
    Ended,
    /// It was broken off.
    Reset,
    /// This end itself is gone, and hears nothing.
    Gone,
}

impl Conversation {
    /// All that the client got.
    #[must_use]
    pub fn of_client(&self) -> Vec<u8> {
        self.turns.iter().flat_map(|(_, heard)| heard.client.bytes.clone()).collect()
    }

    /// All that the upstream got; `None` if it never saw the connection.
    #[must_use]
    pub fn of_upstream(&self) -> Option<Vec<u8>> {
        let got: Vec<_> = self.turns.iter().filter_map(|(_, heard)| heard.upstream.as_ref()).collect();
        (!got.is_empty()).then(|| got.iter().flat_map(|got| got.bytes.clone()).collect())
    }

    /// Whether the client's connection has been closed or reset.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.turns.last().is_some_and(|(_, heard)| heard.client.ending != Ending::Open)
    }

    pub(super) fn write(&self, out: &mut String) {
        for (what, heard) in &self.turns {
            let _ = writeln!(out, "{what}:");
            let _ = writeln!(out, "  client: {}", heard.client.show());
            let _ = writeln!(
                out,
                "  upstream: {}",
                heard.upstream.as_ref().map_or_else(|| "no connection".into(), Got::show)
            );
        }
    }
}

impl Got {
    fn show(&self) -> String {
        let ending = match self.ending {
            Ending::Open => "",
            Ending::Ended => " ended",
            Ending::Reset => " reset",
            Ending::Gone => " gone",
        };
        format!("\"{}\"{ending}", self.bytes.escape_ascii())
    }
}
