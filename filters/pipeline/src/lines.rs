//! The log lines of a request: one for each security event, then its own.

use crate::done::SWITCHING_PROTOCOLS;
use crate::ending::Fault;
use crate::facts::{Answerer, Facts};
use crate::guard::User;
use crate::health::LineCounts;
use crate::{Pipeline, Stream};
use core::time::Duration;
use portcullis_access_log::{
    ACTIONS, FieldSource, FieldValue, Form, LogField, RequestExtra, RequestLine, SecurityExtra, SecurityLine,
    SecurityRequest, Share, Verdict, as_text, loggable_path, loggable_text,
};
use portcullis_client_ip::ClientIp;
use portcullis_edge_core::{Mode, Wall};
use portcullis_limits::Subject as _;
use std::borrow::Cow;

/// What a worker remembers of lines: how many of each action were left out since the last that was written.
#[derive(Clone, Debug, Default)]
pub struct LineState {
    left_out: [u64; ACTIONS.len()],
}

/// How a request ended, for its lines.
pub(crate) struct End<'a> {
    pub status: u16,
    pub took: Duration,
    /// What the service took, in nanoseconds.
    pub upstream: Option<u64>,
    pub ended_by: Option<Fault>,
    /// Why the service gave no answer.
    pub details: Option<Vec<u8>>,
    /// Whether it had the trust headers as it went on.
    pub injected: Option<bool>,
    pub state: &'a mut LineState,
}

/// Lines, how many they are, and what is left as filter state.
#[derive(Default)]
pub(crate) struct Lines {
    pub text: Vec<u8>,
    pub counts: LineCounts,
    pub facts: Vec<(&'static str, Vec<u8>)>,
}

/// What all lines of a request have.
pub(crate) struct Common<'a> {
    pub at: Wall,
    pub user: Option<Cow<'a, str>>,
    pub request: SecurityRequest<'a>,
}

/// An event, before it is a line.
pub(crate) type SecurityEvent<'a> = (&'static str, SecurityExtra<'a>);

impl Pipeline {
    pub(crate) fn lines(&self, facts: &Facts, end: End<'_>, stream: &mut dyn Stream) -> Lines {
        let nanos = u64::try_from(end.took.as_nanos()).unwrap_or(u64::MAX);
        let shown = facts.shown_path();
        let (method, ip) = (method(facts), facts.client.masked());
        let path = loggable_path(if shown.is_empty() { NOT_SENT.as_bytes() } else { shown });
        let request = SecurityRequest {
            method: &method,
            path: &path,
            ip: &ip,
            endpoint: self.policy.catalogue.label(self.endpoint(facts.target)),
        };
        let user = facts.token.user().and_then(|user| self.policy.logs.user(user));
        let at = Wall(facts.started.wall.0.saturating_add(nanos));
        let common = Common { at, user, request };
        let mut written = Vec::new();
        let mut counts = self.security_lines(facts, &common, end.state, &mut written);
        let is_quiet = counts == LineCounts::default();
        let facts_left =
            if is_quiet && facts.denial.is_none() { Vec::new() } else { self.state_of(facts, &common) };
        if is_quiet && self.is_left_out(facts, &end) {
            counts.sampled = 1;
        } else {
            counts.request = 1;
            written.push(self.line(facts, &common, end, stream));
        }
        let text = if written.len() == 1 { written.swap_remove(0) } else { written.join(&b'\n') };
        Lines { text, counts, facts: facts_left }
    }

    /// Whether the line of a request without security events is left out: of good ones the policy may want a share only.
    fn is_left_out(&self, facts: &Facts, end: &End<'_>) -> bool {
        let sampling = &self.policy.logs.sampling;
        if !sampling.is_on() || end.status >= 400 || end.ended_by.is_some() {
            return false;
        }
        let own = facts.matched_route().and_then(|route| *sampling.routes.get(route)?);
        !own.unwrap_or(sampling.good).has(&[facts.request_id().as_bytes()])
    }

