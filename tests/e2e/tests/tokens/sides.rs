//! One question, asked on Envoy and in the harness: both must give the verdict that the test expects.

use crate::lab::{install, setup};
use portcullis_e2e::{Gateway, Request, example_policy, module};
use portcullis_harness::{LoadedModule, Outcome, Plugin, Proxy, Upstream};
use serde_json::Value;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Asked so often, every worker has been asked.
const OFTEN: usize = 12;

/// The module, compiled once for all proxies of the harness.
pub static MODULE: LazyLock<LoadedModule> =
    LazyLock::new(|| LoadedModule::from_file(module()).expect("the gateway's module"));

/// The gateway, on either side, with 2 workers.
pub enum Side {
    /// On a real Envoy.
    Envoy(Box<Gateway>),
    /// In the harness, whose clock is kept so far ahead of the machine's.
    Harness(Box<Proxy>, Duration),
}

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The answer's status.
    pub status: u16,
    /// The code in the answer's body, where there is one.
    pub code: String,
    /// `WWW-Authenticate`.
    pub challenge: String,
    /// The log line's reason; empty for what was let through.
    pub reason: String,
}

impl Side {
    /// The gateway with this section `jwt` and these routes, on both sides.
    pub fn both(jwt: &Value, routes: &[Value]) -> [Self; 2] {
        let mut policy = example_policy();
        install(&mut policy, jwt.clone(), routes.to_vec());
        let plugin = Plugin::loaded(&MODULE).config(policy.to_string());
        let builder = Proxy::builder().plugin(plugin).workers(2).starting_at(machine_time());
        let proxy = builder.upstream("web", Upstream::respond(200).body("{}")).build();
        let gateway = setup(jwt.clone(), routes.to_vec()).start();
        let proxy = Box::new(proxy.expect("the gateway starts"));
        [Self::Envoy(Box::new(gateway)), Self::Harness(proxy, Duration::ZERO)]
    }

    /// Its name, for messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Envoy(_) => "on Envoy",
            Self::Harness(..) => "in the harness",
        }
    }

    /// Asks for `path` with these values of `Authorization`.
    #[track_caller]
    pub fn send(&mut self, path: &str, authorization: &[String]) -> Verdict {
        let path = format!("/api/v1{path}");
        match self {
            Self::Envoy(gateway) => {
                let request =
                    authorization.iter().fold(Request::get(path), |r, v| r.header("authorization", v));
                let answer = gateway.send(&request);
                let header = |name| answer.header(name).unwrap_or_default();
                let line = gateway.log_line_of(&answer);
                verdict(answer.status, answer.text(), header("www-authenticate"), &line)
            }
            Self::Harness(proxy, ahead) => {
                let time = machine_time() + *ahead;
                proxy.advance(time.saturating_sub(proxy.wall_clock()));
                let request = portcullis_harness::Request::get(path);
                let request = authorization.iter().fold(request, |r, v| r.header("authorization", v));
                let outcome = proxy.send(request).expect("the gateway runs");
                let status = outcome.client.status().expect("an answer");
                let challenge = outcome.client.header("www-authenticate").unwrap_or_default();
                verdict(status, &outcome.client.text(), challenge, &line(&outcome))
            }
        }
    }

    /// Asks with a token.
    #[track_caller]
    pub fn ask(&mut self, path: &str, token: &str) -> Verdict {
        self.send(path, &[format!("Bearer {token}")])
    }

    /// Asks so often that every worker knows the token, and is always let through.
    #[track_caller]
    pub fn assert_known(&mut self, path: &str, token: &str) {
        for _ in 0..OFTEN {
            let verdict = self.ask(path, token);
            assert_eq!(verdict.status, 200, "{}: {verdict:?}", self.name());
        }
    }

    /// Asks every worker, and is always refused for this reason.
    #[track_caller]
    pub fn assert_never_known(&mut self, path: &str, token: &str, reason: &str) {
        for _ in 0..OFTEN {
            self.ask(path, token).assert_refused(self.name(), reason);
        }
    }

    /// Time passes.
    pub fn pass(&mut self, time: Duration) {
        match self {
            Self::Envoy(gateway) => gateway.envoy.travel(time),
            Self::Harness(_, ahead) => *ahead += time,
        }
    }
}

impl Verdict {
    /// It is the gateway's 401 for this reason, told as RFC 6750 has it.
    #[track_caller]
    pub fn assert_refused(&self, side: &str, reason: &str) {
        let is = (self.status, self.code.as_str(), self.reason.as_str());
        assert_eq!(is, (401, "AUTH_001", reason), "{side}: {self:?}");
        let begins = if reason == "missing" { "Bearer realm=" } else { "Bearer error=\"invalid_token\"" };
        assert!(self.challenge.starts_with(begins), "{side}: {self:?}");
    }
}

fn machine_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970")
}

fn verdict(status: u16, body: &str, challenge: String, line: &Value) -> Verdict {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Verdict { status, code: text(&body["code"]), challenge, reason: text(&line["extra"]["denied"]) }
}

/// The request's own log line; lines of security events stand before it.
pub fn line(outcome: &Outcome) -> Value {
    let lines = outcome.filter_state("wasm.portcullis_log").expect("a log line");
    let last = lines.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty());
    serde_json::from_slice(last.expect("a log line")).expect("JSON")
}
