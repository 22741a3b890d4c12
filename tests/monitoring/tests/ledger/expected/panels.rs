//! What the panels say that are not of one service.

use super::*;

/// Each panel's title, and what its queries must say.
pub(super) fn all(ledger: &Ledger) -> Titled {
    [traffic(ledger), routing(ledger), tokens(ledger), guards(ledger), business(ledger)].concat()
}

fn traffic(ledger: &Ledger) -> Titled {
    let all = ledger.count(|_| true);
    let server = ledger.count(|event| event.status >= 500);
    let client = ledger.count(|event| (400..500).contains(&event.status));
    let p = |q| one(ledger.quantile(q, |_| true));
    let within = |limit: f64| ledger.count(|event| event.seconds <= limit);
    let endpoint = |event: &Event| text(event.endpoint);
    let of_endpoint = |from: u16, to: u16| {
        each(
            ledger.by(&["endpoint"], |event| endpoint(event).filter(|_| (from..to).contains(&event.status))),
            1.0,
        )
    };
    let distribution =
        BUCKETS.iter().map(|bound| (bound.to_string(), within(*bound))).chain([("+Inf".to_owned(), all)]);
    let distribution = distribution.map(|(le, count)| (labels(&[("le", &le)]), count)).collect();
    let slow = each(ledger.by(&["endpoint"], |event| endpoint(event).filter(|_| event.seconds > 0.25)), 1.0);
    let p95_by_endpoint =
        || ledger.quantiles("endpoint", 0.95, &BUCKETS, |event| Some(event.endpoint.to_owned()));
    let mut mean = ledger.sum_by(&["endpoint"], |event| Some((endpoint(event)?, event.seconds)));
    let count = ledger.by(&["endpoint"], endpoint);
    mean.iter_mut().for_each(|(labels, sum)| *sum /= count[labels]);
    let best = |limit: u16| {
        let by = ledger
            .by(&["endpoint"], |event| endpoint(event).filter(|_| (200..limit).contains(&event.status)));
        let mut sorted: Vec<_> = by.into_iter().collect();
        sorted.sort_by(|a, b| b.1.total_cmp(&a.1));
        sorted.truncate(7);
        Expected::Is(sorted.into_iter().collect())
    };
    vec![
        ("Requests", vec![one(all * RATE)]),
        ("Server errors", vec![one(server / all)]),
        ("Client errors", vec![one(client / all)]),
        ("Latency p95", vec![p(0.95)]),
        ("Gateways up", vec![one(1.0)]),
        (
            "Requests by status",
            vec![each(ledger.by(&["status_code"], |event| text(&event.status.to_string())), RATE)],
        ),
        ("Latency", vec![p(0.5), p(0.95), p(0.99)]),
        ("Latency distribution", vec![Expected::Is(distribution)]),
        (
            "Endpoints",
            vec![
                of_endpoint(0, 600),
                of_endpoint(400, 500),
                of_endpoint(500, 600),
                Expected::Is(p95_by_endpoint()),
            ],
        ),
        (
            "Endpoints by what they cost",
            vec![of_endpoint(0, 600), of_endpoint(500, 600), slow, Expected::Is(mean)],
        ),
        ("Latency p95 by endpoint", vec![Expected::Is(p95_by_endpoint())]),
        ("Apdex", vec![one((within(0.25) + within(1.0)) / 2.0 / all)]),
        ("Within 250 ms", vec![one(within(0.25) / all)]),
        ("Within 1 s", vec![one(within(1.0) / all)]),
        ("What users do", vec![best(300)]),
        ("Alerts that fire", vec![Expected::Empty]),
        ("Samples by job", vec![named(&[("job", "gateway")], ledger.0.samples)]),
    ]
}

