use crate::json::Object;
use crate::line::{Level, Trace};
use portcullis_edge_core::{Mode, Wall};

/// Longest text of an event's own, in bytes (reason, detail, rule, and what [`SecurityExtra::more`] holds).
pub const MAX_TEXT: usize = 256;

/// What kinds of events there are, as `action` names them.
pub const ACTIONS: [&str; 6] = [
    "jwt_validation",
    "access_control",
    "rate_limit_violation",
    "circuit_breaker_change",
    "suspicious_activity",
    "security_header_validation",
];

/// What a rule did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The request was refused.
    Refused,
    /// It would have been, had the rule not been in shadow mode.
    WouldRefuse,
    /// Something happened that concerns security, and nobody was refused for it.
    Noted,
}

impl Verdict {
    /// The verdict of a rule in this mode that does not let a request pass.
    #[must_use]
    pub const fn of(mode: Mode) -> Self {
        match mode {
            Mode::Enforce => Self::Refused,
            Mode::Shadow => Self::WouldRefuse,
            Mode::Off => Self::Noted,
        }
    }

    /// As it stands in a line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::WouldRefuse => "would_refuse",
            Self::Noted => "noted",
        }
    }

    const fn level(self) -> Level {
        match self {
            Self::Refused => Level::Warn,
            Self::WouldRefuse | Self::Noted => Level::Info,
        }
    }
}

/// The line of a security event, joined to its request's line by the request's id.
///
/// Every event has one. What it tells of a token is why it was refused, and never a part of it.
#[derive(Debug)]
pub struct SecurityLine<'a> {
    /// When it happened.
    pub at: Wall,
    /// Who writes the line (the gateway's name).
    pub service: &'a str,
    /// Joins all lines of a request; of an event of no request, `-`.
    pub request_id: &'a str,
    /// What kind of event, one of [`ACTIONS`].
    pub action: &'static str,
    /// A sentence for people.
    pub message: &'a str,
    /// The client's user, as [`crate::Logs::user`] shows it.
    pub user: Option<&'a str>,
    /// The trace that the request belongs to.
    pub trace: Option<Trace<'a>>,
    /// Everything else.
    pub extra: SecurityExtra<'a>,
}

/// `extra` of a security event's line.
#[derive(Debug)]
pub struct SecurityExtra<'a> {
    /// What came of it; tells the line's level too.
    pub verdict: Verdict,
    /// Why, as counted in the metrics.
    pub reason: &'a str,
    /// Which check it was, for operators.
    pub detail: Option<&'a str>,
    /// The stage of the gateway: `jwt`, `authz`.
    pub stage: &'static str,
    /// The rule of that stage by its name in the policy (a provider, a limit), if it was one in particular.
    pub rule: Option<&'a str>,
    /// The rule's mode.
    pub mode: Mode,
    /// The request, if the event is one's.
    pub request: Option<SecurityRequest<'a>>,
    /// The policy in force, as a hash.
    pub policy: Option<&'a str>,
    /// What only this kind of event has, in order (a limit and what is left of it, a breaker's states).
    pub more: Vec<(&'static str, Fact<'a>)>,
    /// How many lines of such events were left out before this one, where only a share is written.
    pub left_out: u64,
}

/// The request of a security event.
#[derive(Clone, Copy, Debug)]
pub struct SecurityRequest<'a> {
    /// The client's address, masked.
    pub ip: &'a str,
    /// Method, as text.
    pub method: &'a str,
    /// Path, as [`crate::loggable_path`] makes it.
    pub path: &'a str,
    /// The route's template, or `unmatched`.
    pub endpoint: &'a str,
}

/// A fact of one kind of event.
#[derive(Clone, Copy, Debug)]
pub enum Fact<'a> {
    /// Text, cut at [`MAX_TEXT`] bytes.
    Text(&'a str),
    /// A whole number.
    Number(u64),
    /// Yes or no.
    Flag(bool),
}

impl SecurityLine<'_> {
    /// The line, without a line break.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut line = Object::with_capacity(768);
        line.text("timestamp", &[&self.at.rfc3339()]);
        line.text("level", &[self.extra.verdict.level().as_str()]);
        line.text("service", &[self.service]);
        line.text("request_id", &[self.request_id]);
        line.text("action", &[self.action]);
        line.bounded("message", self.message, MAX_TEXT);
        self.user.iter().for_each(|user| line.text("user", &[user]));
        line.open("extra");
        self.extra.write(&mut line);
        if let Some(trace) = &self.trace {
            line.text("trace_id", &[trace.trace_id]);
            line.text("span_id", &[trace.span_id]);
        }
        line.close();
        line.end()
    }
}

impl SecurityExtra<'_> {
    fn write(&self, line: &mut Object) {
        line.text("verdict", &[self.verdict.as_str()]);
        line.bounded("reason", self.reason, MAX_TEXT);
        self.detail.iter().for_each(|detail| line.bounded("detail", detail, MAX_TEXT));
        line.text("stage", &[self.stage]);
        self.rule.iter().for_each(|rule| line.bounded("rule", rule, MAX_TEXT));
        line.text("mode", &[self.mode.as_str()]);
        self.request.iter().for_each(|request| request.write(line));
        self.policy.iter().for_each(|policy| line.bounded("policy", policy, MAX_TEXT));
        self.more.iter().for_each(|(name, fact)| fact.write(name, line));
        if self.left_out > 0 {
            line.number("left_out", self.left_out);
        }
    }
}

