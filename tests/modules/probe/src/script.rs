//! The script: lines by phase.

#[derive(Default)]
pub(crate) struct Script(Vec<(String, String)>);

impl Script {
    pub fn parse(text: &str) -> Self {
        let split = |line: &str| {
            let (phase, operation) = line.trim().split_once(' ')?;
            Some((phase.to_owned(), operation.trim().to_owned()))
        };
        Script(text.lines().filter_map(split).collect())
    }

    pub fn lines(&self, phase: &str) -> Vec<String> {
        self.0
            .iter()
            .filter(|(p, _)| p == phase || p == "*")
            .map(|(_, operation)| operation.clone())
            .collect()
    }
}
