//! Whether what plugins logged is what the scenario expects.

use super::{NEXT_LINE, Verdict};
use crate::model::{Level, LogPattern, Logs, Pattern};
use crate::seen::Log;

impl Verdict<'_> {
    pub(super) fn logs(&mut self, expected: &Logs, lines: &[Log]) {
        match expected {
            Logs::Some(patterns) => patterns.iter().for_each(|pattern| self.somewhere(pattern, lines)),
            Logs::InOrder(patterns) => self.in_order(patterns, lines),
            Logs::Exactly(patterns) => self.exactly(patterns, lines),
        }
    }

    /// Lines of which no level is known.
    pub(super) fn lines(&mut self, patterns: &[Pattern], lines: &[String]) {
        let line = |text: &String| Log { level: String::new(), text: text.clone() };
        let lines: Vec<_> = lines.iter().map(line).collect();
        patterns.iter().for_each(|pattern| self.somewhere(&pattern.clone().into(), &lines));
    }

    fn fits(&self, pattern: &LogPattern, line: &Log) -> bool {
        let level = pattern.level.is_none_or(|level| name(level) == line.level);
        level && pattern.text.fits(line.text.as_bytes(), self.look_up)
    }

    fn somewhere(&mut self, pattern: &LogPattern, lines: &[Log]) {
        let of_level = |line: &&Log| pattern.level.is_none_or(|level| name(level) == line.level);
        let count = lines.iter().filter(|line| self.fits(pattern, line)).count();
        let as_expected = match (&pattern.text, pattern.times) {
            (Pattern::MatchesNot(_), None) => count == lines.iter().filter(of_level).count(),
            (Pattern::Absent, None) => lines.iter().filter(of_level).count() == 0,
            (_, Some(times)) => usize::try_from(times).is_ok_and(|times| times == count),
            (_, None) => count > 0,
        };
        if !as_expected {
            let fitting = pattern.times.map(|_| format!("{count} times in{NEXT_LINE}")).unwrap_or_default();
            self.add("log", self.show(pattern), fitting + &shown(lines));
        }
    }

    fn in_order(&mut self, patterns: &[LogPattern], lines: &[Log]) {
        let mut rest = lines.iter();
        let missing = patterns.iter().find(|pattern| !rest.any(|line| self.fits(pattern, line)));
        if let Some(missing) = missing {
            self.add("log, in this order", self.show(missing), shown(lines));
        }
    }

    fn exactly(&mut self, patterns: &[LogPattern], lines: &[Log]) {
        let all = patterns.len() == lines.len();
        if !all || patterns.iter().zip(lines).any(|(pattern, line)| !self.fits(pattern, line)) {
            let expected: Vec<_> = patterns.iter().map(|pattern| self.show(pattern)).collect();
            self.add("log, exactly", expected.join(NEXT_LINE), shown(lines));
        }
    }

    fn show(&self, pattern: &LogPattern) -> String {
        let level = pattern.level.map(|level| format!("{}: ", name(level))).unwrap_or_default();
        let times = pattern.times.map(|times| format!(" ({times} times)")).unwrap_or_default();
        format!("{level}{}{times}", pattern.text.show(self.look_up))
    }
}

fn name(level: Level) -> &'static str {
    match level {
        Level::Trace => "trace",
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
        Level::Critical => "critical",
    }
}

fn shown(lines: &[Log]) -> String {
    let line = |log: &Log| match log.level.as_str() {
        "" => log.text.clone(),
        level => format!("{level}: {}", log.text),
    };
    let lines: Vec<_> = lines.iter().map(line).collect();
    if lines.is_empty() { "nothing was logged".to_owned() } else { lines.join(NEXT_LINE) }
}
