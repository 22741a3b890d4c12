//! An HTTP/2 client that does what no library lets one do: requests without an end, windows that stay closed.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

const INITIAL_WINDOW_SIZE: u16 = 4;

/// A connection, whose answers nobody reads.
pub struct RawH2 {
    stream: TcpStream,
    next: u32,
}

impl RawH2 {
    /// Connects from `source`; `window` is how many bytes of each answer the peer may send.
    pub fn open(source: IpAddr, to: SocketAddr, window: u32) -> Self {
        let mut raw = Self { stream: connect(source, to), next: 1 };
        let setting = [&INITIAL_WINDOW_SIZE.to_be_bytes()[..], &window.to_be_bytes()].concat();
        raw.send(&[PREFACE, &frame(SETTINGS, 0, 0, &setting), &frame(SETTINGS, ACK, 0, &[])].concat());
        raw
    }

    /// Begins a request; `ends` says whether it has an end. Its stream.
    pub fn begin(&mut self, method: &str, path: &str, headers: &[(&str, &str)], ends: bool) -> u32 {
        let id = self.next;
        self.next += 2;
        let pseudo =
            [(":method", method), (":scheme", "http"), (":authority", "gateway.test"), (":path", path)];
        let block: Vec<u8> =
            pseudo.iter().chain(headers).flat_map(|(name, value)| literal(name, value)).collect();
        let flags = if ends { END_HEADERS | END_STREAM } else { END_HEADERS };
        self.send(&frame(HEADERS, flags, id, &block));
        id
    }

    /// Resets a stream.
    pub fn reset(&mut self, id: u32) {
        self.send(&frame(RST_STREAM, 0, id, &8_u32.to_be_bytes()));
    }

    /// Waits until the peer has sent something: it has the connection.
    pub fn wait_for_settings(&mut self) {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).expect("the gateway speaks HTTP/2");
        assert_eq!(head[3], SETTINGS, "the first frame");
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the gateway reads");
    }
}

/// A TCP connection from `source`, any address of the loopback.
pub fn connect(source: IpAddr, to: SocketAddr) -> TcpStream {
    let (domain, kind) = (socket2::Domain::IPV4, socket2::Type::STREAM);
    let socket = socket2::Socket::new(domain, kind, None).expect("a socket");
    socket.bind(&SocketAddr::new(source, 0).into()).expect("an address of the loopback");
    socket.connect(&to.into()).expect("the gateway listens");
    socket.into()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a small frame").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A field as RFC 7541 section 6.2.2 has it: a literal that is not indexed, with a name of its own; no Huffman code.
fn literal(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| [&length(text.len())[..], text.as_bytes()].concat();
    [&[0][..], &text(name), &text(value)].concat()
}

/// A length with a prefix of seven bits (RFC 7541 section 5.1).
fn length(length: usize) -> Vec<u8> {
    let Some(mut rest) = length.checked_sub(127) else {
        return vec![u8::try_from(length).expect("below 127")];
    };
    let mut bytes = vec![127];
    while rest >= 128 {
        bytes.push(u8::try_from(rest % 128).expect("below 128") | 128);
        rest /= 128;
    }
    bytes.push(u8::try_from(rest).expect("below 128"));
    bytes
}
