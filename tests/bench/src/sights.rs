//! First sights of tokens: what stands between a request's header and its identity in the cache, to measure what that costs.
//! Compiled into the bench and into the module `sights`.

use portcullis_edge_core::{ConfigErrors, Headers, MemoryHost, Mono, Node, Now, RequestHead, Wall};
use portcullis_jwt::{Authn, RawAuth, RawJwt, RouteAuth, Tokens};
use serde_json::Value;

/// Tokens of one kind, one in each request, all of them good.
pub struct Batch {
    /// What it is called.
    pub name: String,
    heads: Vec<RequestHead>,
}

/// A worker's tokens, and requests that bring more of them than its cache holds.
pub struct Sights {
    tokens: Tokens,
    route: RouteAuth,
    /// Says yes at once: what is left is our own part of the work.
    host: MemoryHost,
    /// The batches.
    pub batches: Vec<Batch>,
}

impl Batch {
    /// How many tokens it has.
    pub fn size(&self) -> usize {
        self.heads.len()
    }
}

impl Sights {
    /// From `{"jwt": SECTION, "batches": {NAME: [TOKEN]}}`.
    pub fn read(config: &Value) -> Option<Self> {
        let raw: RawJwt = deserr::deserialize::<_, _, ConfigErrors>(config["jwt"].clone()).ok()?;
        let none = |_: &str| portcullis_jwt::Variable::from(None::<String>);
        let jwt = raw.compile(&Node::top().key("jwt"), &none).ok()?;
        let auth: RawAuth = deserr::deserialize::<_, _, ConfigErrors>(serde_json::json!({})).ok()?;
        let route = auth.compile(Some(&jwt), &Node::top().key("auth")).ok()?;
        let batches = config["batches"].as_object()?.iter().map(|(name, tokens)| {
            let heads = tokens.as_array()?.iter().map(|token| Some(head(token.as_str()?)));
            Some(Batch { name: name.clone(), heads: heads.collect::<Option<_>>()? })
        });
        let host = MemoryHost::default().with_signatures(Box::new(|_| Some(vec![0x08, 1])));
        Some(Self { tokens: Tokens::new(jwt), route, host, batches: batches.collect::<Option<_>>()? })
    }

    /// Looks at the tokens of a batch, one after another; whether all were good, and none known before.
    #[inline(never)]
    pub fn look(&mut self, batch: usize, now: Now) -> bool {
        let Some(batch) = self.batches.get(batch) else { return false };
        let mut good = 0;
        for head in &batch.heads {
            let found = self.tokens.find(&self.route, head).ok().flatten();
            let authn = self.tokens.authenticate(&self.route, found.as_ref(), now, &self.host);
            good += usize::from(matches!(authn, Authn::Bearer { cached: false, .. }));
        }
        good == batch.size()
    }
}

/// The moment of a wall clock, in seconds.
pub fn moment(seconds: u64) -> Now {
    Now { wall: Wall(seconds * 1_000_000_000), mono: Mono(0) }
}

fn head(token: &str) -> RequestHead {
    let bearer = format!("Bearer {token}");
    RequestHead { headers: Headers::from_pairs([("authorization", bearer.as_bytes())]), peer: Vec::new() }
}
