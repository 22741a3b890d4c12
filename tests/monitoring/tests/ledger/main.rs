//! Whether what the dashboards and the recording rules say is so: an hour of traffic whose truth is known, through a real gateway, into a
//! real Prometheus, and every query asked of it.

mod budgets;
mod compare;
#[cfg(feature = "logs")]
mod cost;
mod event;
mod expected;
mod infrastructure;
#[cfg(feature = "logs")]
mod logged;
mod recorded;
mod script;
mod world;

use compare::{Asker, Tally};
use infrastructure::PRICES;
use portcullis_monitoring::dashboards::{About, Inputs, Site, dashboards, every};
use portcullis_monitoring::{Rules, Settings, Vocabulary};
use portcullis_monitoring_tests::Prometheus;
use portcullis_policy::Policy;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

fn inputs(policy: &Policy) -> Inputs<'_> {
    Inputs {
        services: policy.services.iter().map(|service| &*service.name).collect(),
        prices: PRICES,
        objectives: Vec::new(),
        site: Site { gateway: policy.gateway.name.clone(), annotations: Vec::new() },
    }
}

/// The example's, as far as rules need them: which events are orders.
fn settings() -> Settings {
    let settings =
        serde_json::json!({ "orders": { "created": ["orders_created"], "refused": ["orders_refused"] } });
    Settings::from_value(&settings).expect("sound settings")
}

#[test]
fn every_panel_says_what_the_ledger_says() {
    let policy = Policy::from_value_with(&world::policy(), &|_| {
        Some("a secret of thirty-two bytes or more".to_owned()).into()
    })
    .expect("a sound policy");
    let inputs = inputs(&policy);
    let vocabulary = Vocabulary::of(&policy, &[]);
    let shown = dashboards(&vocabulary, &inputs);
    let hour = script::play();
    // The same hour a day and a week ago, for panels that look back.
    let before = [hour.scrapes.earlier(7 * DAY), hour.scrapes.earlier(DAY)];
    let prometheus = Prometheus::with(&[&before[0], &before[1], &hour.scrapes]);
    let services: Vec<&str> = inputs.services.clone();
    let mut expected = expected::all(&hour, &services);
    let asker = Asker::new(&prometheus, hour.end);
    let mut tally = Tally::default();
    for dashboard in &shown.kept {
        tally.ask(dashboard, &inputs.site, &asker, &|title| expected.get(title).cloned());
    }
    tally.titles.keys().for_each(|title| {
        expected.remove(title);
    });
    tally.print(&asker);
    let rules = Rules::of(&policy, &settings(), &[]);
    let recorded = recorded::ask(&rules.groups, &asker, &hour);
    println!(
        "{} recording rules, {} compared, {} differ",
        recorded.queries,
        recorded.panels,
        recorded.differences.len()
    );
    tally.differences.extend(recorded.differences);
    let objectives = rules.documents.iter().map(portcullis_monitoring::Document::name).collect();
    let with_budgets = dashboards(&rules.vocabulary, &Inputs { objectives, ..self::inputs(&policy) });
    let budgets = budgets::ask(&rules, &with_budgets.kept, &inputs.site, &hour);
    println!(
        "{} panels of budgets and {} long windows over thirty days, {} differ",
        budgets.panels,
        budgets.queries - budgets.panels,
        budgets.differences.len()
    );
    tally.differences.extend(budgets.differences);
    #[cfg(feature = "logs")]
    {
        let logged = logged::ask(&shown.kept, &inputs.site, &policy, &hour);
        println!("{} log panels, {} differ", logged.panels, logged.differences.len());
        tally.differences.extend(logged.differences);
        cost::print(&shown.kept, &inputs.site, &rules.groups, &hour);
    }
    assert!(tally.differences.is_empty(), "{:#?}", tally.differences);
    assert!(expected.is_empty(), "no panel is called {:?}", expected.keys().collect::<Vec<_>>());
}

#[test]
fn panels_about_nodes_pods_and_costs_say_what_exporters_say() {
    let policy = Policy::from_value_with(&world::policy(), &|_| {
        Some("a secret of thirty-two bytes or more".to_owned()).into()
    });
    let policy = policy.expect("a sound policy");
    let inputs = inputs(&policy);
    let all = every(&inputs);
    let about: Vec<_> =
        all.into_iter().filter(|dashboard| dashboard.about == About::Infrastructure).collect();
    assert_eq!(about.len(), 3);
    let tally = infrastructure::ask(&about, &inputs.site);
    println!("{} panels, {} queries, {} differ", tally.panels, tally.queries, tally.differences.len());
    assert!(tally.differences.is_empty(), "{:#?}", tally.differences);
}
