//! Asks a gRPC service for a word, and hands it to the upstream.

use std::time::Duration;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

proxy_wasm::main! {{
    proxy_wasm::set_http_context(|_, _| Box::new(Word));
}}

struct Word;

impl HttpContext for Word {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let asked = self.dispatch_grpc_call(
            "words",
            "words.Dictionary",
            "Next",
            vec![("x-from", b"filter")],
            Some(b"\x0a\x01a"),
            Duration::from_secs(1),
        );
        match asked {
            Ok(_) => Action::Pause,
            Err(status) => {
                self.set_http_request_header("x-word-error", Some(&format!("{status:?}")));
                Action::Continue
            }
        }
    }
}

impl Context for Word {
    fn on_grpc_call_response(&mut self, _: u32, status: u32, size: usize) {
        if status == 0 {
            let word = self.get_grpc_call_response_body(0, size).unwrap_or_default();
            self.set_http_request_header_bytes("x-word", Some(&word));
        } else {
            let (code, message) = self.get_grpc_status();
            let text = format!("{code} {}", message.unwrap_or_default());
            self.set_http_request_header("x-word-error", Some(&text));
        }
        self.resume_http_request();
    }
}
