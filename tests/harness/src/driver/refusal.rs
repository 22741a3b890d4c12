//! Requests that Envoy's codec or connection manager does not let in.

use super::World;
use crate::HeaderMap;
use crate::codec::Refusal;
use crate::headers::Kind;
use crate::request::HTTP1;
use crate::stream::{Direction, LocalReply, StreamRef};

impl World {
    /// Answers, resets or closes in place of the filters; those that are told hear of it in `on_log`.
    pub(super) fn refuse(&self, stream: &StreamRef, refusal: Refusal) {
        let begun = stream.borrow().request.headers.is_some();
        self.note_refusal(stream, &refusal);
        match (begun, refusal.answer) {
            (true, Some((status, body))) => self.refuse_midway(stream, status, body, refusal.details),
            (true, None) => self.reset(stream),
            (false, answer) => {
                if refusal.is_told {
                    self.make_chain(stream);
                }
                stream.borrow_mut().request.headers = refusal.headers;
                self.look_up_route(stream);
                if !refusal.is_routed {
                    stream.borrow_mut().info.forget_route();
                }
                match answer {
                    Some((status, body)) => self.refuse_at_once(stream, status, body, refusal.closes),
                    None => self.reset(stream),
                }
            }
        }
    }

    fn note_refusal(&self, stream: &StreamRef, refusal: &Refusal) {
        let clock = self.process.clock.get();
        let mut stream = stream.borrow_mut();
        let info = &mut stream.info;
        info.flags |= refusal.flags;
        info.details = Some(refusal.details.to_owned());
        if info.start_wall == 0 {
            (info.start_wall, info.start_mono) = (clock.wall, clock.mono);
        }
    }

    /// Filters have seen the headers: they see the answer, too.
    fn refuse_midway(&self, stream: &StreamRef, status: u16, body: &str, details: &str) {
        let reply = LocalReply {
            status: status.into(),
            body: body.into(),
            headers: Vec::new(),
            grpc: None,
            details: details.to_owned(),
        };
        self.reply(stream, reply);
    }

    fn refuse_at_once(&self, stream: &StreamRef, status: u16, body: &str, closes: bool) {
        let mut headers = HeaderMap::of(Kind::Response).with([(":status", status.to_string())]);
        if !body.is_empty() {
            headers.add(b"content-length", body.len().to_string().as_bytes());
            headers.add(b"content-type", b"text/plain");
        }
        self.add_own_headers(&mut headers);
        let end = body.is_empty();
        {
            let mut stream = stream.borrow_mut();
            if closes && stream.info.protocol == HTTP1 {
                headers.add(b"connection", b"close");
            }
            stream.info.response_code = Some(status.into());
            stream.request.complete = true;
            stream.response.complete = true;
            stream.response.headers = Some(headers);
        }
        self.send_checked_headers(stream, end);
        if !end {
            stream.borrow_mut().response.chunk = body.into();
            self.sink_data(stream, Direction::Response, crate::vm::context::BodyView::Chunk, true);
        }
    }
}
