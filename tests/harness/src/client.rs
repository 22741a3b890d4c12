//! What a client reads of what Envoy has sent: Envoy does not compare a body with its `content-length`, clients do.

use std::fmt;

use crate::HeaderMap;
use crate::request::HTTP1;
use crate::stream::Stream;

/// A message whose framing is not what its headers say. To Envoy it is complete, to whoever reads it it is not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flaw {
    /// The body is shorter than `content-length` says: the reader waits for the rest.
    Short {
        /// Bytes that `content-length` says.
        announced: u64,
        /// Bytes that were sent.
        sent: u64,
    },
    /// The body is longer: over HTTP/1 the reader takes what is too much for the beginning of the next message.
    Long {
        /// Bytes that `content-length` says.
        announced: u64,
        /// Bytes that were sent.
        sent: u64,
    },
    /// `content-length` is no number.
    LengthUnreadable(String),
    /// `:status` is no number of three digits.
    StatusUnreadable(String),
    /// The status is an interim one (1xx): the reader waits for another answer.
    Interim(u16),
    /// There is a body where the status (204, 304, 101) allows none: over HTTP/1 the reader takes it for the next message.
    BodyBeyondStatus {
        /// The status.
        status: u16,
        /// Bytes that were sent.
        sent: u64,
    },
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Flaw::Short { announced, sent } => {
                write!(
                    f,
                    "content-length says {announced} bytes, and the body has only {sent}: the reader waits for the rest"
                )
            }
            Flaw::Long { announced, sent } => {
                write!(
                    f,
                    "content-length says {announced} bytes, and the body has {sent}: what is too much is read as the next message"
                )
            }
            Flaw::LengthUnreadable(text) => write!(f, "content-length is no number: {text:?}"),
            Flaw::StatusUnreadable(text) => write!(f, ":status is no number of three digits: {text:?}"),
            Flaw::Interim(status) => {
                write!(f, "{status} is an interim status: the reader waits for the answer behind it")
            }
            Flaw::BodyBeyondStatus { status, sent } => {
                write!(
                    f,
                    "{status} has no body, and {sent} bytes of one were sent: they are read as the next message"
                )
            }
        }
    }
}

/// What the client got.
#[derive(Clone, Debug, Default)]
pub struct ClientResponse {
    /// Headers; `None` if the stream ended without any.
    pub headers: Option<HeaderMap>,
    /// Body: as far as the client reads one.
    pub body: Vec<u8>,
    /// Sizes of the chunks that the body was sent in.
    pub chunks: Vec<usize>,
    /// Trailers.
    pub trailers: Option<HeaderMap>,
    /// The client has the whole response.
    pub complete: bool,
    /// The stream broke instead: Envoy reset it, or the client did because it cannot read it.
    pub reset: bool,
    /// Envoy has sent all that it will send, and the client waits for more.
    pub waits: bool,
    /// What was sent over HTTP/1 is no HTTP.
    pub invalid: bool,
    /// Bytes that were sent behind the end of the response, over HTTP/1.
    pub surplus: Vec<u8>,
    /// What is wrong with the response.
    pub flaw: Option<Flaw>,
}

impl ClientResponse {
    /// Status code; `None` without headers.
    pub fn status(&self) -> Option<u16> {
        self.header(":status")?.parse().ok()
    }

