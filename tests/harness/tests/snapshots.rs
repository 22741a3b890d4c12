//! Starts that are brought back from snapshots: nobody can tell, and what could be told apart is started.

mod support;

use std::path::PathBuf;
use std::time::Duration;

use portcullis_harness::{Builder, Error, FailurePolicy, LoadedModule, Plugin, Proxy, Request, Upstream};
use support::{guest, guest_file, results, wat};

type Result = std::result::Result<(), Error>;

/// So many starts: the second leaves a snapshot, the third comes back.
const STARTS: usize = 4;

fn web() -> portcullis_harness::Reply {
    Upstream::respond(200).body("hello")
}

fn probe(module: &LoadedModule, script: &str) -> Builder {
    Proxy::builder().plugin(Plugin::loaded(module).name("probe").config(script)).upstream("web", web())
}

/// Everything that can be seen of a proxy and of some requests to it.
fn seen(proxy: &mut Proxy) -> std::result::Result<String, Error> {
    let mut seen = String::new();
    for path in ["/", "/hello"] {
        let out = proxy.send(Request::get(path).header("x-request-id", "1"))?;
        seen += &format!("{:?} {:?} {:?}\n", out.client, out.upstream, out.moved);
        proxy.advance(Duration::from_millis(1500));
    }
    let metrics = proxy.metrics();
    let values = metrics.names().map(|(name, kind)| (name, kind, metrics.counter(name), metrics.gauge(name)));
    seen += &format!("{:?}\n{:?}\n", values.collect::<Vec<_>>(), metrics.histogram("h"));
    seen += &format!("{:#?}\n{:?}\n", proxy.logs(), proxy.memory());
    Ok(seen)
}

/// Starts equal proxies of one loaded module: all show what one without snapshots does, and in the last one VMs came back.
fn assert_hidden(what: &str, build: impl Fn() -> Builder) -> Result {
    let expected = seen(&mut build().without_snapshots().build()?)?;
    let mut came_back = 0;
    for number in 0..STARTS {
        let mut proxy = build().build()?;
        assert_eq!(seen(&mut proxy)?, expected, "{what}, start {number}");
        came_back = proxy.brought_back();
    }
    assert!(came_back > 0, "{what}");
    Ok(())
}

const SCRIPT: &str = "vm_start log 2 starting
    configure define counter c
    configure define histogram h
    configure define gauge g
    configure define counter c
    configure increment counter 3
    configure record gauge 7
    configure record histogram 9
    configure tick 1000
    configure env
    configure prop plugin_name
    configure body 7 0 100
    tick increment counter 1
    tick body 8 0 100
    request_headers increment counter 1
    request_headers body 8 0 100
    request_headers metric gauge";

#[test]
fn a_vm_that_comes_back_is_as_one_that_started() -> Result {
    let kinds: [fn(Builder) -> Builder; 3] =
        [|proxy| proxy, |proxy| proxy.workers(3), |proxy| proxy.only_worker_vms()];
    for (number, kind) in kinds.iter().enumerate() {
        let module = guest("probe");
        assert_hidden(&format!("kind {number}"), || kind(probe(&module, SCRIPT)))?;
    }
    Ok(())
}

#[test]
fn guests_of_all_kinds_come_back() -> Result {
    for name in ["http_headers", "http_body", "shared_counter"] {
        let module = guest(name);
        let build = || Proxy::builder().plugin(Plugin::loaded(&module).name(name)).upstream("web", web());
        assert_hidden(name, build)?;
    }
    Ok(())
}

/// Only `make test` builds it: Go is not everywhere.
#[test]
fn a_guest_in_go_with_its_many_globals_comes_back_if_it_was_built() -> Result {
    let file: PathBuf = guest_file("go_greeter");
    if file.exists() {
        let module = LoadedModule::from_file(&file)?;
        let plugin = || Plugin::loaded(&module).name("go").config("Hallo");
        assert_hidden("go", || Proxy::builder().plugin(plugin()).upstream("web", web()))?;
    }
    Ok(())
}

#[test]
fn two_plugins_in_one_vm_come_back_with_their_contexts_in_order() -> Result {
    let module = guest("probe");
    let plugin = |name: &str| Plugin::loaded(&module).name(name).config(SCRIPT);
    let build = || Proxy::builder().plugin(plugin("a")).plugin(plugin("b")).upstream("web", web());
    assert_hidden("two plugins", build)
}

#[test]
fn another_configuration_environment_or_name_is_another_start() -> Result {
    let module = guest("probe");
    let plugin = || Plugin::loaded(&module).name("probe").config("configure env");
    let build =
        |plugin: Plugin| Proxy::builder().plugin(plugin).only_worker_vms().upstream("web", web()).build();
    for _ in 0..STARTS {
        build(plugin())?;
    }
    assert_eq!(build(plugin())?.brought_back(), 1);
    let others = [
        plugin().config("configure env "),
        plugin().env("A", "1"),
        plugin().name("other"),
        plugin().root_id("other"),
        plugin().vm_id("other"),
        plugin().vm_config("other"),
    ];
    for other in others {
        assert_eq!(build(other)?.brought_back(), 0);
    }
    let proxy = build(plugin().env("A", "1"))?;
    assert_eq!(results(&proxy.logs(), "configure env"), ["A=1"]);
    Ok(())
}

#[test]
fn what_was_read_from_a_clock_comes_back_only_at_that_time() -> Result {
    let module = guest("probe");
    let at = |seconds| {
        let start = Duration::from_secs(seconds);
        probe(&module, "configure time").only_worker_vms().starting_at(start).build()
    };
    for seconds in [100, 100, 100, 200, 100] {
        let proxy = at(seconds)?;
        assert_eq!(results(&proxy.logs(), "configure time"), [format!("0 {seconds}")]);
    }
    assert_eq!((at(100)?.brought_back(), at(300)?.brought_back()), (1, 0));
    Ok(())
}

