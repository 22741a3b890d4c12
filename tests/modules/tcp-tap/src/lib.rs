//! A filter of TCP connections: logs all that it is told, and does what its configuration says, a word a line.
//!
//! - `wait`: stops a new connection;
//! - `lines`: keeps what the client sends until a line is complete;
//! - `upper`: makes what the client sends upper case;
//! - `mark`: puts `> ` before what the upstream sends;
//! - `quit`: closes the connection when the client sends `QUIT`;
//! - `hold`: keeps everything back, and lets it pass at the next tick;
//! - `fall`: traps when the client sends `FALL`.

use std::cell::RefCell;
use std::time::Duration;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, RootContext, StreamContext};
use proxy_wasm::types::{Action, ContextType, LogLevel, PeerType};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root { words: Vec::new() }));
}}

thread_local! {
    /// Contexts that hold something back.
    static HELD: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

struct Root {
    words: Vec<String>,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        let text = self.get_plugin_configuration().unwrap_or_default();
        self.words = String::from_utf8_lossy(&text).split_whitespace().map(str::to_owned).collect();
        if self.words.iter().any(|word| word == "hold") {
            self.set_tick_period(Duration::from_secs(1));
        }
        true
    }

    fn on_tick(&mut self) {
        HELD.take().into_iter().for_each(|context| {
            let found = hostcalls::set_effective_context(context);
            if found.is_ok() {
                let _ = hostcalls::resume_downstream();
            }
        });
    }

    fn create_stream_context(&self, id: u32) -> Option<Box<dyn StreamContext>> {
        Some(Box::new(Tap { id, words: self.words.clone() }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::StreamContext)
    }
}

struct Tap {
    id: u32,
    words: Vec<String>,
}

fn log(text: &str) {
    let _ = hostcalls::log(LogLevel::Info, text);
}

fn peer(peer: PeerType) -> &'static str {
    match peer {
        PeerType::Unknown => "unknown",
        PeerType::Local => "local",
        PeerType::Remote => "remote",
        _ => "other",
    }
}

impl Tap {
    fn is(&self, word: &str) -> bool {
        self.words.iter().any(|own| own == word)
    }
}

impl Context for Tap {
    fn on_done(&mut self) -> bool {
        log("done");
        true
    }
}

impl StreamContext for Tap {
    fn on_new_connection(&mut self) -> Action {
        let address = self.get_property(vec!["source", "address"]).is_some();
        let port = self.get_property(vec!["destination", "port"]).is_some();
        log(&format!("new connection, source {address}, destination {port}"));
        if self.is("wait") { Action::Pause } else { Action::Continue }
    }

    fn on_downstream_data(&mut self, size: usize, end: bool) -> Action {
        let data = self.get_downstream_data(0, size).unwrap_or_default();
        log(&format!(
            "downstream {size} {:?}{}",
            String::from_utf8_lossy(&data),
            if end { " end" } else { "" }
        ));
        assert!(!(self.is("fall") && data.starts_with(b"FALL")), "as asked");
        if self.is("quit") && data.starts_with(b"QUIT") {
            self.close_downstream();
            return Action::Pause;
        }
        if self.is("hold") {
            HELD.with_borrow_mut(|held| held.push(self.id));
            return Action::Pause;
        }
        if self.is("lines") && !end && !data.ends_with(b"\n") {
            return Action::Pause;
        }
        if self.is("upper") {
            self.set_downstream_data(0, size, &data.to_ascii_uppercase());
        }
        Action::Continue
    }

    fn on_upstream_data(&mut self, size: usize, end: bool) -> Action {
        let data = self.get_upstream_data(0, size).unwrap_or_default();
        log(&format!(
            "upstream {size} {:?}{}",
            String::from_utf8_lossy(&data),
            if end { " end" } else { "" }
        ));
        if self.is("mark") && size > 0 {
            self.set_upstream_data(0, 0, b"> ");
        }
        Action::Continue
    }

    fn on_downstream_close(&mut self, by: PeerType) {
        log(&format!("downstream closed by {}", peer(by)));
    }

    fn on_upstream_close(&mut self, by: PeerType) {
        log(&format!("upstream closed by {}", peer(by)));
    }

    fn on_log(&mut self) {
        let sent = self.get_property(vec!["connection", "id"]).is_some();
        log(&format!("log, connection id {sent}"));
    }
}
