//! What is listened on, and the connections that come of it: over TCP, or over a Unix socket of this machine.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_util::either::Either;

use crate::peer::{Peer, Process};

/// The bytes of a connection as they go over it.
pub type Plain = Either<TcpStream, UnixStream>;

/// A socket that is listened on.
#[derive(Debug)]
pub enum Listening {
    /// For connections over TCP.
    Tcp(TcpListener),
    /// For those of this machine.
    Unix(UnixListener),
}

impl Listening {
    /// The next connection, and who has made it. Nothing is lost where nobody waits for it to the end.
    pub async fn accept(&self) -> io::Result<(Plain, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                Ok((Either::Left(stream), Peer::Address(address)))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let peer = Peer::Process(Process::behind(&stream));
                Ok((Either::Right(stream), peer))
            }
        }
    }

    /// The address, with the port that was chosen; a Unix socket has none.
    pub fn address(&self) -> io::Result<Option<SocketAddr>> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Some),
            Self::Unix(_) => Ok(None),
        }
    }

    /// The same for who knows nothing but TCP, and has asked for that.
    pub fn tcp(self) -> io::Result<TcpListener> {
        match self {
            Self::Tcp(listener) => Ok(listener),
            Self::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

impl From<TcpListener> for Listening {
    fn from(listener: TcpListener) -> Self {
        Self::Tcp(listener)
    }
}
