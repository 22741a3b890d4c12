//! Ports for servers that cannot choose one themselves (Envoy under test needs none of this: it listens on port 0).

use socket2::{Domain, Socket, Type};
use std::io;
use std::net::SocketAddr;

/// A loopback port that is this value's alone while it lives.
///
/// The port is bound but not listened on. So the system hands it to nobody else, connections to it are refused, and a
/// server of the same user that sets `SO_REUSEADDR` or `SO_REUSEPORT` (Envoy, tokio, Go and std all do) may still
/// listen on it. There is no moment in which somebody else could take it.
#[derive(Debug)]
pub struct ReservedPort {
    address: SocketAddr,
    _held: Socket,
}

impl ReservedPort {
    /// Reserves a free port of 127.0.0.1.
    ///
    /// # Panics
    /// If the system has none.
    pub fn new() -> Self {
        Self::reserve().unwrap_or_else(|error| panic!("no free port on the loopback: {error}"))
    }

    fn reserve() -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        // Set after bind: an address taken with these flags on might be one that another ReservedPort holds.
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        let address = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { address, _held: socket })
    }

    /// The reserved address. Until a server listens on it, it refuses connections.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The reserved port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Default for ReservedPort {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_reserved_port_refuses_connections_until_a_server_listens_on_it() {
        let port = ReservedPort::new();
        let refused = TcpStream::connect(port.address()).expect_err("nobody listens");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let _server = TcpListener::bind(port.address()).expect("a server may take it");
        TcpStream::connect(port.address()).expect("now somebody listens");
    }

    #[test]
    fn reserved_ports_are_given_to_nobody_else() {
        let reserved: Vec<_> = (0..200).map(|_| ReservedPort::new()).collect();
        let others: Vec<_> =
            (0..200).map(|_| TcpListener::bind("127.0.0.1:0").expect("there are free ports")).collect();
        let mut ports: HashSet<u16> = reserved.iter().map(ReservedPort::port).collect();
        ports.extend(others.iter().filter_map(|other| other.local_addr().ok()).map(|address| address.port()));
        assert_eq!(ports.len(), 400);
    }
}
