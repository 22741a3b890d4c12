//! The listening side of one service: its port, its connections, and going down and up again.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::oneshot,
    task::{JoinHandle, JoinSet},
};

use crate::{
    gate::Gate,
    wire::{Tapped, Wire},
};

/// Header lines that a request may have.
const MAX_HEADERS: usize = 1000;

/// A service at its address.
pub(crate) struct Port {
    pub(crate) addr: SocketAddr,
    pub(crate) gate: Arc<Gate>,
    /// Bound but never listening: keeps the port ours while the service is down. Connections are refused meanwhile.
    reserved: Mutex<Option<TcpSocket>>,
    listening: Mutex<Option<Listening>>,
}

struct Listening {
    /// Stops the task when dropped.
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Port {
    /// Binds `addr` (port 0 for any free one) and listens. Needs a Tokio runtime.
    pub(crate) fn open(addr: SocketAddr, gate: Gate) -> io::Result<Self> {
        let reserved = bind(addr)?;
        let addr = reserved.local_addr()?;
        let reserved = Mutex::new(Some(reserved));
        let port = Self { addr, gate: Arc::new(gate), reserved, listening: Mutex::default() };
        port.up()?;
        Ok(port)
    }

    /// Accepts connections again; nothing if it does already.
    pub(crate) fn up(&self) -> io::Result<()> {
        let mut listening = lock(&self.listening);
        if listening.is_none() {
            let listener = bind(self.addr)?.listen(1024)?;
            let (stop, stopped) = oneshot::channel();
            let task = tokio::spawn(accept(listener, Arc::clone(&self.gate), stopped));
            *listening = Some(Listening { stop, task });
        }
        Ok(())
    }

    /// Closes the listener and every connection, and returns when that is done.
    pub(crate) async fn down(&self) {
        let listening = lock(&self.listening).take();
        if let Some(Listening { stop, task }) = listening {
            drop(stop);
            // A task that panicked has closed its sockets as well.
            let _ = task.await;
        }
    }

    /// Begins to go down for good, without waiting, and gives the port back.
    pub(crate) fn abandon(&self) {
        drop(lock(&self.listening).take());
        drop(lock(&self.reserved).take());
    }

    pub(crate) fn is_up(&self) -> bool {
        lock(&self.listening).is_some()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A socket bound to `addr`; the address may be in use by our own reservation, but by nobody who listens.
fn bind(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    Ok(socket)
}

async fn accept(listener: TcpListener, gate: Arc<Gate>, mut stopped: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(serve(stream, Wire::new(peer), Arc::clone(&gate)));
                }
                // Out of descriptors, most likely: let some connections end before trying again.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
            _ = &mut stopped => break,
        }
    }
    drop(listener);
    connections.shutdown().await;
}

/// Serves one connection until it ends, or until a fault resets it. There is no idle time-out: a gateway that keeps connections
/// must never lose a request to one that closes under it.
async fn serve(stream: TcpStream, wire: Arc<Wire>, gate: Arc<Gate>) {
    let _ = stream.set_nodelay(true);
    let io = TokioIo::new(Tapped::new(stream, Arc::clone(&wire)));
    let service = service_fn(|request| {
        let (gate, wire) = (Arc::clone(&gate), Arc::clone(&wire));
        async move { Ok::<_, std::convert::Infallible>(gate.answer(&wire, request).await) }
    });
    let mut connection = http1::Builder::new().max_headers(MAX_HEADERS).serve_connection(io, service);
    tokio::select! {
        // Broken connections are the client's affair, or the test's.
        _ = &mut connection => {}
        () = wire.reset_wanted() => {
            let _ = connection.into_parts().io.into_inner().close_with_reset();
        }
    }
}
