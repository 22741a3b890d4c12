//! JUnit's XML, as CI systems read it.

use std::fmt::Write as _;

use super::details;
use crate::run::{Outcome, Report};

/// The reports as one test suite.
#[must_use]
pub fn junit(reports: &[Report]) -> String {
    let failed = reports.iter().filter(|report| !report.passed()).count();
    let skipped = reports.iter().filter(|report| matches!(report.result, Outcome::Skipped { .. })).count();
    let time: f64 = reports.iter().map(|report| report.took.as_secs_f64()).sum();
    let counts =
        format!("tests=\"{}\" failures=\"{failed}\" skipped=\"{skipped}\" time=\"{time:.3}\"", reports.len());
    let mut out = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts}>\n");
    let _ = writeln!(out, "  <testsuite name=\"scenarios\" {counts}>");
    reports.iter().for_each(|report| case(&mut out, report));
    out + "  </testsuite>\n</testsuites>\n"
}

fn case(out: &mut String, report: &Report) {
    let (name, file) = (escaped(&report.name), escaped(&report.file.display().to_string()));
    let time = report.took.as_secs_f64();
    let _ =
        write!(out, "    <testcase name=\"{name}\" classname=\"{file}\" file=\"{file}\" time=\"{time:.3}\"");
    let _ = match &report.result {
        Outcome::Skipped { because, .. } => {
            writeln!(out, "><skipped message=\"{}\"/></testcase>", escaped(because))
        }
        _ if report.passed() => writeln!(out, "/>"),
        _ => writeln!(out, "><failure>{}</failure></testcase>", escaped(&details(report))),
    };
}

/// XML text: its own characters escaped, and those that XML 1.0 cannot have replaced.
fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_controls_are_replaced() {
        assert_eq!(escaped("<a&\"b\">\u{1}\n"), "&lt;a&amp;&quot;b&quot;&gt;\u{fffd}\n");
    }
}
