//! Why a token is taken or refused: the filter's own code, run off-proxy on one token.
//!
//! Tells header, claims, provider, the keys tried and every rule's verdict. Never the signature, never a secret: whoever reads
//! the output can use neither the token nor a key.

mod text;

use portcullis_authz::Judged;
use portcullis_edge_core::{MemoryHost, Wall};
use portcullis_jwt::{Checked, Explanation, Identity, Jwt, Keys, RawNeed, Refusal, RouteAuth, TokenError};
use portcullis_pipeline::Bearer;
use portcullis_policy::{Policy, Route};
use serde_json::{Value, json};
use std::net::IpAddr;

/// One token, and the request that it is imagined in.
pub struct Question<'q> {
    /// The policy.
    pub policy: &'q Policy,
    /// The token.
    pub token: &'q [u8],
    /// The request's method.
    pub method: &'q str,
    /// The request's path; nothing for that of the first route that takes tokens.
    pub path: Option<&'q str>,
    /// When.
    pub at: Wall,
    /// Fetched keys.
    pub keys: Keys,
    /// The client's address, if rules are to know it.
    pub client: Option<IpAddr>,
}

/// What is told of it.
pub struct Told<'q> {
    route: &'q Route,
    service: &'q str,
    auth: &'q RouteAuth,
    token: Option<Explanation>,
    identity: Option<Identity>,
    rules: Vec<Judged>,
    outcome: Outcome,
    asked_at: Wall,
    notes: Vec<String>,
}

/// What becomes of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Outcome {
    /// The answer's status; nothing where the request goes on.
    status: Option<u16>,
    /// `good`, `not_looked_at`, or the reason as it is counted.
    verdict: &'static str,
    /// In words.
    detail: String,
}

impl Outcome {
    fn passes(verdict: &'static str, detail: &str) -> Self {
        Self { status: None, verdict, detail: detail.to_owned() }
    }

    fn refused(refusal: Refusal) -> Self {
        let status = if refusal.error.is_ours() { 503 } else { 401 };
        Self { status: Some(status), verdict: refusal.error.as_str(), detail: refusal.detail.to_owned() }
    }
}

/// Explains a token.
///
/// # Errors
/// Questions that have no answer: no route, no tokens in the policy.
pub fn explain(question: Question<'_>) -> Result<Told<'_>, String> {
    let policy = question.policy;
    let jwt = policy.jwt.as_ref().ok_or("the policy has no section `jwt`: no route looks at tokens")?;
    let route = match question.path {
        Some(path) => find(policy, question.method, path)?,
        None => policy.routes.iter().find(|route| takes_tokens(route)).ok_or("no route takes tokens")?,
    };
    let auth = route.auth.as_ref().ok_or("the route says nothing of tokens")?;
    let service = policy.services.get(route.service).map_or("", |service| service.name.as_str());
    let mut told = Told {
        route,
        service,
        auth,
        token: None,
        identity: None,
        rules: Vec::new(),
        outcome: Outcome::passes("not_looked_at", "the route looks at no token"),
        asked_at: question.at,
        notes: Vec::new(),
    };
    if question.path.is_none() {
        told.notes.push("the route is the first that takes tokens; `--path` names another".to_owned());
    }
    told.authenticate(jwt, &question);
    told.authorize(&question);
    Ok(told)
}

fn takes_tokens(route: &Route) -> bool {
    route.auth.as_ref().is_some_and(|auth| matches!(auth.need(), RawNeed::Optional | RawNeed::Required))
}

fn find<'p>(policy: &'p Policy, method: &str, path: &str) -> Result<&'p Route, String> {
    let normal = portcullis_route::normalise(path.as_bytes());
    let normal =
        normal.map_err(|_| format!("`{}` is no path that the gateway takes", path.escape_debug()))?;
    let index = policy.table.find(method.as_bytes(), &normal.path);
    let route = index.and_then(|index| policy.routes.get(index));
    route.ok_or_else(|| format!("no route for {method} {}", normal.path))
}

