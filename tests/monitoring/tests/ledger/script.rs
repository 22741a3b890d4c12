//! The hour: what is sent when, and what is known of it beforehand.

mod harm;

use crate::event::{Event, refused, to};
use crate::world::{STEP, World, forged, minted, token};
use portcullis_demo_services::{CUSTOMER, Fault, FaultId, Service};
use portcullis_e2e::{Answer, KeyAnswer, Line, Request};
use portcullis_monitoring_tests::Timeline;
use serde_json::json;
use std::time::Duration;

/// Steps of the hour.
const STEPS: i64 = 120;

/// What happened, and what the gateway said of it.
pub struct Hour {
    /// The ledger.
    pub events: Vec<Event>,
    /// The scrapes.
    pub scrapes: Timeline,
    /// The time of the last scrape.
    pub end: i64,
    /// How often the key server was asked.
    pub fetches: usize,
    /// Seconds since it was asked last.
    pub age_of_keys: f64,
    /// Samples of the last scrape.
    pub samples: f64,
    /// Log lines.
    #[cfg_attr(not(feature = "logs"), expect(dead_code, reason = "only the log store is asked for them"))]
    pub lines: Vec<Line>,
}

impl Hour {
    /// The ledger of the last so many steps.
    pub fn last(&self, steps: i64) -> Self {
        let events = self.events.iter().filter(|event| event.step > STEPS - steps).cloned().collect();
        Self { events, scrapes: Timeline::default(), lines: Vec::new(), ..*self }
    }
}

struct Script {
    world: World,
    events: Vec<Event>,
    scrapes: Timeline,
    customer: String,
    known: bool,
    fault: Option<FaultId>,
    fetched: (usize, i64),
    samples: usize,
    now: i64,
}

const HOME: &str = "198.51.100.7";

/// Plays it.
pub fn play() -> Hour {
    let world = World::start();
    let mut script = Script {
        world,
        events: Vec::new(),
        scrapes: Timeline::default(),
        customer: token(0),
        known: false,
        fault: None,
        fetched: (0, 0),
        samples: 0,
        now: 0,
    };
    script.scrape();
    for step in 1..=STEPS {
        script.step(step);
        let rest = Duration::from_secs(STEP.unsigned_abs()) - script.world.spent;
        script.world.travel(rest);
        script.world.now += STEP;
        script.world.spent = Duration::ZERO;
        script.scrape();
    }
    let Script { world, events, scrapes, fetched: (fetches, at), samples, .. } = script;
    let lines = lines_of(&world, events.len());
    let seconds = |time: i64| f64::from(i32::try_from(time).expect("less than two days"));
    let samples = f64::from(u32::try_from(samples).expect("thousands"));
    Hour { events, scrapes, end: world.now, fetches, age_of_keys: seconds(world.now - at), samples, lines }
}

/// All lines, once every request has its own. Envoy writes them a moment after the answer.
fn lines_of(world: &World, requests: usize) -> Vec<Line> {
    let is_request = |line: &&Line| line.json().is_some_and(|line| line["action"] == "request");
    let said = || world.gateway.envoy.stdout().all();
    portcullis_e2e::eventually("every request has its line", || {
        world.gateway.envoy.travel(Duration::from_secs(1));
        said().iter().filter(is_request).count() >= requests
    });
    said()
}

impl Script {
    /// Waits until everything that was sent has been counted, and keeps what the gateway says.
    fn scrape(&mut self) {
        let sent = f64::from(u32::try_from(self.events.len()).expect("few"));
        let counted = self.world.gateway.settled("gateway_requests_total", &[], sent);
        assert_eq!(counted, sent, "requests counted after {} sent", self.events.len());
        let fetches = self.world.keys.fetches();
        if fetches > self.fetched.0 {
            self.fetched = (fetches, self.world.now);
        }
        let wanted = f64::from(u32::try_from(fetches).expect("few"));
        self.world.gateway.settled("gateway_jwt_fetches_total", &[], wanted);
        let samples = self.world.gateway.metrics();
        self.samples = samples.all().len();
        self.scrapes.scrape(self.world.now, &samples, "gateway", "gateway:9902");
    }

