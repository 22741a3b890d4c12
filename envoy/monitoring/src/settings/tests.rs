use super::*;
use serde_json::json;

fn places(settings: &Value) -> Vec<String> {
    let errors = Settings::from_value(settings).expect_err("it has mistakes");
    errors.iter().map(|error| error.at.to_string()).collect()
}

#[test]
fn mistakes_are_found_together_each_with_its_place_and_a_secret_is_not_shown() {
    let settings = json!({
        "objectives": { "availability_percent": 100, "latency_percent": 95, "orders_percent": -1 },
        "business_hours": { "from": "9", "days": "mondy:friday", "time_zone": "Europe/Berlinn" },
        "prices": { "cpu_core_hour": -0.1 },
        "retention": { "metrics": "10days" },
        "receivers": [
            { "name": "team", "slack": { "url_file": "https://hooks.example/T0/s3cret", "channel": "#a" } },
            { "name": "team", "email": { "to": "nobody" } },
            { "name": "silent" }
        ],
        "tiers": { "critical": { "always": ["taem"] } },
        "sources": { "envoy": ["localhost"] },
        "scrape": { "interval": "10min" },
        "dashboards_url": "grafana"
    });
    let errors = Settings::from_value(&settings).unwrap_err();
    let places: Vec<_> = errors.iter().map(|error| error.at.to_string()).collect();
    assert_eq!(
        places,
        [
            "objectives.availability_percent",
            "objectives.orders_percent",
            "scrape.interval",
            "sources.envoy[0]",
            "receivers[0].slack.url_file",
            "receivers[1].name",
            "receivers[1].email.to",
            "receivers[2]",
            "tiers.critical.always[0]",
            "business_hours.from",
            "business_hours.days",
            "business_hours.time_zone",
            "prices.cpu_core_hour",
            "retention.metrics",
            "dashboards_url",
        ]
    );
    let nearest = |place: &str| errors.iter().find(|e| e.at.to_string() == place).unwrap().nearest.clone();
    assert_eq!(nearest("business_hours.days").as_deref(), Some("monday"));
    assert_eq!(nearest("business_hours.time_zone").as_deref(), Some("Europe/Berlin"));
    assert_eq!(nearest("tiers.critical.always[0]").as_deref(), Some("team"));
    assert!(!format!("{errors:?}").contains("s3cret"));
}

#[test]
fn a_field_that_there_is_not_is_named_with_its_nearest() {
    let errors = Settings::from_value(&json!({ "objectivs": {}, "prices": { "cpu_hour": 1 } })).unwrap_err();
    assert_eq!(errors[0].nearest.as_deref(), Some("objectives"));
    assert_eq!(errors.len(), 2, "{errors:?}");
}

#[test]
fn hours_end_after_they_begin() {
    assert_eq!(
        places(&json!({ "business_hours": { "from": "17:00", "to": "09:00" } })),
        ["business_hours.to"]
    );
}

#[test]
fn nothing_need_be_set() {
    assert!(Settings::from_value(&json!({})).is_ok());
}

#[test]
fn an_event_that_the_policy_does_not_have_is_a_mistake() {
    let source = include_str!("../../../gateway.yaml");
    let policy: Value = serde_saphyr::from_str(source).expect("YAML");
    let policy = policy.to_string().replace("${ENV:JWT_SECRET}", "a secret of thirty-two letters or so");
    let policy = Policy::from_json(policy.as_bytes()).expect("the example is sound");
    let settings = json!({ "orders": { "created": ["orders_created"], "refused": ["order_refused"] } });
    let settings = Settings::from_value(&settings).expect("sound on its own");
    let errors = settings.mistakes_with(&policy);
    assert_eq!(errors[0].at.to_string(), "orders.refused[0]");
    assert_eq!(errors[0].nearest.as_deref(), Some("orders_refused"));
}
