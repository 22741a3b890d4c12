//! TCP filters, as measured on Envoy. `tests/scenarios/tcp` has the same on both sides.

mod support;

use portcullis_harness::{ConnectionOutcome, Error, FailurePolicy, Proxy, Side, Upstream};
use support::{callbacks, guest_file, results, with_probe};

type Result = std::result::Result<(), Error>;

fn probe(script: &str) -> std::result::Result<Proxy, Error> {
    with_probe(script).upstream("db", Upstream::respond(200)).build()
}

fn tap(words: &str) -> std::result::Result<Proxy, Error> {
    Proxy::builder()
        .module(guest_file("tcp_tap"))
        .config(words)
        .upstream("db", Upstream::respond(200))
        .build()
}

fn text(side: &Side) -> String {
    String::from_utf8_lossy(&side.bytes).into_owned()
}

fn of_upstream(outcome: &ConnectionOutcome) -> Option<String> {
    outcome.upstream.as_ref().map(text)
}

#[test]
fn a_filter_sees_both_directions_and_then_done_log_and_delete() -> Result {
    let mut proxy = probe("")?;
    let connection = proxy.connect();
    proxy.client_sends(&connection, "ping");
    proxy.upstream_sends(&connection, "pong");
    proxy.client_ends(&connection);
    assert!(!proxy.connection(&connection).closed, "the upstream may still send");
    proxy.upstream_ends(&connection);
    let outcome = proxy.connection(&connection);
    assert_eq!((text(&outcome.client), of_upstream(&outcome)), ("pong".into(), Some("ping".into())));
    assert!(outcome.closed && outcome.client.ended);
    let seen = callbacks(&proxy.logs());
    let of_connection: Vec<_> =
        seen.iter().filter(|line| line.contains("ctx=2")).map(String::as_str).collect();
    assert_eq!(
        of_connection,
        [
            "context_create ctx=2 parent=1",
            "new_connection ctx=2",
            "downstream_data ctx=2 n=4 eos=0",
            "upstream_data ctx=2 n=4 eos=0",
            "downstream_data ctx=2 n=0 eos=1",
            "upstream_data ctx=2 n=0 eos=1",
            "upstream_connection_close ctx=2 peer=0",
            "downstream_connection_close ctx=2 peer=1",
            "done ctx=2",
            "log ctx=2",
            "delete ctx=2",
        ]
    );
    Ok(())
}

#[test]
fn what_a_filter_stops_is_shown_again_with_what_comes() -> Result {
    let mut proxy = tap("lines upper")?;
    let connection = proxy.connect();
    proxy.client_sends(&connection, "ab");
    assert_eq!(of_upstream(&proxy.connection(&connection)), Some(String::new()));
    proxy.client_sends(&connection, "c\n");
    assert_eq!(of_upstream(&proxy.connection(&connection)), Some("ABC\n".into()));
    Ok(())
}

#[test]
fn what_was_held_back_goes_on_from_a_tick() -> Result {
    let mut proxy = tap("hold")?;
    let connection = proxy.connect();
    proxy.client_sends(&connection, "held");
    assert_eq!(of_upstream(&proxy.connection(&connection)), Some(String::new()));
    proxy.advance(std::time::Duration::from_secs(1));
    assert_eq!(of_upstream(&proxy.connection(&connection)), Some("held".into()));
    Ok(())
}

#[test]
fn a_stopped_connection_is_not_read() -> Result {
    let mut proxy = probe("new_connection return 1")?;
    let connection = proxy.connect();
    proxy.client_sends(&connection, "hello");
    proxy.client_resets(&connection);
    assert_eq!(proxy.connection(&connection), ConnectionOutcome::default());
    Ok(())
}

#[test]
fn buffers_are_those_of_the_callback() -> Result {
    let mut proxy = probe("downstream_data body 2 0 100\ndownstream_data body 3 0 100\nlog body 2 0 100")?;
    let connection = proxy.connect();
    proxy.client_sends(&connection, "hello");
    proxy.client_resets(&connection);
    let logs = proxy.logs();
    assert_eq!(results(&logs, "downstream_data body 2 0 100"), ["0 \"hello\""]);
    assert_eq!(results(&logs, "downstream_data body 3 0 100"), ["0 \"\""]);
    assert_eq!(results(&logs, "log body 2 0 100"), ["0 \"\""]);
    Ok(())
}

#[test]
fn nobody_at_the_upstream_closes_the_connection() -> Result {
    let mut proxy = with_probe("").upstream("db", Upstream::refuse()).build()?;
    let connection = proxy.connect();
    let outcome = proxy.connection(&connection);
    assert!(outcome.closed && outcome.upstream.is_none());
    assert!(callbacks(&proxy.logs()).contains(&"downstream_connection_close ctx=2 peer=1".to_owned()));
    Ok(())
}

#[test]
fn a_trap_closes_its_connection_and_all_that_come_unless_the_policy_is_open() -> Result {
    for (policy, closed) in [(FailurePolicy::Closed, true), (FailurePolicy::Open, false)] {
        let builder = with_probe("downstream_data trap").failure_policy(policy);
        let mut proxy = builder.upstream("db", Upstream::respond(200)).build()?;
        let first = proxy.connect();
        proxy.client_sends(&first, "hello");
        let second = proxy.connect();
        proxy.client_sends(&second, "hello");
        assert!(proxy.connection(&first).closed);
        assert_eq!(proxy.connection(&second).closed, closed);
        assert_eq!(proxy.failures().len(), 1);
    }
    Ok(())
}

#[test]
fn who_breaks_off_is_heard_by_the_other_as_a_reset() -> Result {
    let mut proxy = probe("")?;
    let (of_client, of_upstream) = (proxy.connect(), proxy.connect());
    proxy.client_resets(&of_client);
    proxy.upstream_resets(&of_upstream);
    assert!(proxy.connection(&of_client).upstream.is_some_and(|side| side.reset));
    assert!(proxy.connection(&of_upstream).client.reset);
    let seen = callbacks(&proxy.logs());
    assert!(seen.contains(&"downstream_connection_close ctx=2 peer=2".to_owned()));
    assert!(seen.contains(&"downstream_connection_close ctx=3 peer=1".to_owned()));
    Ok(())
}