fn routing(ledger: &Ledger) -> Titled {
    let service = |event: &Event| text(event.service);
    let by_service = |scale| each(ledger.by(&["target_service"], service), scale);
    let routed = ledger.count(is_routed);
    let failed = ledger.count(|event| event.routing.is_some());
    let lost_at = |event: &Event| {
        if event.service.is_empty() { event.refused_by_breaker.unwrap_or_default() } else { event.service }
    };
    let lost = |event: &Event| event.lost.map(|kind| vec![lost_at(event).to_owned(), kind.to_owned()]);
    let lost_by_service = |scale| {
        each(ledger.by(&["target_service"], |event| event.lost.and_then(|_| text(lost_at(event)))), scale)
    };
    let p =
        |q| {
            Expected::Is(ledger.quantiles("service", q, &OBJECTIVE, |event| {
                is_routed(event).then(|| event.service.to_owned())
            }))
        };
    let routes = ledger.by(&["target_service", "endpoint"], |event| {
        is_routed(event).then(|| vec![event.service.to_owned(), event.endpoint.to_owned()])
    });
    let twice = |answer: Answer| -> Answer {
        let both = |(mut labels, value): (Labels, f64)| {
            labels.insert("service".to_owned(), labels["target_service"].clone());
            (labels, value)
        };
        answer.into_iter().map(both).collect()
    };
    let counts = ledger.by(&["target_service"], service);
    let losses = ledger.by(&["target_service"], |event| event.lost.and_then(|_| text(lost_at(event))));
    let mut nodes: Answer = counts
        .iter()
        .map(|(at, count)| {
            let name = &at["target_service"];
            (labels(&[("target_service", name), ("id", name), ("title", name)]), count * RATE)
        })
        .collect();
    nodes.insert(labels(&[("id", "gateway"), ("title", "gateway")]), routed * RATE);
    let edges = counts
        .iter()
        .map(|(at, count)| {
            let name = &at["target_service"];
            (
                labels(&[("target_service", name), ("id", name), ("target", name), ("source", "gateway")]),
                count * RATE,
            )
        })
        .collect();
    vec![
        ("Requests by service", vec![by_service(RATE)]),
        ("Share of services", vec![by_service(1.0)]),
        ("Shares of services over time", vec![by_service(RATE)]),
        ("Routing success", vec![one(routed / (routed + failed))]),
        (
            "Without a route",
            vec![one(ledger.count(|event| event.endpoint == "unmatched") / ledger.count(|_| true))],
        ),
        ("Routing errors", vec![each(ledger.by(&["reason"], |event| some(event.routing)), RATE)]),
        ("Failures of services", vec![each(ledger.by(&["target_service", "error_type"], lost), RATE)]),
        ("Latency p95 by service", vec![p(0.95)]),
        ("Latency by service", vec![p(0.5), p(0.95), p(0.99)]),
        ("Routes", vec![Expected::Is(routes)]),
        (
            "Services",
            vec![Expected::Is(twice(counts)), Expected::Is(twice(losses)), Expected::Is(Answer::new())],
        ),
        ("Who calls whom", vec![Expected::Is(nodes), Expected::Is(edges)]),
        ("Dependencies", vec![by_service(RATE), lost_by_service(RATE)]),
    ]
}

