//! How fast the harness is on this machine: `cargo run --release --example speed -- MODULE CONFIG [PATH]`.

use std::time::{Duration, Instant};

use portcullis_harness::{Error, LoadedModule, Plugin, Proxy, Request, Upstream};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let module = arguments.next().ok_or("which module?")?;
    let config = arguments.next().map(std::fs::read).transpose()?.unwrap_or_default();
    let path = arguments.next().unwrap_or_else(|| "/".into());
    let began = Instant::now();
    let module = LoadedModule::from_file(module)?;
    println!("load (compiled or from the cache)   {:>10.1?}", began.elapsed());
    let plugin = Plugin::loaded(&module).config(&config);
    let build = || proxy(&plugin);
    println!("proxy of one worker, start to ready {:>10.1?}", per_run(50, || build().map(drop))?);
    let mut proxy = build()?;
    println!(
        "request                             {:>10.1?}",
        per_run(2000, || proxy.send(Request::get(&path)).map(drop))?
    );
    let scenario = || build()?.send(Request::get(&path)).map(drop);
    println!("fresh proxy and one request         {:>10.1?}", per_run(50, scenario)?);
    Ok(())
}

fn proxy(plugin: &Plugin) -> Result<Proxy, Error> {
    Proxy::builder()
        .plugin(plugin.clone())
        .only_worker_vms()
        .upstream("web", Upstream::respond(200).body("hi"))
        .build()
}

/// The median of so many runs.
fn per_run(runs: usize, mut run: impl FnMut() -> Result<(), Error>) -> Result<Duration, Error> {
    let mut times = Vec::with_capacity(runs);
    for _ in 0..runs {
        let began = Instant::now();
        run()?;
        times.push(began.elapsed());
    }
    times.sort();
    Ok(times[runs / 2])
}
