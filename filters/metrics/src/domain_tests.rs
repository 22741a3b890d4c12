use super::*;
use crate::{
    Change, ErrorStatus, Format, Heaviest, Heavy, Outcome, Registry, Service, Status, exposition, is_status,
    metrics,
};
use std::collections::HashMap;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// A name of lower-case letters.
struct Name(&'static str);

impl Heavy for Name {
    const WHAT: &'static str = "a name";

    fn text(&self) -> &str {
        self.0
    }

    fn admits(text: &str) -> bool {
        text.bytes().all(|b| b.is_ascii_lowercase())
    }
}

metrics! {
    /// Families of one, two and three keys.
    struct Families {
        /// One key.
        one_total: Counter { status_code: Status }, promql "";
        /// A key that the policy defines.
        service_total: Counter { service: Service }, promql "";
        /// Two keys.
        two_total: Counter { status: Outcome, status_code: ErrorStatus }, promql "";
        /// Three keys.
        three_total: Counter { status: Outcome, status_code: Status, service: Service }, promql "";
        /// A key of which only some values are named.
        names_total: Counter { name: Heaviest<Name, 2> }, promql "";
    }
}

fn vocabulary() -> Vocabulary {
    let mut vocabulary = Vocabulary::new("", &[200, 404]);
    vocabulary.define::<Service>(["user", "order"].map(|service| vec![service.into()]));
    vocabulary
}

struct Worker(Registry, Families);

impl Worker {
    fn start() -> Self {
        let mut registry = Registry::new();
        let families = Families::build(&mut registry, &vocabulary());
        Self(registry, families)
    }

    /// The series that have moved since the last time, which are of counters.
    fn moved(&mut self) -> Vec<String> {
        let mut totals = HashMap::new();
        self.0.flush(|stat, change| {
            let Change::Add(by) = change else { panic!("{change:?}") };
            totals.insert(stat.0, by.unsigned_abs());
        });
        let text = exposition(&self.0, Format::Text, |stat| totals.get(&stat.0).copied().unwrap_or(0));
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.ends_with(" 0"));
        lines.map(str::to_owned).collect()
    }
}

#[test]
fn what_the_policy_names_counts_in_the_series_that_is_there_from_the_start() {
    let mut worker = Worker::start();
    let before = worker.0.len();
    let Worker(registry, families) = &mut worker;
    families.one_total.add(registry, Status(404), 2);
    families.service_total.add(registry, Service(1), 3);
    families.two_total.add(registry, (Outcome::Failure, ErrorStatus(404)), 4);
    families.three_total.add(registry, (Outcome::Failure, Status(200), Service(1)), 5);
    families.three_total.add(registry, (Outcome::Success, Status(404), Service(0)), 6);
    let expected = [
        "one_total{status_code=\"404\"} 2",
        "service_total{service=\"order\"} 3",
        "two_total{status=\"failure\",status_code=\"404\"} 4",
        "three_total{status=\"success\",status_code=\"404\",service=\"user\"} 6",
        "three_total{status=\"failure\",status_code=\"200\",service=\"order\"} 5",
    ];
    assert_eq!(worker.moved(), expected);
    assert_eq!((worker.0.len(), worker.0.take_born()), (before, vec![]));
}

#[test]
fn a_status_that_the_policy_does_not_name_gets_its_series_beside_any_other_labels() {
    let mut worker = Worker::start();
    let before = worker.0.len();
    let Worker(registry, families) = &mut worker;
    for _ in 0..2 {
        families.one_total.inc(registry, Status(418));
        families.two_total.inc(registry, (Outcome::Failure, ErrorStatus(418)));
        families.three_total.inc(registry, (Outcome::Success, Status(418), Service(1)));
    }
    let expected = [
        "one_total{status_code=\"418\"} 2",
        "two_total{status=\"failure\",status_code=\"418\"} 2",
        "three_total{status=\"success\",status_code=\"418\",service=\"order\"} 2",
    ];
    assert_eq!((worker.moved(), worker.0.len()), (expected.map(str::to_owned).to_vec(), before + 3));
}

#[test]
fn what_neither_the_policy_nor_the_label_knows_moves_nothing() {
    let mut worker = Worker::start();
    let Worker(registry, families) = &mut worker;
    for unknown in [2, 3, usize::MAX] {
        families.service_total.inc(registry, Service(unknown));
        families.three_total.inc(registry, (Outcome::Success, Status(200), Service(unknown)));
        families.three_total.inc(registry, (Outcome::Success, Status(418), Service(unknown)));
    }
    families.two_total.inc(registry, (Outcome::Success, ErrorStatus(302)));
    assert_eq!((worker.moved(), worker.0.take_overflow()), (vec![], 0));
}

/// The way by the offset is the short one: that of nearly every request.
#[test]
fn a_series_that_is_there_is_found_by_its_place_and_no_other_has_one() {
    let axes =
        [Axis::of(["success", "failure"]), Status::axis(&vocabulary()), vocabulary().axis::<Service>()];
    let three = |values| <(Outcome, Status, Service)>::offset(&values, &axes);
    let all = [Outcome::Success, Outcome::Failure].into_iter().flat_map(|outcome| {
        let statuses = [200, 404].into_iter().enumerate();
        statuses.flat_map(move |status| (0..2).map(move |service| (outcome, status, service)))
    });
    for (outcome, (place, status), service) in all {
        let first = if outcome == Outcome::Success { 0 } else { 6 };
        let found = three((outcome, Status(status), Service(service)));
        assert_eq!(found, Some(first + place * 2 + service), "{outcome:?} {status} {service}");
    }
    assert_eq!(three((Outcome::Success, Status(418), Service(0))), None);
    assert_eq!(three((Outcome::Success, Status(200), Service(2))), None);
    let two = |values| <(Outcome, Status)>::offset(&values, &axes);
    assert_eq!((two((Outcome::Failure, Status(404))), two((Outcome::Failure, Status(418)))), (Some(4), None));
    let one = |value| <Outcome as Domains>::offset(&value, &axes);
    assert_eq!((one(Outcome::Success), one(Outcome::Failure)), (Some(0), Some(1)));
}

#[test]
fn series_that_other_workers_saw_born_are_possible_where_their_labels_admit_them() {
    let worker = Worker::start();
    for possible in [
        "one_total\u{1f}302",
        "two_total\u{1f}failure\u{1f}418",
        "three_total\u{1f}success\u{1f}418\u{1f}order",
        "names_total\u{1f}somebody",
    ] {
        assert!(worker.0.is_possible(possible), "{possible:?}");
    }
    for impossible in ["two_total\u{1f}failure\u{1f}302", "names_total\u{1f}NOBODY"] {
        assert!(!worker.0.is_possible(impossible), "{impossible:?}");
    }
}

#[test]
fn a_status_has_three_digits() {
    for (text, least, expected) in [
        ("100", 100, true),
        ("418", 400, true),
        ("999", 400, true),
        ("399", 400, false),
        ("099", 100, false),
        ("0418", 100, false),
        ("+418", 100, false),
        ("4x8", 100, false),
        ("1000", 100, false),
        ("", 0, false),
    ] {
        assert_eq!(is_status(text, least), expected, "{text:?}");
    }
}

#[test]
fn a_registry_is_empty_until_a_family_has_a_series() {
    let mut registry = Registry::new();
    assert!(registry.is_empty());
    let families = Families::build(&mut registry, &vocabulary());
    assert!(!registry.is_empty() && !registry.stats_from(0).collect::<Vec<_>>().is_empty());
    families.names_total.inc(&mut registry, &Name("somebody"));
}
