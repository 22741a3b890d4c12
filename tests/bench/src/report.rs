//! The results as Markdown.

use crate::first_sight::FirstSight;
use crate::harness::{Scenarios, Speed};
use crate::increments::Increments;
use crate::measure::{Measured, Plan};
use crate::scrape::{Latencies, Scraped};
use crate::soak::{Cache, Flooded, LIMIT, Soaked};
use crate::start_up::StartUp;
use crate::statistics::{Summary, differences, ratios};
use std::fmt::Write;

/// A report that grows.
#[derive(Default)]
pub struct Report(String);

impl Report {
    /// The text so far.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// A paragraph.
    pub fn paragraph(&mut self, text: &str) {
        self.line(text);
        self.line("");
    }

    fn line(&mut self, text: &str) {
        self.0.push_str(text);
        self.0.push('\n');
    }

    fn row(&mut self, cells: &[String]) {
        self.line(&format!("| {} |", cells.join(" | ")));
    }

    fn head(&mut self, cells: &[&str]) {
        self.row(&cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>());
        self.line(&format!("|{}", "---|".repeat(cells.len())));
    }

    /// What was measured and how.
    pub fn opening(&mut self, machine: &str, plan: Plan, load_average: Option<f64>) {
        self.paragraph("# What the gateway costs");
        self.paragraph("Written by `make bench`. Do not edit.");
        self.paragraph(&format!("Machine: {machine}."));
        let Plan { rounds, requests, .. } = plan;
        let pinned = match plan.cores {
            Some(_) => "Envoy has a core of its own, load generator and upstream share another",
            None => "Envoy, load generator and upstream share the only core",
        };
        let load = load_average.map_or(String::new(), |load| {
            format!(" The machine's load average was {load} before the start.")
        });
        self.paragraph(&format!(
            "Microseconds are CPU time of the whole Envoy process per request (user and system, from its CPU clock), not latency. \
             One worker, 16 kept-alive HTTP/1.1 connections, `GET /api/v1/orders/12345` with a browser's headers and a bearer token. \
             Every chain is measured once a round, {rounds} rounds of {requests} requests each; {pinned}. Values are the median over \
             the rounds (least..greatest); differences and ratios are taken within a round, so that what else the machine does hits \
             both sides. Access logs go to `/dev/null`.{load}"
        ));
    }

    /// CPU time of several chains; differences to the first one, ratios to the one called `reference`.
    pub fn chains(&mut self, title: &str, measured: &[Measured], reference: &str) {
        self.paragraph(&format!("## {title}"));
        let Some(floor) = measured.first() else { return };
        let reference = measured.iter().find(|m| m.name == reference).unwrap_or(floor);
        let against = format!("x {}", reference.name);
        self.head(&["chain", "us per request", &format!("us above {}", floor.name), &against]);
        for one in measured {
            let cells = [
                Summary::of(&one.micros).map(|s| s.show(1)),
                Summary::of(&differences(&one.micros, &floor.micros)).map(|s| s.show(1)),
                Summary::of(&ratios(&one.micros, &reference.micros)).map(|s| s.show(2)),
            ];
            let cells = cells.map(Option::unwrap_or_default);
            self.row(&[&[one.name.clone()][..], &cells].concat());
        }
        self.line("");
    }

    /// Start-up and memory; the memory under load is taken from `loaded`, by name.
    pub fn start_ups(&mut self, start_ups: &[StartUp], loaded: &[Measured]) {
        self.paragraph("## Start-up and memory");
        self.head(&["chain", "start to serving, ms", "RSS at start, MiB", "RSS after the load, MiB"]);
        for one in start_ups {
            let after = loaded.iter().find(|m| m.name == one.name).map(|m| format!("{:.1}", m.rss_mib));
            self.row(&[one.name.clone(), one.millis.show(0), one.rss_mib.show(1), after.unwrap_or_default()]);
        }
        self.line("");
    }

