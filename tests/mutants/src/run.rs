//! Which tests reach a change, and whether one of them notices it.

use crate::build::TestProgram;
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// One test.
#[derive(Clone, Debug)]
pub struct Test {
    /// Index of its program.
    pub program: usize,
    /// Its name there.
    pub name: String,
    /// How long it takes.
    pub takes: Duration,
    /// The changes it passes through.
    pub reaches: BTreeSet<u32>,
}

/// What came of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A test of the change's own crate failed, or did not end.
    Own,
    /// A test of another crate did.
    Other,
    /// Every test that reaches it passed.
    Missed,
    /// No test reaches it.
    Unreached,
}

/// A test that does not end is one that noticed: it may take this many times as long as it does, and [`GRACE`].
const TIMES: u32 = 15;
const GRACE: Duration = Duration::from_secs(10);
/// Tests that run in one process: as many as take this long together. A slow one runs by itself, after the fast ones.
const TOGETHER: Duration = Duration::from_secs(1);

/// Runs every test of the programs once, by itself, without a change.
///
/// # Errors
/// When a test fails, or a program cannot say what tests it has.
pub fn trace(programs: &[TestProgram], folder: &Path) -> Result<Vec<Test>> {
    fs::create_dir_all(folder)?;
    let mut names = Vec::new();
    for (index, program) in programs.iter().enumerate() {
        let all = listed(program, &[])?;
        let ignored = listed(program, &["--ignored"])?;
        names.extend(all.difference(&ignored).map(|name| (index, name.clone())));
    }
    let traced = each(&names, |at, (program, name)| {
        let file = folder.join(at.to_string());
        let _ = fs::remove_file(&file);
        trace_one(programs, *program, name, &file)
    });
    traced.into_iter().collect()
}

fn trace_one(programs: &[TestProgram], program: usize, name: &str, file: &Path) -> Result<Test> {
    let begun = Instant::now();
    let output = command(&programs[program], None)
        .args(["--exact", "--test-threads=1", name])
        .env("MUTANTS_REACHED", file)
        .output()?;
    if !output.status.success() {
        bail!("{name} fails without a change:\n{}", String::from_utf8_lossy(&output.stdout));
    }
    let text = fs::read_to_string(file).unwrap_or_default();
    let reaches = text.lines().filter_map(|line| line.parse().ok()).collect();
    Ok(Test { program, name: name.to_owned(), takes: begun.elapsed(), reaches })
}

fn listed(program: &TestProgram, more: &[&str]) -> Result<BTreeSet<String>> {
    let args = ["--list", "--format", "terse"];
    let output = command(program, None).args(args).args(more).output().context("a test program")?;
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}

/// The program, under `timeout` if it has a limit.
fn command(program: &TestProgram, limit: Option<Duration>) -> Command {
    let mut command = match limit {
        Some(limit) => {
            let mut command = Command::new("timeout");
            command.args(["--signal=KILL", &limit.as_secs().to_string()]).arg(&program.path);
            command
        }
        None => Command::new(&program.path),
    };
    command.current_dir(&program.folder).env("CARGO_MANIFEST_DIR", &program.folder);
    command
        .env("RUST_BACKTRACE", "0")
        .env("PROPTEST_MAX_SHRINK_ITERS", "0")
        .env("PROPTEST_FAILURE_PERSISTENCE", "off");
    command.stdin(Stdio::null());
    command
}

/// Everything that is known of the tests.
pub struct Suite {
    /// The programs.
    pub programs: Vec<TestProgram>,
    /// Their tests.
    pub tests: Vec<Test>,
}

impl Suite {
    /// Tries every change of the list; `folder` says where a change's own crate lies.
    pub fn run(&self, changes: &[u32], folder: impl Fn(u32) -> PathBuf + Sync) -> BTreeMap<u32, Outcome> {
        let done = AtomicUsize::new(0);
        let outcomes = each(changes, |_, id| {
            let outcome = self.outcome(*id, &folder(*id));
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            if done.is_multiple_of(250) {
                eprintln!("mutants: {done} of {} tried", changes.len());
            }
            (*id, outcome)
        });
        outcomes.into_iter().collect()
    }

    fn outcome(&self, id: u32, own: &Path) -> Outcome {
        let reaching: Vec<&Test> = self.tests.iter().filter(|test| test.reaches.contains(&id)).collect();
        if reaching.is_empty() {
            return Outcome::Unreached;
        }
        let (of_own, of_others): (Vec<_>, Vec<_>) =
            reaching.into_iter().partition(|test| self.programs[test.program].folder == own);
        match () {
            () if self.any_fails(id, of_own) => Outcome::Own,
            () if self.any_fails(id, of_others) => Outcome::Other,
            () => Outcome::Missed,
        }
    }

    fn any_fails(&self, id: u32, mut tests: Vec<&Test>) -> bool {
        tests.sort_by_key(|test| test.takes);
        let mut groups: Vec<(Duration, Vec<&Test>)> = Vec::new();
        for test in tests {
            let fits = |(takes, group): &&mut (Duration, Vec<&Test>)| {
                group[0].program == test.program && *takes + test.takes < TOGETHER
            };
            match groups.iter_mut().find(fits) {
                Some((takes, group)) => {
                    *takes += test.takes;
                    group.push(test);
                }
                None => groups.push((test.takes, vec![test])),
            }
        }
        groups.sort_by_key(|(takes, _)| *takes);
        groups.iter().any(|(takes, group)| self.fails(id, *takes, group))
    }

    fn fails(&self, id: u32, takes: Duration, group: &[&Test]) -> bool {
        let mut command = command(&self.programs[group[0].program], Some(GRACE + takes * TIMES));
        command.args(["--exact", "--test-threads=1"]).args(group.iter().map(|test| &test.name));
        command.env("MUTANT", id.to_string()).stdout(Stdio::null()).stderr(Stdio::null());
        // What cannot be started has noticed nothing.
        command.status().is_ok_and(|status| !status.success())
    }
}

/// Does the same with each, on all processors; answers are in the order of `all`.
fn each<T: Sync, R: Send>(all: &[T], act: impl Fn(usize, &T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((at, one)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, all.get(at)?)))
                {
                    let result = act(at, one);
                    done.lock().unwrap_or_else(|poison| poison.into_inner()).push((at, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(|poison| poison.into_inner());
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}
