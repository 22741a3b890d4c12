//! A dashboard as data: what is asked, and how the answer is shown. `grafana` writes it as Grafana's JSON.

/// Where a query goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Prometheus.
    Metrics,
    /// Loki.
    Logs,
}

/// Whether a query is asked over time, or once for the whole time that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// At each step.
    OverTime,
    /// Once, at the end.
    Once,
}

/// A query of a panel. `{@}` and `{@,..}` stand for the labels that the dashboard's variables choose, `[rate]` for the interval that fits
/// scrapes and zoom, `[range]` for the time that is looked at.
#[derive(Clone, Debug)]
pub struct Query {
    /// PromQL or LogQL.
    pub expr: String,
    /// What a series is called: text with `{{label}}`.
    pub legend: String,
    /// Where it goes.
    pub source: Source,
    /// When.
    pub asked: Asked,
}

/// How a panel draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The last value, large.
    Stat,
    /// Lines over time.
    Lines,
    /// Areas on each other.
    Stacked,
    /// Areas on each other that fill the panel.
    Shares,
    /// Bars, one a series.
    Bars,
    /// Slices of a whole.
    Pie,
    /// Rows and columns; queries are joined by their labels.
    Table,
    /// Buckets over time.
    Heatmap,
    /// States over time.
    States,
    /// Nodes and edges: the first query and the second.
    Graph,
    /// Log lines.
    Logs,
}

/// What a panel's numbers are, in Grafana's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// Requests a second.
    PerSecond,
    /// Events a second that are no requests.
    EventsPerSecond,
    /// A share: 1 is the whole.
    Share,
    /// What is left of a budget: 1 is all of it, less than 0 is more than there was.
    Budget,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Bytes a second.
    BytesPerSecond,
    /// Processor cores.
    Cores,
    /// Cents of the currency that a policy's amounts are in.
    Cents,
    /// The currency of a site's prices.
    Currency,
    /// A number without a unit.
    Plain,
}

/// Where a value turns bad.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// Nowhere.
    None,
    /// Bad from here up.
    Above(f64),
    /// Bad below.
    Below(f64),
}

/// A panel.
#[derive(Clone, Debug)]
pub struct Panel {
    /// Its title; panels of one title ask the same, wherever they stand.
    pub title: String,
    /// What it says, for whoever sees it for the first time.
    pub description: String,
    /// How it draws.
    pub kind: Kind,
    /// What its numbers are.
    pub unit: Unit,
    /// Its queries.
    pub queries: Vec<Query>,
    /// Columns of 24.
    pub width: u32,
    /// Where a value turns bad.
    pub limit: Limit,
    /// Names of values, each with a colour.
    pub names: Vec<(u32, &'static str, &'static str)>,
    /// The dashboard that says more.
    pub more: Option<&'static str>,
}

/// Panels that belong together.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its title.
    pub title: String,
    /// Its panels, from left to right.
    pub panels: Vec<Panel>,
}

/// Whose instances a dashboard is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// Gateways.
    Gateways,
    /// A cluster's nodes and pods.
    Infrastructure,
}

/// A dashboard.
#[derive(Clone, Debug)]
pub struct Dashboard {
    /// Its title. Its uid is the same in small letters with hyphens.
    pub title: &'static str,
    /// What it answers.
    pub description: &'static str,
    /// Whose instances.
    pub about: About,
    /// Its rows.
    pub rows: Vec<Row>,
}

impl Query {
    /// The same, called this.
    fn new(legend: &str, expr: impl Into<String>, source: Source, asked: Asked) -> Self {
        Self { expr: expr.into(), legend: legend.to_owned(), source, asked }
    }
}

impl Panel {
    fn new(kind: Kind, title: &str, unit: Unit, description: &str) -> Self {
        let width = match kind {
            Kind::Stat => 4,
            Kind::Table | Kind::Graph | Kind::States => 12,
            Kind::Logs => 24,
            _ => 8,
        };
        Self {
            title: title.to_owned(),
            description: description.to_owned(),
            kind,
            unit,
            queries: Vec::new(),
            width,
            limit: Limit::None,
            names: Vec::new(),
            more: None,
        }
    }