    /// Sizes of modules, in bytes.
    pub fn sizes(&mut self, sizes: &[(&str, u64)]) {
        let mut text = String::from("Module size:");
        for (index, (name, bytes)) in sizes.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            // Writing into a String cannot fail.
            let _ = write!(text, "{separator} {name} {:.0} KiB", *bytes as f64 / 1024.0);
        }
        self.paragraph(&format!("{text}."));
    }

    /// Cost of an increment, in nanoseconds.
    pub fn increments(&mut self, native: &Increments, in_envoy: &Increments) {
        self.paragraph("## One increment of a metric");
        let show = |s: Option<Summary>| s.map_or("not measured".to_owned(), |s| format!("{} ns", s.show(1)));
        self.paragraph(&format!(
            "In Envoy's VM: {}. Natively: {}. Of the six that a successful request makes (bucket, sum and counter, for the gateway \
             and for the service), in batches of 100,000 requests over 18 endpoints.",
            show(in_envoy.request),
            show(native.request)
        ));
        self.paragraph(&format!(
            "Of the nine that a good token makes: {} in Envoy's VM, {} natively.",
            show(in_envoy.token),
            show(native.token)
        ));
    }

    /// How fast the harness is.
    pub fn harness(&mut self, speed: &Speed) {
        self.paragraph("## The harness");
        self.paragraph(
            "Microseconds of wall-clock time in one thread. A test is a VM of its own (worker only), configured, and one request; the \
             gateway has a token to check on every route, and is sent a good one. \
             A compiler and a VM a test is how Google's tester of Service Extensions goes about it, here on our own host. The `proxy-wasm` \
             test framework for Rust is not on crates.io and therefore not measured; the Go SDK's proxytest lacks host functions that \
             modules of the Rust SDK import, so it is compared on a filter that needs few of them.",
        );
        self.head(&["module", "host", "a test, us", "a further request, us"]);
        for way in &speed.ways {
            let (test, request) = (way.test.show(0), way.request.show(1));
            self.row(&[way.module.to_owned(), way.host.to_owned(), test, request]);
        }
        self.line("");
        let Scenarios { files, runs, cpu } = speed.scenarios;
        let per_second = runs as f64 / cpu.as_secs_f64();
        self.paragraph(&format!(
            "Scenarios: {runs} runs of the {files} in `tests/scenarios/gateway`, each with its own proxy of all VMs, took {:.2} s of CPU \
             time: {per_second:.0} a second on one core, the first start of each configuration included.",
            cpu.as_secs_f64()
        ));
    }

    /// What a scrape costs, and what others notice of it.
    pub fn scrapes(&mut self, scraped: &Scraped) {
        self.paragraph("## A scrape, and what others notice of it");
        self.paragraph(&format!(
            "A page of {} series takes {} ms of Envoy's CPU time with gzip, as Prometheus asks for it, and {} ms without. One worker serves the page and the requests of 8 clients, each of which asks \
             every 4 ms whatever has become of its last request; somebody scrapes every 1.1 s, or nobody does, for 3 s in turn. Milliseconds \
             from when a request was due until its answer.",
            scraped.series,
            scraped.gzipped_millis.show(1),
            scraped.plain_millis.show(1)
        ));
        self.head(&["", "requests", "median, ms", "p99, ms", "slowest, ms"]);
        let mut row = |name: &str, seen: &Latencies| {
            let millis = [seen.median, seen.p99, seen.slowest].map(|millis| format!("{millis:.2}"));
            self.row(&[&[name.to_owned(), seen.count.to_string()][..], &millis].concat());
        };
        row("nobody scrapes", &scraped.quiet);
        row("somebody scrapes", &scraped.scraped);
        self.line("");
    }

    /// First sights of tokens, in microseconds.
    pub fn first_sights(&mut self, sights: &[FirstSight]) {
        self.paragraph("## The first sight of a token, in the module");
        self.paragraph(
            "From the header to the identity in the cache, one token after another, each of them new. RS256 and ES256 without the \
             check of the signature itself, which is Envoy's; the others with it.",
        );
        self.head(&["token", "us in Envoy's VM", "us natively"]);
        for sight in sights {
            self.row(&[sight.name.clone(), sight.in_envoy.show(2), sight.native.show(2)]);
        }
        self.line("");
    }

    /// Memory over many requests.
    pub fn soak(&mut self, soaked: &Soaked) {
        self.paragraph("## Memory over requests that all differ");
        self.paragraph(&format!(
            "{} requests, each with a path and an X-Forwarded-For of its own; half match a route.",
            soaked.requests
        ));
        self.memory(soaked);
    }

    /// What a limit says after a flood of addresses.
    pub fn flood(&mut self, soaked: &Soaked, flooded: Flooded) {
        self.paragraph("## A flood of addresses");
        self.paragraph(&format!(
            "A limit of {LIMIT} requests a day for each address. The first client had {} left. {} other addresses sent one request each. Then \
             the first client's next request left it {}, and the first request of a new address left that {}.",
            flooded.before, flooded.addresses, flooded.after, flooded.newcomer
        ));
        self.memory(soaked);
    }

    /// Memory over many tokens, and what the gateway itself says of its cache.
    pub fn soak_with_tokens(&mut self, soaked: &Soaked, cache: Cache) {
        self.paragraph("## Memory over tokens that all differ");
        self.paragraph(&format!(
            "{} requests, each with a good HS256 token of its own; `jwt.cache_bytes` is at its default. In the end the gateway tells of {} \
             tokens that it had to check, {} that it knew, and {} that have left its cache, so that {} are in it.",
            soaked.requests,
            cache.misses,
            cache.hits,
            cache.evictions,
            cache.kept()
        ));
        self.memory(soaked);
    }

    fn memory(&mut self, soaked: &Soaked) {
        self.head(&["requests so far", "RSS, MiB"]);
        for (requests, mib) in &soaked.memory {
            self.row(&[requests.to_string(), format!("{mib:.1}")]);
        }
        self.line("");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(name: &str, micros: &[f64]) -> Measured {
        Measured { name: name.to_owned(), micros: micros.to_vec(), rss_mib: 50.0 }
    }

    #[test]
    fn chains_are_compared_round_by_round_with_the_floor_and_the_reference() {
        let mut report = Report::default();
        let all = [
            measured("none", &[10.0, 100.0]),
            measured("native", &[20.0, 110.0]),
            measured("ours", &[22.0, 121.0]),
        ];
        report.chains("T", &all, "native");
        let line = report.text().lines().find(|line| line.starts_with("| ours"));
        assert_eq!(line, Some("| ours | 71.5 (22.0..121.0) | 16.5 (12.0..21.0) | 1.10 (1.10..1.10) |"));
    }

    #[test]
    fn a_table_has_as_many_columns_in_every_line() {
        let mut report = Report::default();
        report.chains("T", &[measured("none", &[10.0])], "native");
        let rows: Vec<_> = report.text().lines().filter(|line| line.starts_with('|')).collect();
        let columns: Vec<_> = rows.iter().map(|row| row.matches('|').count()).collect();
        assert_eq!(columns, [5, 5, 5]);
    }

    #[test]
    fn what_was_not_measured_says_so() {
        let mut report = Report::default();
        let measured = Some(Summary { min: 4.0, median: 5.0, max: 6.0 });
        let none = Increments { request: None, token: None };
        report.increments(&none, &Increments { request: measured, token: None });
        assert!(
            report.text().contains("VM: 5.0 (4.0..6.0) ns. Natively: not measured."),
            "{}",
            report.text()
        );
    }
}
