//! What is known of each request before it is sent: the ledger's lines.

/// A request and what must become of it.
#[derive(Clone, Debug, Default)]
pub struct Event {
    /// The step of the hour in which it is sent, from 1.
    pub step: i64,
    /// The route's template.
    pub endpoint: &'static str,
    /// What the client gets.
    pub status: u16,
    /// The service that it is sent to.
    pub service: &'static str,
    /// Seconds that it takes.
    pub seconds: f64,
    /// Where its token is looked for, if one is looked for at all.
    pub source: Option<&'static str>,
    /// What the check of its token says: status and reason.
    pub token: Option<(&'static str, &'static str)>,
    /// Whether the token was verified before, if that is asked.
    pub cached: Option<&'static str>,
    /// What the rules say.
    pub rules: Option<&'static str>,
    /// The limit that refuses it: name, kind, masked client.
    pub limit: Option<(&'static str, &'static str, &'static str)>,
    /// What it is suspected of.
    pub suspicious: Option<&'static str>,
    /// What attack it shows.
    pub noticed: Option<&'static str>,
    /// What shadow mode would have refused it for.
    pub shadow: Option<&'static str>,
    /// How it fails on the way to its service.
    pub lost: Option<&'static str>,
    /// Why it gets to no answer of a service.
    pub routing: Option<&'static str>,
    /// The service whose breaker refuses it.
    pub refused_by_breaker: Option<&'static str>,
    /// What it means to the business: event, value, amount, unit.
    pub business: Option<(&'static str, &'static str, f64, &'static str)>,
    /// Whether it makes a token, where tokens are made.
    pub made: Option<&'static str>,
    /// How the question to the auth service ends, if one is asked.
    pub asked: Option<&'static str>,
}

/// A request that goes to a service and is answered so.
pub fn to(endpoint: &'static str, service: &'static str, status: u16) -> Event {
    Event { endpoint, service, status, ..Event::default() }
}

/// A request that the gateway answers itself.
pub fn refused(endpoint: &'static str, status: u16) -> Event {
    Event { endpoint, status, ..Event::default() }
}

impl Event {
    /// With a good token.
    pub fn good(mut self, cached: &'static str) -> Self {
        (self.source, self.token, self.cached) = (Some("header"), Some(("success", "none")), Some(cached));
        self
    }

    /// With a token that is refused.
    pub fn bad(mut self, reason: &'static str) -> Self {
        let source = if reason == "missing" { "none" } else { "header" };
        (self.source, self.token) = (Some(source), Some(("failure", reason)));
        self.cached = (reason != "missing").then_some("miss");
        self
    }

    /// Whether a good token brought it.
    pub fn is_good(&self) -> bool {
        self.token == Some(("success", "none"))
    }
}