impl SecurityRequest<'_> {
    fn write(&self, line: &mut Object) {
        line.text("ip", &[self.ip]);
        line.text("method", &[self.method]);
        line.text("path", &[self.path]);
        line.text("endpoint", &[self.endpoint]);
    }
}

impl Fact<'_> {
    fn write(self, name: &'static str, line: &mut Object) {
        match self {
            Self::Text(text) => line.bounded(name, text, MAX_TEXT),
            Self::Number(number) => line.number(name, number),
            Self::Flag(flag) => line.boolean(name, flag),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn refused() -> SecurityLine<'static> {
        let request = SecurityRequest { ip: "203.0.113.0", method: "GET", path: "/a/7", endpoint: "/a/{id}" };
        let extra = SecurityExtra {
            verdict: Verdict::Refused,
            reason: "expired",
            detail: Some("`exp` has passed"),
            stage: "jwt",
            rule: Some("main"),
            mode: Mode::Enforce,
            request: Some(request),
            policy: Some("5f3a"),
            more: Vec::new(),
            left_out: 0,
        };
        SecurityLine {
            at: Wall(0),
            service: "gateway",
            request_id: "r-1",
            action: "jwt_validation",
            message: "The token has expired",
            user: None,
            trace: None,
            extra,
        }
    }

    fn read(line: &SecurityLine<'_>) -> Value {
        let text = String::from_utf8(line.to_json()).unwrap();
        assert!(!text.contains('\n'));
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_refusal_has_the_required_fields_and_says_who_refused_what_and_why() {
        assert_eq!(
            read(&refused()),
            json!({
                "timestamp": "1970-01-01T00:00:00.000Z", "level": "WARN", "service": "gateway", "request_id": "r-1",
                "action": "jwt_validation", "message": "The token has expired",
                "extra": {
                    "verdict": "refused", "reason": "expired", "detail": "`exp` has passed", "stage": "jwt",
                    "rule": "main", "mode": "enforce", "ip": "203.0.113.0", "method": "GET", "path": "/a/7",
                    "endpoint": "/a/{id}", "policy": "5f3a"
                }
            })
        );
    }

    #[test]
    fn an_event_belongs_to_its_requests_trace() {
        let mut line = refused();
        line.trace =
            Some(Trace { trace_id: "0af7651916cd43dd8448eb211c80319c", span_id: "b7ad6b7169203331" });
        let extra = &read(&line)["extra"];
        assert_eq!(extra["trace_id"], "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(extra["span_id"], "b7ad6b7169203331");
    }

    #[test]
    fn what_shadow_mode_would_have_refused_is_no_warning() {
        let mut line = refused();
        (line.extra.verdict, line.extra.mode) = (Verdict::of(Mode::Shadow), Mode::Shadow);
        let line = read(&line);
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["extra"]["verdict"], "would_refuse");
        assert_eq!(line["extra"]["mode"], "shadow");
        assert_eq!(Verdict::of(Mode::Enforce), Verdict::Refused);
    }

    #[test]
    fn an_event_of_another_kind_brings_its_own_facts_and_needs_no_request() {
        let more =
            vec![("from", Fact::Text("closed")), ("failures", Fact::Number(5)), ("trial", Fact::Flag(false))];
        let mut line = refused();
        line.action = "circuit_breaker_change";
        line.extra.verdict = Verdict::Noted;
        (line.extra.request, line.extra.policy, line.extra.detail) = (None, None, None);
        (line.extra.rule, line.extra.stage, line.extra.more) = (Some("order"), "circuit_breaker", more);
        let line = read(&line);
        assert_eq!((&line["level"], &line["action"]), (&json!("INFO"), &json!("circuit_breaker_change")));
        assert_eq!(
            line["extra"],
            json!({
                "verdict": "noted", "reason": "expired", "stage": "circuit_breaker", "rule": "order", "mode": "enforce",
                "from": "closed", "failures": 5, "trial": false
            })
        );
    }

    #[test]
    fn a_line_stays_small_and_whole_whatever_it_is_told() {
        let long = "é\u{0}\"".repeat(10_000);
        let (long, odd) = (long.as_str(), "\"\\\r\n\u{1b}[31m\u{2028}");
        let more = vec![("more", Fact::Text(long))];
        let mut line = refused();
        line.message = long;
        (line.extra.reason, line.extra.detail, line.extra.rule) = (long, Some(long), Some(odd));
        (line.extra.policy, line.extra.more) = (Some(long), more);
        let line_length = line.to_json().len();
        assert!(line_length < 5 * MAX_TEXT * 6, "{line_length} bytes");
        assert_eq!(read(&line)["extra"]["rule"], odd);
    }
}
