use super::*;
use crate::{
    Endpoint, ErrorStatus, Exemplar, Format, Heaviest, Heavy, Outcome, Row, Served, Status, exposition,
    labels, metrics, policy_labels,
};
use std::collections::HashMap;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// A name that anybody may choose.
struct Name(String);

impl Heavy for Name {
    const WHAT: &'static str = "a name";

    fn text(&self) -> &str {
        &self.0
    }

    fn admits(text: &str) -> bool {
        text.len() < 20 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    }
}

labels! {
    /// what took the time
    enum Step { Read = "read", Write = "write" }
}

policy_labels! {
    /// a shop, and a shelf in it
    struct Shelf;
}

static SHELVES: crate::Condition = crate::Condition("there are shelves");

metrics! {
    /// Families of all forms.
    struct Forms {
        /// Requests.
        requests_total: Counter { status_code: Status, endpoint: Endpoint }, promql "";
        /// Errors.
        errors_total: Counter { status_code: ErrorStatus, endpoint: Endpoint }, promql "";
        /// Requests of {service}.
        served named "{service}_requests_total": Counter { status_code: Status, service/endpoint: Served }, promql "";
        /// Times.
        step_seconds: Histogram(&[10, 20]) { step: Step }, promql "";
        /// Names.
        names_total: Counter { status: Outcome, name: Heaviest<Name, 2> }, promql "";
        /// Books.
        books: Gauge { shop/shelf: Shelf }, when SHELVES, promql "";
    }
}