    fn security_events<'a>(
        &'a self,
        facts: &'a Facts,
        request: SecurityRequest<'a>,
    ) -> Vec<SecurityEvent<'a>> {
        let mut events = self.events(facts, request);
        events.extend(self.guard_extras(facts, request));
        events
    }

    fn security_lines(
        &self,
        facts: &Facts,
        common: &Common<'_>,
        state: &mut LineState,
        written: &mut Vec<Vec<u8>>,
    ) -> LineCounts {
        let mut counts = LineCounts::default();
        for (action, mut extra) in self.security_events(facts, common.request) {
            let place = ACTIONS.iter().position(|known| *known == action);
            let share = place.and_then(|place| self.policy.logs.sampling.security.get(place)).copied();
            let left_out = place.and_then(|place| state.left_out.get_mut(place));
            let is_kept = share
                .is_none_or(|share: Share| share.has(&[facts.request_id().as_bytes(), action.as_bytes()]));
            if !is_kept {
                left_out.into_iter().for_each(|count| *count = count.saturating_add(1));
                counts.sampled = counts.sampled.saturating_add(1);
                continue;
            }
            extra.left_out = left_out.map_or(0, core::mem::take);
            counts.security = counts.security.saturating_add(1);
            written.push(self.security_line(facts, common, action, extra));
        }
        counts
    }

    fn security_line(
        &self,
        facts: &Facts,
        common: &Common<'_>,
        action: &'static str,
        extra: SecurityExtra<'_>,
    ) -> Vec<u8> {
        let message = format!("{}: {}", extra.stage, extra.reason);
        let line = SecurityLine {
            at: common.at,
            service: &self.policy.gateway.name,
            request_id: facts.request_id(),
            action,
            message: &message,
            user: common.user.as_deref(),
            trace: facts.context.as_ref().map(|context| context.shown()),
            extra,
        };
        line.to_json()
    }

    /// The facts of what refused a request, or of the first event of one that was not refused, where the policy wants them as filter state.
    fn state_of(&self, facts: &Facts, common: &Common<'_>) -> Vec<(&'static str, Vec<u8>)> {
        if !self.policy.logs.filter_state {
            return Vec::new();
        }
        let events = self.security_events(facts, common.request);
        let refusing = events.iter().find(|(_, extra)| extra.verdict == Verdict::Refused);
        let (reason, extra) = match &facts.denial {
            // The answer's own reason; an event's may say more closely what was wrong.
            Some(denial) => (denial.reason.name, refusing),
            None => match events.first() {
                Some(first) => (first.1.reason, Some(first)),
                None => return Vec::new(),
            },
        };
        let (stage, rule, mode) = extra.map_or((facts.at.as_str(), None, Mode::Enforce), |(_, extra)| {
            (extra.stage, extra.rule, extra.mode)
        });
        let state = [
            ("portcullis_reason", reason),
            ("portcullis_stage", stage),
            ("portcullis_rule", rule.unwrap_or(NOT_SENT)),
            ("portcullis_mode", mode.as_str()),
            ("portcullis_policy", &self.policy.hash),
        ];
        state.into_iter().map(|(name, value)| (name, value.as_bytes().to_vec())).collect()
    }

    fn line(&self, facts: &Facts, common: &Common<'_>, end: End<'_>, stream: &mut dyn Stream) -> Vec<u8> {
        let details = end.details.map(|d| String::from_utf8_lossy(&d).into_owned());
        let more = self.more(facts, end.upstream, stream);
        let more: Vec<_> = more.into_iter().map(|(field, value)| (field.name.as_str(), value)).collect();
        let kind = stream_kind(facts, end.status);
        let SecurityRequest { method, path, endpoint, ip } = common.request;
        let extra = RequestExtra {
            method,
            path,
            endpoint,
            status: end.status,
            ip,
            target_service: self.target_name(facts),
            auth_flow: facts.token.flow(),
            security_headers: end.injected == Some(true),
            denied: facts
                .denial
                .as_ref()
                .map(|denial| denial.reason.name)
                .or(facts.denied_elsewhere.as_deref()),
            details: details.as_deref(),
            stream: kind.as_deref(),
            ended_by: end.ended_by.map(Fault::as_str),
            trace: facts.context.as_ref().map(|context| context.shown()),
            more: &more,
        };
        let (service, request_id) = (&self.policy.gateway.name, facts.request_id());
        let (at, user) = (common.at, common.user.as_deref());
        RequestLine { at, service, request_id, user, took: end.took, extra }.to_json()
    }

    pub(crate) fn target_name(&self, facts: &Facts) -> &str {
        let route = facts.forwarded_route().and_then(|r| self.policy.routes.get(r));
        let service = route.and_then(|r| self.policy.services.get(r.service));
        service.map_or(&self.policy.gateway.name, |s| &s.name)
    }

    /// The fields that the policy adds; those that a request does not have are left out.
    fn more(
        &self,
        facts: &Facts,
        upstream: Option<u64>,
        stream: &mut dyn Stream,
    ) -> Vec<(&LogField, FieldValue)> {
        let fields = self.policy.logs.fields.iter();
        fields.filter_map(|field| Some((field, self.value(field, facts, upstream, stream)?))).collect()
    }

    fn value(
        &self,
        field: &LogField,
        facts: &Facts,
        upstream: Option<u64>,
        stream: &mut dyn Stream,
    ) -> Option<FieldValue> {
        match &field.from {
            FieldSource::Claim(path) => {
                let mut texts: Vec<Vec<u8>> = Vec::new();
                User(facts.token.bearer()?).each_value(path.steps(), &mut |text| texts.push(text.to_vec()));
                self.shown(field, &texts.join(&b','))
            }
            FieldSource::Header(name) => {
                let values: Vec<&[u8]> = facts.head.headers.all(name.as_str()).collect();
                self.shown(field, &values.join(&b','))
            }
            FieldSource::UpstreamHost => self.shown(field, &stream.upstream_host()),
            FieldSource::UpstreamMs => upstream.map(|nanos| FieldValue::Thousandths(nanos / 1_000)),
            FieldSource::RequestBytes => stream.request_bytes().map(FieldValue::Number),
            FieldSource::ResponseBytes => stream.response_bytes().map(FieldValue::Number),
            FieldSource::Flags => {
                let names = crate::ending::names(stream.response_flags());
                (!names.is_empty()).then_some(FieldValue::Text(names))
            }
        }
    }

    /// A text in the field's form; nothing where there is none.
    fn shown(&self, field: &LogField, text: &[u8]) -> Option<FieldValue> {
        (!text.is_empty()).then_some(())?;
        let shown = match field.form {
            Form::Text => loggable_text(&as_text(text), field.max_bytes).into_owned(),
            Form::Hash => self.policy.logs.hash(text)?,
            Form::Address => {
                let first = text.split(|b| *b == b',').next().unwrap_or_default();
                ClientIp::parse(first.trim_ascii()).masked()
            }
        };
        Some(FieldValue::Text(shown))
    }
}

