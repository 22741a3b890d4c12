//! An explanation as data.

use super::routes::Near;
use portcullis_authz::Judged;
use portcullis_edge_core::Mode;
use portcullis_jwt::{Explanation, Identity, Refusal};
use portcullis_limits::Explained;
use portcullis_pipeline::{Entry, Facts, HeaderOps, Page, Pipeline, Target};
use serde_json::{Value, json};

/// What became of a request, and why.
pub struct Report {
    /// Where it went: methods, path and service of its route, or what else it was.
    pub target: Value,
    /// The masked address of the client.
    pub client: String,
    /// What each stage said.
    pub stages: Vec<Entry>,
    /// The token, as far as one was looked at.
    pub token: Option<Explanation>,
    /// Why the token is no good, if so, and the check's enforcement mode.
    pub refusal: Option<(Refusal, &'static str)>,
    /// Who asks.
    pub identity: Option<Value>,
    /// What each rule of the route makes of it.
    pub rules: Vec<Judged>,
    /// The rules' reason against it, if any, and their enforcement mode.
    pub forbidden: Option<(&'static str, &'static str)>,
    /// Routes that nearly matched.
    pub nearest: Vec<Near>,
    /// Changes to the request that goes on.
    pub changes: Option<HeaderOps>,
    /// The request as the service gets it.
    pub service_sees: Vec<(String, String)>,
    /// What the client gets.
    pub answer: Answer,
    /// Why the request was denied.
    pub denied: Option<&'static str>,
    /// Series that move, and by how much.
    pub metrics: Vec<(String, i64)>,
    /// Log lines.
    pub lines: Vec<String>,
    /// What each limit has left after this request, if that was asked.
    pub limits: Option<Vec<(String, Mode, Explained)>>,
    /// What was imagined.
    pub notes: Vec<String>,
}

/// What the client gets.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Status; that of the service is imagined.
    pub status: u16,
    /// Headers that the gateway sets.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body, if it is the gateway's.
    pub body: Option<String>,
}

impl Report {
    pub(super) fn new(pipeline: &Pipeline, facts: &Facts, notes: Vec<String>) -> Self {
        let refusal = facts.token.verdict().and_then(Result::err);
        let forbidden = facts.rules.verdict().and_then(|(verdict, mode)| Some((verdict.err()?, mode)));
        Self {
            target: target(pipeline, facts),
            client: facts.client.masked(),
            stages: facts.trace.as_ref().map(|trace| trace.0.clone()).unwrap_or_default(),
            token: None,
            refusal: refusal.map(|refusal| (refusal, facts.token.mode().as_str())),
            identity: facts.token.identity().map(identity),
            rules: Vec::new(),
            forbidden: forbidden.map(|(forbidden, mode)| (forbidden.as_str(), mode.as_str())),
            nearest: Vec::new(),
            changes: None,
            service_sees: Vec::new(),
            answer: Answer::default(),
            denied: facts.denial.as_ref().map(|denial| denial.reason.name),
            metrics: Vec::new(),
            lines: Vec::new(),
            limits: None,
            notes,
        }
    }

    /// Whether the request was not denied.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.denied.is_none()
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "target": self.target,
            "client": self.client,
            "nearest": self.nearest,
            "stages": self.stages.iter().map(stage).collect::<Vec<_>>(),
            "token": self.token.as_ref().map(Explanation::to_json),
            "refusal": self.refusal.map(|(refusal, mode)| {
                json!({ "reason": refusal.error.as_str(), "detail": refusal.detail, "mode": mode })
            }),
            "identity": self.identity,
            "rules": self.rules.iter().map(rule).collect::<Vec<_>>(),
            "forbidden": self.forbidden.map(|(reason, mode)| json!({ "reason": reason, "mode": mode })),
            "verdict": if self.passes() { "pass" } else { "deny" },
            "denied": self.denied,
            "request": self.changes.as_ref().map(changes),
            "service_sees": pairs(self.service_sees.iter().map(|(name, value)| (name, value.clone()))),
            "answer": self.answer.to_json(),
            "metrics": self.metrics.iter().map(|(name, by)| json!({ "series": name, "add": by })).collect::<Vec<_>>(),
            "lines": self.lines,
            "limits": self.limits.as_ref().map(|all| all.iter().map(limit).collect::<Vec<_>>()),
            "notes": self.notes,
        })
    }
}

impl Answer {
    fn to_json(&self) -> Value {
        let headers =
            self.headers.iter().map(|(name, value)| (name, String::from_utf8_lossy(value).into_owned()));
        json!({ "status": self.status, "headers": pairs(headers), "body": self.body })
    }
}

fn pairs<'a>(pairs: impl Iterator<Item = (&'a String, String)>) -> Value {
    pairs.map(|(name, value)| json!([name, value])).collect()
}

fn target(pipeline: &Pipeline, facts: &Facts) -> Value {
    let policy = pipeline.policy();
    match facts.target {
        Target::Page(Page::Health) => json!({ "page": "health" }),
        Target::Page(Page::Metrics) => json!({ "page": "metrics" }),
        Target::Unmatched => json!({ "unmatched": true }),
        Target::Route(index) | Target::Preflight(index) => {
            let Some(route) = policy.routes.get(index) else { return Value::Null };
            let service = policy.services.get(route.service).map_or("", |service| service.name.as_str());
            json!({
                "preflight": matches!(facts.target, Target::Preflight(_)),
                "methods": route.methods,
                "path": route.template.as_str(),
                "service": service,
            })
        }
    }
}

fn identity(identity: &Identity) -> Value {
    json!({
        "user": identity.user(),
        "roles": identity.roles().collect::<Vec<_>>(),
        "scopes": identity.scopes().collect::<Vec<_>>(),
    })
}

fn stage(entry: &Entry) -> Value {
    json!({ "stage": entry.stage.as_str(), "verdict": entry.verdict, "detail": entry.detail })
}

fn limit((name, mode, left): &(String, Mode, Explained)) -> Value {
    let mut value =
        json!({ "limit": name, "mode": mode.as_str(), "concerns": *left != Explained::DoesNotConcern });
    if let Explained::Says { limit, left, judged } = left {
        value["units"] = (*limit).into();
        value["remaining"] = (*left).into();
        value["next_is_admitted"] = judged.is_admitted().into();
        value["retry_after_seconds"] = judged.retry.as_secs_f64().into();
    }
    value
}

fn rule(rule: &Judged) -> Value {
    json!({
        "rule": format!("{}[{}]", rule.list, rule.index),
        "matches": rule.failing.is_none(),
        "failing": rule.failing.map(|condition| condition.as_str()),
    })
}

fn changes(ops: &HeaderOps) -> Value {
    let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
    json!({
        "removed": ops.remove.iter().map(text).collect::<Vec<_>>(),
        "set": pairs(ops.set.iter().map(|(name, value)| (name, text(value)))),
        "filter_state": ops.state.iter().map(|(name, value)| json!([name, text(value)])).collect::<Vec<_>>(),
    })
}
