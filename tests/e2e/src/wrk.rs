//! wrk as the load: clients that ask without pause until they are told to stop.

use crate::process::{OwnedChild, spawn};
use crate::workspace;
use nix::sys::signal::Signal;
use std::io::{self, Read as _};
use std::process::{ChildStdout, Command, Stdio};

/// wrk while it runs; it is killed with this value.
pub struct Wrk {
    process: OwnedChild,
    output: ChildStdout,
}

/// What wrk has counted.
#[derive(Debug, PartialEq, Eq)]
pub struct Asked {
    /// Requests that were answered.
    pub answered: u64,
    /// Answers with another status than 2xx and 3xx, connections that broke or could not be opened, and answers that did not come within 30 s.
    pub failed: u64,
    /// What it printed.
    pub text: String,
}

impl Wrk {
    /// Asks for `url` on so many connections at once, with these header lines.
    ///
    /// # Panics
    /// If it is not there (`tests/tools.sh wrk`), or does not start.
    #[track_caller]
    pub fn start(url: &str, connections: usize, headers: &[&str]) -> Self {
        let program = workspace().join(".tools/wrk/wrk");
        assert!(program.is_file(), "{} is missing: run tests/tools.sh wrk", program.display());
        let mut command = Command::new(program);
        command.args(["--threads", "1", "--duration", "1h", "--timeout", "30s"]);
        command.args(["--connections", &connections.to_string()]);
        command.args(headers.iter().flat_map(|header| ["--header", header])).arg(url);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = spawn(command).expect("wrk starts");
        let (_, output) = process.take_pipes().expect("they were piped");
        Self { process, output }
    }

    /// Stops it; what it has counted.
    ///
    /// # Panics
    /// If it has counted nothing.
    #[track_caller]
    pub fn end(mut self) -> Asked {
        self.process.signal(Signal::SIGINT).expect("it runs");
        let text = read(&mut self.output).expect("wrk prints text");
        Asked::parse(text)
    }
}

fn read(output: &mut ChildStdout) -> io::Result<String> {
    let mut text = String::new();
    output.read_to_string(&mut text)?;
    Ok(text)
}

impl Asked {
    #[track_caller]
    fn parse(text: String) -> Self {
        let number = |word: &str| word.trim_end_matches(',').parse::<u64>().ok();
        let words = |line: &str| line.split_whitespace().filter_map(number).collect::<Vec<_>>();
        let line = |with: &str| text.lines().find(|line| line.contains(with)).map(words);
        let answered = line("requests in").and_then(|numbers| numbers.first().copied());
        let answered = answered.unwrap_or_else(|| panic!("wrk does not say how many requests:\n{text}"));
        let failed = ["Socket errors:", "Non-2xx or 3xx responses:"].iter().filter_map(|with| line(with));
        Self { answered, failed: failed.flatten().sum(), text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_failure_is_counted() {
        let text = "  3145 requests in 1.00s, 1.5MB read\n  Socket errors: connect 1, read 20, write 300, timeout 4000\n\
            \x20 Non-2xx or 3xx responses: 50000\nRequests/sec: 3100.5\n";
        let asked = Asked::parse(text.to_owned());
        assert_eq!((asked.answered, asked.failed), (3145, 54_321));
        assert_eq!(Asked::parse("7 requests in 2.00s, 1KB read".to_owned()).failed, 0);
    }
}
