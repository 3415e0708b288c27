//! Nobody there.

use std::net::SocketAddr;

use tokio::net::TcpSocket;

/// An address where connections are refused, and which nobody else gets meanwhile. Whoever binds to it on purpose
/// may, and is connected to from then on, with this still held.
pub(crate) struct Refusing {
    pub(crate) address: SocketAddr,
    _bound: TcpSocket,
}

impl Refusing {
    pub(crate) fn start() -> Self {
        Self::at(([127, 0, 0, 1], 0).into())
    }

    /// At an address that somebody had.
    pub(crate) fn at(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // Connections that ended there may linger.
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        Self {
            address: socket.local_addr().unwrap(),
            _bound: socket,
        }
    }
}
