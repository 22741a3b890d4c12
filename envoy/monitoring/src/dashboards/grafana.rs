//! A dashboard as Grafana's JSON (the classic model, which every Grafana since 9 reads and newer ones migrate on load).

use super::model::{About, Asked, Dashboard, Kind, Limit, Panel, Query, Source, Unit};
use serde_json::{Map, Value, json};

/// What a panel shows where there is nothing to show.
pub const NO_TRAFFIC: &str = "no traffic";

/// The least time between points: a scrape's. `$__rate_interval` is then at least four scrapes, whatever the datasource thinks.
const LEAST_STEP: &str = "30s";

const COLUMNS: u32 = 24;

/// What is a site's own.
#[derive(Clone, Debug)]
pub struct Site {
    /// The name that the gateway's log lines have as `service`.
    pub gateway: String,
    /// Annotations: name, colour, query, and the text of a mark.
    pub annotations: Vec<(&'static str, &'static str, String, &'static str)>,
}

/// The JSON of a dashboard.
pub fn dashboard(dashboard: &Dashboard, site: &Site) -> Value {
    json!({
        "uid": dashboard.uid(),
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": ["portcullis"],
        "editable": false,
        "graphTooltip": 1,
        "schemaVersion": 39,
        "version": 1,
        "refresh": "30s",
        "time": { "from": "now-1h", "to": "now" },
        "timezone": "",
        "annotations": { "list": annotations(site) },
        "links": [{
            "type": "dashboards", "title": "Portcullis", "tags": ["portcullis"], "asDropdown": true,
            "keepTime": true, "includeVars": true, "targetBlank": false,
        }],
        "templating": { "list": variables(dashboard) },
        "panels": panels(dashboard, site),
    })
}

fn annotations(site: &Site) -> Vec<Value> {
    let of = |(name, colour, expr, text): &(&str, &str, String, &str)| {
        json!({
            "name": name, "enable": true, "iconColor": colour, "datasource": metrics(),
            "expr": with_variables(expr), "titleFormat": text, "step": LEAST_STEP, "useValueForTime": false,
        })
    };
    site.annotations.iter().map(of).collect()
}

/// The labels that the dashboard's variables choose.
fn with_variables(expr: &str) -> String {
    expr.replace("{@", r#"{job=~"$job",instance=~"$instance""#)
}

fn metrics() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

fn logs() -> Value {
    json!({ "type": "loki", "uid": "${loki}" })
}

fn variables(dashboard: &Dashboard) -> Vec<Value> {
    let series = match dashboard.about {
        About::Gateways => "gateway_requests_total",
        About::Infrastructure => "up",
    };
    let source = |name: &str, label: &str, kind: &str| json!({ "type": "datasource", "name": name, "label": label, "query": kind });
    let choice = |name: &str, label: &str, query: String| {
        json!({
            "type": "query", "name": name, "label": label, "datasource": metrics(), "query": { "query": query, "refId": name },
            "definition": query, "includeAll": true, "allValue": ".+", "multi": true, "refresh": 2, "sort": 1,
            "current": { "text": "All", "value": "$__all" },
        })
    };
    let mut all = vec![
        source("datasource", "Metrics", "prometheus"),
        source("loki", "Logs", "loki"),
        choice("job", "Job", format!("label_values({series}, job)")),
        choice("instance", "Instance", format!(r#"label_values({series}{{job=~"$job"}}, instance)"#)),
    ];
    if asks_for_request(dashboard) {
        all.push(json!({ "type": "textbox", "name": "request_id", "label": "Request", "query": ".*", "current": { "text": ".*", "value": ".*" } }));
    }
    all
}

fn asks_for_request(dashboard: &Dashboard) -> bool {
    let panels = dashboard.rows.iter().flat_map(|row| &row.panels);
    panels.flat_map(|panel| &panel.queries).any(|query| query.expr.contains("$request_id"))
}

/// Rows one below the other; panels from left to right, and on the next line where they do not fit.
fn panels(dashboard: &Dashboard, site: &Site) -> Vec<Value> {
    let (mut all, mut id, mut y) = (Vec::new(), 0, 0);
    for row in &dashboard.rows {
        id += 1;
        all.push(json!({
            "id": id, "type": "row", "title": row.title, "collapsed": false, "panels": [],
            "gridPos": { "x": 0, "y": y, "w": COLUMNS, "h": 1 },
        }));
        y += 1;
        let (mut x, mut tallest) = (0, 0);
        for each in &row.panels {
            if x + each.width > COLUMNS {
                (x, y, tallest) = (0, y + tallest, 0);
            }
            id += 1;
            let place = json!({ "x": x, "y": y, "w": each.width, "h": each.height() });
            all.push(panel(each, id, &place, site));
            x += each.width;
            tallest = tallest.max(each.height());
        }
        y += tallest;
    }
    all
}

fn panel(panel: &Panel, id: u32, place: &Value, site: &Site) -> Value {
    let from_logs = panel.queries.first().is_some_and(|query| query.source == Source::Logs);
    let mut json = json!({
        "id": id,
        "type": panel.kind.plugin(),
        "title": panel.title,
        "description": panel.description,
        "datasource": if from_logs { logs() } else { metrics() },
        "gridPos": place,
        "interval": LEAST_STEP,
        "targets": targets(panel, site),
        "fieldConfig": { "defaults": defaults(panel), "overrides": overrides(panel) },
        "options": options(panel),
    });
    if panel.kind == Kind::Table {
        json["transformations"] = as_table(panel);
    }
    if let Some(uid) = panel.more {
        let url = format!("/d/{uid}?${{__url_time_range}}&${{__all_variables}}");
        json["links"] = json!([{ "title": "More", "url": url, "targetBlank": false }]);
    }
    json
}

fn targets(panel: &Panel, site: &Site) -> Vec<Value> {
    let letters = (b'A'..=b'Z').map(|letter| char::from(letter).to_string());
    letters.zip(&panel.queries).map(|(id, query)| target(panel, id, query, site)).collect()
}

fn target(panel: &Panel, id: String, query: &Query, site: &Site) -> Value {
    let once = query.asked == Asked::Once;
    let (datasource, expr) =
        (if query.source == Source::Logs { logs() } else { metrics() }, query.text(site));
    if query.source == Source::Logs {
        let kind = if once { "instant" } else { "range" };
        return json!({ "refId": id, "datasource": datasource, "expr": expr, "legendFormat": query.legend, "queryType": kind });
    }
    let format = match panel.kind {
        Kind::Table | Kind::Graph => "table",
        Kind::Heatmap => "heatmap",
        _ => "time_series",
    };
    json!({
        "refId": id, "datasource": datasource, "expr": expr, "legendFormat": query.legend,
        "instant": once, "range": !once, "format": format,
    })
}

impl Query {
    /// The query with the dashboard's variables in it.
    pub fn text(&self, site: &Site) -> String {
        let gateway = site.gateway.replace('\\', "\\\\").replace('"', "\\\"");
        with_variables(&self.expr)
            .replace("{#", &format!(r#"{{service="{gateway}""#))
            .replace("[rate]", "[$__rate_interval]")
            .replace("[range]", "[$__range]")
            .replace("offset [$__range]", "offset $__range")
    }
}

impl Kind {
    /// The panel's plugin, all of which Grafana brings along.
    pub const fn plugin(self) -> &'static str {
        match self {
            Self::Stat => "stat",
            Self::Lines | Self::Stacked | Self::Shares => "timeseries",
            Self::Bars => "bargauge",
            Self::Pie => "piechart",
            Self::Table => "table",
            Self::Heatmap => "heatmap",
            Self::States => "state-timeline",
            Self::Graph => "nodeGraph",
            Self::Logs => "logs",
        }
    }
}

impl Unit {
    /// Grafana's name of the unit, and how many decimals it is shown with (as many as fit, where none are named).
    const fn grafana(self) -> (&'static str, Option<u32>) {
        match self {
            // Every digit: a thousand and a few hundred would be "1 K" in the unit `short`.
            Self::Count => ("locale", Some(0)),
            Self::PerSecond => ("reqps", None),
            Self::EventsPerSecond => ("cps", None),
            Self::Share | Self::Budget => ("percentunit", Some(2)),
            Self::Seconds => ("s", None),
            Self::Bytes => ("bytes", None),
            Self::BytesPerSecond => ("Bps", None),
            Self::Cores => ("short", Some(2)),
            // Cents are hundredths: shown whole, with the unit in the title of the axis.
            Self::Cents => ("suffix: cents", Some(0)),
            Self::Currency => ("currencyUSD", Some(2)),
            Self::Plain => ("short", Some(2)),
        }
    }
}

fn defaults(panel: &Panel) -> Value {
    let (unit, decimals) = panel.unit.grafana();
    let mut defaults = Map::new();
    defaults.insert("unit".into(), unit.into());
    if let Some(decimals) = decimals {
        defaults.insert("decimals".into(), decimals.into());
    }
    defaults.insert("noValue".into(), NO_TRAFFIC.into());
    // Bars begin at 0; Grafana would begin them at the smallest.
    if panel.unit == Unit::Share || panel.kind == Kind::Bars {
        defaults.insert("min".into(), 0.into());
    }
    if panel.unit == Unit::Share {
        defaults.insert("max".into(), 1.into());
    }
    defaults.insert("color".into(), json!({ "mode": colours(panel) }));
    defaults.insert("thresholds".into(), thresholds(panel.limit));
    defaults.insert("mappings".into(), mappings(panel));
    defaults.insert("custom".into(), custom(panel));
    Value::Object(defaults)
}

/// Columns of a table whose unit is not the panel's.
fn overrides(panel: &Panel) -> Vec<Value> {
    let seconds = panel.queries.iter().filter(|query| query.legend.ends_with(" seconds"));
    let of = |query: &Query| {
        json!({
            "matcher": { "id": "byName", "options": query.legend },
            "properties": [{ "id": "unit", "value": "s" }, { "id": "decimals", "value": 3 }],
        })
    };
    seconds.map(of).collect()
}

const fn colours(panel: &Panel) -> &'static str {
    match (panel.kind, panel.limit) {
        (Kind::Stat | Kind::States, _) => "thresholds",
        _ => "palette-classic",
    }
}

fn thresholds(limit: Limit) -> Value {
    let steps = match limit {
        Limit::None => json!([{ "color": "blue", "value": null }]),
        Limit::Above(bad) => json!([{ "color": "green", "value": null }, { "color": "red", "value": bad }]),
        Limit::Below(good) => json!([{ "color": "red", "value": null }, { "color": "green", "value": good }]),
    };
    json!({ "mode": "absolute", "steps": steps })
}

fn mappings(panel: &Panel) -> Value {
    if panel.names.is_empty() {
        return json!([]);
    }
    let of = |(index, (value, text, colour)): (usize, &(u32, &str, &str))| {
        (value.to_string(), json!({ "text": text, "color": colour, "index": index }))
    };
    let options: Map<String, Value> = panel.names.iter().enumerate().map(of).collect();
    json!([{ "type": "value", "options": options }])
}

fn custom(panel: &Panel) -> Value {
    let stack = |mode: &str| json!({ "drawStyle": "line", "lineWidth": 1, "fillOpacity": 60, "showPoints": "never", "stacking": { "mode": mode, "group": "A" } });
    match panel.kind {
        Kind::Lines => json!({
            "drawStyle": "line", "lineWidth": 2, "fillOpacity": 10, "showPoints": "never", "spanNulls": false,
            "thresholdsStyle": { "mode": if matches!(panel.limit, Limit::None) { "off" } else { "line" } },
        }),
        Kind::Stacked => stack("normal"),
        Kind::Shares => stack("percent"),
        Kind::States => json!({ "fillOpacity": 80, "lineWidth": 0 }),
        _ => json!({}),
    }
}

fn options(panel: &Panel) -> Value {
    let last = json!({ "calcs": ["lastNotNull"], "fields": "", "values": false });
    match panel.kind {
        Kind::Stat => {
            json!({ "reduceOptions": last, "colorMode": "value", "graphMode": "none", "textMode": "value" })
        }
        Kind::Lines | Kind::Stacked | Kind::Shares => json!({
            "legend": { "showLegend": true, "displayMode": "list", "placement": "bottom" },
            "tooltip": { "mode": "multi", "sort": "desc" },
        }),
        Kind::Bars => {
            json!({ "reduceOptions": last, "orientation": "horizontal", "displayMode": "gradient", "showUnfilled": true })
        }
        Kind::Pie => {
            json!({ "reduceOptions": last, "pieType": "donut", "legend": { "showLegend": true, "displayMode": "table", "placement": "right", "values": ["value", "percent"] } })
        }
        Kind::Table => {
            json!({ "showHeader": true, "sortBy": [{ "displayName": first_column(panel), "desc": true }] })
        }
        Kind::Heatmap => {
            json!({ "calculate": false, "yAxis": { "unit": "s" }, "cellGap": 1, "color": { "mode": "scheme", "scheme": "Oranges", "steps": 64 } })
        }
        Kind::States => {
            json!({ "showValue": "auto", "mergeValues": true, "rowHeight": 0.8, "legend": { "showLegend": false } })
        }
        Kind::Graph => json!({ "nodes": { "mainStatUnit": "reqps" }, "edges": { "mainStatUnit": "reqps" } }),
        Kind::Logs => {
            json!({ "showTime": true, "wrapLogMessage": true, "enableLogDetails": true, "sortOrder": "Descending" })
        }
    }
}

fn first_column(panel: &Panel) -> String {
    panel.queries.first().map(|query| query.legend.clone()).unwrap_or_default()
}

/// One row for each set of labels, one column for each query.
fn as_table(panel: &Panel) -> Value {
    let letters = (b'A'..=b'Z').map(|letter| char::from(letter).to_string());
    let names: Map<String, Value> = letters
        .zip(&panel.queries)
        .map(|(id, query)| {
            if panel.queries.len() == 1 {
                ("Value".to_owned(), query)
            } else {
                (format!("Value #{id}"), query)
            }
        })
        .map(|(column, query)| (column, query.legend.clone().into()))
        .collect();
    json!([
        { "id": "merge", "options": {} },
        { "id": "organize", "options": { "excludeByName": { "Time": true }, "indexByName": {}, "renameByName": names } },
    ])
}
