//! Whether the event loops of a process under frozen clocks rest, and when their next timer is due. The shim writes of each
//! loop what is read here; the layout is that of `struct offsets` in `time-shim/shim.c`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

const QUESTION: u64 = 32;
const LOOPS: u64 = 40;
const FIRST_LOOP: u64 = 48;
const MOST_LOOPS: usize = 64;
const LOOP_SIZE: usize = 32;
pub(crate) const FILE_SIZE: u64 = FIRST_LOOP + (MOST_LOOPS * LOOP_SIZE) as u64;

/// How often the answers are looked at.
const LOOK_EVERY: Duration = Duration::from_micros(100);

/// What the event loops of an Envoy do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// All of them sleep, have looked at the clock that is shown, and have nothing to do.
    Rest {
        /// How long until the next timer of any of them is due; `None` if none has one.
        next_timer: Option<Duration>,
    },
    /// Some of them work. As long as the number grows, they get on.
    Busy {
        /// How often loops have gone to sleep or awoken, all together.
        turns: u64,
    },
}

#[derive(Clone, Copy)]
struct Loop {
    due: i64,
    seen: i64,
    turns: i64,
    answered: i64,
}

impl Loop {
    fn sleeps(&self) -> bool {
        self.turns % 2 == 1
    }
}

/// Asks all loops whether they rest. They do if all of them sleep, each of them then finds nothing to do, and none has worked
/// in between: one that works may have given another something to do that had answered before.
pub(crate) fn look(file: &File, shown: i64, until: Instant) -> io::Result<Look> {
    loop {
        let before = read(file)?;
        let turns = turns(&before);
        if !before.is_empty() && before.iter().all(|own| own.sleeps() && own.seen == shown) {
            let question = number_at(file, QUESTION)? + 1;
            file.write_all_at(&question.to_ne_bytes(), QUESTION)?;
            if let Some(loops) = answers(file, question, turns, until)? {
                let next = loops.iter().map(|own| own.due).filter(|due| *due != i64::MAX).min();
                let next_timer =
                    next.map(|due| Duration::from_nanos(due.saturating_sub(shown).max(0).unsigned_abs()));
                return Ok(Look::Rest { next_timer });
            }
        }
        if Instant::now() >= until {
            return Ok(Look::Busy { turns: turns.unsigned_abs() });
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// What the loops say once all have answered; `None` if one of them has worked meanwhile, or it takes too long.
fn answers(file: &File, question: i64, turns_before: i64, until: Instant) -> io::Result<Option<Vec<Loop>>> {
    loop {
        let loops = read(file)?;
        if turns(&loops) != turns_before || Instant::now() >= until {
            return Ok(None);
        }
        if loops.iter().all(|own| own.answered == question) {
            return Ok(Some(loops));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn turns(loops: &[Loop]) -> i64 {
    loops.iter().map(|own| own.turns).sum()
}

fn read(file: &File) -> io::Result<Vec<Loop>> {
    let count = usize::try_from(number_at(file, LOOPS)?).unwrap_or(0).min(MOST_LOOPS);
    let mut bytes = vec![0; count * LOOP_SIZE];
    file.read_exact_at(&mut bytes, FIRST_LOOP)?;
    let loops = bytes.chunks_exact(LOOP_SIZE).map(|own| {
        let field =
            |place: usize| own[place * 8..].first_chunk().map_or(0, |bytes| i64::from_ne_bytes(*bytes));
        Loop { due: field(0), seen: field(1), turns: field(2), answered: field(3) }
    });
    Ok(loops.collect())
}

fn number_at(file: &File, at: u64) -> io::Result<i64> {
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes, at)?;
    Ok(i64::from_ne_bytes(bytes))
}
