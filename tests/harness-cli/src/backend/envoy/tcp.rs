//! Both ends of a TCP connection through Envoy: each does what the scenario says, and takes whatever comes.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::model::Party;
use crate::plan::Move;
use crate::seen::{Ending, Got, Heard};

/// A connection under way. Nothing here waits: whoever calls makes sure that Envoy rests.
pub struct Talk<'a> {
    client: End,
    upstream: Option<End>,
    listener: Option<&'a TcpListener>,
}

struct End {
    stream: TcpStream,
    ending: Ending,
}

impl End {
    fn of(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, ending: Ending::Open })
    }

    /// What has come since.
    fn hear(&mut self) -> io::Result<Got> {
        let mut bytes = Vec::new();
        if self.ending == Ending::Open {
            match self.stream.read_to_end(&mut bytes) {
                Ok(_) => self.ending = Ending::Ended,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => self.ending = Ending::Reset,
                Err(error) => return Err(error),
            }
        }
        Ok(Got { bytes, ending: self.ending })
    }

    /// What cannot be written any more goes nowhere.
    fn make(&mut self, step: &Move) {
        let _ = match step {
            Move::Sends(_, bytes) => self.stream.write_all(bytes),
            Move::Ends(_) => self.stream.shutdown(Shutdown::Write),
            Move::Resets(_) => self.reset(),
        };
    }

    /// An empty read buffer and no patience make a close a reset.
    fn reset(&mut self) -> io::Result<()> {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))?;
        let nowhere =
            TcpStream::from(socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?);
        drop(std::mem::replace(&mut self.stream, nowhere));
        self.ending = Ending::Gone;
        Ok(())
    }
}

impl<'a> Talk<'a> {
    /// A client connects.
    ///
    /// # Errors
    /// It cannot.
    pub fn begin(to: SocketAddr, listener: Option<&'a TcpListener>) -> io::Result<Self> {
        Ok(Self { client: End::of(TcpStream::connect(to)?)?, upstream: None, listener })
    }

    /// Makes a move; a move of an upstream without a connection is none.
    pub fn make(&mut self, step: &Move) {
        match step.party() {
            Party::Client => self.client.make(step),
            Party::Upstream => self.upstream.iter_mut().for_each(|upstream| upstream.make(step)),
        }
    }

    /// What both ends have heard since; an upstream may have been connected to meanwhile.
    ///
    /// # Errors
    /// A socket that fails.
    pub fn hear(&mut self) -> io::Result<Heard> {
        if let (None, Some(listener)) = (&self.upstream, self.listener) {
            match listener.accept() {
                Ok((stream, _)) => self.upstream = Some(End::of(stream)?),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        let upstream = self.upstream.as_mut().map(End::hear).transpose()?;
        Ok(Heard { client: self.client.hear()?, upstream })
    }

    /// The client breaks off, if it has not yet.
    pub fn end(&mut self) {
        let _ = self.client.reset();
    }
}
