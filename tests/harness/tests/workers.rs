//! Several workers, several plugins, one process: start, shared state, time, configuration, failure.

mod support;

use std::time::Duration;

use portcullis_harness::{Error, FailurePolicy, Plugin, Proxy, Request, Upstream};
use support::{callbacks, guest, results, with_guest, with_probe};

type Result = std::result::Result<(), Error>;

fn web() -> portcullis_harness::Reply {
    Upstream::respond(200).body("hello")
}

#[test]
fn every_worker_the_main_thread_and_a_canary_configure_but_only_the_first_two_tick() -> Result {
    let mut proxy = with_probe("configure tick 1000").workers(3).upstream("web", web()).build()?;
    let count = |proxy: &Proxy, phase: &str| {
        callbacks(&proxy.logs()).iter().filter(|line| line.starts_with(phase)).count()
    };
    assert_eq!((count(&proxy, "vm_start"), count(&proxy, "configure")), (5, 5));
    proxy.advance(Duration::from_millis(3500));
    assert_eq!(count(&proxy, "tick"), 4 * 3);
    Ok(())
}

#[test]
fn a_timer_set_again_starts_anew_and_zero_stops_it() -> Result {
    let mut proxy = with_probe("configure tick 1000\nrequest_headers effective 1\nrequest_headers tick 0")
        .only_worker_vms()
        .upstream("web", web())
        .build()?;
    proxy.advance(Duration::from_millis(1500));
    proxy.send(Request::get("/"))?;
    proxy.advance(Duration::from_secs(10));
    assert_eq!(callbacks(&proxy.logs()).iter().filter(|line| line.starts_with("tick")).count(), 1);
    Ok(())
}

#[test]
fn metrics_are_one_for_all_workers_and_ids_are_each_vm_s_own() -> Result {
    let script = "configure define counter hits
        configure define counter hits
        configure define gauge level
        request_headers increment counter 2
        request_headers increment counter 0
        request_headers increment gauge -1
        request_headers increment histogram 1
        request_headers increment 400 1
        request_headers increment 402 1
        request_headers record 402 1
        request_headers record counter 5
        request_headers metric counter
        request_headers define 3 x";
    let mut proxy = with_probe(script).workers(2).upstream("web", web()).build()?;
    let first = proxy.send(Request::get("/"))?;
    let second = proxy.send(Request::get("/"))?;
    assert_eq!((first.worker, second.worker), (0, 1));
    assert_eq!(results(&first.logs, "request_headers increment counter 0"), ["2"]);
    assert_eq!(results(&first.logs, "request_headers increment 400 1"), ["1"]);
    assert_eq!(results(&first.logs, "request_headers increment 402 1"), ["2"]);
    assert_eq!(results(&first.logs, "request_headers record 402 1"), ["1"]);
    assert_eq!(results(&first.logs, "request_headers define 3 x"), ["2 0"]);
    assert_eq!(results(&second.logs, "request_headers metric counter"), ["0 14"]);
    assert_eq!((first.moved["hits"], first.moved["level"]), (7, -1));
    assert_eq!(proxy.metrics().gauge("level"), Some(u64::MAX - 1));
    let ids = results(&proxy.logs(), "configure define counter hits");
    assert_eq!(ids[..2], ["0 4", "0 8"]);
    Ok(())
}