    /// Writes a request down, whose answer must be as known.
    #[track_caller]
    fn note(&mut self, answer: &Answer, mut event: Event) {
        event.step = self.now;
        assert_eq!(answer.status, event.status, "{event:?}: {answer:?}");
        self.events.push(event);
    }

    #[track_caller]
    fn send(&mut self, client: &str, request: Request, event: Event) {
        let answer = self.world.send(client, request);
        self.note(&answer, event);
    }

    fn with_token(&mut self, request: Request, event: Event) {
        let cached = if self.known { "hit" } else { "miss" };
        self.known = true;
        let request = request.bearer(&self.customer);
        self.send(HOME, request, event.good(cached));
    }

    fn get(&mut self, path: &str, event: Event) {
        self.with_token(Request::get(format!("/api/v1{path}")), event);
    }

    fn post(&mut self, path: &str, body: &serde_json::Value, event: Event) {
        self.with_token(Request::post(format!("/api/v1{path}")).json(body), event);
    }

    fn step(&mut self, step: i64) {
        self.now = step;
        let assets = || Request::get("/api/v1/inventory/assets");
        for _ in 0..2 {
            self.send(HOME, assets(), to("/api/v1/inventory/assets", "inventory", 200));
        }
        // The breaker of the order service has its own part below.
        if !(70..=73).contains(&step) {
            self.trade(step);
        }
        self.money(step);
        self.tokens(step);
        self.attacks(step);
        self.trouble(step);
    }

    fn trade(&mut self, step: i64) {
        const ORDERS: &str = "/api/v1/orders";
        if step % 2 == 0 {
            self.get("/orders", to(ORDERS, "order", 200));
        }
        let orders = [(4, "BTC", "0.01", 65_000.0), (5, "ETH", "0.1", 32_000.0), (8, "SOL", "1", 14_550.0)];
        for (every, asset, quantity, cents) in orders {
            if step % every == 0 {
                let order = json!({"asset_id": asset, "order_type": "market_buy", "quantity": quantity});
                let event = to(ORDERS, "order", 201);
                self.post(
                    "/orders",
                    &order,
                    Event { business: Some(("orders_created", asset, cents, "usd_cents")), ..event },
                );
            }
        }
        if step % 10 == 0 {
            let order = json!({"asset_id": "LUNA", "order_type": "market_buy", "quantity": "1"});
            let event = Event { business: Some(("orders_refused", "", 0.0, "")), ..to(ORDERS, "order", 400) };
            self.post("/orders", &order, event);
        }
    }

