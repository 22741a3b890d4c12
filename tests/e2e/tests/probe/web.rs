//! The HTTP/1.1 peer of Envoy: a thread a connection, answering from the table that the harness has too.

use crate::case::{Answer, End, answer};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

/// Serves until the process ends.
pub fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it listens");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || connection(stream));
        }
    });
    address
}

fn connection(stream: TcpStream) {
    let Ok(mut writer) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    while let Some(path) = read_request(&mut reader) {
        let answer = answer(&path);
        match answer.end {
            End::NoHeaders => return,
            End::Never => continue,
            End::Whole => {}
        }
        if writer.write_all(&bytes(&answer)).is_err() {
            return;
        }
    }
}

/// The path of the next request, all of which is read; `None` at the end.
fn read_request(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let first = line(reader)?;
    let path = first.split(' ').nth(1)?.to_owned();
    let (mut length, mut chunked) = (0, false);
    loop {
        let header = line(reader)?.to_ascii_lowercase();
        match header.split_once(':') {
            None => break,
            Some(("content-length", value)) => length = value.trim().parse().ok()?,
            Some(("transfer-encoding", _)) => chunked = true,
            Some(_) => {}
        }
    }
    if chunked {
        while line(reader)? != "0" {}
        while !line(reader)?.is_empty() {}
    }
    reader.read_exact(&mut vec![0; length]).ok()?;
    Some(path)
}

fn line(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut bytes = Vec::new();
    reader.read_until(b'\n', &mut bytes).ok().filter(|read| *read > 0)?;
    Some(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

fn bytes(answer: &Answer) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {} OK\r\n", answer.status);
    let fields = |fields: &[(&str, &str)]| -> String {
        fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect()
    };
    text += &fields(answer.headers);
    if answer.trailers.is_empty() {
        if answer.status != 204 {
            text += &format!("content-length: {}\r\n", answer.body.len());
        }
        return (text + "\r\n" + answer.body).into_bytes();
    }
    let body = format!("{:x}\r\n{}\r\n0\r\n", answer.body.len(), answer.body);
    (text + "transfer-encoding: chunked\r\n\r\n" + &body + &fields(answer.trailers) + "\r\n").into_bytes()
}