#[test]
fn the_last_vm_that_registered_a_queue_is_told_after_the_stream_s_end() -> Result {
    let script = "configure register q
        request_headers resolve q
        request_headers resolve other
        request_headers dequeue
        request_headers dequeue 77
        request_headers enqueue q message
        queue_ready dequeue";
    let mut proxy = with_probe(script).workers(2).upstream("web", web()).build()?;
    let out = proxy.send(Request::get("/").on_worker(0))?;
    assert_eq!(results(&out.logs, "request_headers resolve q"), ["0 1"]);
    assert_eq!(results(&out.logs, "request_headers resolve other"), ["1 0"]);
    assert_eq!(results(&out.logs, "request_headers dequeue"), [r#"7 """#]);
    assert_eq!(results(&out.logs, "request_headers dequeue 77"), [r#"1 """#]);
    let told: Vec<_> = out.logs.iter().filter(|line| line.message.starts_with("> queue_ready")).collect();
    assert_eq!((told.len(), told[0].worker), (1, 1));
    assert_eq!(results(&out.logs, "queue_ready dequeue"), [r#"0 "message""#]);
    Ok(())
}

#[test]
fn plugins_are_asked_in_order_and_the_other_way_round_on_the_way_back() -> Result {
    let module = guest("probe");
    let plugin = |name: &str| {
        let script = format!("request_headers add 0 x-way {name}\nresponse_headers add 2 x-way {name}");
        Plugin::loaded(&module).name(name).vm_id(name).config(script)
    };
    let mut proxy = Proxy::builder()
        .plugin(plugin("a"))
        .plugin(plugin("b"))
        .plugin(plugin("c"))
        .upstream("web", web())
        .build()?;
    let out = proxy.send(Request::get("/"))?;
    let order = |headers: &portcullis_harness::HeaderMap| {
        headers.joined("x-way").map(|v| String::from_utf8(v).unwrap())
    };
    assert_eq!(order(&out.upstream.unwrap().headers).as_deref(), Some("a,b,c"));
    assert_eq!(order(out.client.headers.as_ref().unwrap()).as_deref(), Some("c,b,a"));
    let logged: Vec<_> = out
        .logs
        .iter()
        .filter(|line| line.message.starts_with("> log"))
        .map(|line| line.plugin.as_str())
        .collect();
    assert_eq!(logged, ["a", "b", "c"]);
    Ok(())
}

#[test]
fn a_plugin_behind_the_one_that_replied_never_sees_the_stream_but_in_its_log() -> Result {
    let module = guest("probe");
    let plugin = |name: &str, script: &str| Plugin::loaded(&module).name(name).vm_id(name).config(script);
    let mut proxy = Proxy::builder()
        .plugin(plugin("first", "request_headers reply 403 no"))
        .plugin(plugin("second", "log intprop response.code\nlog get 0 :path"))
        .upstream("web", web())
        .build()?;
    let out = proxy.send(Request::get("/x"))?;
    let of_second: Vec<_> =
        out.logs.iter().filter(|line| line.plugin == "second").map(|line| line.message.as_str()).collect();
    let expected = [
        "> context_create ctx=2 parent=1",
        "> log ctx=2",
        "log intprop response.code -> 0 Ok(403)",
        r#"log get 0 :path -> 0 "/x""#,
        "> done ctx=2",
        "> delete ctx=2",
    ];
    assert_eq!(of_second, expected);
    Ok(())
}

#[test]
fn a_refused_configuration_stops_the_start_and_says_why() {
    let refused = with_probe("configure log 4 no such option\nconfigure return 0").build();
    let Err(Error::ConfigurationRefused { plugin, logs }) = refused else { panic!("it must be refused") };
    assert_eq!(plugin, "probe");
    assert!(logs.iter().any(|line| line == "no such option"), "{logs:?}");
}

#[test]
fn a_vm_that_does_not_want_to_start_stops_the_start() {
    assert!(matches!(with_probe("vm_start return 0").build(), Err(Error::VmStartRefused { .. })));
}

#[test]
fn a_reload_keeps_the_vm_and_a_refused_one_keeps_the_old_configuration() -> Result {
    let script =
        |version: u32| format!("configure define counter v{version}\nrequest_headers set 0 x-v {version}");
    let mut proxy = with_probe(&script(1)).upstream("web", web()).build()?;
    let version =
        |proxy: &mut Proxy| proxy.send(Request::get("/")).unwrap().upstream.unwrap().header("x-v").unwrap();
    assert_eq!(version(&mut proxy), "1");
    assert!(matches!(proxy.reload("configure return 0"), Err(Error::ConfigurationRefused { .. })));
    assert_eq!(version(&mut proxy), "1");
    let memory = proxy.memory().len();
    proxy.reload(script(2))?;
    assert_eq!(proxy.memory().len(), memory);
    // The new root context lives in the old VM, and the old root was told to go.
    assert!(callbacks(&proxy.logs()).iter().any(|line| line == "delete ctx=1"));
    Ok(())
}

#[test]
fn a_closed_plugin_answers_503_for_ever_and_an_open_one_lets_everything_pass() -> Result {
    let build = |policy| with_guest("shared_counter").failure_policy(policy).upstream("web", web()).build();
    for (policy, status) in [(FailurePolicy::Closed, 503), (FailurePolicy::Open, 200)] {
        let mut proxy = build(policy)?;
        proxy.faults(|faults| {
            faults.status("proxy_set_shared_data", portcullis_harness::Status::InternalFailure, 1);
        });
        for _ in 0..3 {
            assert_eq!(proxy.send(Request::get("/"))?.client.status(), Some(status), "{policy:?}");
        }
        proxy.advance(Duration::from_secs(60));
        assert_eq!(proxy.send(Request::get("/"))?.client.status(), Some(status), "{policy:?}");
        assert_eq!(proxy.failures().len(), 1);
    }
    Ok(())
}

#[test]
fn a_reloading_plugin_comes_back_after_its_backoff_and_only_then() -> Result {
    let mut proxy =
        with_guest("shared_counter").failure_policy(FailurePolicy::Reload).upstream("web", web()).build()?;
    let trap = |proxy: &mut Proxy| {
        proxy.faults(|faults| {
            faults.status("proxy_set_shared_data", portcullis_harness::Status::InternalFailure, 1);
        });
        proxy.send(Request::get("/")).unwrap().client.status()
    };
    assert_eq!(trap(&mut proxy), Some(503));
    assert_eq!(proxy.send(Request::get("/"))?.client.status(), Some(200));
    assert_eq!(trap(&mut proxy), Some(503));
    assert_eq!(proxy.send(Request::get("/"))?.client.status(), Some(503));
    proxy.advance(Duration::from_millis(1600));
    assert_eq!(proxy.send(Request::get("/"))?.client.status(), Some(200));
    Ok(())
}

#[test]
fn interleaved_workers_race_and_compare_and_swap_keeps_the_count() -> Result {
    let mut races = 0;
    for seed in 0..20 {
        let mut proxy = with_guest("shared_counter")
            .workers(4)
            .only_worker_vms()
            .interleaved(seed)
            .upstream("web", web())
            .build()?;
        // Where no value is there yet, both writers of a race succeed: the first request goes alone.
        proxy.send(Request::get("/"))?;
        let streams: Vec<_> = (0..12).map(|n| proxy.start(Request::get("/").on_worker(n % 4))).collect();
        let outs: Vec<_> =
            streams.iter().map(|stream| proxy.finish(stream).unwrap().upstream.unwrap()).collect();
        let mut counts: Vec<u32> =
            outs.iter().map(|out| out.header("x-count").unwrap().parse().unwrap()).collect();
        counts.sort();
        assert_eq!(counts, (2..=13).collect::<Vec<_>>(), "seed {seed}");
        races += outs.iter().filter(|out| out.header("x-tries").as_deref() != Some("1")).count();
    }
    assert!(races > 0, "no seed made two workers race");
    Ok(())
}

#[test]
fn one_seed_gives_one_run() -> Result {
    let run = |seed| -> std::result::Result<Vec<String>, Error> {
        let mut proxy =
            with_guest("shared_counter").workers(2).interleaved(seed).upstream("web", web()).build()?;
        let streams: Vec<_> = (0..6).map(|n| proxy.start(Request::get("/").on_worker(n % 2))).collect();
        streams
            .iter()
            .map(|stream| Ok(format!("{:?}", proxy.finish(stream)?.upstream.unwrap().headers)))
            .collect()
    };
    assert_eq!(run(1)?, run(1)?);
    assert_ne!(run(1)?, run(2)?);
    Ok(())
}

#[test]
fn shutdown_ends_every_root_without_a_log() -> Result {
    let mut proxy = with_probe("").upstream("web", web()).build()?;
    let before = proxy.logs().len();
    proxy.shut_down();
    let after = callbacks(&proxy.logs()[before..]);
    assert_eq!(after.iter().filter(|line| *line == "delete ctx=1").count(), 2);
    assert!(!after.iter().any(|line| line.starts_with("log")));
    Ok(())
}

#[test]
fn a_root_may_take_its_time_to_end() -> Result {
    let script =
        "done return 0\nconfigure tick 1000\ntick done\nrequest_headers effective 1\nrequest_headers done";
    let mut proxy = with_probe(script).only_worker_vms().upstream("web", web()).build()?;
    let out = proxy.send(Request::get("/"))?;
    assert_eq!(results(&out.logs, "request_headers done"), ["1"]);
    proxy.shut_down();
    assert!(!callbacks(&proxy.logs()).iter().any(|line| line == "delete ctx=1"));
    proxy.advance(Duration::from_secs(1));
    assert!(callbacks(&proxy.logs()).iter().any(|line| line == "delete ctx=1"));
    Ok(())
}

#[test]
fn the_profile_counts_calls_and_its_fuel_is_the_same_every_time() -> Result {
    let profile = || -> std::result::Result<_, Error> {
        let mut proxy = with_guest("http_headers").profiled().upstream("web", web()).build()?;
        proxy.reset_profile();
        proxy.send(Request::get("/").header("x-request-id", "1"))?;
        Ok(proxy.profile())
    };
    let (first, second) = (profile()?, profile()?);
    let headers = &first["proxy_on_request_headers"];
    assert_eq!((headers.count, headers.host_calls["proxy_log"].count), (1, 6));
    assert!(headers.fuel > 1000 && headers.allocations >= 2);
    assert_eq!(headers.fuel, second["proxy_on_request_headers"].fuel);
    Ok(())
}