    /// The newest value of one query.
    pub fn stat(title: &str, unit: Unit, description: &str, expr: impl Into<String>) -> Self {
        Self::new(Kind::Stat, title, unit, description).once("", expr)
    }

    /// A panel over time.
    pub fn over_time(kind: Kind, title: &str, unit: Unit, description: &str) -> Self {
        Self::new(kind, title, unit, description)
    }

    /// Values of the whole time that is looked at.
    pub fn totals(kind: Kind, title: &str, unit: Unit, description: &str) -> Self {
        Self::new(kind, title, unit, description)
    }

    /// Log lines.
    pub fn logs(title: &str, description: &str, expr: impl Into<String>) -> Self {
        let mut panel = Self::new(Kind::Logs, title, Unit::Count, description);
        panel.queries.push(Query::new("", expr, Source::Logs, Asked::OverTime));
        panel
    }

    /// Asks Prometheus at each step.
    pub fn query(mut self, legend: &str, expr: impl Into<String>) -> Self {
        self.queries.push(Query::new(legend, expr, Source::Metrics, Asked::OverTime));
        self
    }

    /// Asks Prometheus once.
    pub fn once(mut self, legend: &str, expr: impl Into<String>) -> Self {
        self.queries.push(Query::new(legend, expr, Source::Metrics, Asked::Once));
        self
    }

    /// Asks the log store once.
    pub fn of_logs(mut self, legend: &str, expr: impl Into<String>) -> Self {
        self.queries.push(Query::new(legend, expr, Source::Logs, Asked::Once));
        self
    }

    /// The same, so many columns of 24 wide.
    pub fn wide(mut self, width: u32) -> Self {
        self.width = width;
        self
    }

    /// The same, with a place where values turn bad.
    pub fn limit(mut self, limit: Limit) -> Self {
        self.limit = limit;
        self
    }

    /// The same, with names of values.
    pub fn named(mut self, names: &[(u32, &'static str, &'static str)]) -> Self {
        self.names = names.to_vec();
        self
    }

    /// The same, with a link to the dashboard that says more.
    pub fn more(mut self, uid: &'static str) -> Self {
        self.more = Some(uid);
        self
    }

    /// Rows of 24 pixels or so.
    pub fn height(&self) -> u32 {
        match self.kind {
            Kind::Stat => 4,
            Kind::Logs | Kind::Graph => 10,
            _ => 8,
        }
    }
}

impl Dashboard {
    /// Its fixed uid.
    pub fn uid(&self) -> String {
        self.title.to_lowercase().replace(' ', "-")
    }
}

/// A row.
pub fn row(title: &str, panels: Vec<Panel>) -> Row {
    Row { title: title.to_owned(), panels }
}

/// The share of `part` in `whole`: nothing where there is no whole, 0 where there is no part.
pub fn share(part: &str, whole: &str) -> String {
    format!("({part} or 0 * {whole}) / ({whole} > 0)")
}

/// How often the series of this selector were counted in the time that is looked at, by these labels: also what made a series exist, which
/// `increase` cannot see. For series that are not there from the start: statuses that the policy does not list, clients' networks.
pub fn counted(by: &str, series: &str) -> String {
    format!(
        "sum by ({by}) (increase({series}[range]) + ((min_over_time({series}[range]) unless {series} offset [range]) or 0 * increase({series}[range])))"
    )
}

/// Quantiles of a histogram, as queries of a panel.
pub fn quantiles(panel: Panel, quantiles: &[(&str, &str)], buckets: &str, by: &str) -> Panel {
    let by_and = if by.is_empty() { String::new() } else { format!(", {by}") };
    let legend = if by.is_empty() { String::new() } else { format!("{{{{{by}}}}} ") };
    quantiles.iter().fold(panel, |panel, (name, quantile)| {
        let expr = format!("histogram_quantile({quantile}, sum by (le{by_and}) (rate({buckets}[rate])))");
        panel.query(&format!("{legend}{name}"), expr)
    })
}

/// The usual three.
pub const P50_95_99: [(&str, &str); 3] = [("p50", "0.5"), ("p95", "0.95"), ("p99", "0.99")];