    /// First value of a header, as text.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.as_ref()?.text(name)
    }

    /// First value of a trailer, as text.
    pub fn trailer(&self, name: &str) -> Option<String> {
        self.trailers.as_ref()?.text(name)
    }

    /// Body as text, what is not UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// What the client of a stream makes of what was sent to it.
    pub(crate) fn of(stream: &Stream) -> Self {
        let sent = &stream.client;
        let mut read = Self {
            headers: sent.headers.clone(),
            body: sent.body.clone(),
            chunks: sent.chunks.clone(),
            trailers: sent.trailers.clone(),
            complete: sent.complete,
            reset: sent.reset,
            ..Self::default()
        };
        read.flaw = flaw(stream);
        match (&read.flaw, stream.info.protocol == HTTP1) {
            (None, _) => {}
            (Some(flaw), true) => read.over_http1(&flaw.clone()),
            (Some(flaw), false) => read.over_http2(&flaw.clone()),
        }
        read
    }

    fn over_http1(&mut self, flaw: &Flaw) {
        match flaw {
            Flaw::Short { .. } => (self.complete, self.waits) = (false, !self.reset),
            Flaw::Long { announced, .. } => {
                self.surplus = self.body.split_off(usize::try_from(*announced).unwrap_or(usize::MAX));
            }
            Flaw::BodyBeyondStatus { .. } => self.surplus = std::mem::take(&mut self.body),
            Flaw::LengthUnreadable(_) => {
                self.body.clear();
                (self.complete, self.invalid) = (false, true);
            }
            Flaw::StatusUnreadable(_) => {
                self.unread();
                self.invalid = true;
            }
            Flaw::Interim(_) => {
                // What stands behind an interim answer is no answer.
                let has_body = !self.body.is_empty();
                self.unread();
                (self.invalid, self.waits) = (has_body, !has_body);
            }
        }
    }

    /// A client resets a stream that breaks a rule (RFC 9113, section 8.1.1).
    fn over_http2(&mut self, flaw: &Flaw) {
        match flaw {
            // Nothing more is sent, and nothing says that there should be.
            Flaw::BodyBeyondStatus { .. } => {}
            Flaw::Long { announced, .. } => {
                self.keep_whole_frames(usize::try_from(*announced).unwrap_or(usize::MAX));
                (self.complete, self.reset) = (false, true);
            }
            // Headers that end the stream and announce a body are not read themselves.
            Flaw::Short { .. } if self.chunks.is_empty() && self.trailers.is_none() => self.unread(),
            Flaw::Short { .. } => (self.complete, self.reset) = (false, true),
            Flaw::LengthUnreadable(_) | Flaw::StatusUnreadable(_) | Flaw::Interim(_) => {
                self.unread();
                self.reset = true;
            }
        }
    }

    /// A frame that goes beyond the announced length is not read at all.
    fn keep_whole_frames(&mut self, most: usize) {
        let mut kept = 0;
        for size in &self.chunks {
            if kept + size > most {
                break;
            }
            kept += size;
        }
        self.body.truncate(kept);
        self.trailers = None;
    }

    fn unread(&mut self) {
        *self = Self {
            chunks: std::mem::take(&mut self.chunks),
            flaw: self.flaw.take(),
            reset: true,
            ..Self::default()
        };
    }
}

fn flaw(stream: &Stream) -> Option<Flaw> {
    let headers = stream.client.headers.as_ref()?;
    let text = headers.text(":status").unwrap_or_default();
    let sent = stream.client.body.len() as u64;
    let is_three_digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    let status: u16 = match text.parse() {
        Ok(status) if is_three_digits && status >= 100 => status,
        _ => return Some(Flaw::StatusUnreadable(text)),
    };
    match status {
        101 | 204 | 304 if sent > 0 => return Some(Flaw::BodyBeyondStatus { status, sent }),
        101 if stream.info.protocol == HTTP1 => return None,
        100..=199 => return Some(Flaw::Interim(status)),
        204 | 304 => return None,
        _ => {}
    }
    if stream.info.asked == b"HEAD" || !stream.client.complete {
        return None;
    }
    length_flaw(headers, sent)
}

/// What a body of so many bytes is to whoever goes by `content-length`.
pub(crate) fn length_flaw(headers: &HeaderMap, sent: u64) -> Option<Flaw> {
    let text = headers.text("content-length")?;
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let announced = match text.parse::<u64>() {
        Ok(announced) if is_number => announced,
        _ => return Some(Flaw::LengthUnreadable(text)),
    };
    match sent.cmp(&announced) {
        std::cmp::Ordering::Less => Some(Flaw::Short { announced, sent }),
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Greater => Some(Flaw::Long { announced, sent }),
    }
}
