//! A day of the platform's clients: what they ask, and what they and the services get to see.

use crate::Demo;
use portcullis_e2e::{Answer, Headers, Request};
use serde_json::{Value, json};
use std::net::SocketAddr;

const HEALTH: &str = "asks for the health page";
const SOCKET: &str = "asks for a WebSocket where there is none";
/// Requests that are not counted: the health page, and what Envoy refuses before any filter.
pub(crate) const UNCOUNTED: [&str; 2] = [HEALTH, SOCKET];

/// A request, its answer, and what arrived at the services.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// What the client does.
    pub name: &'static str,
    /// What it got.
    pub answer: Answer,
    /// What arrived: service, method, target and headers.
    pub arrived: Vec<Value>,
}

/// Lives through the day at the gateway `at`.
///
/// # Panics
/// If somebody cannot log in.
#[must_use]
pub fn day(at: SocketAddr, demo: &Demo) -> Vec<Exchange> {
    let mut day = Day { at, demo, exchanges: Vec::new() };
    day.strangers();
    let token = day.newcomer();
    day.trade(&token);
    day.mistakes(&token);
    day.liars(&token);
    day.exchanges
}

struct Day<'a> {
    at: SocketAddr,
    demo: &'a Demo,
    exchanges: Vec<Exchange>,
}

impl Day<'_> {
    fn asks(&mut self, name: &'static str, request: Request) -> Answer {
        let answer = request.send(self.at);
        let arrived = Demo::SERVICES.iter().flat_map(|(service, _)| self.arrived(service)).collect();
        self.exchanges.push(Exchange { name, answer: answer.clone(), arrived });
        answer
    }

    fn arrived(&self, service: &str) -> Vec<Value> {
        let of = |request: Value| {
            json!({ "service": service, "method": request["method"], "target": request["target"],
                "headers": request["headers"], "body": request["body"] })
        };
        self.demo.take_captures(service).into_iter().map(of).collect()
    }

    fn strangers(&mut self) {
        self.asks("looks at the assets", Request::get("/api/v1/inventory/assets"));
        self.asks("looks at one asset", Request::get("/api/v1/inventory/assets/BTC?a=%2F&b=c"));
        self.asks("asks for orders without a token", Request::get("/api/v1/orders"));
        self.asks("asks with nonsense for a token", Request::get("/api/v1/orders").bearer("a.b.c"));
        self.asks("asks for what is not there", Request::get("/api/v1/nowhere"));
        self.asks("asks with another method", Request::new("DELETE", "/api/v1/orders"));
        self.asks(HEALTH, Request::get("/health"));
    }

    fn newcomer(&mut self) -> String {
        let ada = json!({
            "username": "ada_lovelace", "email": "ada@example.com", "password": "Sup3r-Secret-1",
            "first_name": "Ada", "last_name": "Lovelace",
        });
        self.asks("registers", Request::post("/api/v1/auth/register").json(&ada));
        self.asks(
            "registers half",
            Request::post("/api/v1/auth/register").json(&json!({ "username": "ada" })),
        );
        let log_in = |password: &str| {
            Request::post("/api/v1/auth/login")
                .json(&json!({ "username": "ada_lovelace", "password": password }))
        };
        self.asks("mistypes the password", log_in("wrong"));
        let session = self.asks("logs in", log_in("Sup3r-Secret-1")).json();
        session["access_token"].as_str().expect("a token").to_owned()
    }

    fn trade(&mut self, token: &str) {
        let get = |path: &str| Request::get(format!("/api/v1{path}")).bearer(token);
        let post =
            |path: &str, body: Value| Request::post(format!("/api/v1{path}")).bearer(token).json(&body);
        self.asks("has no orders yet", get("/orders"));
        self.asks("deposits", post("/balance/deposit", json!({ "amount": 100_000 })));
        let order = json!({ "asset_id": "BTC", "order_type": "market_buy", "quantity": 1 });
        let order = self.asks("orders", post("/orders", order)).json()["data"]["order_id"].clone();
        self.asks("looks at the order", get(&format!("/orders/{}", order.as_str().expect("an id"))));
        self.asks("lists orders", get("/orders?limit=5"));
        self.asks("lists transactions", get("/assets/BTC/transactions"));
        self.asks("looks at the portfolio", get("/portfolio"));
        self.asks("asks for insights", get("/insights/portfolio"));
        self.asks("looks at the profile", get("/auth/profile"));
        self.asks("looks at the balance", get("/balance"));
        self.asks("logs out", Request::post("/api/v1/auth/logout").bearer(token));
    }

    fn mistakes(&mut self, token: &str) {
        let get = |path: &str| Request::get(format!("/api/v1{path}")).bearer(token);
        self.asks("asks for an unknown order", get("/orders/no-such-order"));
        self.asks("asks for a malformed asset", Request::get("/api/v1/inventory/assets/%20"));
        self.asks("deposits nothing", {
            Request::post("/api/v1/balance/deposit").bearer(token).json(&json!({ "amount": 0 }))
        });
        let roles = Request::get("/api/v1/insights/portfolio").bearer(&format!("{token}x"));
        self.asks("changes the signature", roles);
    }

    fn liars(&mut self, token: &str) {
        let lie = |request: Request| {
            request.header("x-user-id", "root").header("x-user-role", "admin").header("x-source", "gateway")
        };
        self.asks("claims to be root", lie(Request::get("/api/v1/inventory/assets")));
        self.asks("claims to be root with a token", lie(Request::get("/api/v1/auth/profile").bearer(token)));
        self.asks("climbs out of the prefix", Request::get("/api/v1/../../etc/passwd"));
        self.asks("hides a slash", Request::get("/api/v1/orders%2f..%2fadmin"));
        self.asks("doubles a slash", Request::get("/api/v1//inventory/assets"));
        let preflight =
            Request::new("OPTIONS", "/api/v1/orders").header("access-control-request-method", "POST");
        self.asks("a web page asks first", preflight.header("origin", "http://localhost:3000"));
        let page = Request::get("/api/v1/inventory/assets").header("origin", "http://localhost:3000");
        self.asks("a web page asks", page);
        let stranger = Request::get("/api/v1/inventory/assets").header("origin", "https://evil.example");
        self.asks("a page of somebody else's asks", stranger);
        let socket = Request::get("/api/v1/inventory/assets")
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        self.asks(SOCKET, socket);
        let flood = Request::post("/api/v1/auth/login").header("content-type", "application/json");
        self.asks("sends more than a body may have", flood.body(vec![b' '; (1 << 20) + 1]));
    }
}

/// Header lines of an answer, as text.
pub(crate) fn lines(headers: &Headers) -> Vec<String> {
    headers.0.iter().map(|(name, value)| format!("{name}: {}", value.escape_ascii())).collect()
}
