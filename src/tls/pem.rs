//! Certificates and keys as people have them: in PEM, in a file or in the configuration itself.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::error::TlsError;
use crate::config::Secret;

/// Where PEM stands, and under which key of the configuration.
#[derive(Debug, Clone)]
pub(super) struct Source {
    key: &'static str,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    File(PathBuf),
    Here(Secret),
}

impl Source {
    /// The source of which one or neither is given: a file, or the PEM itself.
    pub(super) fn of(
        (file_key, file): (&'static str, Option<&PathBuf>),
        (pem_key, pem): (&'static str, Option<&Secret>),
    ) -> Option<Self> {
        match (file, pem) {
            (Some(file), _) => Some(Self {
                key: file_key,
                place: Place::File(file.clone()),
            }),
            (None, Some(pem)) => Some(Self {
                key: pem_key,
                place: Place::Here(pem.clone()),
            }),
            (None, None) => None,
        }
    }

    /// The file, if it is one.
    pub(super) fn file(&self) -> Option<&Path> {
        match &self.place {
            Place::File(path) => Some(path),
            Place::Here(_) => None,
        }
    }

    /// All certificates in it; at least one.
    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let text = self.read()?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        match found {
            Ok(certificates) if !certificates.is_empty() => Ok(certificates),
            Ok(_) => Err(self.error("holds no certificate (PEM)")),
            Err(_) => Err(self.error("holds PEM that is damaged")),
        }
    }

    /// The first private key in it.
    pub(super) fn key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        let text = self.read()?;
        match PrivateKeyDer::from_pem_slice(&text) {
            Ok(key) => Ok(key),
            Err(pem::Error::NoItemsFound) if is_encrypted(&text) => Err(self.error(
                "holds a private key that is encrypted, and nothing says its password: decrypt it \
                 with `openssl pkey`",
            )),
            Err(pem::Error::NoItemsFound) => Err(self.error("holds no private key (PEM)")),
            // The error may quote a line of it.
            Err(_) => Err(self.error("holds PEM that is damaged")),
        }
    }

    /// What is wrong with it, in words that follow its name.
    pub(super) fn error(&self, reason: &str) -> TlsError {
        TlsError::new(
            self.key,
            match &self.place {
                Place::File(path) => format!("{} {reason}", path.display()),
                Place::Here(_) => format!("it {reason}"),
            },
        )
    }

    fn read(&self) -> Result<Cow<'_, [u8]>, TlsError> {
        match &self.place {
            Place::Here(pem) => Ok(pem.expose().as_bytes().into()),
            Place::File(path) => std::fs::read(path).map(Cow::Owned).map_err(|reason| {
                TlsError::new(
                    self.key,
                    format!("cannot read {}: {reason}", path.display()),
                )
            }),
        }
    }
}

fn is_encrypted(text: &[u8]) -> bool {
    let begins = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
    text.windows(begins.len()).any(|window| window == begins)
}