impl Told<'_> {
    /// Whether the request would go on.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.outcome.status.is_none()
    }

    fn authenticate(&mut self, jwt: &Jwt, question: &Question<'_>) {
        match self.auth.need() {
            RawNeed::None => return,
            RawNeed::Refused => {
                let detail = "the route takes no token";
                self.outcome = Outcome {
                    status: Some(401),
                    verdict: TokenError::Unexpected.as_str(),
                    detail: detail.to_owned(),
                };
                return;
            }
            RawNeed::Optional | RawNeed::Required => {}
        }
        let (token, keys, at) = (question.token, &question.keys, question.at);
        self.token = Some(jwt.explain(self.auth, token, keys, at, &MemoryHost::default()));
        match jwt.verify(self.auth, token, keys, at, &MemoryHost::default()) {
            Ok(checked) => self.take(checked),
            Err(refusal) => self.outcome = Outcome::refused(refusal),
        }
        self.note_what_is_elsewhere(jwt);
    }

    fn take(&mut self, checked: Checked) {
        self.outcome = Outcome::passes("good", "every check has passed");
        match checked {
            Checked::Good(identity) => self.identity = Some(identity),
            Checked::Ask(question) => {
                self.identity = question.identity().cloned();
                self.notes.push("the auth service has the last word, and is not asked here".to_owned());
            }
        }
    }

    fn note_what_is_elsewhere(&mut self, jwt: &Jwt) {
        let provider = self.identity.as_ref().and_then(|identity| jwt.providers().get(identity.provider()));
        if provider.is_some_and(|provider| provider.revocation().is_some()) {
            self.notes.push("the deny list is the proxy's, and is not looked at here".to_owned());
        }
        if self.outcome.verdict == TokenError::KeysPending.as_str() {
            self.notes.push("the keys are fetched by the proxy; `--jwks FILE` reads them here".to_owned());
        }
    }

    fn authorize(&mut self, question: &Question<'_>) {
        let Some(rules) = self.route.rules.as_ref().filter(|_| self.is_good()) else { return };
        let subject = self.identity.as_ref().map(Bearer);
        self.rules = rules.explain(subject.as_ref(), question.client);
        if let Err(forbidden) = rules.check(subject.as_ref(), question.client) {
            let detail = "the route's rules do not let this bearer through".to_owned();
            self.outcome = Outcome { status: Some(403), verdict: forbidden.as_str(), detail };
        }
        if question.client.is_none() {
            self.notes.push(
                "rules on networks are checked as for an unknown client; `--client IP` names one".to_owned(),
            );
        }
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let rule = |rule: &Judged| {
            json!({
                "rule": format!("{}[{}]", rule.list, rule.index),
                "matches": rule.failing.is_none(),
                "failing": rule.failing.map(|condition| condition.as_str()),
            })
        };
        json!({
            "route": {
                "methods": self.route.methods,
                "path": self.route.template.as_str(),
                "service": self.service,
                "token": need(self.auth),
                "mode": self.auth.mode().as_str(),
            },
            "at": self.asked_at.rfc3339(),
            "token": self.token.as_ref().map(Explanation::to_json),
            "user": self.identity.as_ref().and_then(Identity::user),
            "roles": self.identity.as_ref().map(|identity| identity.roles().collect::<Vec<_>>()),
            "scopes": self.identity.as_ref().map(|identity| identity.scopes().collect::<Vec<_>>()),
            "authz": self.rules.iter().map(rule).collect::<Vec<_>>(),
            "verdict": self.outcome.verdict,
            "detail": self.outcome.detail,
            "status": self.outcome.status,
            "notes": self.notes,
        })
    }
}

fn need(auth: &RouteAuth) -> &'static str {
    match auth.need() {
        RawNeed::None => "none",
        RawNeed::Optional => "optional",
        RawNeed::Required => "required",
        RawNeed::Refused => "refused",
    }
}
