//! A case: plugins with their scripts, and what happens to the proxy that they are in. Both sides run the same.

use std::time::Duration;

/// One comparison.
pub struct Case {
    pub name: &'static str,
    /// The scripts of the plugins, in the order of the chain.
    pub scripts: Vec<String>,
    pub vm_configuration: &'static str,
    pub allow_stop_iteration: bool,
    pub alone: bool,
    pub steps: Vec<Step>,
}

/// What happens next.
pub enum Step {
    Send(Ask),
    /// Time moves.
    Travel(Duration),
    /// The proxy is told to end.
    ShutDown,
}

/// A request.
#[derive(Clone)]
pub struct Ask {
    pub method: &'static str,
    pub path: &'static str,
    pub headers: Vec<(&'static str, &'static [u8])>,
    /// Two and more are sent chunked, each once the proxy has seen the one before.
    pub chunks: Vec<&'static str>,
    pub trailers: Vec<(&'static str, &'static str)>,
    pub http2: bool,
}

impl Case {
    pub fn new(name: &'static str, script: &str) -> Self {
        Self {
            name,
            scripts: vec![script.into()],
            vm_configuration: "",
            allow_stop_iteration: false,
            alone: false,
            steps: Vec::new(),
        }
    }

    /// Another plugin behind those before.
    pub fn then(mut self, script: &str) -> Self {
        self.scripts.push(script.into());
        self
    }

    pub fn vm_configuration(mut self, configuration: &'static str) -> Self {
        self.vm_configuration = configuration;
        self
    }

    pub fn allow_stop_iteration(mut self) -> Self {
        self.allow_stop_iteration = true;
        self
    }

    /// In an Envoy of its own: what it counts is counted by the process.
    pub fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    pub fn send(mut self, ask: Ask) -> Self {
        self.steps.push(Step::Send(ask));
        self
    }

    pub fn travel(mut self, seconds: u64) -> Self {
        self.steps.push(Step::Travel(Duration::from_secs(seconds)));
        self
    }

    pub fn shut_down(mut self) -> Self {
        self.steps.push(Step::ShutDown);
        self
    }

    /// Whether it needs an Envoy of its own: its time is nobody else's.
    pub fn wants_its_own(&self) -> bool {
        self.alone || self.steps.iter().any(|step| !matches!(step, Step::Send(_)))
    }
}

impl Ask {
    pub fn new(method: &'static str, path: &'static str) -> Self {
        Self { method, path, headers: vec![], chunks: vec![], trailers: vec![], http2: false }
    }

    pub fn get(path: &'static str) -> Self {
        Self::new("GET", path)
    }

    pub fn post(path: &'static str, body: &'static str) -> Self {
        Self::new("POST", path).chunk(body)
    }

    pub fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value.as_bytes()));
        self
    }

    pub fn bytes(mut self, name: &'static str, value: &'static [u8]) -> Self {
        self.headers.push((name, value));
        self
    }

    pub fn chunk(mut self, chunk: &'static str) -> Self {
        self.chunks.push(chunk);
        self
    }

    pub fn trailer(mut self, name: &'static str, value: &'static str) -> Self {
        self.trailers.push((name, value));
        self
    }

    pub fn http2(mut self) -> Self {
        self.http2 = true;
        self
    }
}

/// What the peers behind the proxy answer, by path.
pub struct Answer {
    pub status: u16,
    pub headers: &'static [(&'static str, &'static str)],
    pub body: &'static str,
    pub trailers: &'static [(&'static str, &'static str)],
    pub end: End,
}

/// How an answer ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// As it should.
    Whole,
    /// The connection closes before the headers.
    NoHeaders,
    /// It never comes.
    Never,
}

/// One table for both sides.
pub fn answer(path: &str) -> Answer {
    let whole = |status, headers, body, trailers| Answer { status, headers, body, trailers, end: End::Whole };
    let broken = |end| Answer { status: 200, headers: &[], body: "", trailers: &[], end };
    match path.split('?').next().unwrap_or_default() {
        "/trailers" => whole(200, &[("x-up", "1")], "hello", &[("x-trailer", "one"), ("x-other", "two")]),
        "/empty" => whole(204, &[("x-up", "1")], "", &[]),
        "/missing" => whole(404, &[("content-type", "text/html")], "<p>nothing</p>", &[]),
        "/grpc-status" => whole(
            200,
            &[("content-type", "application/grpc"), ("grpc-status", "5"), ("grpc-message", "no")],
            "",
            &[],
        ),
        "/broken" => broken(End::NoHeaders),
        "/never" => broken(End::Never),
        _ => whole(
            200,
            &[
                ("x-up", "1"),
                ("x-dup", "a"),
                ("x-dup", "b"),
                ("set-cookie", "c=1"),
                ("set-cookie", "d=2"),
                ("cache-control", "no-cache"),
                ("cache-control", "no-store"),
                ("vary", "a"),
                ("vary", "b"),
                ("content-type", "text/plain"),
            ],
            "hello",
            &[],
        ),
    }
}
