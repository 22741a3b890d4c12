//! A profile as a table.

use std::fmt::Write;
use std::time::Duration;

use crate::{CallbackCost, Profile};

/// Renders a profile: callbacks in the order of their time, host calls below each; figures are means of one callback.
pub fn profile_table(profile: &Profile) -> String {
    let mut callbacks: Vec<_> = profile.iter().collect();
    callbacks.sort_by_key(|(_, cost)| std::cmp::Reverse(cost.time));
    let mut out = format!(
        "{:<34} {:>7} {:>10} {:>12} {:>8} {:>9} {:>9}\n",
        "callback", "count", "time", "fuel", "allocs", "bytes", "grown"
    );
    callbacks.iter().for_each(|(name, cost)| callback_rows(&mut out, name, cost));
    out
}

fn callback_rows(out: &mut String, name: &str, cost: &CallbackCost) {
    let count = cost.count.max(1);
    let _ = writeln!(
        out,
        "{name:<34} {:>7} {:>10} {:>12} {:>8} {:>9} {:>9}",
        cost.count,
        mean(cost.time, count),
        cost.fuel / count,
        per(cost.allocations, count),
        cost.allocated / count,
        cost.memory_growth / count,
    );
    let mut calls: Vec<_> = cost.host_calls.iter().collect();
    calls.sort_by_key(|(_, call)| std::cmp::Reverse(call.time));
    for (name, call) in calls {
        let share = 100.0 * call.time.as_secs_f64() / cost.time.as_secs_f64().max(1e-9);
        let time = mean(call.time, count);
        let _ = writeln!(out, "  {name:<32} {:>7} {time:>10} {share:>5.1} %", per(call.count, count));
    }
}

/// How many of something in one callback.
fn per(number: u64, count: u64) -> String {
    if number.is_multiple_of(count) {
        (number / count).to_string()
    } else {
        format!("{:.1}", number as f64 / count as f64)
    }
}

fn mean(time: Duration, count: u64) -> String {
    let nanos = time.as_nanos() as f64 / count as f64;
    if nanos < 1000.0 { format!("{nanos:.0} ns") } else { format!("{:.1} us", nanos / 1000.0) }
}
