//! What a scrape costs, and what the requests of others notice of it.

use crate::cpus::Cores;
use crate::load::Connection;
use crate::measure::{request, start};
use crate::statistics::Summary;
use anyhow::{Context, Result, bail};
use portcullis_e2e::{Envoy, Request, Samples};
use serde_json::Value;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

/// Routes of the policy: enough for ten thousand series.
pub const ROUTES: usize = 120;

/// Clients, each of which asks every [`PACE`] whatever has become of its last request.
const CLIENTS: usize = 8;
const PACE: Duration = Duration::from_millis(4);

/// How long a window is, in which somebody scrapes or nobody does.
const WINDOW: Duration = Duration::from_secs(3);

/// Oftener than any Prometheus does, and rarer than the page is made anew.
const SCRAPES_EVERY: Duration = Duration::from_millis(1_100);

/// Scrapes whose CPU time is taken, with nobody else there.
const ALONE: usize = 10;

/// What was measured.
pub struct Scraped {
    /// Series of the page.
    pub series: usize,
    /// Milliseconds of Envoy's CPU time for one scrape, compressed as Prometheus asks for it.
    pub gzipped_millis: Summary,
    /// The same, as it is.
    pub plain_millis: Summary,
    /// How long others wait where nobody scrapes.
    pub quiet: Latencies,
    /// How long others wait where somebody does.
    pub scraped: Latencies,
}

/// From when a request was due until its answer, in milliseconds.
pub struct Latencies {
    /// Half of them were faster.
    pub median: f64,
    /// 99 of 100 were faster.
    pub p99: f64,
    /// The slowest.
    pub slowest: f64,
    /// How many.
    pub count: usize,
}

/// Measures `windows` of each kind in turn. One worker serves scrapes and requests alike.
///
/// # Errors
/// If Envoy does not start, or answers something else than 200.
pub fn measure(bootstrap: Value, windows: usize, cores: Option<Cores>) -> Result<Scraped> {
    let envoy = start(bootstrap, cores)?;
    let page = envoy.find_listener("gateway_metrics").unwrap_or_else(|| envoy.address());
    let (mut quiet, mut scraped) = (Vec::new(), Vec::new());
    window(&envoy, None)?; // The first one warms up.
    for _ in 0..windows {
        quiet.extend(window(&envoy, None)?);
        scraped.extend(window(&envoy, Some(page))?);
    }
    Ok(Scraped {
        series: series(page)?,
        gzipped_millis: alone(&envoy, page, "gzip")?,
        plain_millis: alone(&envoy, page, "identity")?,
        quiet: Latencies::of(quiet)?,
        scraped: Latencies::of(scraped)?,
    })
}

fn series(page: SocketAddr) -> Result<usize> {
    let answer = Request::get("/metrics").send(page);
    Ok(Samples::parse(answer.text()).context("/metrics")?.all().len())
}

/// One scrape, which nobody reads: that would take time from those who ask.
fn scrape(page: SocketAddr, encoding: &str) -> Result<()> {
    let status = Request::get("/metrics").header("accept-encoding", encoding).send(page).status;
    if status == 200 { Ok(()) } else { bail!("/metrics: {status}") }
}

fn alone(envoy: &Envoy, page: SocketAddr, encoding: &str) -> Result<Summary> {
    let one = |_| {
        thread::sleep(SCRAPES_EVERY);
        let before = envoy.usage().cpu;
        scrape(page, encoding)?;
        Ok(envoy.usage().cpu.saturating_sub(before).as_secs_f64() * 1e3)
    };
    Summary::of(&(0..ALONE).map(one).collect::<Result<Vec<_>>>()?).context("no scrapes")
}

/// Everybody asks for the length of a window, and somebody scrapes `page` if there is one; milliseconds of each request.
fn window(envoy: &Envoy, page: Option<SocketAddr>) -> Result<Vec<f64>> {
    let (address, began) = (envoy.address(), Instant::now());
    thread::scope(|scope| {
        let clients: Vec<_> =
            (0..CLIENTS).map(|number| scope.spawn(move || client(address, number, began))).collect();
        let scraper = page.map(|page| scope.spawn(move || scrapes(page, began)));
        let join = |client: thread::ScopedJoinHandle<'_, _>| client.join().expect("no client panics");
        let all: Result<Vec<Vec<f64>>> = clients.into_iter().map(join).collect();
        scraper.map_or(Ok(()), |scraper| scraper.join().expect("no scrape panics"))?;
        Ok(all?.concat())
    })
}

fn scrapes(page: SocketAddr, began: Instant) -> Result<()> {
    while began.elapsed() < WINDOW {
        scrape(page, "gzip")?;
        thread::sleep(SCRAPES_EVERY);
    }
    Ok(())
}

/// Asks at its times; a request that is late because the one before it was counts from when it was due.
fn client(address: SocketAddr, number: usize, began: Instant) -> Result<Vec<f64>> {
    let mut connection = Connection::open(address)?;
    let asked = request("none");
    let share = PACE * u32::try_from(number)? / u32::try_from(CLIENTS)?;
    let mut due = began + share;
    let mut latencies = Vec::new();
    while due < began + WINDOW {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        connection.send(&mut Vec::new(), &mut |out: &mut Vec<u8>| out.extend_from_slice(&asked))?;
        let status = connection.receive()?;
        if status != 200 {
            bail!("answered {status} instead of 200");
        }
        latencies.push(due.elapsed().as_secs_f64() * 1e3);
        due += PACE;
    }
    Ok(latencies)
}

impl Latencies {
    fn of(mut millis: Vec<f64>) -> Result<Self> {
        millis.sort_by(f64::total_cmp);
        let at =
            |percent: usize| millis.get(millis.len() * percent / 100).copied().context("too few requests");
        Ok(Self {
            median: at(50)?,
            p99: at(99)?,
            slowest: *millis.last().context("no requests")?,
            count: millis.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_taken_in_order() {
        let latencies = Latencies::of((0..1_000).rev().map(f64::from).collect()).expect("there are some");
        assert_eq!((latencies.median, latencies.p99, latencies.slowest), (500.0, 990.0, 999.0));
        assert!(Latencies::of(Vec::new()).is_err());
    }
}
