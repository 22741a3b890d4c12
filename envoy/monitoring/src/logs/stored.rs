//! The same rules for VictoriaLogs, in its own language, as its ruler (vmalert) reads them: `make monitor` and the tests run these.

use super::SECURITY_ACTIONS;
use crate::rule::Rule;
use crate::settings::Settings;
use serde_json::{Value, json};

/// Rules on the lines of the gateway with this name; `has_users` says whether they name users.
#[must_use]
pub fn rules(gateway: &str, has_users: bool, settings: &Settings) -> Value {
    let alerts = super::possible(alerts(gateway, settings), has_users);
    json!({ "groups": [
        // Lines are there a second after the collector has sent them; vmalert would look half a minute back.
        { "name": "gateway-log-counts", "type": "vlogs", "interval": "15s", "eval_delay": "1s", "rules": counts(gateway) },
        { "name": "gateway-logs", "type": "vlogs", "interval": "1m", "rules": alerts },
    ] })
}

/// Lines of the last `within`, as far as `more` goes.
fn of(gateway: &str, within: &str, more: &str) -> String {
    format!(r#"_time:{within} service:="{gateway}" {more}"#).trim_end().to_owned()
}

fn counts(gateway: &str) -> Value {
    let record = |name: &str, expr: String| json!({ "record": name, "expr": expr });
    let hour = of(gateway, "1h", "");
    // Requests that the filter never saw the end of have a line of the proxy's, without a path: evidence of a filter that ended.
    let seen = format!(r#"(action:in({}) or (action:="request" path:="-"))"#, SECURITY_ACTIONS.join(","));
    let newest = format!(
        "{} | first 1 by (_time desc) partition by (action, reason) | stats by (action, reason, request_id) count() lines",
        of(gateway, "5m", &seen)
    );
    json!([
        record("gateway_log:lines:count1h", format!("{hour} | stats count() lines")),
        record("gateway_log:lines_by_action:count1h", format!("{hour} | stats by (action) count() lines")),
        record("gateway_log:bytes:sum1h", format!("{hour} | stats sum_len(*) bytes")),
        record("gateway_log:security_event:count5m", newest),
    ])
}

fn alerts(gateway: &str, settings: &Settings) -> [Rule; 2] {
    let refused = of(gateway, "10m", r#"level:="WARN" action:="request" user:*"#);
    let token = of(gateway, "5m", r#"*:~"eyJ[A-Za-z0-9_-]{16,}[.]eyJ""#);
    [
        super::refused_often(
            format!("{refused} | stats by (user) count() lines | filter lines:>50"),
            settings,
        ),
        super::token_in_log(format!("{token} | stats count() lines | filter lines:>0"), settings),
    ]
}
