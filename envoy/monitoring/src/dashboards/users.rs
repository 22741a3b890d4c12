//! Who uses the platform, and what for.

use super::model::{About, Dashboard, Kind, Limit, Panel, Unit, row, share};
use crate::query;

/// User Analytics, Trading Operations, Business User Analytics, Portfolio Insights.
pub fn dashboards() -> Vec<Dashboard> {
    vec![users(), trading(), business(), portfolio()]
}

fn event(name: &str) -> String {
    query!(r#"business_events_total{@,event="NAME"}"#).replace("NAME", name)
}

fn happened(title: &str, description: &str, name: &str) -> Panel {
    let expr = format!("sum(increase({}[range]))", event(name));
    Panel::stat(title, Unit::Count, description, expr)
}

fn value_of(title: &str, description: &str, name: &str) -> Panel {
    let expr = query!(r#"sum(increase(business_amount_total{@,event="NAME"}[range]))"#).replace("NAME", name);
    Panel::stat(title, Unit::Cents, description, expr)
}

fn rate_of(panel: Panel, legend: &str, name: &str) -> Panel {
    panel.query(legend, format!("sum(rate({}[rate]))", event(name)))
}

fn users() -> Dashboard {
    let active = Panel::totals(
        Kind::Stat,
        "Active users",
        Unit::Count,
        "Users with a request of a good token, in the time that is looked at.",
    )
    .of_logs("users", r#"count(sum by (user) (count_over_time({#,action="request"} | user!="" [range])))"#);
    let busiest = Panel::totals(
        Kind::Table,
        "Busiest users",
        Unit::Count,
        "Users with most requests, in the time that is looked at.",
    )
    .of_logs(
        "requests",
        r#"topk(10, sum by (user) (count_over_time({#,action="request"} | user!="" [range])))"#,
    )
    .wide(12);
    let signed_in = share(
        query!(r#"sum(rate(auth_jwt_validation_total{@,status="success"}[rate]))"#),
        query!("sum(rate(gateway_requests_total{@}[rate]))"),
    );
    let signed_in = Panel::stat(
        "Signed in",
        Unit::Share,
        "The share of requests that came with a good token.",
        signed_in,
    );
    let endpoints = Panel::totals(
        Kind::Bars,
        "What users do",
        Unit::Count,
        "The seven routes with most requests that ended well, in the time that is looked at.",
    )
    .once("{{endpoint}}", query!(r#"topk(7, sum by (endpoint) (increase(gateway_requests_total{@,status_code=~"2.."}[range])) > 0)"#))
    .wide(12);
    let hours = Panel::over_time(
        Kind::Lines,
        "Today and a week ago",
        Unit::PerSecond,
        "Requests with a good token a second, beside those of the same hour a week ago.",
    )
    .query("now", query!(r#"sum(rate(auth_jwt_validation_total{@,status="success"}[rate]))"#))
    .query(
        "a week ago",
        query!(r#"sum(rate(auth_jwt_validation_total{@,status="success"}[rate] offset 1w))"#),
    )
    .wide(12);
    let roles = Panel::over_time(
        Kind::Stacked,
        "Bearers with and without a role",
        Unit::EventsPerSecond,
        "Good tokens a second that were asked for a role; `failure` has none.",
    )
    .query("{{status}}", query!("sum by (status) (rate(auth_role_resolution_total{@}[rate]))"))
    .wide(12);
    Dashboard {
        title: "User Analytics",
        description: "How many use the gateway, when, and for what.",
        about: About::Gateways,
        rows: vec![
            row("Now", vec![active, signed_in, new_users(), logins_total()]),
            row("Use", vec![endpoints, hours, roles, busiest]),
        ],
    }
}

fn new_users() -> Panel {
    happened("Registrations", "New users in the time that is looked at.", "registrations")
}

fn logins_total() -> Panel {
    happened(
        "Logins that succeeded",
        "Logins that the service accepted, in the time that is looked at.",
        "logins",
    )
}

fn order_success() -> Panel {
    let created = format!("sum(rate({}[rate]))", event("orders_created"));
    let both = query!(r#"sum(rate(business_events_total{@,event=~"orders_created|orders_refused"}[rate]))"#);
    let description = "The share of orders that were created, of all that a service answered.";
    // Both events exist from the start, so there is no share where one of them is not declared.
    let expr = format!("{created} / ({both} + 0 * sum(rate({}[rate])) > 0)", event("orders_refused"));
    Panel::stat("Order success", Unit::Share, description, expr).limit(Limit::Below(0.99))
}

fn trading() -> Dashboard {
    let by_asset = |title: &str, unit, what: &str, series: &str| {
        Panel::totals(Kind::Bars, title, unit, what)
            .once("{{value}}", format!("sum by (value) (increase({series}[range]))"))
            .wide(12)
    };
    let volume = query!(r#"business_amount_total{@,event="orders_created"}"#);
    let mean =
        format!("sum(increase({volume}[range])) / (sum(increase({}[range])) > 0)", event("orders_created"));
    let orders = Panel::over_time(
        Kind::Stacked,
        "Orders",
        Unit::EventsPerSecond,
        "Orders a second that were created and refused.",
    )
    .wide(12);
    let traded = Panel::over_time(
        Kind::Stacked,
        "Trading volume a minute",
        Unit::Cents,
        "What orders of each asset were worth, a minute.",
    )
    .query("{{value}}", format!("60 * sum by (value) (rate({volume}[rate]))"))
    .wide(12);
    let unread = Panel::totals(
        Kind::Table,
        "Events not read whole",
        Unit::Count,
        "Events of which a value or an amount could not be read, by why: their amounts are missing above.",
    )
    .once("events", query!("sum by (event, reason) (increase(business_events_unread_total{@}[range])) > 0"))
    .wide(12);
    Dashboard {
        title: "Trading Operations",
        description: "Orders and what they are worth, by asset.",
        about: About::Gateways,
        rows: vec![
            row(
                "Now",
                vec![
                    happened(
                        "Orders created",
                        "Orders created in the time that is looked at.",
                        "orders_created",
                    ),
                    happened(
                        "Orders refused",
                        "Orders that were refused or failed, in the time that is looked at.",
                        "orders_refused",
                    ),
                    order_success(),
                    value_of(
                        "Trading volume",
                        "What the created orders were worth, in the time that is looked at.",
                        "orders_created",
                    ),
                    Panel::stat("Mean order", Unit::Cents, "What an order is worth on average.", mean),
                ],
            ),
            row(
                "Assets",
                vec![
                    by_asset(
                        "Orders by asset",
                        Unit::Count,
                        "Orders created, by asset.",
                        &event("orders_created"),
                    ),
                    by_asset("Volume by asset", Unit::Cents, "What they were worth, by asset.", volume),
                ],
            ),
            row(
                "Over time",
                vec![
                    rate_of(rate_of(orders, "created", "orders_created"), "refused", "orders_refused"),
                    traded,
                    unread,
                ],
            ),
        ],
    }
}

fn week(title: &str, description: &str, name: &str) -> Panel {
    let series = event(name);
    Panel::totals(Kind::Bars, title, Unit::Count, description)
        .once("this time", format!("sum(increase({series}[range]))"))
        .once("a week ago", format!("sum(increase({series}[range] offset 1w))"))
}

fn business() -> Dashboard {
    let logins = Panel::over_time(
        Kind::Stacked,
        "Logins and failures",
        Unit::EventsPerSecond,
        "Logins a second that were accepted and refused.",
    )
    .wide(12);
    let money = Panel::over_time(
        Kind::Lines,
        "Deposits against withdrawals",
        Unit::Cents,
        "What was paid in and out, a minute.",
    )
    .query("deposits", query!(r#"60 * sum(rate(business_amount_total{@,event="deposits"}[rate]))"#))
    .query("withdrawals", query!(r#"60 * sum(rate(business_amount_total{@,event="withdrawals"}[rate]))"#))
    .wide(12);
    Dashboard {
        title: "Business User Analytics",
        description: "Registrations, logins, money in and out, week against week.",
        about: About::Gateways,
        rows: vec![
            row(
                "Now",
                vec![
                    new_users(),
                    logins_total(),
                    happened(
                        "Failed logins",
                        "Logins that the service refused, in the time that is looked at.",
                        "failed_logins",
                    ),
                    value_of("Paid in", "The sum of all deposits in the time that is looked at.", "deposits"),
                    value_of(
                        "Paid out",
                        "The sum of all withdrawals in the time that is looked at.",
                        "withdrawals",
                    ),
                ],
            ),
            row(
                "Week against week",
                vec![
                    week("Registrations by week", "New users beside those of a week ago.", "registrations"),
                    week("Logins by week", "Logins beside those of a week ago.", "logins"),
                    week("Orders by week", "Orders created beside those of a week ago.", "orders_created"),
                ],
            ),
            row(
                "Over time",
                vec![rate_of(rate_of(logins, "accepted", "logins"), "refused", "failed_logins"), money],
            ),
        ],
    }
}

fn portfolio() -> Dashboard {
    let views = Panel::over_time(
        Kind::Lines,
        "Views",
        Unit::EventsPerSecond,
        "Portfolios and insights looked at, a second.",
    )
    .wide(12);
    let assets = Panel::totals(
        Kind::Pie,
        "Assets ordered",
        Unit::Count,
        "How created orders divide among the assets, in the time that is looked at.",
    )
    .once("{{value}}", format!("topk(8, sum by (value) (increase({}[range])) > 0)", event("orders_created")));
    let balance = Panel::totals(
        Kind::Pie,
        "Balance operations",
        Unit::Count,
        "Deposits and withdrawals, in the time that is looked at.",
    )
    .once(
        "{{event}}",
        query!(r#"sum by (event) (increase(business_events_total{@,event=~"deposits|withdrawals"}[range]))"#),
    );
    let per_login = format!(
        "sum(increase({}[range])) / (sum(increase({}[range])) > 0)",
        event("portfolio_views"),
        event("logins")
    );
    Dashboard {
        title: "Portfolio Insights",
        description: "What users look at, and what they hold.",
        about: About::Gateways,
        rows: vec![
            row(
                "Now",
                vec![
                    happened(
                        "Portfolio views",
                        "Portfolios looked at, in the time that is looked at.",
                        "portfolio_views",
                    ),
                    happened(
                        "Insight views",
                        "Insights looked at, in the time that is looked at.",
                        "insight_views",
                    ),
                    Panel::stat(
                        "Views per login",
                        Unit::Plain,
                        "Portfolios looked at for each login.",
                        per_login,
                    ),
                    happened("Deposits", "Deposits in the time that is looked at.", "deposits"),
                    happened("Withdrawals", "Withdrawals in the time that is looked at.", "withdrawals"),
                ],
            ),
            row(
                "Use",
                vec![
                    rate_of(rate_of(views, "portfolio", "portfolio_views"), "insights", "insight_views"),
                    assets,
                    balance,
                ],
            ),
        ],
    }
}