    fn money(&mut self, step: i64) {
        let happened = |event: Event, name: &'static str, cents: f64| Event {
            business: Some((name, "", cents, if cents > 0.0 { "usd_cents" } else { "" })),
            ..event
        };
        if step % 3 == 0 {
            self.get("/portfolio", happened(to("/api/v1/portfolio", "user", 200), "portfolio_views", 0.0));
        }
        if step % 15 == 0 {
            let event = happened(to("/api/v1/balance/deposit", "user", 201), "deposits", 10_050.0);
            self.post("/balance/deposit", &json!({"amount": 100.5}), event);
        }
        if step % 30 == 0 {
            let event = happened(to("/api/v1/balance/withdraw", "user", 201), "withdrawals", 2_025.0);
            self.post("/balance/withdraw", &json!({"amount": 20.25}), event);
        }
        if step % 10 == 0 {
            let cached = if self.known { "hit" } else { "miss" };
            self.known = true;
            let takes = Duration::from_millis(300);
            let answer = self.world.insights(HOME, &self.customer.clone(), takes);
            let event = Event {
                seconds: 0.3,
                rules: Some("success"),
                ..happened(to("/api/v1/insights/portfolio", "insights", 200), "insight_views", 0.0)
            };
            self.note(&answer, event.good(cached));
        }
        if [5, 50, 95].contains(&step) {
            let user = json!({"username": format!("newcomer_{step}"), "email": format!("n{step}@example.com"),
                "password": "Newcomer-Demo-1", "first_name": "New", "last_name": "Comer"});
            let event = happened(to("/api/v1/auth/register", "user", 201), "registrations", 0.0);
            self.send(HOME, Request::post("/api/v1/auth/register").json(&user), event);
        }
    }

    fn log_in(&mut self, client: &str, user: &str, password: &str, event: Event) {
        let body = json!({"username": user, "password": password});
        self.send(client, Request::post("/api/v1/auth/login").json(&body), event);
    }

    fn tokens(&mut self, step: i64) {
        const LOGIN: &str = "/api/v1/auth/login";
        const ORDERS: &str = "/api/v1/orders";
        let orders = || Request::get("/api/v1/orders");
        if step % 12 == 0 {
            let event = Event {
                business: Some(("logins", "", 0.0, "")),
                made: Some("success"),
                ..to(LOGIN, "user", 200)
            };
            self.log_in(HOME, CUSTOMER.username, CUSTOMER.password, event);
        }
        if step % 9 == 0 {
            self.send(
                HOME,
                orders().bearer(&minted("customer", -86_000)),
                refused(ORDERS, 401).bad("expired"),
            );
        }
        if step % 11 == 0 {
            self.send(HOME, orders().bearer(&forged()), refused(ORDERS, 401).bad("invalid_signature"));
        }
        if step % 7 == 0 {
            self.send(HOME, orders(), refused(ORDERS, 401).bad("missing"));
        }
        if step % 20 == 0 {
            let event = Event { rules: Some("failure"), ..refused("/api/v1/insights/portfolio", 403) };
            let cached = if step == 20 { "miss" } else { "hit" };
            // The same token each time: it lives longer than the hour.
            let request = Request::get("/api/v1/insights/portfolio").bearer(&self.public_token());
            self.send(HOME, request, event.good(cached));
        }
        if step % 30 == 0 {
            let event = Event {
                token: Some(("shadow_failure", "expired")),
                source: Some("header"),
                cached: Some("miss"),
                ..to("/api/v1/inventory/assets/{id}", "inventory", 200)
            };
            self.send(
                HOME,
                Request::get("/api/v1/inventory/assets/BTC").bearer(&minted("customer", -80_000)),
                event,
            );
        }
        self.partners(step);
    }

    /// A token without the role that insights want.
    fn public_token(&self) -> String {
        static TOKEN: std::sync::OnceLock<String> = std::sync::OnceLock::new();
        TOKEN.get_or_init(|| minted("public", 90_000)).clone()
    }

    fn partners(&mut self, step: i64) {
        const ASSETS: &str = "/api/v1/partner/assets";
        let ask = |name: String| Request::get(ASSETS).bearer(&name);
        if step % 25 == 0 {
            let event = Event { asked: Some("success"), ..to(ASSETS, "inventory", 200).good("miss") };
            self.send(HOME, ask(format!("opaque-{step}")), event);
        }
        if step == 55 {
            self.world.auth.answer_with(KeyAnswer::Status(500));
            let event = Event { asked: Some("failure"), ..refused(ASSETS, 503).bad("revocation_unknown") };
            self.send(HOME, ask("opaque-55".to_owned()), event);
            self.world.auth.answer_with(KeyAnswer::Document(json!({"active": false}).to_string()));
            let event = Event { asked: Some("success"), ..refused(ASSETS, 401).bad("revoked") };
            self.send(HOME, ask("opaque-revoked".to_owned()), event);
            self.world
                .auth
                .answer_with(KeyAnswer::Document(json!({"active": true, "sub": "carol"}).to_string()));
        }
    }
}
