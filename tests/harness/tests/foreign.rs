//! Foreign functions of a host of one's own.

mod support;

use portcullis_harness::{Error, Request, Status, Upstream};
use support::{callbacks, results, with_probe};

type Result = std::result::Result<(), Error>;

#[test]
fn a_function_of_the_tests_own_is_called_with_its_arguments() -> Result {
    let script = "request_headers foreign shout hello\nrequest_headers foreign fails x\nrequest_headers foreign nobody x";
    let mut proxy = with_probe(script)
        .foreign_function("shout", |arguments| Ok(arguments.to_ascii_uppercase()))
        .foreign_function("fails", |_| Err(Status::NotFound))
        .upstream("web", Upstream::respond(200))
        .build()?;
    let logs = proxy.send(Request::get("/"))?.logs;
    assert_eq!(results(&logs, "request_headers foreign shout hello"), ["0 \"HELLO\""]);
    assert_eq!(results(&logs, "request_headers foreign fails x"), ["1 \"\""]);
    assert_eq!(results(&logs, "request_headers foreign nobody x"), ["1 \"\""]);
    Ok(())
}

#[test]
fn what_a_function_answers_later_is_read_in_its_callback_and_nowhere_else() -> Result {
    let script = "foreign_function body 8 0 100\nrequest_headers body 8 0 100";
    let mut proxy = with_probe(script).workers(2).upstream("web", Upstream::respond(200)).build()?;
    proxy.call_foreign(7, "later");
    proxy.send(Request::get("/"))?;
    let logs = proxy.logs();
    assert_eq!(results(&logs, "foreign_function body 8 0 100"), ["0 \"later\""; 2]);
    assert_eq!(results(&logs, "request_headers body 8 0 100"), ["0 \"\""]);
    let called =
        callbacks(&logs).into_iter().filter(|line| line.starts_with("foreign_function")).collect::<Vec<_>>();
    assert_eq!(called, ["foreign_function ctx=1 function=7 n=5"; 2]);
    Ok(())
}