#[test]
fn what_reads_no_clock_comes_back_at_any_time() -> Result {
    let module = guest("probe");
    let at = |seconds| {
        let start = Duration::from_secs(seconds);
        probe(&module, "request_headers time").only_worker_vms().starting_at(start).build()
    };
    at(100)?;
    at(100)?;
    let mut proxy = at(200)?;
    let out = proxy.send(Request::get("/"))?;
    assert_eq!((proxy.brought_back(), results(&out.logs, "request_headers time")), (1, vec!["0 200".into()]));
    Ok(())
}

#[test]
fn random_bytes_come_back_only_with_the_same_seed_and_go_on_behind_them() -> Result {
    let module = LoadedModule::from_bytes(&wat(RANDOM))?;
    let run = |seed| -> std::result::Result<_, Error> {
        let plugin = Plugin::loaded(&module);
        let mut proxy =
            Proxy::builder().plugin(plugin).only_worker_vms().seed(seed).upstream("web", web()).build()?;
        proxy.send(Request::get("/"))?;
        let logs = proxy.logs().iter().map(|line| line.message.clone()).collect::<Vec<_>>();
        Ok((proxy.brought_back(), logs))
    };
    let first = run(1)?.1;
    assert_eq!(first.len(), 2, "at the start, and in the request");
    assert_ne!(first[0], first[1]);
    assert_eq!((run(1)?, run(1)?), ((0, first.clone()), (1, first.clone())));
    let (came_back, other) = run(2)?;
    assert_eq!(came_back, 0);
    assert_ne!(other[0], first[0]);
    Ok(())
}

/// Logs eight random bytes, as they are, at its start and in each request.
const RANDOM: &str = r#"(module
    (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
    (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func $draw
        (drop (call $random (i32.const 64) (i32.const 8)))
        (drop (call $log (i32.const 2) (i32.const 64) (i32.const 8))))
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "malloc") (param i32) (result i32) (i32.const 1024))
    (func (export "proxy_on_configure") (param i32 i32) (result i32) (call $draw) (i32.const 1))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (call $draw) (i32.const 0)))"#;

#[test]
fn a_start_that_uses_what_others_can_change_never_comes_back() -> Result {
    let module = guest("probe");
    for line in [
        "configure share key value 0",
        "configure shared key",
        "configure register q",
        "configure resolve q",
        "configure metric counter",
        "configure prop node",
        "configure foreign compress hello",
    ] {
        for _ in 0..STARTS {
            assert_eq!(probe(&module, line).build()?.brought_back(), 0, "{line}");
        }
    }
    Ok(())
}

#[test]
fn a_hidden_mutable_global_comes_back_too() -> Result {
    let module = LoadedModule::from_bytes(&wat(GLOBAL))?;
    let build = || Proxy::builder().plugin(Plugin::loaded(&module)).upstream("web", web());
    assert_hidden("global", build)
}

/// Counts starts and requests in a global that it does not export, and logs `aaa`, `bbb`, `ccc` or `ddd` for the count.
const GLOBAL: &str = r#"(module
    (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 64) "aaabbbcccddd")
    (global $count (mut i32) (i32.const 0))
    (func $tell (drop (call $log (i32.const 2)
        (i32.add (i32.const 64) (i32.mul (i32.const 3) (global.get $count))) (i32.const 3))))
    (func $add (global.set $count (i32.add (global.get $count) (i32.const 1))))
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "malloc") (param i32) (result i32) (i32.const 1024))
    (func (export "proxy_on_configure") (param i32 i32) (result i32) (call $add) (call $tell) (i32.const 1))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (call $add) (call $tell) (i32.const 0)))"#;

#[test]
fn a_vm_that_came_back_reloads_fails_and_recovers_as_any_other() -> Result {
    let module = guest("probe");
    let script = "configure define counter c\nrequest_headers increment counter 1\nrequest_trailers trap";
    let run = || -> std::result::Result<_, Error> {
        let mut proxy = Proxy::builder()
            .plugin(Plugin::loaded(&module).config(script).failure_policy(FailurePolicy::Reload))
            .upstream("web", web())
            .build()?;
        let mut statuses = vec![proxy.send(Request::get("/"))?.client.status()];
        proxy.reload("configure define counter d\nrequest_headers trap")?;
        statuses.push(proxy.send(Request::get("/"))?.client.status());
        proxy.advance(Duration::from_secs(10));
        proxy.reload(script)?;
        statuses.push(proxy.send(Request::get("/"))?.client.status());
        Ok((statuses, format!("{:?} {:?}", proxy.logs(), proxy.failures()), proxy.brought_back()))
    };
    let first = run()?;
    for _ in 1..STARTS {
        let next = run()?;
        assert_eq!((&next.0, &next.1), (&first.0, &first.1));
    }
    assert!(run()?.2 > first.2);
    Ok(())
}

#[test]
fn a_fault_may_strike_in_the_start() -> Result {
    let module = guest("probe");
    let build = || probe(&module, "configure define counter c").build();
    for _ in 0..STARTS {
        build()?;
    }
    let mut proxy = build()?;
    proxy.faults(|faults| {
        faults.status("proxy_define_metric", portcullis_harness::Status::InternalFailure, 1);
    });
    proxy.reload("configure define counter c")?;
    let defined = results(&proxy.logs(), "configure define counter c");
    // Behind canary, main thread and worker of the start: the canary of the reload.
    assert!(defined[3].starts_with("10 "), "{defined:?}");
    Ok(())
}
