//! The harness against a real Envoy: a probe module makes every host call in every phase on both, and prints what it got.
//! The lines must be the same, but for those listed in `differences.yaml`, each with its reason.
//!
//! `cargo test --test probe [name]` runs the cases whose name contains the word. `PROBE_LINES=1` prints all lines.

mod case;
mod cases;
mod envoy_side;
mod grpc;
mod harness_side;
mod known;
mod printed;
mod web;

include!("../../../modules/guests.rs");

use case::Case;
use envoy_side::{EnvoySide, Peers};
use known::Known;
use portcullis_harness::LoadedModule;
use printed::{Difference, Printed, differences};
use std::process::ExitCode;

/// What both sides' access logs say of a stream.
pub const ACCESS_LOG: &str = "%RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %PROTOCOL% %UPSTREAM_CLUSTER%";

/// Headers that say when and by whom, and how the wire was framed, are left out.
const LEFT_OUT: [&[u8]; 5] =
    [b"date", b"server", b"transfer-encoding", b"connection", b"x-envoy-upstream-service-time"];

/// What a client got, as a line.
pub fn client_line<'a>(
    status: u16,
    headers: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    body: &[u8],
    trailers: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) -> String {
    let field = |(name, value): (&[u8], &[u8])| format!(" {}={}", name.escape_ascii(), value.escape_ascii());
    let headers: String = headers.filter(|(name, _)| !LEFT_OUT.contains(name)).map(field).collect();
    let trailers: String = trailers.map(field).collect();
    format!(
        "client: {status}{headers} | {}{}{trailers}",
        body.escape_ascii(),
        if trailers.is_empty() { "" } else { " |" }
    )
}

/// What became of a case.
struct Verdict {
    name: &'static str,
    lines: usize,
    differing: usize,
    unlisted: Vec<Difference>,
    /// Listed, but not found any more.
    stale: usize,
}

fn main() -> ExitCode {
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let all = cases::all();
    let chosen: Vec<&Case> = all.iter().filter(|case| case.name.contains(&filter)).collect();
    let known = Known::read();
    let orphans = known.cases_beside(&all);
    let module = LoadedModule::from_file(guest_file("probe")).expect("the probe loads");
    let peers = Peers { web: web::serve(), grpc: grpc::serve() };
    let verdicts = compare_all(&chosen, &module, peers, &known);
    orphans.iter().for_each(|name| println!("differences.yaml lists a case that is none: {name}"));
    report(&verdicts, &orphans)
}

/// Cases share an Envoy unless their time is their own.
fn compare_all(cases: &[&Case], module: &LoadedModule, peers: Peers, known: &Known) -> Vec<Verdict> {
    let (alone, together): (Vec<&Case>, Vec<&Case>) = cases.iter().partition(|case| case.wants_its_own());
    let mut groups = vec![together];
    groups.extend(alone.into_iter().map(|case| vec![case]));
    let groups = groups.into_iter().filter(|group| !group.is_empty());
    groups.flat_map(|group| compare_group(&group, module, peers, known)).collect()
}

fn compare_group(group: &[&Case], module: &LoadedModule, peers: Peers, known: &Known) -> Vec<Verdict> {
    let start = |cases: &[&Case]| EnvoySide::start(cases, peers).unwrap_or_else(|error| panic!("{error}"));
    let mut envoy = start(group);
    let mut one = |(number, case): (usize, &&Case)| {
        if !envoy.runs() {
            envoy = start(&group[number..]);
        }
        let harness = harness_side::run(case, module);
        let envoy = envoy.run(case, &harness);
        judge(case, &harness, &envoy, known)
    };
    group.iter().enumerate().map(&mut one).collect()
}

fn judge(case: &Case, harness: &Printed, envoy: &Printed, known: &Known) -> Verdict {
    if std::env::var_os("PROBE_LINES").is_some() {
        envoy.lines().iter().for_each(|line| println!("    {line}"));
    }
    let mut found = differences(&harness.main, &envoy.main);
    found.extend(differences(&harness.worker, &envoy.worker));
    found.extend(differences(&harness.outside, &envoy.outside));
    let listed = known.of(case.name);
    let differing = found.iter().map(|difference| difference.harness.len().max(difference.envoy.len())).sum();
    let stale = listed.iter().filter(|listed| !found.contains(listed)).count();
    let unlisted: Vec<Difference> = found.into_iter().filter(|found| !listed.contains(&found)).collect();
    let verdict =
        Verdict { name: case.name, lines: harness.count().max(envoy.count()), differing, unlisted, stale };
    println!(
        "test {} ... {} ({} lines, {} differ)",
        verdict.name,
        word(&verdict),
        verdict.lines,
        verdict.differing
    );
    verdict.unlisted.iter().for_each(|difference| println!("{}", known::entry(case.name, difference)));
    if stale > 0 {
        println!("  {stale} of the listed differences are none any more: take them out of differences.yaml");
    }
    verdict
}

fn word(verdict: &Verdict) -> &'static str {
    if verdict.unlisted.is_empty() && verdict.stale == 0 { "ok" } else { "FAILED" }
}

fn report(verdicts: &[Verdict], orphans: &[String]) -> ExitCode {
    let lines: usize = verdicts.iter().map(|verdict| verdict.lines).sum();
    let differing: usize = verdicts.iter().map(|verdict| verdict.differing).sum();
    let failed = verdicts.iter().filter(|verdict| word(verdict) == "FAILED").count()
        + usize::from(!orphans.is_empty());
    println!(
        "\nprobe: {lines} lines compared between harness and Envoy, {differing} differ, in {} cases",
        verdicts.len()
    );
    let result = if failed == 0 { "ok" } else { "FAILED" };
    let passed = verdicts.len().saturating_sub(failed);
    println!(
        "test result: {result}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out\n"
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
