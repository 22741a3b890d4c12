//! Algorithm confusion: every name, every signature, every key. Only exact pairs pass.

use crate::lab::{claims, install, route, setup};
use portcullis_e2e::{Connection, Request, example_policy, module};
use portcullis_harness::Proxy;
use portcullis_token_lab::matrix::{Bound, Forgery, forgeries};
use serde_json::{Value, json};
use std::io::Write as _;
use std::net::SocketAddr;
use std::thread;

/// A provider and a route for each key.
fn policy(keys: &[Bound]) -> (Value, Vec<Value>) {
    let providers = keys.iter().enumerate().map(|(n, key)| (format!("p{n}"), key.provider()));
    let jwt = json!({"providers": providers.collect::<serde_json::Map<_, _>>()});
    let routes = (0..keys.len()).map(|n| route(&format!("/r{n}"), json!({"providers": [format!("p{n}")]})));
    (jwt, routes.collect())
}

fn hour() -> Vec<Forgery> {
    forgeries(&claims(json!({"exp": crate::lab::now() + 3600})))
}

#[derive(Default)]
struct Count {
    cases: usize,
    passed: usize,
    wrong: Vec<String>,
}

impl Count {
    fn add(&mut self, key: &Bound, token: &Forgery, status: u16) {
        self.cases += 1;
        self.passed += usize::from(status == 200);
        let expected = if key.takes(token) { 200 } else { 401 };
        if status != expected {
            let (kind, alg) = (key.kind.name, key.alg);
            self.wrong.push(format!("{} by {} against {kind} as {alg}: {status}", token.alg, token.by));
        }
    }

    fn join(mut self, other: Self) -> Self {
        self.cases += other.cases;
        self.passed += other.passed;
        self.wrong.extend(other.wrong);
        self
    }

    fn assert_exact(&self, side: &str, keys: &[Bound]) {
        let Self { cases, passed, wrong } = self;
        // Past the test runner's capture: the count is a result of its own.
        let told =
            format!("algorithm matrix on {side}: {cases} cases, {passed} passed, {} wrong", wrong.len());
        let _ = writeln!(std::io::stderr(), "{told}");
        assert_eq!(*wrong, [""; 0]);
        // EdDSA has two names (RFC 9864).
        let twice = keys.iter().filter(|key| key.alg == "EdDSA").count();
        assert_eq!(*passed, keys.len() + twice);
    }
}

/// Clients that ask at once.
const CLIENTS: usize = 4;

/// All tokens against one client's share of the keys, over one connection.
fn run_on_envoy(to: SocketAddr, client: usize, keys: &[Bound], tokens: &[Forgery]) -> Count {
    let (mut count, mut connection) = (Count::default(), Connection::open(to));
    for (n, key) in keys.iter().enumerate().skip(client).step_by(CLIENTS) {
        for token in tokens {
            let request = Request::get(format!("/api/v1/r{n}")).bearer(&token.token);
            count.add(key, token, connection.send(&request).status);
        }
    }
    count
}

#[test]
fn on_envoy_only_exact_pairs_of_key_and_algorithm_pass() {
    let (keys, tokens) = (Bound::all(), hour());
    let (jwt, routes) = policy(&keys);
    let gateway = setup(jwt, routes).start();
    let count = thread::scope(|scope| {
        let run = |client| run_on_envoy(gateway.address(), client, &keys, &tokens);
        let clients: Vec<_> = (0..CLIENTS).map(|client| scope.spawn(move || run(client))).collect();
        let counts = clients.into_iter().map(|client| client.join().expect("it did not panic"));
        counts.fold(Count::default(), Count::join)
    });
    count.assert_exact("Envoy", &keys);
}

#[test]
fn in_the_harness_only_exact_pairs_of_key_and_algorithm_pass() {
    let (keys, tokens) = (Bound::all(), hour());
    let (jwt, routes) = policy(&keys);
    let mut policy = example_policy();
    install(&mut policy, jwt, routes);
    let web = portcullis_harness::Upstream::respond(200).body("ok");
    let builder = Proxy::builder().module(module()).config(policy.to_string());
    let mut proxy = builder.upstream("web", web).build().expect("the gateway starts");
    let mut count = Count::default();
    for (n, key) in keys.iter().enumerate() {
        for token in &tokens {
            let request = portcullis_harness::Request::get(format!("/api/v1/r{n}"));
            let request = request.header("authorization", format!("Bearer {}", token.token));
            let outcome = proxy.send(request).expect("the gateway runs");
            count.add(key, token, outcome.client.status().unwrap_or_default());
        }
    }
    count.assert_exact("the harness", &keys);
}
