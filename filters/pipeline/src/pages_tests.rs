use super::*;
use portcullis_edge_core::MemoryHost;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const INTERVAL: Duration = Duration::from_secs(10);

fn pages(policy: &str) -> Pages {
    Pages::new(&Namespace::new("edge"), policy)
}

fn ask(pages: &Pages, host: &MemoryHost, would_be: &str) -> String {
    pages.text(Format::Text, INTERVAL, host, || would_be.to_owned())
}

/// Makes as many texts as may be made in one interval, the last one `last`.
fn used_up(pages: &Pages, host: &MemoryHost, last: &str) {
    (1..TEXTS).for_each(|_| assert_eq!(ask(pages, host, "one of many"), "one of many"));
    assert_eq!(ask(pages, host, last), last);
}

#[test]
fn the_last_text_of_any_worker_is_given_out_again() {
    let (host, one, other) = (MemoryHost::default(), pages("p"), pages("p"));
    used_up(&one, &host, "own");
    assert_eq!(ask(&one, &host, "too many"), "own");
    assert_eq!(ask(&other, &host, "of the other"), "of the other");
    assert_eq!(ask(&one, &host, "too many"), "of the other", "begun at the same time, and later");
}

/// Each interval has its texts; those of the other format are from the interval before.
#[test]
fn a_text_is_younger_than_the_interval_however_many_were_made() {
    let (host, one) = (MemoryHost::default(), pages("p"));
    let open = |made: &str| one.text(Format::OpenMetrics, INTERVAL, &host, || made.to_owned());
    assert_eq!(open("first"), "first");
    host.advance(INTERVAL);
    used_up(&one, &host, "text");
    assert_eq!((open("second").as_str(), open("third").as_str()), ("second", "second"));
}

#[test]
fn a_text_that_was_begun_earlier_replaces_none() {
    let (host, slow, other) = (MemoryHost::default(), pages("p"), pages("p"));
    let made = slow.text(Format::Text, INTERVAL, &host, || {
        host.advance(Duration::from_millis(1));
        used_up(&other, &host, "newer");
        "older".to_owned()
    });
    assert_eq!((made.as_str(), ask(&other, &host, "too many").as_str()), ("older", "newer"));
}

#[test]
fn another_policys_text_is_no_text_and_the_bound_holds() {
    let (host, old, new) = (MemoryHost::default(), pages("old"), pages("new"));
    used_up(&new, &host, "new policy's");
    assert_eq!(ask(&old, &host, "old policy's"), "old policy's");
    assert_eq!(ask(&new, &host, "too many"), "new policy's");
}

#[test]
fn without_shared_data_a_worker_has_its_own() {
    let (host, one) = (MemoryHost::default(), pages("p"));
    host.fail_shared(true);
    used_up(&one, &host, "own");
    assert_eq!(ask(&one, &host, "too many"), "own");
}

#[test]
fn each_format_has_a_text_of_its_own() {
    let (host, one) = (MemoryHost::default(), pages("p"));
    used_up(&one, &host, "text");
    let open = |made: &str| one.text(Format::OpenMetrics, INTERVAL, &host, || made.to_owned());
    assert_eq!((open("open").as_str(), open("too many").as_str()), ("open", "open"));
    assert_eq!(ask(&one, &host, "too many"), "text");
}

#[test]
fn what_stands_there_in_another_form_is_replaced() {
    let (host, one) = (MemoryHost::default(), pages("p"));
    for value in [&b""[..], b"p", b"\n", b"x p\ntext", b"1 p", b"\xff p\ntext"] {
        update(&host, "portcullis/edge/page.text", |bytes| (value.clone_into(bytes), true)).unwrap();
        assert!(one.text.shared(&host).is_none());
    }
    assert_eq!((ask(&one, &host, "made"), one.text.shared(&host).unwrap().1), ("made".into(), "made".into()));
}

#[test]
fn sixteen_copies_are_out_at_once_on_each_listener() {
    let pages = pages("p");
    (0..16).for_each(|_| assert!(pages.take(Reader::Gateway)));
    assert!(!pages.take(Reader::Gateway) && pages.take(Reader::Monitoring));
    pages.give_back(Reader::Gateway);
    assert!(pages.take(Reader::Gateway) && !pages.take(Reader::Gateway));
}
