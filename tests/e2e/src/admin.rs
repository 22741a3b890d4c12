//! Envoy's admin interface.

use crate::{Answer, ClientError, Connection, Request, Samples};
use serde_json::Value;
use std::net::SocketAddr;

/// The admin interface of one Envoy.
#[derive(Clone, Copy, Debug)]
pub struct Admin {
    address: SocketAddr,
}

impl Admin {
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self { address }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// GET `path`.
    ///
    /// # Panics
    /// If there is no answer.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        Request::get(path).send(self.address)
    }

    /// POST `path`: what changes something, such as `/logging?level=debug` or `/drain_listeners`.
    ///
    /// # Panics
    /// If there is no answer.
    #[track_caller]
    pub fn post(&self, path: &str) -> Answer {
        Request::post(path).send(self.address)
    }

    /// The value of the counter or gauge `name`; `None` if there is none (yet).
    ///
    /// # Panics
    /// If there is no answer.
    #[track_caller]
    pub fn stat(&self, name: &str) -> Option<u64> {
        stat_in(&self.get("/stats").body, name)
    }

    /// What `/stats/prometheus` says.
    ///
    /// # Panics
    /// If there is no answer, or Prometheus would refuse it.
    #[track_caller]
    pub fn samples(&self) -> Samples {
        let answer = self.get("/stats/prometheus");
        Samples::parse(answer.text()).unwrap_or_else(|error| panic!("/stats/prometheus: {error}"))
    }

    /// Whether the server is live and its workers serve. (`/ready` alone says so a moment before they listen.)
    pub(crate) fn is_serving(&self) -> bool {
        let ready = self.try_get("/ready").is_ok_and(|answer| answer.status == 200);
        let stats = self.try_get("/stats?filter=workers_started");
        ready && stats.is_ok_and(|stats| stat_in(&stats.body, "listener_manager.workers_started") == Some(1))
    }

    /// GET `path`.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn try_get(&self, path: &str) -> Result<Answer, ClientError> {
        Connection::try_open(None, self.address)?.try_send(&Request::get(path))
    }

    /// The TCP listeners, by name.
    pub(crate) fn listeners(&self) -> Result<Vec<(String, SocketAddr)>, ClientError> {
        let answer = self.try_get("/listeners?format=json")?;
        let listeners: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let statuses = listeners["listener_statuses"].as_array().cloned().unwrap_or_default();
        Ok(statuses.iter().filter_map(name_and_address).collect())
    }
}

fn stat_in(stats: &[u8], name: &str) -> Option<u64> {
    let stats = String::from_utf8_lossy(stats);
    let line = stats.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))?;
    line.trim().parse().ok()
}

fn name_and_address(status: &Value) -> Option<(String, SocketAddr)> {
    let address = status.pointer("/local_address/socket_address")?;
    let ip = address["address"].as_str()?.parse().ok()?;
    let port = address["port_value"].as_u64()?.try_into().ok()?;
    Some((status["name"].as_str()?.into(), SocketAddr::new(ip, port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_is_found_by_its_whole_name() {
        let stats = b"a.b_total: 1\na.b: 2\nx.a.b: 3\ntext: \"a\"\n";
        assert_eq!(stat_in(stats, "a.b"), Some(2));
        assert_eq!(stat_in(stats, "a"), None);
    }
}
