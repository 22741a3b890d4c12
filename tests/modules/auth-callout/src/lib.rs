//! Asks the cluster `auth` about every request: 200 lets it pass, any other answer is 403, none at all 503.

use std::time::Duration;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

proxy_wasm::main! {{
    proxy_wasm::set_http_context(|_, _| Box::new(Auth));
}}

struct Auth;

impl HttpContext for Auth {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let token = self.get_http_request_header("authorization").unwrap_or_default();
        let headers = vec![
            (":method", "GET"),
            (":path", "/check"),
            (":authority", "auth"),
            ("authorization", token.as_str()),
        ];
        match self.dispatch_http_call("auth", headers, None, vec![], Duration::from_secs(1)) {
            Ok(_) => {}
            Err(_) => self.send_http_response(500, vec![], Some(b"no auth cluster\n")),
        }
        Action::Pause
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        self.set_http_response_header("x-checked", Some("yes"));
        Action::Continue
    }
}

impl Context for Auth {
    fn on_http_call_response(&mut self, _: u32, headers: usize, _: usize, _: usize) {
        // Without headers the call was reset, and asking for one would panic.
        if headers == 0 {
            return self.send_http_response(503, vec![], Some(b"auth broke off\n"));
        }
        let status = self.get_http_call_response_header(":status");
        match status.as_deref() {
            Some("200") => self.resume_http_request(),
            Some("503" | "504") => self.send_http_response(503, vec![], Some(b"auth is away\n")),
            _ => self.send_http_response(403, vec![("x-auth", "no")], Some(b"forbidden\n")),
        }
    }
}
