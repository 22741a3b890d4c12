//! A service that answers at once: as little work as a service can be.

use anyhow::Result;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What a service answers, and a direct response too.
pub const BODY: &str = r#"{"data":{"order_id":"12345","asset_id":"BTC","order_type":"limit_buy","quantity":"0.25","price":"64000.00","status":"pending","created_at":"2026-01-02T03:04:05Z"}}"#;

#[derive(Default)]
struct Seen {
    requests: AtomicUsize,
    head: Mutex<Vec<u8>>,
}

impl Seen {
    fn keep(&self, head: &[u8]) {
        let mut kept = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clear();
        kept.extend_from_slice(head);
    }
}

/// A running service, on threads of its own until the program ends.
pub struct Upstream {
    address: SocketAddr,
    #[cfg_attr(not(test), expect(dead_code, reason = "tests ask what arrived"))]
    seen: Arc<Seen>,
}

impl Upstream {
    /// Listens on a free loopback port.
    ///
    /// # Errors
    /// If there is none.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let seen = Arc::<Seen>::default();
        let upstream = Self { address, seen: Arc::clone(&seen) };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = Arc::clone(&seen);
                std::thread::spawn(move || serve(stream, &seen));
            }
        });
        Ok(upstream)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests it has answered.
    #[cfg(test)]
    pub fn requests(&self) -> usize {
        self.seen.requests.load(Ordering::SeqCst)
    }

    /// The newest request's line and headers.
    #[cfg(test)]
    pub fn last_head(&self) -> String {
        String::from_utf8_lossy(&self.seen.head.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

/// Requests without a body, one after another, until the peer leaves.
fn serve(mut stream: TcpStream, seen: &Seen) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let (mut buffer, mut filled) = ([0; 64 * 1024], 0);
    loop {
        let more = stream.read(buffer.get_mut(filled..)?).ok().filter(|read| *read > 0)?;
        filled += more;
        if buffer[..filled].ends_with(b"\r\n\r\n") {
            seen.requests.fetch_add(1, Ordering::SeqCst);
            seen.keep(&buffer[..filled]);
            stream.write_all(answer(&buffer[..filled])).ok()?;
            filled = 0;
        }
    }
}

/// 404 to paths that end so, for tests; else 200, with a banner that a gateway is to remove.
fn answer(request: &[u8]) -> &'static [u8] {
    if request.starts_with(b"GET /404 ") {
        return b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
    }
    static OK: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        let length = BODY.len();
        format!(
            "HTTP/1.1 200 OK\r\nserver: demo\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{BODY}"
        )
    });
    OK.as_bytes()
}
