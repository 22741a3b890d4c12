//! Talks with a gRPC service over a stream: says every word of the header `x-say`, then does what `x-then` names, and logs whatever
//! it hears. The request waits until the stream is closed, unless there will be no word of that.

use log::info;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, Bytes, LogLevel};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Trace);
    proxy_wasm::set_http_context(|_, _| Box::new(Talk { heard: Vec::new() }));
}}

struct Talk {
    heard: Vec<u8>,
}

impl Talk {
    /// Whether there is something to wait for.
    fn say(&mut self, stream: u32) -> bool {
        let say = self.get_http_request_header("x-say").unwrap_or_default();
        let then = self.get_http_request_header("x-then").unwrap_or_default();
        let words: Vec<&str> = say.split_whitespace().collect();
        for (place, word) in words.iter().enumerate() {
            let ends = then == "end" && place + 1 == words.len();
            self.send_grpc_stream_message(stream, Some(word.as_bytes()), ends);
        }
        match then.as_str() {
            "close" => self.close_grpc_stream(stream),
            "cancel" => self.cancel_grpc_stream(stream),
            _ => {}
        }
        then != "cancel"
    }
}

impl HttpContext for Talk {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let opened = self.open_grpc_stream("words", "words.Dictionary", "Talk", vec![("x-from", b"filter")]);
        match opened {
            Ok(stream) if self.say(stream) => Action::Pause,
            Ok(_) => Action::Continue,
            Err(status) => {
                self.set_http_request_header("x-word-error", Some(&format!("{status:?}")));
                Action::Continue
            }
        }
    }
}

impl Context for Talk {
    fn on_grpc_stream_initial_metadata(&mut self, _: u32, count: u32) {
        info!("{count} initial: {}", shown(self.get_grpc_stream_initial_metadata()));
    }

    fn on_grpc_stream_message(&mut self, _: u32, size: usize) {
        let word = self.get_grpc_stream_message(0, size).unwrap_or_default();
        info!("heard {}", word.escape_ascii());
        self.heard.extend([word, b" ".to_vec()].concat());
    }

    fn on_grpc_stream_trailing_metadata(&mut self, _: u32, count: u32) {
        info!("{count} trailing: {}", shown(self.get_grpc_stream_trailing_metadata()));
    }

    fn on_grpc_stream_close(&mut self, _: u32, code: u32) {
        let (status, message) = self.get_grpc_status();
        info!("closed {code} {status} {}", message.unwrap_or_default());
        let heard = self.heard.trim_ascii().to_vec();
        self.set_http_request_header_bytes("x-heard", Some(&heard));
        self.resume_http_request();
    }
}

fn shown(metadata: Vec<(String, Bytes)>) -> String {
    let each = metadata.iter().map(|(name, value)| format!("{name}={}", value.escape_ascii()));
    each.collect::<Vec<_>>().join(" ")
}
