//! Who hears of which alert, and when.

use crate::settings::{NOBODY, Receiver, Settings, Tier};
use serde_json::{Map, Value, json};

/// The file with what messages say, beside the configuration.
pub const TEMPLATES: &str = include_str!("alertmanager.tmpl");

/// The name of the business hours among the time intervals.
const HOURS: &str = "business-hours";

/// Alertmanager's configuration; its templates are found at `templates`.
#[must_use]
pub fn config(settings: &Settings, templates: &str) -> Value {
    json!({
        "global": global(settings),
        "templates": [templates],
        "time_intervals": [{ "name": HOURS, "time_intervals": [hours(settings)] }],
        "route": {
            "receiver": NOBODY,
            "group_by": ["alertname", "job", "slo", "environment"],
            // Thirty seconds for the scrape, thirty for the rule, and these: a message is on its way well within five minutes.
            "group_wait": "15s",
            "group_interval": "2m",
            "repeat_interval": "4h",
            "routes": routes(settings),
        },
        "inhibit_rules": inhibitions(),
        "receivers": receivers(settings),
    })
}

fn global(settings: &Settings) -> Value {
    let smtp = &settings.smtp;
    let mut global = Map::new();
    global.insert("resolve_timeout".to_owned(), "5m".into());
    global.insert("smtp_from".to_owned(), smtp.from.clone().into());
    global.insert("smtp_smarthost".to_owned(), smtp.server.clone().into());
    global.insert("smtp_require_tls".to_owned(), smtp.require_tls.into());
    let login = [("smtp_auth_username", &smtp.username), ("smtp_auth_password_file", &smtp.password_file)];
    for (name, value) in login {
        global.extend(value.iter().map(|value| (name.to_owned(), value.clone().into())));
    }
    global.into()
}

fn hours(settings: &Settings) -> Value {
    let hours = &settings.business_hours;
    json!({
        "weekdays": [hours.days],
        "times": [{ "start_time": hours.from, "end_time": hours.to }],
        "location": hours.time_zone,
    })
}

fn routes(settings: &Settings) -> Vec<Value> {
    let watchdog = settings.watchdog.as_ref().map(|_| {
        let matchers = [r#"alertname="Watchdog""#];
        json!({ "receiver": WATCHDOG, "matchers": matchers, "group_wait": "0s", "repeat_interval": "5m" })
    });
    let tiers = settings.tiers.all().map(|(name, tier)| route(name, tier));
    watchdog.into_iter().chain(tiers).collect()
}

/// The receiver of the dead man's switch.
const WATCHDOG: &str = "watchdog";

/// The route of a tier, with one below it for each of its receivers. All but the last go on to the next; a last one that went on would
/// find nobody, which is no harm, but hides that it is the last.
fn route(severity: &str, tier: &Tier) -> Value {
    let mut below: Vec<Value> =
        tier.all().iter().flat_map(|(when, names)| names.iter().map(move |name| below(name, when))).collect();
    if let Some(last) = below.last_mut().and_then(Value::as_object_mut) {
        last.remove("continue");
    }
    let repeat = if severity == "critical" { "1h" } else { "12h" };
    let mut route = json!({
        "receiver": NOBODY,
        "matchers": [format!(r#"severity="{severity}""#)],
        "repeat_interval": repeat,
    });
    if !below.is_empty() {
        route["routes"] = below.into();
    }
    route
}

fn below(receiver: &str, when: &str) -> Value {
    let mut route = json!({ "receiver": receiver, "continue": true });
    match when {
        "business_hours" => route["active_time_intervals"] = json!([HOURS]),
        "off_hours" => route["mute_time_intervals"] = json!([HOURS]),
        _ => {}
    }
    route
}

/// What follows from something else is not said as well.
fn inhibitions() -> Value {
    json!([
        // Without a target, nothing that is said of the gateway means anything.
        {
            "source_matchers": [r#"alertname="GatewayAbsent""#],
            "target_matchers": [r#"job="gateway""#, r#"alertname!="GatewayAbsent""#],
            "equal": ["environment"],
        },
        {
            "source_matchers": [r#"alertname="GatewayDown""#],
            "target_matchers": [r#"alertname!="GatewayDown""#, r#"instance!="""#],
            "equal": ["job", "instance", "environment"],
        },
        {
            "source_matchers": [r#"alertname="ServiceDown""#],
            "target_matchers": [r#"alertname="BreakerOpen""#],
            "equal": ["job", "service", "environment"],
        },
        {
            "source_matchers": [r#"alertname="ShipperDown""#],
            "target_matchers": [r#"alertname=~"AuditGap|ShipperDropping""#],
            "equal": ["environment"],
        },
        // A fast burn is a slow one as well.
        {
            "source_matchers": [r#"severity="critical""#],
            "target_matchers": [r#"severity="warning""#],
            "equal": ["alertname", "job", "slo", "environment"],
        },
    ])
}

fn receivers(settings: &Settings) -> Vec<Value> {
    let nobody = json!({ "name": NOBODY });
    let watchdog = settings.watchdog.as_ref().map(|watchdog| {
        let hook = json!({ "url_file": watchdog.url_file, "send_resolved": false });
        json!({ "name": WATCHDOG, "webhook_configs": [hook] })
    });
    [nobody].into_iter().chain(watchdog).chain(settings.receivers.iter().map(receiver)).collect()
}

fn receiver(receiver: &Receiver) -> Value {
    let mut config = json!({ "name": receiver.name });
    if let Some(slack) = &receiver.slack {
        config["slack_configs"] = json!([{
            "api_url_file": slack.url_file,
            "channel": slack.channel,
            "send_resolved": true,
            "title": r#"{{ template "portcullis.title" . }}"#,
            "title_link": "{{ (index .Alerts 0).Annotations.dashboard_url }}",
            "text": r#"{{ template "portcullis.text" . }}"#,
            "color": r#"{{ if eq .Status "resolved" }}good{{ else if eq .CommonLabels.severity "critical" }}danger{{ else }}warning{{ end }}"#,
        }]);
    }
    if let Some(email) = &receiver.email {
        config["email_configs"] = json!([{
            "to": email.to,
            "send_resolved": true,
            "headers": { "Subject": r#"{{ template "portcullis.title" . }}"# },
            "text": r#"{{ template "portcullis.text" . }}"#,
            "html": "",
        }]);
    }
    config
}
