//! A breaker's state, as all workers share it.

/// Parts of a window: what is older leaves it part by part.
pub(crate) const PARTS: usize = 10;

/// What happened in one part of a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    /// The part's number: time divided by its length.
    pub number: u64,
    pub calls: u32,
    pub failures: u32,
    pub slow: u32,
}

/// A trial under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trial {
    pub id: u32,
    /// When it counts as lost (nanoseconds of the monotonic clock).
    pub until: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all breakers are closed, and a box costs an allocation a read"
)]
pub(crate) enum Phase {
    Closed { failures: u32, parts: [Part; PARTS] },
    Open { until: u64 },
    HalfOpen { successes: u32, trials: Vec<Trial> },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shared {
    /// What the breaker is: another definition begins anew.
    pub definition: u64,
    /// Counts its phases: what was admitted in one says nothing in another.
    pub generation: u32,
    /// The next trial's id.
    pub next_trial: u32,
    pub phase: Phase,
}

impl Shared {
    pub fn closed(definition: u64, generation: u32) -> Self {
        let phase = Phase::Closed { failures: 0, parts: [Part::default(); PARTS] };
        Self { definition, generation, next_trial: 0, phase }
    }

    pub fn enter(&mut self, phase: Phase) {
        self.generation = self.generation.wrapping_add(1);
        self.phase = phase;
    }

    /// The state in `bytes`; a closed breaker where they are none, or another definition's.
    pub fn read(bytes: &[u8], definition: u64) -> Self {
        let state = Reader(bytes).state().filter(|state| state.definition == definition);
        state.unwrap_or_else(|| Self::closed(definition, generation_of(bytes).wrapping_add(1)))
    }

    pub fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend(self.definition.to_le_bytes());
        bytes.extend(self.generation.to_le_bytes());
        bytes.extend(self.next_trial.to_le_bytes());
        match &self.phase {
            Phase::Closed { failures, parts } => {
                bytes.push(0);
                bytes.extend(failures.to_le_bytes());
                for part in parts {
                    bytes.extend(part.number.to_le_bytes());
                    [part.calls, part.failures, part.slow].iter().for_each(|n| bytes.extend(n.to_le_bytes()));
                }
            }
            Phase::Open { until } => {
                bytes.push(1);
                bytes.extend(until.to_le_bytes());
            }
            Phase::HalfOpen { successes, trials } => {
                bytes.push(2);
                bytes.extend(successes.to_le_bytes());
                for trial in trials {
                    bytes.extend(trial.id.to_le_bytes());
                    bytes.extend(trial.until.to_le_bytes());
                }
            }
        }
        bytes
    }
}

/// A new definition does not take up the generation of the old one: what was admitted under that says nothing.
fn generation_of(bytes: &[u8]) -> u32 {
    let mut reader = Reader(bytes);
    reader.long().and_then(|_| reader.int()).unwrap_or(0)
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn long(&mut self) -> Option<u64> {
        let (head, tail) = self.0.split_first_chunk()?;
        self.0 = tail;
        Some(u64::from_le_bytes(*head))
    }

    fn int(&mut self) -> Option<u32> {
        let (head, tail) = self.0.split_first_chunk()?;
        self.0 = tail;
        Some(u32::from_le_bytes(*head))
    }

    fn state(&mut self) -> Option<Shared> {
        let (definition, generation, next_trial) = (self.long()?, self.int()?, self.int()?);
        let (kind, rest) = self.0.split_first()?;
        self.0 = rest;
        let phase = match kind {
            0 => Phase::Closed { failures: self.int()?, parts: self.parts()? },
            1 => Phase::Open { until: self.long()? },
            2 => Phase::HalfOpen { successes: self.int()?, trials: self.trials() },
            _ => return None,
        };
        Some(Shared { definition, generation, next_trial, phase })
    }

    fn parts(&mut self) -> Option<[Part; PARTS]> {
        let mut parts = [Part::default(); PARTS];
        for part in &mut parts {
            *part =
                Part { number: self.long()?, calls: self.int()?, failures: self.int()?, slow: self.int()? };
        }
        Some(parts)
    }

    fn trials(&mut self) -> Vec<Trial> {
        core::iter::from_fn(|| Some(Trial { id: self.int()?, until: self.long()? })).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn every_phase_survives_being_written_and_read() {
        let mut state = Shared::closed(7, 3);
        let mut parts = [Part::default(); PARTS];
        parts[4] = Part { number: 9, calls: 8, failures: 7, slow: 6 };
        let trials = vec![Trial { id: 1, until: 5 }, Trial { id: 2, until: 6 }];
        for phase in [
            Phase::Closed { failures: 2, parts },
            Phase::Open { until: u64::MAX },
            Phase::HalfOpen { successes: 1, trials },
        ] {
            state.enter(phase);
            assert_eq!(Shared::read(&state.write(), 7), state);
        }
    }

    #[test]
    fn what_is_no_state_or_anothers_is_a_closed_breaker_of_a_new_generation() {
        let old = Shared { phase: Phase::Open { until: 9 }, ..Shared::closed(7, 3) };
        assert_eq!(Shared::read(&old.write(), 8), Shared::closed(8, 4));
        for broken in [&b""[..], b"x", &[0xff; 40], &old.write()[..20]] {
            assert!(matches!(Shared::read(broken, 7).phase, Phase::Closed { failures: 0, .. }));
        }
    }
}
