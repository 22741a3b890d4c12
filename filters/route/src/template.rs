//! Path templates: `/orders/{id}`, `/orders/{id}:cancel`, `/static/{*path}`.

/// One part of a template between slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Matches itself.
    Literal(String),
    /// `{name}`: any one segment that is not empty.
    Param(String),
    /// `{name}:verb`, at the end only: a segment that ends in `:verb` and has something before it. It wins over `{name}`.
    Verb {
        /// The name of what stands before.
        param: String,
        /// The verb, with its colon.
        verb: String,
    },
    /// `{*name}`, at the end only: the rest of the path, at least one byte.
    Rest(String),
}

/// A route's path as the policy gives it; also the `endpoint` label of its metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    segments: Vec<Segment>,
}

impl Template {
    /// Parses a template. Literals must be in normal form, else no request could match them.
    ///
    /// ```
    /// assert!(portcullis_route::Template::parse("/orders/{id}").is_ok());
    /// assert!(portcullis_route::Template::parse("/orders/{id").is_err());
    /// ```
    ///
    /// # Errors
    /// A sentence that says what a template looks like.
    pub fn parse(text: &str) -> Result<Self, String> {
        let body = text.strip_prefix('/').ok_or("a path that begins with `/`")?;
        let segments = body.split('/').map(parse_segment).collect::<Result<Vec<_>, _>>()?;
        let template = Self { text: text.to_owned(), segments };
        template.check()?;
        Ok(template)
    }

    fn check(&self) -> Result<(), String> {
        self.check_order()?;
        let mut names: Vec<_> = self.segments.iter().filter_map(Segment::name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        if names.len() == count { Ok(()) } else { Err("a different name for each `{name}`".to_owned()) }
    }

    fn check_order(&self) -> Result<(), String> {
        let before_last = self.segments.len().saturating_sub(1);
        if self.segments.iter().take(before_last).any(|s| matches!(s, Segment::Rest(_))) {
            return Err("`{*name}` at the end of the path only".to_owned());
        }
        if self.segments.iter().take(before_last).any(|s| matches!(s, Segment::Verb { .. })) {
            return Err("a verb (`{name}:verb`) at the end of the path only".to_owned());
        }
        if self.segments.iter().take(before_last).any(Segment::is_empty) {
            return Err("no empty segment, save after a slash at the end".to_owned());
        }
        Ok(())
    }

    /// The template as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its parts.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Which of two templates that both match a path has it: at the first place where they differ, a literal segment goes before one with
    /// a verb, a longer verb before a shorter one, that before any segment, and any segment before the rest of a path.
    #[must_use]
    pub fn by_precision(&self, other: &Self) -> core::cmp::Ordering {
        self.segments.iter().map(Segment::rank).cmp(other.segments.iter().map(Segment::rank))
    }

    /// A template that ends in a verb without it, and the verb.
    pub(crate) fn without_verb(&self) -> Option<(&str, &str)> {
        match self.segments.last() {
            Some(Segment::Verb { verb, .. }) => Some((self.text.strip_suffix(verb.as_str())?, verb)),
            _ => None,
        }
    }

    /// Whether the template is a plain path.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        self.segments.iter().all(|s| matches!(s, Segment::Literal(_)))
    }
}

impl Segment {
    fn rank(&self) -> (u8, core::cmp::Reverse<usize>, &str) {
        use core::cmp::Reverse;
        match self {
            Self::Literal(text) => (0, Reverse(0), text),
            Self::Verb { verb, .. } => (1, Reverse(verb.len()), verb),
            Self::Param(_) => (2, Reverse(0), ""),
            Self::Rest(_) => (3, Reverse(0), ""),
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::Literal(text) if text.is_empty())
    }

    /// The name of its parameter, if it has one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Literal(_) => None,
            Self::Param(name) | Self::Rest(name) | Self::Verb { param: name, .. } => Some(name),
        }
    }
}

fn parse_segment(text: &str) -> Result<Segment, String> {
    match text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        Some(inner) => match inner.strip_prefix('*') {
            Some(name) => param_name(name).map(Segment::Rest),
            None => param_name(inner).map(Segment::Param),
        },
        None => match text.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            Some((name, verb)) => with_verb(name, verb),
            None => literal(text),
        },
    }
}

/// `{name}:verb`, its braces taken off.
fn with_verb(name: &str, verb: &str) -> Result<Segment, String> {
    let word = verb.strip_prefix(':').unwrap_or_default();
    if word.is_empty() || !word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)) {
        return Err("behind `{name}` nothing, or a verb such as `:cancel`".to_owned());
    }
    Ok(Segment::Verb { param: param_name(name)?, verb: verb.to_owned() })
}

fn param_name(name: &str) -> Result<String, String> {
    let good = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if good { Ok(name.to_owned()) } else { Err("letters, digits and `_` between `{` and `}`".to_owned()) }
}

fn literal(text: &str) -> Result<Segment, String> {
    let as_path = format!("/{text}");
    let is_normal = crate::normalise(as_path.as_bytes()).is_ok_and(|p| p.path == as_path);
    if text.contains(['{', '}', '?', '*']) || !is_normal {
        return Err(
            "path segments in normal form, `{name}` for any one segment, `{*name}` for the rest".to_owned()
        );
    }
    Ok(Segment::Literal(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn parts_are_told_apart() {
        let template = Template::parse("/assets/{asset_id}/{*rest}").unwrap();
        let expected = [
            Segment::Literal("assets".into()),
            Segment::Param("asset_id".into()),
            Segment::Rest("rest".into()),
        ];
        assert_eq!(template.segments(), expected);
        assert!(!template.is_literal() && Template::parse("/assets/all").unwrap().is_literal());
    }

    #[test]
    fn a_template_no_request_could_match_is_an_error() {
        for bad in [
            "orders",
            "/a/{x}:",
            "/a/{x}y",
            "/a/{x}:y/b",
            "/a/{x}:{y}",
            "/a/{*x}:y",
            "/a/{}",
            "/a{b}",
            "/{*rest}/a",
            "/{a}/{a}",
            "/a;b",
            "/a/../b",
            "/a%2fb",
            "/a?b",
            "/é",
        ] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_verb_stands_behind_a_parameter() {
        let template = Template::parse("/orders/{id}:cancel").unwrap();
        let verb = Segment::Verb { param: "id".into(), verb: ":cancel".into() };
        assert_eq!(template.segments(), [Segment::Literal("orders".into()), verb]);
    }

    #[test]
    fn only_the_last_segment_may_be_empty() {
        for bad in ["/a//b", "//a", "//", "/a//", "/a//{x}"] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_root_and_a_trailing_slash_are_paths() {
        assert!(Template::parse("/").is_ok());
        assert!(Template::parse("/orders/").is_ok());
    }
}
