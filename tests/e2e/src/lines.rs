//! The output of a process, line by line, kept in a bounded buffer that tests can search and wait on.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, Read, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const MAX_LINES: usize = 60_000;
const MAX_BYTES: usize = 32 << 20;
/// What a line of our own begins with: no process writes this by itself.
const MARKER: &str = "\u{1}\u{2}read up to here \u{2}\u{1}";
/// A longer line is kept in pieces of this size.
const MAX_LINE: u64 = 1 << 20;

/// One line of output, without its line feed: bytes, because a test may want to see that they are not text.
#[derive(Clone, PartialEq, Eq)]
pub struct Line(pub Vec<u8>);

impl Line {
    /// The line as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }

    /// Whether `part` occurs in the line.
    pub fn contains(&self, part: &str) -> bool {
        self.text().contains(part)
    }

    /// The line as one JSON value; `None` if it is none, or not UTF-8.
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.0).ok()
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.text())
    }
}

/// A place in the output: between the lines that were there when it was made, and those that came later.
#[derive(Clone, Copy, Debug)]
pub struct Mark(u64);

impl Mark {
    /// Before the first line.
    pub const START: Self = Self(0);
}

#[derive(Default)]
struct Kept {
    lines: VecDeque<Line>,
    bytes: usize,
    /// How many lines were dropped from the front: the number of the first kept line.
    dropped: u64,
    ended: bool,
    /// The number of the last marker that has come through.
    marker: u64,
}

impl Kept {
    /// A line, or a marker. What was before a marker had no line feed.
    fn take(&mut self, mut line: Vec<u8>) {
        let marker = line.windows(MARKER.len()).rposition(|window| window == MARKER.as_bytes());
        let number = marker.and_then(|at| std::str::from_utf8(&line[at + MARKER.len()..]).ok()?.parse().ok());
        match (marker, number) {
            (Some(at), Some(number)) => {
                self.marker = self.marker.max(number);
                line.truncate(at);
                if !line.is_empty() {
                    self.push(line);
                }
            }
            _ => self.push(line),
        }
    }

    fn push(&mut self, line: Vec<u8>) {
        self.bytes += line.len();
        self.lines.push_back(Line(line));
        while self.lines.len() > MAX_LINES || self.bytes > MAX_BYTES {
            let Some(oldest) = self.lines.pop_front() else { return };
            self.bytes -= oldest.0.len();
            self.dropped += 1;
        }
    }

    fn since(&self, mark: Mark) -> impl Iterator<Item = &Line> {
        let skip = usize::try_from(mark.0.saturating_sub(self.dropped)).unwrap_or(usize::MAX);
        self.lines.iter().skip(skip)
    }
}

/// The lines that a process has written so far: the newest 20,000 of them, or 32 MiB.
#[derive(Clone)]
pub struct Lines {
    name: &'static str,
    kept: Arc<(Mutex<Kept>, Condvar)>,
}

impl Lines {
    /// Reads `output` to its end on a thread of its own. `name` is for messages: "stdout".
    pub(crate) fn read(name: &'static str, output: impl Read + Send + 'static) -> Self {
        let lines = Self { name, kept: Arc::default() };
        let writer = lines.clone();
        std::thread::spawn(move || writer.take_all(BufReader::new(output)));
        lines
    }

