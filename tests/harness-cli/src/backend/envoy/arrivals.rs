//! Whether Envoy has received what was sent to it: bytes that arrive one by one shall not be read together.

use std::time::Duration;

use portcullis_e2e::Admin;

/// How often Envoy is asked.
const ASK_EVERY: Duration = Duration::from_micros(500);

/// The number of bytes that Envoy has received, of clients or of an upstream.
#[derive(Clone)]
pub struct Arrivals {
    admin: Admin,
    stat: String,
}

impl Arrivals {
    /// From the clients of a listener.
    pub fn from_clients(admin: Admin, listener: &str) -> Self {
        Self { admin, stat: format!("http.{listener}.downstream_cx_rx_bytes_total") }
    }

    /// From an upstream.
    pub fn from_upstream(admin: Admin, name: &str) -> Self {
        Self { admin, stat: format!("cluster.{}.upstream_cx_rx_bytes_total", name.replace(':', "_")) }
    }

    /// How many bytes up to now.
    pub fn count(&self) -> u64 {
        self.read().unwrap_or(0)
    }

    fn read(&self) -> Option<u64> {
        let path = format!("/stats?filter=^{}$", self.stat.replace('.', "\\."));
        let stats = self.admin.try_get(&path).ok()?;
        let text = String::from_utf8_lossy(&stats.body).into_owned();
        Some(text.trim().rsplit_once(": ").map_or(0, |(_, count)| count.parse().unwrap_or(0)))
    }

    /// Waits until there were so many; false if Envoy is gone, or nobody cares any more.
    pub fn wait(&self, at_least: u64, give_up: &dyn Fn() -> bool) -> bool {
        loop {
            match self.read() {
                Some(count) if count >= at_least => return true,
                Some(_) if !give_up() => std::thread::sleep(ASK_EVERY),
                _ => return false,
            }
        }
    }
}
