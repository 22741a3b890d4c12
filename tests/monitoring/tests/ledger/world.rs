//! The gateway under the script: the example's policy with a rule for everything that a panel can show.

use portcullis_demo_services::{CUSTOMER, Claims, DEMO_JWT_SECRET, Service, Tokens};
use portcullis_e2e::{
    Answer, Gateway, H2Connection, KeyAnswer, KeyServer, Request, ScriptedUpstream, example_policy,
};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds between scrapes.
pub const STEP: i64 = 30;

/// The gateway and whoever it talks to.
pub struct World {
    pub gateway: Gateway,
    pub keys: KeyServer,
    pub auth: KeyServer,
    pub insights: ScriptedUpstream,
    /// Time that has passed since the last scrape.
    pub spent: Duration,
    /// Seconds since 1970 at the last scrape.
    pub now: i64,
}

fn with_rules(mut policy: Value) -> Value {
    policy["client_ip"] = json!({"trusted_hops": 1, "trusted_proxies": ["0.0.0.0/0", "::/0"]});
    for route in policy["routes"].as_array_mut().expect("routes") {
        if route["auth"]["token"] == "required" {
            route["auth"]["providers"] = json!(["order_processor"]);
        }
        match route["path"].as_str() {
            Some("/auth/login") => route["auth"]["issues"] = json!(true),
            Some("/inventory/assets/{id}") => {
                route["auth"] =
                    json!({"token": "required", "mode": "shadow", "providers": ["order_processor"]});
            }
            _ => {}
        }
    }
    let partner = |path: &str, provider: &str| {
        json!({"path": path, "methods": ["GET"], "service": "inventory", "upstream_path": "/inventory/assets",
            "auth": {"token": "required", "providers": [provider]}})
    };
    policy["routes"]
        .as_array_mut()
        .expect("routes")
        .extend([partner("/partner/assets", "partner"), partner("/idp/assets", "idp")]);
    policy["jwt"]["providers"]["partner"] = json!({"introspection": {"url": "http://as.example/introspect", "cluster": "as",
        "client_id": "gateway", "client_secret": "a secret of ours", "retries": 0}});
    policy["jwt"]["providers"]["idp"] = json!({"issuer": "https://idp.example", "audiences": ["shop"], "algorithms": ["ES256"],
        "fetch": {"jwks_uri": "http://idp.example/keys", "cluster": "idp"}});
    policy["limits"]["rules"]["balance"] =
        json!({"key": ["ip"], "limit": 3, "window": "1d", "routes": ["/balance"]});
    policy["limits"]["rules"]["history"] =
        json!({"key": ["user"], "limit": 2, "window": "1d", "routes": ["/balance/transactions"]});
    policy["limits"]["rules"]["shy"] =
        json!({"key": ["ip"], "limit": 1, "window": "1d", "routes": ["/auth/profile"], "mode": "shadow"});
    policy["breakers"]["*"]["jitter_percent"] = json!(0);
    policy["abuse"]["tokens"] = json!({"networks": 2, "within": "1h"});
    policy
}

/// The policy, as the monitoring's files are made of it.
pub fn policy() -> Value {
    let mut policy = with_rules(example_policy());
    policy["clusters"] = json!({"as": {"address": "127.0.0.1:9"}, "idp": {"address": "127.0.0.1:9"}});
    policy
}

impl World {
    /// Starts everything. The gateway's clocks stand still, an hour and some minutes ago.
    pub fn start() -> Self {
        let active = json!({"active": true, "sub": "carol"}).to_string();
        let auth = KeyServer::start(KeyAnswer::Document(active));
        let keys = KeyServer::of(&json!({"keys": [
            {"kty": "EC", "crv": "P-256", "kid": "a", "alg": "ES256", "use": "sig",
             "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
            {"kty": "EC", "crv": "P-256", "kid": "b", "use": "enc",
             "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
        ]}));
        let insights = ScriptedUpstream::listen();
        let today = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let start = i64::try_from(today).expect("seconds") / STEP * STEP - 3_900;
        let at = UNIX_EPOCH + Duration::from_secs(start.unsigned_abs());
        let clusters = json!({"as": {"address": auth.address().to_string()}, "idp": {"address": keys.address().to_string()}});
        let gateway = Gateway::shipped()
            .policy(|policy| *policy = with_rules(policy.take()))
            .policy(|policy| policy["clusters"] = clusters)
            .service_at("insights", insights.address())
            .envoy(move |config| config.workers(1).frozen_at(at))
            .start();
        Self { gateway, keys, auth, insights, spent: Duration::ZERO, now: start }
    }

    /// Lets time pass.
    pub fn travel(&mut self, by: Duration) {
        self.spent += by;
        self.gateway.envoy.travel(by);
    }

    /// Sends a request of this client.
    pub fn send(&self, client: &str, request: Request) -> Answer {
        self.gateway.send(&request.header("x-forwarded-for", client))
    }

    /// A request to insights, answered after so long.
    pub fn insights(&mut self, client: &str, token: &str, takes: Duration) -> Answer {
        let request =
            Request::get("/api/v1/insights/portfolio").bearer(token).header("x-forwarded-for", client);
        let connection = H2Connection::open(self.gateway.address());
        let pending = connection.start(&request).expect("the gateway takes a stream");
        let mut upstream = self.insights.accept_request();
        self.travel(takes);
        upstream.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}");
        let answer = pending.answer().expect("an answer");
        drop(upstream);
        answer
    }

    /// A request to insights whose connection is reset.
    pub fn insights_reset(&mut self, client: &str, token: &str) -> Answer {
        let request =
            Request::get("/api/v1/insights/portfolio").bearer(token).header("x-forwarded-for", client);
        let connection = H2Connection::open(self.gateway.address());
        let pending = connection.start(&request).expect("the gateway takes a stream");
        self.insights.accept_request().reset();
        pending.answer().expect("an answer")
    }

    /// What the demo services can be made to do.
    pub fn service(&self) -> &portcullis_demo_services::Knobs {
        let _ = Service::Order;
        self.gateway.knobs()
    }
}

/// A good token of the customer's, another for each `number`.
pub fn token(number: u64) -> String {
    minted("customer", 86_400 + i64::try_from(number).expect("a small number"))
}

/// A token that expires so many seconds from now.
pub fn minted(role: &str, seconds: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let now = i64::try_from(now).expect("seconds");
    let claims = Claims {
        sub: CUSTOMER.username.to_owned(),
        role: role.to_owned(),
        exp: now + seconds,
        iat: now - 86_400,
        kind: "access_token".to_owned(),
    };
    Tokens::new(DEMO_JWT_SECRET, Duration::from_secs(1)).sign(&claims).expect("a token")
}

/// A token under a secret that nobody has.
pub fn forged() -> String {
    let claims = Claims {
        sub: "mallory".to_owned(),
        role: "admin".to_owned(),
        exp: i64::from(u32::MAX),
        iat: 0,
        kind: "access_token".to_owned(),
    };
    Tokens::new("a secret that nobody else has, and that is long enough", Duration::from_secs(1))
        .sign(&claims)
        .expect("a token")
}
