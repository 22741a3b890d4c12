//! Numbers are decimal or `0x..`, texts are the rest of their word; `_` is the empty text.

/// The words of a line, taken in turn.
pub(crate) struct Words<'a>(std::str::SplitWhitespace<'a>);

impl<'a> Words<'a> {
    pub(crate) fn of(line: &'a str) -> Self {
        Self(line.split_whitespace())
    }

    pub(crate) fn text(&mut self) -> &'a str {
        match self.0.next() {
            None | Some("_") => "",
            Some(word) => word,
        }
    }

    pub(crate) fn rest(&mut self) -> String {
        let words: Vec<&str> = self.0.by_ref().collect();
        words.join(" ")
    }

    pub(crate) fn number(&mut self) -> u32 {
        let word = self.text();
        match word.strip_prefix("0x") {
            Some(hex) => u32::from_str_radix(hex, 16).unwrap_or(0),
            None => word.parse::<i64>().map(|number| number as u32).unwrap_or(0),
        }
    }

    pub(crate) fn long(&mut self) -> i64 {
        self.text().parse().unwrap_or(0)
    }
}
