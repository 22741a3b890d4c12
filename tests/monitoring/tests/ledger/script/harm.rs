//! What goes wrong in the hour: attacks, abuse, services that fail.

use super::*;

impl Script {
    pub(super) fn attacks(&mut self, step: i64) {
        const LOGIN: &str = "/api/v1/auth/login";
        let failed = |status| Event {
            business: Some(("failed_logins", "", 0.0, "")),
            made: Some("failure"),
            ..to(LOGIN, "user", status)
        };
        match step {
            20 => (0..3)
                .for_each(|_| self.log_in("203.0.113.20", CUSTOMER.username, "Wrong-Wrong-1", failed(401))),
            25 => {
                (0..2).for_each(|_| self.log_in("203.0.113.25", "nobody_here", "Wrong-Wrong-1", failed(404)))
            }
            40 => {
                for attempt in 1..=5 {
                    let noticed = (attempt == 5).then_some("brute_force");
                    self.log_in(
                        "203.0.114.40",
                        CUSTOMER.username,
                        "Wrong-Wrong-1",
                        Event { noticed, ..failed(401) },
                    );
                }
                let blocked = || Event {
                    suspicious: Some("login_blocked"),
                    made: Some("failure"),
                    ..refused(LOGIN, 403)
                };
                (0..2).for_each(|_| {
                    self.log_in("203.0.114.40", CUSTOMER.username, CUSTOMER.password, blocked())
                });
            }
            60 => self.flood("203.0.115.60", "203.0.115.0", 30, 1),
            90 => self.flood("203.0.116.90", "203.0.116.0", 5, 2),
            100 => self.abuse(),
            _ => {}
        }
    }

    /// One client asks for its balance more often than it may.
    fn flood(&mut self, client: &str, masked: &'static str, times: usize, number: u64) {
        const BALANCE: &str = "/api/v1/balance";
        let token = token(number);
        for time in 0..times {
            let event = match time {
                0 => to(BALANCE, "user", 200).good("miss"),
                1 | 2 => to(BALANCE, "user", 200).good("hit"),
                _ => Event { limit: Some(("balance", "per_ip", masked)), ..refused(BALANCE, 429) },
            };
            self.send(client, Request::get(BALANCE).bearer(&token), event);
        }
        if number == 2 {
            const HISTORY: &str = "/api/v1/balance/transactions";
            for time in 0..4 {
                let event = match time {
                    0 | 1 => to(HISTORY, "user", 200).good("hit"),
                    _ => Event {
                        limit: Some(("history", "per_user", masked)),
                        ..refused(HISTORY, 429).good("hit")
                    },
                };
                self.send(client, Request::get(HISTORY).bearer(&token), event);
            }
        }
    }

    /// One token from three networks, and a limit in shadow mode.
    pub(super) fn abuse(&mut self) {
        const PROFILE: &str = "/api/v1/auth/profile";
        let token = token(3);
        for (client, cached) in [("192.0.2.1", "miss"), ("192.0.3.1", "hit")] {
            self.send(client, Request::get(PROFILE).bearer(&token), to(PROFILE, "user", 200).good(cached));
        }
        let event = Event {
            suspicious: Some("token_abuse"),
            noticed: Some("token_abuse"),
            ..refused(PROFILE, 403).good("hit")
        };
        self.send("192.0.4.1", Request::get(PROFILE).bearer(&token), event);
        for _ in 0..2 {
            let event = Event { shadow: Some("rate_limited"), ..to(PROFILE, "user", 200).good("hit") };
            self.send("192.0.2.1", Request::get(PROFILE).bearer(&token), event);
        }
    }

    pub(super) fn trouble(&mut self, step: i64) {
        const ORDERS: &str = "/api/v1/orders";
        if step % 6 == 0 {
            let event = Event { routing: Some("invalid_endpoint"), ..refused("unmatched", 404) };
            self.send(HOME, Request::get("/nothing/here"), event);
        }
        match step {
            45 => {
                for _ in 0..2 {
                    let answer = self.world.insights_reset(HOME, &self.customer.clone());
                    let event = Event {
                        lost: Some("request_failed"),
                        routing: Some("service_unavailable"),
                        rules: Some("success"),
                        ..to("/api/v1/insights/portfolio", "insights", 503)
                    };
                    self.note(&answer, event.good("hit"));
                }
            }
            70 => {
                let fault = Fault::everywhere(Service::Order).status(503);
                self.fault = Some(self.world.service().set(fault).expect("a sound fault"));
                for _ in 0..5 {
                    self.get("/orders", Event { lost: Some("503"), ..to(ORDERS, "order", 503) });
                }
                // Longer than a worker believes that a breaker is closed.
                self.world.travel(Duration::from_millis(10));
                for _ in 0..3 {
                    let event = Event {
                        lost: Some("request_failed"),
                        routing: Some("service_unavailable"),
                        refused_by_breaker: Some("order"),
                        ..refused(ORDERS, 503)
                    };
                    self.get("/orders", event);
                }
                self.fault.take().into_iter().for_each(|fault| {
                    self.world.service().clear(fault);
                });
            }
            73 => {
                for _ in 0..3 {
                    self.get("/orders", to(ORDERS, "order", 200));
                    self.world.travel(Duration::from_millis(10));
                }
            }
            _ => {}
        }
    }
}
