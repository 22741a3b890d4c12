//! A Slack and a mail server that keep what they are sent.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Messages as they arrive.
#[derive(Clone, Default)]
pub struct Inbox(Arc<(Mutex<Vec<String>>, Condvar)>);

/// How long a message may take before the test gives up; none is waited for that need not come.
const PATIENCE: Duration = Duration::from_secs(60);

impl Inbox {
    fn put(&self, message: String) {
        self.0.0.lock().expect("whole").push(message);
        self.0.1.notify_all();
    }

    pub fn has(&self, text: &str) -> bool {
        self.0.0.lock().expect("whole").iter().any(|message| message.contains(text))
    }

    /// The first message with this text, which may be still to come.
    pub fn wait_for(&self, text: &str) -> String {
        let (messages, came) = &*self.0;
        let found = |messages: &Vec<String>| messages.iter().find(|message| message.contains(text)).cloned();
        let guard = messages.lock().expect("whole");
        let (guard, _) =
            came.wait_timeout_while(guard, PATIENCE, |messages| found(messages).is_none()).expect("whole");
        found(&guard).unwrap_or_else(|| panic!("no message with {text:?}, but {guard:#?}"))
    }
}

/// Starts a server; each connection is served by `serve`. Its port.
fn server(inbox: &Inbox, serve: fn(TcpStream, &Inbox) -> std::io::Result<()>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let inbox = inbox.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let inbox = inbox.clone();
            // A peer that goes early is no matter: what it had sent is kept or not.
            std::thread::spawn(move || drop(serve(stream, &inbox)));
        }
    });
    port
}

pub fn slack(inbox: &Inbox) -> u16 {
    server(inbox, |stream, inbox| {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            if line.trim().is_empty() {
                break;
            }
            if let Some((_, value)) = line.to_ascii_lowercase().split_once("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        inbox.put(String::from_utf8_lossy(&body).into_owned());
        (&stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
    })
}

pub fn mail(inbox: &Inbox) -> u16 {
    server(inbox, |stream, inbox| {
        let (mut reader, mut writer) = (BufReader::new(stream.try_clone()?), stream);
        writer.write_all(b"220 mail\r\n")?;
        let mut line = String::new();
        while reader.read_line(&mut line)? > 0 {
            match line.get(..4).unwrap_or_default() {
                "EHLO" | "HELO" => writer.write_all(b"250 mail\r\n")?,
                "DATA" => {
                    writer.write_all(b"354 go on\r\n")?;
                    inbox.put(message(&mut reader)?);
                    writer.write_all(b"250 kept\r\n")?;
                }
                "QUIT" => return writer.write_all(b"221 bye\r\n"),
                _ => writer.write_all(b"250 ok\r\n")?,
            }
            line.clear();
        }
        Ok(())
    })
}

/// The lines of a mail up to the dot. Long ones were folded (RFC 2045, quoted-printable), and are made whole.
fn message(reader: &mut impl BufRead) -> std::io::Result<String> {
    let mut text = String::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim_end() == "." || line.is_empty() {
            return Ok(text.replace("=\r\n", "").replace("=3D", "="));
        }
        text.push_str(&line);
    }
}
