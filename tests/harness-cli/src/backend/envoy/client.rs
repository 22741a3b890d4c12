//! The client: sends a request byte for byte.

use std::net::SocketAddr;

use portcullis_e2e::{Answer as Received, ClientError, Connection, H2Connection, Request as Sent};

use crate::plan::{Body, Fields, Request};
use crate::seen::Answer;

/// Sends a request and waits for its answer. `settle` is called between the pieces of a body.
///
/// # Errors
/// Why there can be no answer; a connection that the proxy broke is an answer.
pub fn send(request: &Request, to: SocketAddr, settle: &dyn Fn()) -> Result<Answer, String> {
    let sent = if request.http2 { over_http2(request, to) } else { over_http1(request, to, settle) };
    sent.map_err(|error| error.to_string())
}

fn over_http2(request: &Request, to: SocketAddr) -> Result<Answer, ClientError> {
    let mut sent = Sent::new(&request.method, &request.path).host(&request.authority).from_ip(request.from);
    for (name, value) in &request.headers {
        sent = sent.header(name, value);
    }
    sent = match &request.body {
        Body::None => sent,
        Body::Whole(body) => sent.header("content-length", body.len().to_string()).body(body),
        Body::Chunked(chunks, trailers) => {
            let sent = sent.body(chunks.concat());
            trailers.iter().fold(sent, |sent, (name, value)| sent.trailer(name, value))
        }
    };
    match H2Connection::try_open(Some(request.from), to)?.try_send(&sent) {
        Ok(received) => Ok(answer(received, false)),
        Err(ClientError::StreamReset(_) | ClientError::Closed { .. }) => Ok(broken()),
        Err(error) => Err(error),
    }
}

fn over_http1(request: &Request, to: SocketAddr, settle: &dyn Fn()) -> Result<Answer, ClientError> {
    let mut connection = Connection::try_open(Some(request.from), to)?;
    // A proxy may answer before it has read everything: what cannot be written does not matter then.
    let _ = connection.write(&head(request));
    match &request.body {
        Body::None => {}
        Body::Whole(body) => drop(connection.write(body)),
        Body::Chunked(chunks, trailers) => {
            for chunk in chunks {
                settle();
                let bytes = [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat();
                let _ = connection.write(&bytes);
            }
            settle();
            let _ = connection.write(&[b"0\r\n".to_vec(), lines(trailers), b"\r\n".to_vec()].concat());
        }
    }
    read(&mut connection, &request.method)
}

fn head(request: &Request) -> Vec<u8> {
    let mut head = [request.method.as_bytes(), b" ", &request.path, b" HTTP/1.1\r\n"].concat();
    head.extend(format!("host: {}\r\n", request.authority).bytes());
    head.extend(lines(&request.headers));
    match &request.body {
        Body::None => {}
        Body::Whole(body) => head.extend(format!("content-length: {}\r\n", body.len()).bytes()),
        Body::Chunked(..) => head.extend(b"transfer-encoding: chunked\r\n"),
    }
    head.extend(b"\r\n");
    head
}

fn lines(fields: &Fields) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| [name.as_bytes(), b": ", value, b"\r\n"].concat()).collect()
}

fn read(connection: &mut Connection, method: &str) -> Result<Answer, ClientError> {
    let mut received = match connection.read_head() {
        Ok(received) => received,
        Err(ClientError::Closed { .. }) => return Ok(broken()),
        Err(error) => return Err(error),
    };
    let has_body = method != "HEAD" && ![101, 204, 304].contains(&received.status);
    let body = if has_body { connection.read_body(&mut received) } else { Ok(()) };
    match body {
        Ok(()) => Ok(answer(received, false)),
        Err(ClientError::Closed { received: rest, .. }) => {
            if !received.headers.has("transfer-encoding") {
                received.body = rest;
            }
            Ok(answer(received, true))
        }
        Err(error) => Err(error),
    }
}

fn answer(received: Received, broken: bool) -> Answer {
    Answer {
        status: Some(received.status),
        headers: received.headers.0,
        body: received.body,
        trailers: received.trailers.0,
        broken,
    }
}

fn broken() -> Answer {
    Answer { broken: true, ..Answer::default() }
}
