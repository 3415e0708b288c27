//! The side of an exporter.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::config::TlsClientConfig;
use super::error::TlsError;
use super::pem::Source;
use super::suites::{provider, versions};
use crate::reload::Reloaded;

/// How connections to a backend are protected.
pub struct ClientTls {
    current: Arc<Reloaded<ClientConfig>>,
    server_name: Option<ServerName<'static>>,
}

impl ClientTls {
    /// Reads what `config` names, and again when it changes. `alpn` are the protocols to offer, the
    /// best first. In the log it is called `name`, such as `exporters.otlp_grpc`.
    pub fn new(
        name: impl Into<String>,
        config: &TlsClientConfig,
        alpn: &[&str],
    ) -> Result<Self, TlsError> {
        let server_name = config.server_name_override.as_deref().map(|name| {
            let parsed = ServerName::try_from(name.to_owned());
            parsed.map_err(|_| {
                let reason = format!("\"{name}\" is not the name of a host");
                TlsError::new("server_name_override", reason)
            })
        });
        let server_name = server_name.transpose()?;
        let identity = config.identity();
        let sources = [
            config.authorities(),
            identity.as_ref().map(|own| own.certificate.clone()),
            identity.map(|own| own.key),
        ];
        let files = sources.iter().flatten().filter_map(Source::file);
        let files = files.map(Into::into).collect();
        let alpn: Vec<Vec<u8>> = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let interval = config.reload_interval;
        let config = config.clone();
        let load = move || load(&config, alpn.clone());
        Ok(Self {
            current: Reloaded::load(name.into(), files, interval, load)?,
            server_name,
        })
    }

    /// The same for a backend whose certificate has `name`, unless the configuration says another.
    pub fn or_named(mut self, name: &str) -> Result<Self, TlsError> {
        if self.server_name.is_none() {
            let parsed = ServerName::try_from(name.to_owned());
            let parsed = parsed.map_err(|_| {
                let reason =
                    format!("is needed, for \"{name}\" of authority is not the name of a host");
                TlsError::new("server_name_override", reason)
            });
            self.server_name = Some(parsed?);
        }
        Ok(self)
    }

    /// What new connections are made with, for a client that makes them itself. It is another one
    /// when files have changed.
    pub fn config(&self) -> Arc<ClientConfig> {
        self.current.get()
    }

    /// Protects a connection to `host`.
    pub async fn connect<T>(&self, host: &str, io: T) -> io::Result<TlsStream<T>>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.to_owned()).map_err(io::Error::other)?,
        };
        TlsConnector::from(self.config()).connect(name, io).await
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

fn load(config: &TlsClientConfig, alpn: Vec<Vec<u8>>) -> Result<ClientConfig, TlsError> {
    let provider = provider(&config.cipher_suites, &config.curve_preferences);
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(config.min_version, config.max_version))
        .map_err(|error| TlsError::new("cipher_suites", error.to_string()))?;
    let verifier: Arc<dyn ServerCertVerifier> = if config.insecure_skip_verify {
        Arc::new(AnyServer(Arc::clone(&provider)))
    } else {
        let roots = Arc::new(roots(config)?);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider));
        let verifier = verifier.build();
        verifier.map_err(|error| TlsError::new("ca_file", error.to_string()))?
    };
    let builder = builder
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut tls = match config.identity() {
        None => builder.with_no_client_auth(),
        Some(identity) => builder.with_client_cert_resolver(identity.load(&provider)?),
    };
    tls.alpn_protocols = alpn;
    Ok(tls)
}

/// Whom to trust.
fn roots(config: &TlsClientConfig) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let given = config.authorities();
    if let Some(authorities) = &given {
        add(&mut roots, authorities)?;
    }
    if given.is_none() || config.include_system_ca_certs_pool {
        let of_system = rustls_native_certs::load_native_certs();
        // Some systems have certificates that nobody can read among the others.
        let (added, _) = roots.add_parsable_certificates(of_system.certs);
        if added == 0 {
            let why = of_system.errors.first().map(|error| format!(": {error}"));
            let why = why.unwrap_or_default();
            return Err(TlsError::new(
                "ca_file",
                format!(
                    "is needed, for there are no certificates to trust on this system (such as \
                     those of the package ca-certificates){why}"
                ),
            ));
        }
    }
    Ok(roots)
}

/// Adds certificates that vouch for others.
pub(super) fn add(roots: &mut RootCertStore, source: &Source) -> Result<(), TlsError> {
    for certificate in source.certificates()? {
        roots.add(certificate).map_err(|error| {
            source.error(&format!("holds a certificate that cannot be read: {error}"))
        })?;
    }
    Ok(())
}

/// Takes any server for the right one, as long as it has the key of the certificate that it shows.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