    fn take_all(&self, mut output: impl BufRead) {
        loop {
            let mut line = Vec::new();
            match output.by_ref().take(MAX_LINE).read_until(b'\n', &mut line) {
                Ok(1..) => {
                    line.pop_if(|last| *last == b'\n');
                    self.lock().take(line);
                }
                Ok(0) | Err(_) => break,
            }
            self.kept.1.notify_all();
        }
        self.lock().ended = true;
        self.kept.1.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The place after the newest line.
    pub fn mark(&self) -> Mark {
        let kept = self.lock();
        Mark(kept.dropped + kept.lines.len() as u64)
    }

    /// All kept lines.
    pub fn all(&self) -> Vec<Line> {
        self.since(Mark(0))
    }

    /// The kept lines that came after `mark`.
    pub fn since(&self, mark: Mark) -> Vec<Line> {
        self.lock().since(mark).cloned().collect()
    }

    /// The same, and the place after them, from which to read on: no line is missed or read twice.
    pub fn read_on(&self, mark: Mark) -> (Vec<Line>, Mark) {
        let kept = self.lock();
        (kept.since(mark).cloned().collect(), Mark(kept.dropped + kept.lines.len() as u64))
    }

    /// The first line that `wanted` accepts, once it is there.
    ///
    /// # Panics
    /// With the newest lines, if there is none within [`crate::PATIENCE`].
    #[track_caller]
    pub fn wait_for_line(&self, wanted: impl FnMut(&Line) -> bool) -> Line {
        self.wait_for_line_since(Mark(0), wanted)
    }

    /// Like [`Lines::wait_for_line`], among the lines after `mark`.
    #[track_caller]
    pub fn wait_for_line_since(&self, mark: Mark, wanted: impl FnMut(&Line) -> bool) -> Line {
        let found = self.try_wait_for_line(mark, crate::PATIENCE, wanted);
        found.unwrap_or_else(|| panic!("no such line in time; the tail of {}:\n{}", self.name, self.tail(30)))
    }

    /// The first line after `mark` that `wanted` accepts; `None` when there is none `within` that time, or the process
    /// has ended.
    pub fn try_wait_for_line(
        &self,
        mark: Mark,
        within: Duration,
        mut wanted: impl FnMut(&Line) -> bool,
    ) -> Option<Line> {
        let deadline = Instant::now() + within;
        let (mut kept, mut next) = (self.lock(), mark);
        loop {
            if let Some(line) = kept.since(next).find(|line| wanted(line)) {
                return Some(line.clone());
            }
            next = Mark(kept.dropped + kept.lines.len() as u64);
            let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
            if kept.ended {
                return None;
            }
            kept = self.kept.1.wait_timeout(kept, left?).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until everything that has been written into `pipe`, which these lines come from, has been read: writes a line of
    /// its own behind it, and waits for that. The line itself is not kept.
    ///
    /// # Errors
    /// If the pipe cannot be written to, or its line does not come back: the process has ended.
    pub(crate) fn catch_up(&self, pipe: &Path) -> io::Result<()> {
        static MARKERS: AtomicU64 = AtomicU64::new(0);
        let number = MARKERS.fetch_add(1, Ordering::Relaxed) + 1;
        OpenOptions::new().write(true).open(pipe)?.write_all(format!("{MARKER}{number}\n").as_bytes())?;
        let arrived = self
            .kept
            .1
            .wait_timeout_while(self.lock(), crate::PATIENCE * 4, |kept| kept.marker < number && !kept.ended);
        let arrived = arrived.unwrap_or_else(PoisonError::into_inner).0.marker >= number;
        if arrived { Ok(()) } else { Err(io::Error::other(format!("{} has ended", self.name))) }
    }

    /// Waits until the process has closed this output; false when it has not `within` that time.
    pub fn wait_for_end(&self, within: Duration) -> bool {
        let waited = self.kept.1.wait_timeout_while(self.lock(), within, |kept| !kept.ended);
        waited.unwrap_or_else(PoisonError::into_inner).0.ended
    }

    /// The newest `count` lines, for a message.
    pub fn tail(&self, count: usize) -> String {
        let kept = self.lock();
        let newest = kept.lines.iter().skip(kept.lines.len().saturating_sub(count));
        newest.map(|line| format!("{}| {}\n", self.name, line.text())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::pipe;

    fn lines_of(text: &'static [u8]) -> Lines {
        let lines = Lines::read("stdout", text);
        assert!(lines.wait_for_end(crate::PATIENCE));
        lines
    }

    #[test]
    fn a_line_that_comes_later_is_waited_for() {
        let (output, mut input) = pipe().expect("the system has pipes");
        let lines = Lines::read("stdout", output);
        let waiter = std::thread::spawn(move || lines.wait_for_line(|line| line.contains("two")));
        input.write_all(b"one\ntwo\nthr").expect("somebody reads");
        assert_eq!(waiter.join().expect("found").0, b"two");
    }

    #[test]
    fn lines_before_a_mark_are_not_found_after_it() {
        let (output, mut input) = pipe().expect("the system has pipes");
        let lines = Lines::read("stdout", output);
        input.write_all(b"old 1\n").expect("somebody reads");
        lines.wait_for_line(|line| line.contains("old"));
        let mark = lines.mark();
        input.write_all(b"old 2\n").expect("somebody reads");
        assert_eq!(lines.wait_for_line_since(mark, |line| line.contains("old")).text(), "old 2");
    }

    #[test]
    fn waiting_ends_with_the_process_and_at_the_deadline() {
        let ended = lines_of(b"one\n");
        assert_eq!(ended.try_wait_for_line(Mark(0), Duration::from_secs(3600), |_| false), None);
        let (output, _input) = pipe().expect("the system has pipes");
        let silent = Lines::read("stdout", output);
        assert_eq!(silent.try_wait_for_line(Mark(0), Duration::from_millis(10), |_| true), None);
    }

    #[test]
    fn what_was_written_before_a_marker_has_been_read_after_it() {
        let (output, mut input) = pipe().expect("the system has pipes");
        let lines = Lines::read("stdout", output);
        let pipe =
            std::path::PathBuf::from(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&input)));
        for number in 0..50 {
            let mark = lines.mark();
            input.write_all(format!("{number}\nrest").as_bytes()).expect("somebody reads");
            lines.catch_up(&pipe).expect("it comes back");
            let read: Vec<_> = lines.since(mark).iter().map(Line::text).collect();
            assert_eq!(read, [number.to_string(), "rest".to_owned()]);
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_kept_as_they_are() {
        let lines = lines_of(b"{\"a\":\"\xff\"}\n{\"b\":1}");
        assert_eq!(lines.all()[0].0, b"{\"a\":\"\xff\"}");
        assert_eq!(lines.all()[0].json(), None);
        assert_eq!(lines.all()[1].json(), Some(serde_json::json!({"b": 1})));
    }

    #[test]
    fn memory_is_bounded_and_the_newest_lines_stay() {
        let mut kept = Kept::default();
        for number in 0..MAX_LINES + 5 {
            kept.push(number.to_string().into_bytes());
        }
        assert_eq!(kept.lines.len(), MAX_LINES);
        assert_eq!(kept.since(Mark(0)).next().map(Line::text), Some("5".into()));
        assert_eq!(kept.since(Mark(7)).next().map(Line::text), Some("7".into()));
        kept.push(vec![b'x'; MAX_BYTES]);
        assert_eq!(kept.lines.len(), 1);
    }
}
