//! A TCP connection on the harness.

use portcullis_harness::{ConnectionHandle, ConnectionOutcome, Proxy, Side};

use crate::model::Party;
use crate::plan::{AFTERWARDS, Move};
use crate::seen::{Conversation, Ending, Got, Heard};

/// A client connects, both ends do what they are to do, and both leave what is still open: the client breaks off, then the upstream ends.
pub(super) fn converse(proxy: &mut Proxy, moves: &[Move]) -> Conversation {
    let connection = proxy.connect();
    let mut talk = Talk { gone: Vec::new(), before: ConnectionOutcome::default(), turns: Vec::new() };
    talk.hear("client connects".to_owned(), proxy.connection(&connection));
    for one in moves {
        make(proxy, &connection, one);
        if let Move::Resets(party) = one {
            talk.gone.push(*party);
        }
        talk.hear(one.show(), proxy.connection(&connection));
    }
    proxy.client_resets(&connection);
    proxy.upstream_ends(&connection);
    proxy.advance(AFTERWARDS);
    Conversation { turns: talk.turns }
}

fn make(proxy: &mut Proxy, connection: &ConnectionHandle, one: &Move) {
    match one {
        Move::Sends(Party::Client, bytes) => proxy.client_sends(connection, bytes),
        Move::Sends(Party::Upstream, bytes) => proxy.upstream_sends(connection, bytes),
        Move::Ends(Party::Client) => proxy.client_ends(connection),
        Move::Ends(Party::Upstream) => proxy.upstream_ends(connection),
        Move::Resets(Party::Client) => proxy.client_resets(connection),
        Move::Resets(Party::Upstream) => proxy.upstream_resets(connection),
    }
}

struct Talk {
    /// Who has broken off hears nothing any more.
    gone: Vec<Party>,
    before: ConnectionOutcome,
    turns: Vec<(String, Heard)>,
}

impl Talk {
    fn hear(&mut self, what: String, now: ConnectionOutcome) {
        let before = std::mem::replace(&mut self.before, now.clone());
        let heard = |party, before: usize, side: &Side| match self.gone.contains(&party) {
            true => Got { bytes: Vec::new(), ending: Ending::Gone },
            false => got(before, side),
        };
        let client = heard(Party::Client, before.client.bytes.len(), &now.client);
        let had = before.upstream.map_or(0, |side| side.bytes.len());
        let upstream = now.upstream.as_ref().map(|side| heard(Party::Upstream, had, side));
        self.turns.push((what, Heard { client, upstream }));
    }
}

fn got(before: usize, side: &Side) -> Got {
    let ending = match (side.reset, side.ended) {
        (true, _) => Ending::Reset,
        (false, true) => Ending::Ended,
        (false, false) => Ending::Open,
    };
    Got { bytes: side.bytes.get(before..).unwrap_or_default().to_vec(), ending }
}