fn tokens(ledger: &Ledger) -> Titled {
    let good = ledger.count(Event::is_good);
    let refused = ledger.count(is_refused_token);
    let by_verdict = |status: &'static str, scale| {
        let reason = move |event: &Event| {
            event.token.filter(|(of, _)| *of == status).and_then(|(_, reason)| text(reason))
        };
        each(ledger.by(&["reason"], reason), scale)
    };
    let looked_for = ledger.count(|event| event.source.is_some());
    let asked = ledger.count(|event| event.asked.is_some());
    let answered = ledger.count(|event| event.asked == Some("success"));
    let status =
        |of: fn(&Event) -> Option<&'static str>| each(ledger.by(&["status"], |event| some(of(event))), RATE);
    let known =
        ledger.count(|event| event.cached == Some("hit")) / ledger.count(|event| event.cached.is_some());
    // A token of the partner names a user and no role.
    let without_role = ledger.count(|event| event.is_good() && event.endpoint == "/api/v1/partner/assets");
    let permitted = ledger.count(|event| event.rules == Some("success"));
    let ruled = ledger.count(|event| event.rules.is_some());
    // Clocks stand still while tokens are checked and while the auth service answers: all in the first bucket.
    let p = |q: f64| q * 0.005;
    let check = |q: f64| {
        Expected::Is(
            ["jwt_validation", "user_context_extraction"]
                .iter()
                .map(|operation| (labels(&[("operation", operation)]), p(q)))
                .collect(),
        )
    };
    let buckets = BUCKETS.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
    let spread = buckets.map(|le| (labels(&[("le", &le)]), looked_for)).collect();
    let fetches = named(
        &[("provider", "idp"), ("document", "keys"), ("result", "success")],
        f64::from(u32::try_from(ledger.0.fetches).unwrap_or_default()),
    );
    let roles = Answer::from([
        (labels(&[("status", "success")]), (good - without_role) * RATE),
        (labels(&[("status", "failure")]), without_role * RATE),
    ]);
    vec![
        ("Authentication success", vec![one(good / (good + refused))]),
        ("Tokens refused", vec![by_verdict("failure", RATE)]),
        ("Refused tokens", vec![one(refused)]),
        ("Refused tokens by reason", vec![by_verdict("failure", 1.0)]),
        ("Tokens that shadow mode let pass", vec![by_verdict("shadow_failure", RATE)]),
        (
            "From request to permission",
            vec![
                one(ledger.count(|_| true)),
                one(looked_for),
                one(good),
                one(good),
                one(good - without_role),
                one(permitted),
            ],
        ),
        ("Tokens by source", vec![each(ledger.by(&["source"], |event| some(event.source)), RATE)]),
        ("Tokens known before", vec![one(known)]),
        ("Auth-service calls", vec![one(asked * RATE)]),
        ("Auth-service calls by outcome", vec![status(|event| event.asked)]),
        ("Auth-service latency", [0.5, 0.95, 0.99].map(|q| one(p(q))).into()),
        ("Auth service answers", vec![one(answered / asked)]),
        ("Auth service within 100 ms", vec![one(1.0)]),
        ("Waiting now", vec![one(0.0)]),
        ("Waiting requests", vec![one(0.0)]),
        ("Refused for want of room to wait", vec![one(0.0)]),
        ("Tokens forgotten early", vec![one(0.0)]),
        ("Checks given up", vec![one(0.0)]),
        ("Check time", [0.5, 0.95, 0.99].map(check).into()),
        ("Check time distribution", vec![Expected::Is(spread)]),
        ("Mean check time", vec![Expected::Is(Answer::new())]),
        ("Fetches", vec![fetches]),
        ("Keys skipped", vec![named(&[("provider", "idp"), ("reason", "not_for_verification")], 1.0)]),
        ("Age of keys", vec![named(&[("provider", "idp"), ("document", "keys")], ledger.0.age_of_keys)]),
        (
            "Users and roles known",
            vec![one(good * RATE), one((good - without_role) * RATE), one(0.0), one(without_role * RATE)],
        ),
        ("Bearers with and without a role", vec![Expected::Is(roles)]),
        ("Tokens issued", vec![status(|event| event.made)]),
        ("Permitted", vec![one(permitted / ruled)]),
        ("Forbidden", vec![one(ruled - permitted)]),
        ("Tokens without a role", vec![one(without_role)]),
        ("Rules", vec![status(|event| event.rules)]),
        ("Signed in", vec![one(good / ledger.count(|_| true))]),
        ("Today and a week ago", vec![one(good * RATE), one(good * RATE)]),
    ]
}

fn guards(ledger: &Ledger) -> Titled {
    let limited = ledger.count(|event| event.limit.is_some());
    let refused = ledger.count(is_refused_token);
    let suspicious = ledger.count(|event| event.suspicious.is_some());
    let noticed = |kind: &str| ledger.count(|event| event.noticed == Some(kind));
    let both = noticed("brute_force") + noticed("token_abuse");
    let forbidden = ledger.count(|event| event.rules == Some("failure"));
    let breaker = ledger.count(|event| event.refused_by_breaker.is_some());
    let by = |label: &str, of: fn(&Event) -> Option<&'static str>, scale| {
        each(ledger.by(&[label], |event| some(of(event))), scale)
    };
    let status = |code: u16| {
        each(ledger.by(&["endpoint"], |event| text(event.endpoint).filter(|_| event.status == code)), 1.0)
    };
    // A client has a name from its eighth refusal on.
    let mut clients = Answer::new();
    for event in &ledger.0.events {
        let Some((_, _, client)) = event.limit else { continue };
        *clients.entry(labels(&[("client_ip", client)])).or_insert(0.0) += 1.0;
    }
    let mut other = 0.0;
    for count in clients.values_mut() {
        other += f64::min(*count, 7.0);
        *count -= f64::min(*count, 7.0);
    }
    clients.retain(|_, count| *count > 0.0);
    clients.insert(labels(&[("client_ip", "other")]), other);
    let changes =
        ["open", "half_open", "closed"].map(|to| (labels(&[("service", "order"), ("to", to)]), 1.0));
    vec![
        ("Refused by limits", vec![one(limited)]),
        ("Suspicious requests", vec![one(suspicious)]),
        ("Attacks noticed", vec![one(both)]),
        ("Against yesterday", vec![one(refused), one(refused), one(limited), one(limited)]),
        (
            "Security events",
            vec![
                one(refused * RATE),
                one(forbidden * RATE),
                one(limited * RATE),
                one(suspicious * RATE),
                one(breaker * RATE),
            ],
        ),
        ("Refusals by endpoint", vec![status(401), status(403), status(429)]),
        ("Breakers not closed", vec![one(0.0)]),
        ("Circuit breakers", vec![Expected::Is(Answer::new())]),
        ("Refused by breakers", vec![by("service", |event| event.refused_by_breaker, RATE)]),
        ("Refusals by limit", vec![by("type", |event| event.limit.map(|(name, ..)| name), 1.0)]),
        ("Refusals by kind of limit", vec![by("type", |event| event.limit.map(|(_, kind, _)| kind), RATE)]),
        ("Most limited clients", vec![Expected::Is(clients)]),
        ("Sent without trust headers", vec![one(0.0)]),
        ("What shadow mode let pass", vec![by("reason", |event| event.shadow, RATE)]),
        ("Guards that failed", vec![one(0.0)]),
        ("Newcomers in a crowd", vec![one(0.0)]),
        (
            "Attacks",
            vec![Expected::Is(
                ["brute_force", "token_abuse"]
                    .iter()
                    .map(|kind| (labels(&[("type", kind)]), f64::from(u8::from(noticed(kind) > 0.0))))
                    .collect(),
            )],
        ),
        ("Suspicious requests by reason", vec![by("reason", |event| event.suspicious, RATE)]),
        ("Bursts of failed logins", vec![one(noticed("brute_force"))]),
        ("Tokens in too many networks", vec![one(noticed("token_abuse"))]),
        ("Changes of breakers", vec![Expected::Is(changes.into())]),
    ]
}

