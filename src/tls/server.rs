//! The side of a receiver.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::authorities::Authorities;
use super::config::TlsServerConfig;
use super::error::TlsError;
use super::pem::Source;
use super::suites::{provider, versions};
use crate::reload::{OFTEN, Reloaded};

/// How long a peer has to agree on keys: as long as it would have to send its first request.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What a connection may keep of bytes that are not decrypted, or encrypted and not sent, yet.
const BUFFERS: u64 = 128 << 10;

/// A protected connection of a sender. On the heap, because it is large.
pub type Accepted<T> = Box<TlsStream<T>>;

/// How connections of senders are protected. Its files are looked at as long as somebody has it.
pub struct ServerTls {
    current: Arc<Reloaded<Terms>>,
}

/// What the connections that come now are protected by: what the files hold now.
pub struct Terms {
    config: Arc<ServerConfig>,
    authorities: Authorities,
}

impl ServerTls {
    /// Reads what `config` names, and again when it changes. `alpn` are the protocols that are spoken,
    /// the best first. In the log it is called `name`, such as `receivers.otlp.protocols.grpc`.
    pub fn new(
        name: impl Into<String>,
        config: &TlsServerConfig,
        alpn: &[&str],
    ) -> Result<Self, TlsError> {
        let (files, interval) = watched(config);
        let alpn: Vec<Vec<u8>> = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let config = config.clone();
        let load = move || load(&config, alpn.clone());
        Ok(Self {
            current: Reloaded::load(name.into(), files, interval, load)?,
        })
    }

    /// The most bytes that a connection can pin by TLS alone.
    pub fn pinned_by_connection(&self) -> u64 {
        BUFFERS
    }

    /// What holds for who comes now.
    pub fn terms(&self) -> Arc<Terms> {
        self.current.get()
    }

    /// Agrees with a peer on keys, by what holds now; fails where that takes too long.
    pub async fn accept<T>(&self, stream: T) -> io::Result<Accepted<T>>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        self.terms().accept(stream).await
    }
}

impl Terms {
    /// Who vouches for the peers.
    pub fn authorities(&self) -> &Authorities {
        &self.authorities
    }

    /// Agrees with a peer on keys; fails where that takes too long.
    pub async fn accept<T>(&self, stream: T) -> io::Result<Accepted<T>>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.config));
        let accepted = timeout(HANDSHAKE, acceptor.accept(stream)).await;
        let accepted = accepted.map_err(|_| {
            let reason = format!("no TLS handshake within {HANDSHAKE:?}");
            io::Error::new(ErrorKind::TimedOut, reason)
        })?;
        accepted.map(Box::new)
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").finish_non_exhaustive()
    }
}

/// Which files are read again when they change, and how often they are looked at.
fn watched(config: &TlsServerConfig) -> (Vec<PathBuf>, Duration) {
    let mut sources = Vec::new();
    let mut interval = config.reload_interval;
    if !interval.is_zero()
        && let Some(identity) = config.identity()
    {
        sources.extend([identity.certificate, identity.key]);
    }
    if config.client_ca_file_reload {
        sources.extend(config.clients());
        if interval.is_zero() {
            interval = OFTEN;
        }
    }
    let files = sources.iter().filter_map(Source::file).map(Into::into);
    (files.collect(), interval)
}

fn load(config: &TlsServerConfig, alpn: Vec<Vec<u8>>) -> Result<Terms, TlsError> {
    let provider = provider(&config.cipher_suites, &config.curve_preferences);
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(config.min_version, config.max_version))
        .map_err(|error| TlsError::new("cipher_suites", error.to_string()))?;
    let authorities = Authorities::of(config)?;
    let builder = match config.clients() {
        None => builder.with_no_client_auth(),
        Some(source) => {
            let roots = Arc::new(authorities.roots());
            let verifier =
                WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider));
            let verifier = verifier.build();
            let verifier = verifier
                .map_err(|error| source.error(&format!("cannot vouch for senders: {error}")))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let Some(identity) = config.identity() else {
        return Err(TlsError::new("cert_file", "is required"));
    };
    let mut tls = builder.with_cert_resolver(identity.load(&provider)?);
    tls.alpn_protocols = alpn;
    Ok(Terms {
        config: Arc::new(tls),
        authorities,
    })
}
