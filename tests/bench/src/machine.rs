//! What the numbers were measured on.

use anyhow::{Context, Result};
use std::fs;
use std::process::Command;

/// Machine and versions.
pub struct Machine {
    cpu: String,
    cores: usize,
    kernel: String,
    envoy: String,
    rustc: String,
}

impl Machine {
    /// This one.
    ///
    /// # Errors
    /// If it does not say.
    pub fn this() -> Result<Self> {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").context("/proc/cpuinfo")?;
        let envoy = output(Command::new(portcullis_e2e::binary()).arg("--version"))?;
        Ok(Self {
            cpu: cpu_model(&cpuinfo).unwrap_or("an unnamed CPU").to_owned(),
            cores: std::thread::available_parallelism()?.get(),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease").context("osrelease")?.trim().to_owned(),
            envoy: envoy_version(&envoy).unwrap_or("of unknown version").to_owned(),
            rustc: output(Command::new("rustc").arg("--version"))?.trim().to_owned(),
        })
    }

    /// In one line.
    pub fn line(&self) -> String {
        let Self { cpu, cores, kernel, envoy, rustc } = self;
        format!("{cpu}, {cores} cores, Linux {kernel}, Envoy {envoy} with 1 worker, {rustc}")
    }
}

/// Processes that want to run, on average over the last minute: a busy machine's numbers spread more.
pub fn load_average() -> Option<f64> {
    first_number(&fs::read_to_string("/proc/loadavg").ok()?)
}

fn first_number(loadavg: &str) -> Option<f64> {
    loadavg.split_whitespace().next()?.parse().ok()
}

/// `model name : AMD EPYC`, the first of as many as there are cores.
fn cpu_model(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

/// `envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL`.
fn envoy_version(text: &str) -> Option<&str> {
    text.split('/').find(|part| part.starts_with(|c: char| c.is_ascii_digit()) && part.contains('.'))
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_named_by_its_model() {
        let text = "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC\nprocessor\t: 1\nmodel name\t: other\n";
        assert_eq!(cpu_model(text), Some("AMD EPYC"));
        assert_eq!(cpu_model("processor\t: 0\n"), None);
    }

    #[test]
    fn the_version_of_envoy_is_the_part_that_looks_like_one() {
        let text = "\nenvoy  version: 9e5580933739/1.40.0/Clean/RELEASE/BoringSSL\n";
        assert_eq!(envoy_version(text), Some("1.40.0"));
        assert_eq!(envoy_version("no version"), None);
    }

    #[test]
    fn the_load_is_the_one_of_the_last_minute() {
        assert_eq!(first_number("4.23 3.04 2.06 6/148 20509\n"), Some(4.23));
        assert_eq!(first_number(""), None);
    }
}