fn business(ledger: &Ledger) -> Titled {
    let of = |name: &'static str| move |event: &Event| event.business.filter(|(of, ..)| *of == name);
    let count = |name: &'static str| ledger.count(|event| of(name)(event).is_some());
    let worth = |name: &'static str| -> f64 {
        ledger.0.events.iter().filter_map(of(name)).map(|(_, _, cents, _)| cents).sum()
    };
    let by_asset = |scale: f64| {
        each(
            ledger.by(&["value"], |event| of("orders_created")(event).and_then(|(_, asset, ..)| text(asset))),
            scale,
        )
    };
    let worth_by_asset = |scale: f64| {
        each(
            ledger.sum_by(&["value"], |event| {
                of("orders_created")(event).map(|(_, asset, cents, _)| (vec![asset.to_owned()], cents))
            }),
            scale,
        )
    };
    let (created, refused) = (count("orders_created"), count("orders_refused"));
    let by_event = |names: [&'static str; 2], scale: f64| {
        Expected::Is(names.iter().map(|name| (labels(&[("event", name)]), count(name) * scale)).collect())
    };
    let week = |name| vec![one(count(name)), one(count(name))];
    vec![
        ("Logins", vec![by_event(["logins", "failed_logins"], RATE)]),
        ("Registrations", vec![one(count("registrations"))]),
        ("Logins that succeeded", vec![one(count("logins"))]),
        ("Failed logins", vec![one(count("failed_logins"))]),
        ("Orders created", vec![one(created)]),
        ("Orders refused", vec![one(refused)]),
        ("Order success", vec![one(created / (created + refused))]),
        ("Trading volume", vec![one(worth("orders_created"))]),
        ("Mean order", vec![one(worth("orders_created") / created)]),
        ("Orders by asset", vec![by_asset(1.0)]),
        ("Volume by asset", vec![worth_by_asset(1.0)]),
        ("Orders", vec![one(created * RATE), one(refused * RATE)]),
        ("Trading volume a minute", vec![worth_by_asset(60.0 * RATE)]),
        ("Events not read whole", vec![Expected::Empty]),
        ("Paid in", vec![one(worth("deposits"))]),
        ("Paid out", vec![one(worth("withdrawals"))]),
        ("Registrations by week", week("registrations")),
        ("Logins by week", week("logins")),
        ("Orders by week", week("orders_created")),
        ("Logins and failures", vec![one(count("logins") * RATE), one(count("failed_logins") * RATE)]),
        (
            "Deposits against withdrawals",
            vec![one(worth("deposits") * 60.0 * RATE), one(worth("withdrawals") * 60.0 * RATE)],
        ),
        ("Portfolio views", vec![one(count("portfolio_views"))]),
        ("Insight views", vec![one(count("insight_views"))]),
        ("Views per login", vec![one(count("portfolio_views") / count("logins"))]),
        ("Deposits", vec![one(count("deposits"))]),
        ("Withdrawals", vec![one(count("withdrawals"))]),
        ("Views", vec![one(count("portfolio_views") * RATE), one(count("insight_views") * RATE)]),
        ("Assets ordered", vec![by_asset(1.0)]),
        ("Balance operations", vec![by_event(["deposits", "withdrawals"], 1.0)]),
    ]
}
