//! Connections to a backend, protected or not, for clients that ask for them.

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;
use tower::Service;

use super::client::ClientTls;
use crate::sockets;

/// Connects to the host of a URI, or to a Unix socket that goes by this name, with TLS if it was given any; the
/// scheme says nothing.
#[derive(Debug, Clone)]
pub struct Connector {
    way: Way,
    tls: Option<Arc<ClientTls>>,
    timeout: Duration,
}

/// What connections are made of.
#[derive(Debug, Clone)]
enum Way {
    Tcp(HttpConnector),
    Unix(PathBuf),
}

impl Connector {
    /// Connections that stand, handshake and all, within `timeout`, and whose other side is asked
    /// whether it is there after `keepalive` without a byte.
    pub fn new(tls: Option<Arc<ClientTls>>, timeout: Duration, keepalive: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(keepalive));
        tcp.set_connect_timeout(Some(timeout));
        Self {
            way: Way::Tcp(tcp),
            tls,
            timeout,
        }
    }

    /// The same over the Unix socket at `path`. Nobody is asked whether it is there: the system knows of the end of
    /// each process.
    pub fn at(path: PathBuf, tls: Option<Arc<ClientTls>>, timeout: Duration) -> Self {
        Self {
            way: Way::Unix(path),
            tls,
            timeout,
        }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<ServerStream>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.way {
            Way::Tcp(tcp) => tcp.poll_ready(context).map_err(io::Error::other),
            Way::Unix(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (tls, limit) = (self.tls.clone(), self.timeout);
        let host = uri.host().unwrap_or_default();
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let stream: BoxFuture<'static, io::Result<sockets::Plain>> = match &mut self.way {
            Way::Tcp(tcp) => {
                let stream = tcp.call(uri);
                Box::pin(async move {
                    let stream = stream.await.map_err(cause);
                    stream.map(|stream| Either::Left(stream.into_inner()))
                })
            }
            Way::Unix(path) => {
                let path = path.clone();
                Box::pin(async move { UnixStream::connect(path).await.map(Either::Right) })
            }
        };
        let connect = async move {
            let stream = stream.await?;
            let Some(tls) = tls else {
                return Ok(TokioIo::new(ServerStream::Plain(stream)));
            };
            let stream = tls.connect(&host, stream).await?;
            Ok(TokioIo::new(ServerStream::Tls(Box::new(stream))))
        };
        Box::pin(async move {
            let connected = tokio::time::timeout(limit, connect).await;
            connected.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
        })
    }
}

/// What the system said, without the words around it.
fn cause(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    let mut cause: &(dyn std::error::Error + 'static) = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if let Some(cause) = cause.downcast_ref::<io::Error>() {
        return io::Error::new(cause.kind(), cause.to_string());
    }
    io::Error::other(error)
}

/// A connection to a backend.
#[derive(Debug)]
pub enum ServerStream {
    /// Bytes as they are.
    Plain(sockets::Plain),
    /// Protected. On the heap, because it is large.
    Tls(Box<TlsStream<sockets::Plain>>),
}

impl Connection for ServerStream {
    fn connected(&self) -> Connected {
        match self {
            Self::Plain(_) => Connected::new(),
            Self::Tls(stream) => {
                let (_, tls) = stream.get_ref();
                if tls.alpn_protocol() == Some(b"h2") {
                    Connected::new().negotiated_h2()
                } else {
                    Connected::new()
                }
            }
        }
    }
}

impl AsyncRead for ServerStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for ServerStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use tokio::net::UnixListener;

    use super::*;
    use crate::config::Secret;
    use crate::tls::ServerTls;
    use crate::tls::config::{TlsClientConfig, TlsServerConfig};

    /// Who listens on a Unix socket is asked for the name in the URI.
    #[tokio::test]
    async fn a_unix_socket_is_protected_by_its_name() {
        let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let server = TlsServerConfig {
            cert_pem: Some(Secret::new(signed.cert.pem())),
            key_pem: Some(Secret::new(signed.signing_key.serialize_pem())),
            ..TlsServerConfig::default()
        };
        let server = ServerTls::new("test", &server, &["h2"]).unwrap();
        let trusting = TlsClientConfig {
            ca_pem: Some(Secret::new(signed.cert.pem())),
            ..TlsClientConfig::default()
        };
        let trusting = Arc::new(ClientTls::new("test", &trusting, &["h2"]).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let mut connector = Connector::at(path, Some(trusting), Duration::from_secs(30));
        for (uri, is_right) in [("http://localhost", true), ("http://other", false)] {
            let accepting = async {
                let (stream, _) = listener.accept().await.unwrap();
                server.accept(stream).await
            };
            let connecting = connector.call(Uri::from_static(uri));
            let (connected, _) = tokio::join!(connecting, accepting);
            assert_eq!(connected.is_ok(), is_right, "{uri}");
        }
    }
}
