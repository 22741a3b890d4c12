//! What the first sight of a token costs in the module itself: natively, and in a VM of the real Envoy. The host's part, which is
//! the whole signature check of RS256 and ES256, is left out.

use crate::measure::start;
use crate::sights::{Sights, moment};
use crate::statistics::Summary;
use crate::tokens::with_permissions;
use anyhow::{Context, Result, ensure};
use portcullis_e2e::{Envoy, Line, Mark, PATIENCE};
use portcullis_token_lab::public_jwk;
use serde_json::{Map, Value, json};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Batches until V8 runs its best code.
const WARM_UP: usize = 20;
/// Batches measured.
const BATCHES: usize = 25;

/// Algorithms, how many permissions the tokens have beside the claims that matter (none, or enough for some 1000 bytes), and how many
/// tokens are in a batch: more than the cache holds, and fewer of those whose signatures the module itself has to check.
const KINDS: [(&str, usize, usize); 9] = [
    ("HS256", 0, 200),
    ("HS256", 31, 200),
    ("RS256", 0, 200),
    ("RS256", 31, 200),
    ("ES256", 0, 200),
    ("ES256", 31, 200),
    ("PS256", 0, 8),
    ("EdDSA", 0, 8),
    ("ES512", 0, 8),
];

/// One kind of token.
pub struct FirstSight {
    /// Its algorithm and size.
    pub name: String,
    /// Microseconds in Envoy's VM.
    pub in_envoy: Summary,
    /// And natively.
    pub native: Summary,
}

/// What the module is configured with: a cache that holds a few tokens, and batches of many.
pub fn configuration() -> Value {
    let algorithms = ["HS256", "RS256", "ES256", "PS256", "EdDSA", "ES512"];
    let keys = algorithms.map(|alg| public_jwk(alg, "k"));
    let batches = KINDS.iter().map(|(alg, permissions, count)| {
        let tokens: Vec<_> = (0..*count).map(|number| with_permissions(alg, number, *permissions)).collect();
        let bytes = tokens.first().map_or(0, String::len);
        (format!("{alg}, {bytes} bytes"), json!(tokens))
    });
    let batches: Map<_, _> = batches.collect();
    json!({"jwt": {"cache_bytes": 4_096, "providers": {"idp": {"jwks": {"keys": keys}}}}, "batches": batches})
}

/// Measures all kinds. `bootstrap` has the module `sights`.
///
/// # Errors
/// If Envoy does not start, the module does not report, or a token is refused or known.
pub fn measure(bootstrap: Value, configuration: &Value) -> Result<Vec<FirstSight>> {
    let mut sights = Sights::read(configuration).context("the section is right")?;
    let envoy = start(bootstrap, None)?;
    let first = envoy.stderr().mark();
    let kinds = 0..sights.batches.len();
    kinds
        .map(|kind| {
            let batch = &sights.batches[kind];
            let (name, size) = (batch.name.clone(), batch.size());
            let in_envoy = in_envoy(&envoy, first, &name, size)
                .with_context(|| format!("the module is silent on {name}"))?;
            Ok(FirstSight { in_envoy, native: native(&mut sights, kind)?, name })
        })
        .collect()
}

fn native(sights: &mut Sights, kind: usize) -> Result<Summary> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (mut micros, size) = (Vec::new(), sights.batches[kind].size());
    for _ in 0..WARM_UP + BATCHES {
        let started = Instant::now();
        let good = sights.look(kind, moment(now));
        micros.push(per_token(started.elapsed().as_nanos() as f64, size));
        ensure!(good, "a token is refused, or known");
    }
    Summary::of(&micros[WARM_UP..]).context("no batches")
}

fn in_envoy(envoy: &Envoy, first: Mark, name: &str, size: usize) -> Option<Summary> {
    let mut micros = Vec::new();
    let enough = |line: &Line| {
        micros.extend(batch_of(&line.text(), name).map(|nanos| per_token(nanos, size)));
        micros.len() == WARM_UP + BATCHES
    };
    envoy.stderr().try_wait_for_line(first, PATIENCE, enough)?;
    Summary::of(&micros[WARM_UP..])
}

/// `... <name>: all good and new, took 1234 ns`; nothing for a batch that was not.
fn batch_of(line: &str, name: &str) -> Option<f64> {
    let (_, took) = line.split_once(&format!("{name}: all good and new, took "))?;
    let (nanos, _) = took.split_once(" ns")?;
    nanos.parse().ok()
}

fn per_token(nanos: f64, tokens: usize) -> f64 {
    nanos / tokens as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_counts_only_if_every_token_was_good_and_new() {
        let line = |verdict| format!("[info][wasm] wasm log: HS256, 211 bytes: {verdict}, took 400000 ns");
        assert_eq!(batch_of(&line("all good and new"), "HS256, 211 bytes"), Some(400_000.0));
        assert_eq!(batch_of(&line("not all good, or not new"), "HS256, 211 bytes"), None);
        assert_eq!(batch_of(&line("all good and new"), "HS256, 1017 bytes"), None);
    }

    #[test]
    fn every_token_is_good_and_new_and_of_the_size_that_its_batch_is_named_by() {
        let configuration = configuration();
        let batches = configuration["batches"].as_object().expect("batches").clone();
        assert_eq!(batches.len(), KINDS.len());
        for (name, tokens) in batches {
            let sizes =
                tokens.as_array().expect("tokens").iter().filter_map(|token| Some(token.as_str()?.len()));
            assert!(
                sizes.clone().count() >= 8
                    && sizes.into_iter().all(|size| name.ends_with(&format!(", {size} bytes")))
            );
        }
        let mut sights = Sights::read(&configuration).expect("the section is right");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
        for kind in 0..KINDS.len() {
            assert!(sights.look(kind, moment(now)), "all are good and new");
            assert!(sights.look(kind, moment(now)), "the cache has forgotten them");
        }
    }
}