/// Longest name of an upgrade's protocol.
const MAX_PROTOCOL: usize = 32;

/// What kind of stream a request was, where it was one (the proxy makes an upgrade of RFC 8441's extended CONNECT). What comes with the request says so: the answer is not asked.
fn stream_kind(facts: &Facts, status: u16) -> Option<Cow<'_, str>> {
    let header = |name| facts.head.headers.first(name).unwrap_or_default();
    if status == SWITCHING_PROTOCOLS {
        return Some(loggable_text(&as_text(header("upgrade")), MAX_PROTOCOL).into_owned().into());
    }
    if facts.answerer != Answerer::Service || status != 200 {
        return None;
    }
    let accepts_events = header("accept").starts_with(b"text/event-stream");
    match () {
        () if facts.head.is_grpc() => Some("grpc".into()),
        () if accepts_events => Some("event_stream".into()),
        () => None,
    }
}

/// In the place of what there is none of.
pub(crate) const NOT_SENT: &str = "-";

/// Longest method a log line shows, in bytes; known ones are shorter.
const MAX_METHOD: usize = 32;

fn method(facts: &Facts) -> Cow<'_, str> {
    let method = facts.head.method();
    if method.is_empty() {
        return Cow::Borrowed(NOT_SENT);
    }
    as_text(method.get(..MAX_METHOD).unwrap_or(method))
}