fn row<const N: usize>(texts: [&'static str; N]) -> Row {
    texts.map(Into::into).into()
}

fn vocabulary(instance: &str) -> Vocabulary {
    let mut vocabulary = Vocabulary::new(instance, &[200, 404]);
    vocabulary.define::<Endpoint>(["/a", "/b\"\\\n"].map(|endpoint| row([endpoint])));
    vocabulary.define::<Served>([["one", "/a"], ["two", "/a"], ["one", "/c"]].map(row));
    vocabulary.define::<Shelf>([["north", "1"], ["south", "2"]].map(row));
    vocabulary.allow(&SHELVES);
    vocabulary
}

/// A worker, and the host's totals.
struct Worker {
    registry: Registry,
    forms: Forms,
    totals: HashMap<usize, u64>,
}

impl Worker {
    fn of(vocabulary: &Vocabulary) -> Self {
        let mut registry = Registry::new();
        let forms = Forms::build(&mut registry, vocabulary);
        Self { registry, forms, totals: HashMap::new() }
    }

    fn start() -> Self {
        Self::of(&vocabulary(""))
    }

    fn changes(&mut self) -> Vec<(usize, Change)> {
        let mut changes = Vec::new();
        self.registry.flush(|stat, change| changes.push((stat.0, change)));
        changes
    }

    fn text(&mut self) -> String {
        for (stat, change) in self.changes() {
            let value = self.totals.entry(stat).or_default();
            match change {
                Change::Add(by) => *value = value.wrapping_add_signed(by),
                Change::Set(level) => *value = level.cast_unsigned(),
            }
        }
        exposition(&self.registry, Format::Text, |stat| self.totals.get(&stat.0).copied().unwrap_or(0))
    }

    /// The series that are not 0.
    fn moved(&mut self) -> Vec<String> {
        let text = self.text();
        text.lines()
            .filter(|line| !line.starts_with('#') && !line.ends_with(" 0"))
            .map(str::to_owned)
            .collect()
    }

    fn stats(&self) -> Vec<String> {
        self.registry.stats_from(0).map(|stat| stat.name).collect()
    }
}

#[test]
fn every_series_that_the_policy_makes_possible_is_there_at_zero() {
    let mut worker = Worker::start();
    let text = worker.text();
    for line in [
        "# HELP requests_total Requests.",
        "# TYPE requests_total counter",
        "requests_total{status_code=\"404\",endpoint=\"/a\"} 0",
        "requests_total{status_code=\"other\",endpoint=\"/b\\\"\\\\\\n\"} 0",
        "errors_total{status_code=\"404\",endpoint=\"/a\"} 0",
        "# HELP one_requests_total Requests of one.",
        "one_requests_total{status_code=\"200\",endpoint=\"/c\"} 0",
        "two_requests_total{status_code=\"200\",endpoint=\"/a\"} 0",
        "step_seconds_bucket{step=\"read\",le=\"0.00001\"} 0",
        "step_seconds_bucket{step=\"write\",le=\"+Inf\"} 0",
        "step_seconds_sum{step=\"read\"} 0",
        "names_total{status=\"failure\",name=\"other\"} 0",
        "books{shop=\"south\",shelf=\"2\"} 0",
    ] {
        assert!(text.lines().any(|l| l == line), "no line `{line}` in\n{text}");
    }
    assert!(!text.contains("errors_total{status_code=\"200\""), "200 is no error");
    assert!(!text.contains("two_requests_total{status_code=\"200\",endpoint=\"/c\"}"), "two serves no /c");
    assert_eq!(text.lines().filter(|line| line.starts_with("# TYPE one_requests_total ")).count(), 1);
}

#[test]
fn text_and_stats_have_the_same_series_in_the_same_order_of_stats() {
    let mut worker = Worker::start();
    worker.forms.requests_total.inc(&mut worker.registry, (Status(418), Endpoint(0)));
    let stats = worker.stats();
    assert_eq!(stats.len(), worker.registry.stat_count());
    assert_eq!(stats[0], "status_code=.=200;.;endpoint=.=/a;.;requests_total");
    assert_eq!(stats.last().unwrap(), "status_code=.=418;.;endpoint=.=/a;.;requests_total");
    let text = worker.text();
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(series, stats.len());
}

#[test]
fn a_flush_hands_over_each_change_once() {
    let mut worker = Worker::start();
    worker.forms.requests_total.add(&mut worker.registry, (Status(200), Endpoint(1)), 2);
    worker.forms.requests_total.inc(&mut worker.registry, (Status(200), Endpoint(1)));
    assert_eq!(worker.changes(), [(1, Change::Add(3))]);
    assert_eq!(worker.changes(), []);
}

#[test]
fn buckets_are_cumulative_and_a_bound_belongs_to_its_bucket() {
    let mut worker = Worker::start();
    for micros in [10, 11, 25] {
        worker.forms.step_seconds.observe(&mut worker.registry, Step::Write, micros);
    }
    let expected = [
        "step_seconds_bucket{step=\"write\",le=\"0.00001\"} 1",
        "step_seconds_bucket{step=\"write\",le=\"0.00002\"} 2",
        "step_seconds_bucket{step=\"write\",le=\"+Inf\"} 3",
        "step_seconds_sum{step=\"write\"} 0.000046",
        "step_seconds_count{step=\"write\"} 3",
    ];
    assert_eq!(worker.moved(), expected);
    worker.forms.step_seconds.observe(&mut worker.registry, Step::Write, 15);
    assert!(worker.moved().contains(&"step_seconds_bucket{step=\"write\",le=\"0.00002\"} 3".to_owned()));
}

#[test]
fn a_gauge_of_all_workers_is_flushed_as_its_signed_difference_and_not_at_all_when_that_is_none() {
    let mut worker = Worker::start();
    worker.forms.books.shift(&mut worker.registry, Shelf(0), 5);
    worker.forms.books.shift(&mut worker.registry, Shelf(0), -7);
    assert_eq!(worker.moved(), ["books{shop=\"north\",shelf=\"1\"} -2"]);
    worker.forms.books.shift(&mut worker.registry, Shelf(0), 3);
    worker.forms.books.shift(&mut worker.registry, Shelf(0), -3);
    assert_eq!(worker.changes(), []);
}

#[test]
fn of_a_level_only_the_last_word_is_flushed_and_zero_is_a_level() {
    let mut worker = Worker::start();
    worker.forms.books.set(&mut worker.registry, Shelf(1), -1);
    worker.forms.books.set(&mut worker.registry, Shelf(1), 0);
    let changes = worker.changes();
    assert_eq!(changes.iter().map(|(_, change)| *change).collect::<Vec<_>>(), [Change::Set(0)]);
}

#[test]
fn an_unlisted_status_gets_its_series_and_other_workers_hear_of_it() {
    let (mut one, mut two) = (Worker::start(), Worker::start());
    one.forms.served.inc(&mut one.registry, (Status(418), Served(1)));
    one.forms.served.inc(&mut one.registry, (Status(418), Served(1)));
    assert_eq!(one.moved(), ["two_requests_total{status_code=\"418\",endpoint=\"/a\"} 2"]);
    let born = one.registry.take_born();
    assert_eq!(born, ["{service}_requests_total\u{1f}418\u{1f}two\u{1f}/a"]);
    assert!(one.registry.take_born().is_empty());
    born.iter().for_each(|key| two.registry.adopt(key));
    assert!(two.registry.take_born().is_empty(), "what was heard is not news");
    assert!(two.text().contains("two_requests_total{status_code=\"418\",endpoint=\"/a\"} 0\n"));
}

#[test]
fn what_this_policy_cannot_have_is_not_adopted() {
    let mut worker = Worker::start();
    let before = worker.registry.len();
    for foreign in [
        "",
        "no_such_family\u{1f}x",
        "requests_total\u{1f}418\u{1f}/of/an/older/policy",
        "requests_total\u{1f}4x8\u{1f}/a",
        "requests_total\u{1f}418",
        "requests_total\u{1f}418\u{1f}/a\u{1f}/a",
        "errors_total\u{1f}302\u{1f}/a",
        "{service}_requests_total\u{1f}418\u{1f}two\u{1f}/c",
        "step_seconds\u{1f}sleep",
        "names_total\u{1f}success\u{1f}no name",
    ] {
        assert!(!worker.registry.is_possible(foreign), "{foreign:?}");
        worker.registry.adopt(foreign);
    }
    assert_eq!(worker.registry.len(), before);
    assert!(worker.registry.is_possible("requests_total\u{1f}418\u{1f}/a"));
}

#[test]
fn when_the_registry_is_full_nothing_goes_uncounted() {
    let mut worker = Worker::start();
    worker.registry.limit(worker.registry.len());
    worker.forms.requests_total.inc(&mut worker.registry, (Status(418), Endpoint(0)));
    worker.forms.served.inc(&mut worker.registry, (Status(418), Served(2)));
    assert_eq!(
        worker.moved(),
        [
            "requests_total{status_code=\"other\",endpoint=\"/a\"} 1",
            "one_requests_total{status_code=\"other\",endpoint=\"/c\"} 1"
        ]
    );
    assert_eq!(worker.registry.take_overflow(), 2);
    assert!(worker.registry.take_born().is_empty());
}

#[test]
fn a_value_that_the_policy_does_not_have_moves_nothing() {
    let mut worker = Worker::start();
    worker.forms.requests_total.inc(&mut worker.registry, (Status(200), Endpoint(9)));
    worker.forms.requests_total.inc(&mut worker.registry, (Status(418), Endpoint(9)));
    worker.forms.errors_total.inc(&mut worker.registry, (ErrorStatus(204), Endpoint(0)));
    worker.forms.books.set(&mut worker.registry, Shelf(2), 1);
    assert_eq!(worker.changes(), []);
    assert_eq!(worker.registry.take_overflow(), 0);
}

#[test]
fn a_family_that_the_policy_has_no_use_for_is_not_there_and_takes_everything() {
    let mut worker = Worker::of(&Vocabulary::new("", &[200]));
    worker.forms.books.set(&mut worker.registry, Shelf(0), 1);
    worker.forms.requests_total.inc(&mut worker.registry, (Status(200), Endpoint(0)));
    let text = worker.text();
    for absent in ["books", "requests_total", "errors_total"] {
        assert!(!text.contains(absent), "{absent} in\n{text}");
    }
    assert!(text.contains("step_seconds"));
}

#[test]
fn only_the_heaviest_names_get_series_and_every_name_is_counted() {
    let mut worker = Worker::start();
    let before = worker.registry.len();
    let total = 100_000;
    for n in 0..total {
        let name = if n % 4 == 0 { Name("heavy".into()) } else { Name(format!("once-{n}")) };
        worker.forms.names_total.inc(&mut worker.registry, (Outcome::Failure, &name));
    }
    let moved = worker.moved();
    let value = |line: &str| line.rsplit_once(' ').unwrap().1.parse::<u32>().unwrap();
    assert_eq!(moved.iter().map(|line| value(line)).sum::<u32>(), total);
    let heavy = moved.iter().find(|line| line.contains("heavy")).unwrap();
    assert!(value(heavy) > total / 4 - 20, "{heavy}");
    assert_eq!((moved.len(), worker.registry.len()), (2, before + 1), "{moved:?}");
}

#[test]
fn names_that_are_heavy_one_after_another_are_bounded_too() {
    let mut worker = Worker::start();
    for n in 0..12 {
        let name = Name(format!("heavy-{n}"));
        (0..20_000)
            .for_each(|_| worker.forms.names_total.inc(&mut worker.registry, (Outcome::Success, &name)));
    }
    assert_eq!(worker.registry.take_born().len(), 2 * NAMES_PER_HEAVIEST);
    assert!(worker.registry.take_overflow() > 0);
    assert!(worker.moved().iter().any(|line| line.contains("name=\"other\"")));
}

#[test]
fn another_instance_has_series_of_its_own_and_the_only_one_no_further_label() {
    let (mut only, mut edge) = (Worker::start(), Worker::of(&vocabulary("edge")));
    edge.forms.requests_total.inc(&mut edge.registry, (Status(418), Endpoint(0)));
    let (only_stats, edge_stats) = (only.stats(), edge.stats());
    assert!(
        edge_stats
            .iter()
            .all(|name| name.contains("portcullis_instance=.=edge;.;") && !only_stats.contains(name))
    );
    assert!(only_stats.iter().all(|name| !name.contains("portcullis_instance")));
    let moved = "requests_total{portcullis_instance=\"edge\",status_code=\"418\",endpoint=\"/a\"} 1";
    assert_eq!(edge.moved(), [moved]);
    assert!(!only.text().contains("portcullis_instance"));
}

#[test]
fn the_hosts_rules_know_every_label_and_no_other() {
    let labels = Registry::labels(Forms::FAMILIES.iter());
    let mut worker = Worker::of(&vocabulary("edge"));
    worker.forms.requests_total.inc(&mut worker.registry, (Status(418), Endpoint(0)));
    let stats = worker.stats();
    let tags = stats.iter().flat_map(|name| name.split(";.;").filter_map(|tag| tag.split_once("=.=")));
    let used: BTreeSet<&str> = tags.map(|(label, _)| label).collect();
    assert_eq!(used, labels);
}

#[test]
fn two_families_of_one_name_are_found() {
    let mut vocabulary = vocabulary("");
    assert!(Worker::of(&vocabulary).registry.doubled().is_empty());
    vocabulary.define::<Served>([["names", "/a"], ["one", "/a"], ["names", "/b"]].map(row));
    let mut registry = Registry::new();
    let forms = Forms::build(&mut registry, &vocabulary);
    assert!(registry.doubled().is_empty());
    metrics! {
        /// A family whose name a service could make.
        struct Clash {
            /// Requests.
            names_requests_total: Counter {}, promql "";
        }
    }
    let clash = Clash::build(&mut registry, &vocabulary);
    assert_eq!(registry.doubled(), ["names_requests_total"]);
    clash.names_requests_total.inc(&mut registry, ());
    drop(forms);
}

#[test]
fn openmetrics_has_counters_by_their_family_units_exemplars_and_an_end() {
    let mut worker = Worker::of(&vocabulary(""));
    let exemplar = Exemplar { trace: *b"0af7651916cd43dd8448eb211c80319c", at_millis: 1_767_225_600_250 };
    worker.forms.requests_total.inc(&mut worker.registry, (Status(200), Endpoint(0)));
    worker.forms.step_seconds.observe_traced(&mut worker.registry, Step::Read, 15, Some(exemplar));
    let mut totals = HashMap::<usize, u64>::new();
    worker.registry.flush(|stat, change| {
        let Change::Add(by) = change else { panic!("{change:?}") };
        *totals.entry(stat.0).or_default() += by.unsigned_abs();
    });
    let text =
        exposition(&worker.registry, Format::OpenMetrics, |stat| totals.get(&stat.0).copied().unwrap_or(0));
    for expected in [
        "# TYPE requests counter\n# HELP requests Requests.\nrequests_total{status_code=\"200\",endpoint=\"/a\"} 1\n",
        "# TYPE one_requests counter\n",
        "# TYPE step_seconds histogram\n# HELP step_seconds Times.\n# UNIT step_seconds seconds\n",
        "step_seconds_bucket{step=\"read\",le=\"0.00001\"} 0\n",
        "step_seconds_bucket{step=\"read\",le=\"0.00002\"} 1 # {trace_id=\"0af7651916cd43dd8448eb211c80319c\"} 0.000015 1767225600.25\n",
        "step_seconds_bucket{step=\"read\",le=\"+Inf\"} 1\n",
    ] {
        assert!(text.contains(expected), "{expected}\nis not in\n{text}");
    }
    assert!(text.ends_with("\n# EOF\n") && text.matches("# EOF").count() == 1);
    assert!(!exposition(&worker.registry, Format::Text, |_| 0).contains("trace_id"));
}
