//! A certificate with its key: what this side shows of itself.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::CryptoProvider;
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, Error, RootCertStore};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::error::TlsError;
use super::pem::Source;

/// A certificate, those between it and who vouches for it, and its key.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) certificate: Source,
    pub(super) key: Source,
}

impl Identity {
    /// What shows the certificate and signs with the key, which belong together and are in force.
    pub(super) fn load(
        &self,
        provider: &CryptoProvider,
    ) -> Result<Arc<SingleCertAndKey>, TlsError> {
        let chain = self.certificate.certificates()?;
        let key = self.key.key()?;
        if let Some(own) = chain.first() {
            check_in_force(own, provider).map_err(|reason| self.certificate.error(&reason))?;
        }
        let certified = CertifiedKey::from_der(chain, key, provider);
        let certified = certified.map_err(|error| match error {
            Error::InconsistentKeys(_) => {
                self.key.error("holds a key that is not of the certificate")
            }
            error => self
                .key
                .error(&format!("holds a key that cannot be used: {error}")),
        })?;
        Ok(Arc::new(SingleCertAndKey::from(certified)))
    }
}

/// Whether a certificate is sound and in force now.
fn check_in_force(
    certificate: &CertificateDer<'_>,
    provider: &CryptoProvider,
) -> Result<(), String> {
    let unsound = |error| format!("holds a certificate that cannot be read: {error}");
    let parsed = ParsedCertificate::try_from(certificate).map_err(unsound)?;
    // Of the questions that are asked here, when it is in force comes first. Nobody vouches for it
    // here, and so the others, the answers to which are for the other side, come to nothing.
    let algorithms = provider.signature_verification_algorithms.all;
    let nobody = RootCertStore::empty();
    let now = UnixTime::now();
    let outcome = verify_server_cert_signed_by_trust_anchor(&parsed, &nobody, &[], now, algorithms);
    match outcome {
        Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            Err(format!(
                "holds a certificate that has expired, on {}",
                date(not_after)
            ))
        }
        Err(Error::InvalidCertificate(CertificateError::NotValidYetContext {
            not_before, ..
        })) => Err(format!(
            "holds a certificate that is not in force before {}",
            date(not_before)
        )),
        _ => Ok(()),
    }
}

fn date(time: UnixTime) -> String {
    let since = Duration::from_secs(time.as_secs());
    let stamp = Timestamp::UNIX_EPOCH.checked_add(since);
    stamp.map_or_else(|_| "a day far away".to_owned(), |stamp| stamp.to_string())
}
