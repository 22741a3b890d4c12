//! What a side printed, brought into a form that can be compared.

/// The lines of one case on one side.
#[derive(Default)]
pub struct Printed {
    /// By the main thread: the base VM, the canary, and its own.
    pub main: Vec<String>,
    /// By the worker.
    pub worker: Vec<String>,
    /// Seen from outside: by the client and in the access log.
    pub outside: Vec<String>,
}

impl Printed {
    pub fn count(&self) -> usize {
        self.main.len() + self.worker.len() + self.outside.len()
    }

    /// All lines, with where they come from.
    pub fn lines(&self) -> Vec<String> {
        let tagged = |tag: &'static str, lines: &[String]| -> Vec<String> {
            lines.iter().map(|line| format!("{tag} {line}")).collect()
        };
        let mut all = tagged("main", &self.main);
        all.extend(tagged("worker", &self.worker));
        all.extend(tagged("outside", &self.outside));
        all
    }
}

/// Takes out what no two runs have in common: ports and request ids.
pub fn normal(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find("127.0.0.1:") {
        out.push_str(&rest[..at + 10]);
        out.push_str("<port>");
        rest = rest[at + 10..].trim_start_matches(|c: char| c.is_ascii_digit());
    }
    out.push_str(rest);
    without_value(without_value(without_ids(&out), "x-envoy-upstream-service-time="), " date=")
}

/// Empties a quoted value: what is measured in real time differs.
fn without_value(line: String, name: &str) -> String {
    let parts = line.split_once(name).and_then(|(before, rest)| {
        let (_, after) = rest.strip_prefix('"')?.split_once('"')?;
        Some(format!("{before}{name}<time>{after}"))
    });
    parts.unwrap_or(line)
}

fn without_ids(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = (0..rest.len()).find(|at| rest.is_char_boundary(*at) && is_id(&rest[*at..])) {
        out.push_str(&rest[..at]);
        out.push_str("<id>");
        rest = &rest[at + 36..];
    }
    out + rest
}

/// 8-4-4-4-12 hexadecimal digits.
fn is_id(text: &str) -> bool {
    let Some(id) = text.get(..36) else { return false };
    id.bytes().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    })
}

/// A place where the sides differ: the lines of each, and how many lines the harness printed before.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    pub harness: Vec<String>,
    pub envoy: Vec<String>,
}

/// The differences, in order: what is left beside the longest common subsequence.
pub fn differences(harness: &[String], envoy: &[String]) -> Vec<Difference> {
    let common = lengths(harness, envoy);
    let (mut i, mut j) = (0, 0);
    let mut all = Vec::new();
    let mut open = Difference { harness: vec![], envoy: vec![] };
    while i < harness.len() || j < envoy.len() {
        if i < harness.len() && j < envoy.len() && harness[i] == envoy[j] {
            flush(&mut open, &mut all);
            (i, j) = (i + 1, j + 1);
        } else if j == envoy.len() || (i < harness.len() && common[i + 1][j] >= common[i][j + 1]) {
            open.harness.push(harness[i].clone());
            i += 1;
        } else {
            open.envoy.push(envoy[j].clone());
            j += 1;
        }
    }
    flush(&mut open, &mut all);
    all
}

fn flush(open: &mut Difference, all: &mut Vec<Difference>) {
    if !open.harness.is_empty() || !open.envoy.is_empty() {
        let fresh = Difference { harness: vec![], envoy: vec![] };
        all.push(std::mem::replace(open, fresh));
    }
}

/// How many lines the rests from each pair of places on have in common.
fn lengths(a: &[String], b: &[String]) -> Vec<Vec<u32>> {
    let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            table[i][j] =
                if a[i] == b[j] { table[i + 1][j + 1] + 1 } else { table[i + 1][j].max(table[i][j + 1]) };
        }
    }
    table
}
