//! What nobody should send: a clear refusal or a normal answer, and a filter that is alive after it.

use crate::common::both_ways;
use portcullis_e2e::{Answer, Connection, Gateway, H2Connection, Request};

/// How a request is sent.
pub enum Sent {
    /// These bytes.
    Raw(Vec<u8>),
    /// HTTP/1.1.
    H1(Request),
    /// HTTP/2.
    H2(Request),
}

/// In the place of a status: the stream or connection is reset.
const RESET: u16 = 0;

/// A hostile request and the statuses that it may get.
pub struct Hostile {
    pub name: String,
    pub sent: Sent,
    pub statuses: Vec<u16>,
}

impl Hostile {
    fn new(name: impl Into<String>, sent: Sent, statuses: &[u16]) -> Self {
        Self { name: name.into(), sent, statuses: statuses.to_vec() }
    }

    /// Sends it. There must be an answer, unless a reset is one.
    #[track_caller]
    pub fn send(&self, gateway: &Gateway) -> Option<Answer> {
        let answer = match &self.sent {
            Sent::Raw(bytes) => Connection::open(gateway.address()).send_raw(bytes),
            Sent::H1(request) => Connection::open(gateway.address()).try_send(request),
            Sent::H2(request) => H2Connection::open(gateway.address()).try_send(request),
        };
        match answer {
            Err(_) if self.statuses.contains(&RESET) => None,
            Ok(answer) if self.statuses.contains(&answer.status) => Some(answer),
            unexpected => panic!("{}: {unexpected:?}", self.name),
        }
    }
}

const ORDERS: &str = "/api/v1/orders";

/// Headers that the gateway reads or writes.
const READ: [&str; 12] = [
    "authorization",
    "x-user-role",
    "x-source",
    "x-request-id",
    "x-forwarded-for",
    "x-forwarded-proto",
    "connection",
    "origin",
    "access-control-request-method",
    "content-type",
    "te",
    "x-any",
];

fn raw_requests() -> Vec<Hostile> {
    let raw = |name: &str, bytes: &[u8]| Hostile::new(name, Sent::Raw(bytes.to_vec()), &[400]);
    vec![
        raw("garbage", b"nonsense\r\n\r\n"),
        raw("bytes that are no text", b"\xff\xfe\x00\x01\r\n\r\n"),
        raw("the start of TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
        raw("no host", b"GET /api/v1/orders HTTP/1.1\r\n\r\n"),
        raw("NUL in a value", b"GET /api/v1/orders HTTP/1.1\r\nhost: a\r\nx: \0\r\n\r\n"),
        raw("NUL in a path", b"GET /api/v1/\0 HTTP/1.1\r\nhost: a\r\n\r\n"),
        raw("a space in a name", b"GET /api/v1/orders HTTP/1.1\r\nhost: a\r\nx y: 1\r\n\r\n"),
        raw("two lengths", b"POST /api/v1/orders HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab"),
        raw(
            "length and chunks",
            b"POST /api/v1/orders HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
    ]
}

fn odd_targets() -> Vec<Hostile> {
    let h1 = |name: &str, request: Request, statuses: &[u16]| Hostile::new(name, Sent::H1(request), statuses);
    vec![
        h1("OPTIONS *", Request::new("OPTIONS", "*"), &[404]),
        h1("GET *", Request::get("*"), &[400, 404]),
        h1("CONNECT", Request::new("CONNECT", "db.internal:5432").host("db.internal:5432"), &[400, 404]),
        h1("raw bytes in the path", Request::get(b"/api/v1/\xff\xfe\x80"), &[400]),
        h1("quotes in the path", Request::get(r#"/api/v1/"x"\u0000"#), &[400, 404]),
        h1("controls in the path", Request::get(b"/api/v1/\x1b[31m\x07"), &[400]),
        h1("a long path", Request::get(format!("/{}", "a/".repeat(15_000))), &[404]),
        h1("a long method", Request::new(&"X".repeat(2_000), ORDERS), &[400, 404]),
        h1(
            "an upgrade",
            Request::get(ORDERS).header("connection", "upgrade").header("upgrade", "websocket"),
            &[403, 401],
        ),
        h1("64 KiB of one header", Request::get(ORDERS).header("x-huge", vec![b'a'; 64 * 1024]), &[431]),
        h1(
            "a thousand headers",
            (0..1000).fold(Request::get(ORDERS), |r, i| r.header(format!("x-{i}"), "1")),
            &[431],
        ),
        // Huffman's code makes of this byte more than three.
        Hostile::new(
            "more than Envoy's decoder takes",
            Sent::H2(Request::get(ORDERS).header("x-any", vec![0xff; 50 * 1024])),
            &[RESET],
        ),
        Hostile::new("CONNECT over h2", Sent::H2(Request::new("CONNECT", "db.internal:5432")), &[400, 404]),
        Hostile::new("OPTIONS over h2", Sent::H2(Request::new("OPTIONS", "/")), &[404]),
    ]
}

fn odd_values(name: &str) -> Vec<Hostile> {
    let values: [(&str, Vec<u8>); 5] = [
        ("\\xff", vec![0xff]),
        ("nothing", Vec::new()),
        ("50 KiB", vec![b'a'; 50 * 1024]),
        ("10 KiB of \\xff", vec![0xff; 10 * 1024]),
        ("a line separator and quotes", "\u{2028}\"\\".as_bytes().to_vec()),
    ];
    let statuses = [200, 400, 401, 403, 404, 426, 431];
    let mut requests = Vec::new();
    for (what, value) in values {
        let request = Request::get(ORDERS).header(name, &value).header(name, &value[..value.len().min(3)]);
        requests.push(Hostile::new(format!("{what} twice in {name}"), Sent::H1(request), &statuses));
        let single = Request::get(ORDERS).header(name, &value);
        requests.push(Hostile::new(format!("{what} in {name}"), Sent::H1(single), &statuses));
        // HTTP/2 has no hop-by-hop headers: whoever sends them has the stream reset.
        if !["connection", "te"].contains(&name) {
            let h2 = Request::get(ORDERS).header(name, &value);
            requests.push(Hostile::new(format!("{what} in {name}, h2"), Sent::H2(h2), &statuses));
        }
    }
    requests
}

/// Everything.
pub fn corpus() -> Vec<Hostile> {
    let values = READ.into_iter().flat_map(odd_values);
    raw_requests().into_iter().chain(odd_targets()).chain(values).collect()
}

#[test]
fn the_filter_is_alive_after_all_of_it() {
    both_ways(|gateway| {
        let (mark, vms) = (gateway.envoy.stderr().mark(), vms(gateway));
        for hostile in corpus() {
            hostile.send(gateway);
        }
        // Both workers: a new connection may be given to either.
        for _ in 0..16 {
            assert_eq!(gateway.get("/api/v1/inventory/assets").status, 200);
            assert_eq!(gateway.get("/health").status, 200);
        }
        let complaints: Vec<_> = gateway.envoy.stderr().since(mark);
        let complaints: Vec<_> = complaints.iter().filter(|line| line.contains("wasm")).collect();
        assert!(complaints.is_empty(), "{complaints:?}");
        assert_eq!(self::vms(gateway), vms);
    });
}

/// What Envoy tells of its VMs: how many were made, reloaded, failed.
fn vms(gateway: &Gateway) -> Vec<String> {
    let stats = gateway.envoy.admin().get("/stats?filter=wasm\\.envoy|wasm_vm|vm_reload");
    let lines: Vec<_> = stats.text().lines().map(str::to_owned).collect();
    assert!(lines.iter().any(|line| line.contains("created")), "{lines:?}");
    lines
}
