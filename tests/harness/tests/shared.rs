//! Shared data and shared queues, written and read from outside.

mod support;

use portcullis_harness::{Error, Request, Upstream};
use support::{results, with_probe};

type Result = std::result::Result<(), Error>;

#[test]
fn a_plugin_finds_what_was_there_before_it_and_is_read_and_written_between_requests() -> Result {
    let script = "vm_start shared key\nrequest_headers shared key\nrequest_headers share own mine 0";
    let mut proxy = with_probe(script)
        .shared_data("", "key", "first")
        .upstream("web", Upstream::respond(200))
        .only_worker_vms()
        .build()?;
    assert_eq!(results(&proxy.logs(), "vm_start shared key"), ["0 \"first\""]);
    proxy.set_shared_data("", "key", "second");
    let logs = proxy.send(Request::get("/"))?.logs;
    assert_eq!(results(&logs, "request_headers shared key"), ["0 \"second\""]);
    assert_eq!(proxy.shared_data("", "own").map(|(value, _)| value), Some(b"mine".to_vec()));
    assert_eq!(proxy.shared_data("another", "own"), None);
    Ok(())
}

#[test]
fn whoever_has_registered_a_queue_hears_of_a_message_from_outside() -> Result {
    let script = "vm_start register jobs\nqueue_ready dequeue 1\nrequest_headers register out\nrequest_headers enqueue q done";
    let mut proxy = with_probe(script)
        .queued("", "jobs", "early")
        .upstream("web", Upstream::respond(200))
        .only_worker_vms()
        .build()?;
    proxy.run();
    // Nobody was told of what was there before.
    assert_eq!(results(&proxy.logs(), "queue_ready dequeue 1"), [""; 0]);
    proxy.enqueue("", "jobs", "late");
    proxy.run();
    assert_eq!(results(&proxy.logs(), "queue_ready dequeue 1"), ["0 \"early\""]);
    proxy.send(Request::get("/"))?;
    assert_eq!(proxy.dequeue("", "out"), Some(b"done".to_vec()));
    assert_eq!(proxy.dequeue("", "out"), None);
    assert_eq!(proxy.dequeue("", "nobody"), None);
    Ok(())
}
