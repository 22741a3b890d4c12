//! HTTP/1 of `serve`, byte for byte: what a client sends is what Envoy's codec would get to read, and an answer is written as the
//! module has left it, whatever it says of its own length.

use std::io::{self, BufRead, Read};

use portcullis_harness::{ClientResponse, Outcome};

/// A head that is longer is not read to its end: Envoy refuses it anyhow.
const MOST_OF_A_HEAD: usize = 128 * 1024;
/// A body that is longer is no longer read.
const MOST_OF_A_BODY: u64 = 1 << 30;

/// A request as it was sent.
pub struct Message {
    /// All of it.
    pub bytes: Vec<u8>,
    /// The first word, by which a client knows whether the answer has a body.
    pub method: Vec<u8>,
}

/// The next request; `None` if the connection has been ended.
pub fn read_message(reader: &mut impl BufRead) -> io::Result<Option<Message>> {
    let mut bytes = Vec::new();
    while read_line(reader, &mut bytes)? && !is_head(&bytes) && bytes.len() < MOST_OF_A_HEAD {}
    if bytes.is_empty() {
        return Ok(None);
    }
    let method = bytes.split(|byte| *byte == b' ').next().unwrap_or_default().trim_ascii_start().to_vec();
    match field(&bytes, "transfer-encoding").is_some_and(|value| value.ends_with("chunked")) {
        true => read_chunks(reader, &mut bytes)?,
        false => {
            let length = field(&bytes, "content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
            reader.take(length.min(MOST_OF_A_BODY)).read_to_end(&mut bytes)?;
        }
    }
    Ok(Some(Message { bytes, method }))
}

fn read_line(reader: &mut impl BufRead, bytes: &mut Vec<u8>) -> io::Result<bool> {
    Ok(reader.take(MOST_OF_A_HEAD as u64).read_until(b'\n', bytes)? > 0)
}

/// Whether an empty line stands behind the first one that is none.
fn is_head(bytes: &[u8]) -> bool {
    let begun = !bytes.trim_ascii_start().is_empty();
    begun && (bytes.ends_with(b"\r\n\r\n") || bytes.ends_with(b"\n\n"))
}

fn field(head: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let value = |line: &str| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned());
    text.lines().find_map(value)
}

fn read_chunks(reader: &mut impl BufRead, bytes: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let mut line = Vec::new();
        if !read_line(reader, &mut line)? {
            return Ok(());
        }
        bytes.extend_from_slice(&line);
        let text = String::from_utf8_lossy(&line);
        let size = u64::from_str_radix(text.split(';').next().unwrap_or_default().trim(), 16);
        match size {
            Ok(size) if size > 0 && size < MOST_OF_A_BODY => {
                reader.take(size + 2).read_to_end(bytes)?;
            }
            // What is no chunk is not read any further.
            Err(_) | Ok(1..) => return Ok(()),
            Ok(0) => {
                let mut trailers = Vec::new();
                while read_line(reader, &mut trailers)?
                    && !trailers.ends_with(b"\r\n\r\n")
                    && trailers != b"\r\n"
                {}
                bytes.extend(trailers);
                return Ok(());
            }
        }
    }
}

/// The bytes of an answer, and whether the connection goes on.
pub fn written(outcome: Result<&Outcome, &String>, method: &[u8]) -> (Vec<u8>, bool) {
    match outcome {
        Err(error) => {
            let length = error.len();
            (
                format!("HTTP/1.1 502 Bad Gateway\r\ncontent-length: {length}\r\n\r\n{error}").into_bytes(),
                false,
            )
        }
        Ok(outcome) => {
            let Some(status) = outcome.client.status() else { return (Vec::new(), false) };
            // Envoy closes a connection on which it could not read a request.
            let closes = outcome.flags.contains("DPE") || outcome.client.reset;
            (answer(&outcome.client, status, method), !closes)
        }
    }
}

fn answer(client: &ClientResponse, status: u16, method: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status} \r\n").into_bytes();
    let headers = client.headers.iter().flat_map(|headers| headers.iter());
    for (name, value) in headers.filter(|(name, _)| name.first() != Some(&b':')) {
        bytes.extend([name, b": ", value, b"\r\n"].concat());
    }
    let has_length = client.headers.as_ref().is_some_and(|headers| headers.contains("content-length"));
    let has_body = method != b"HEAD" && ![101, 204, 304].contains(&status);
    let body = [client.body.as_slice(), &client.surplus].concat();
    if has_length || !has_body {
        return [bytes, b"\r\n".to_vec(), body].concat();
    }
    bytes.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
    if !body.is_empty() {
        bytes.extend([format!("{:x}\r\n", body.len()).as_bytes(), &body, b"\r\n"].concat());
    }
    if client.complete {
        bytes.extend_from_slice(b"0\r\n");
        for (name, value) in client.trailers.iter().flat_map(|trailers| trailers.iter()) {
            bytes.extend([name, b": ", value, b"\r\n"].concat());
        }
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}
