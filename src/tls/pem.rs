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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    /// Made for this test, and of use to nobody.
    const KEY: &str = "-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIFVNROOU7h4DxiP42OFYtHv1lPcTzlUgkr/+SjQIayYOoAoGCCqGSM49
AwEHoUQDQgAE+b7s7ojzf4aRnP/npXMRcO+2neELzR6/AXnq1S4S/seEk0+BcjVh
IsXIT236l3eqeihqH0XextDpZEF4vJZ13Q==
-----END EC PRIVATE KEY-----
";

    fn source(pem: &str) -> Source {
        let pem = Secret::new(pem.to_owned());
        Source::of(("key_file", None), ("key_pem", Some(&pem))).unwrap()
    }

    /// As OpenSSL writes them: with parameters before, in PKCS#8 or in the form of their kind; and as editors on
    /// other systems leave them.
    #[test]
    fn keys_in_every_form_are_read() {
        let parameters =
            "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
        let certificate = rcgen::generate_simple_self_signed(["x".to_owned()]).unwrap();
        let pkcs8 = certificate.signing_key.serialize_pem();
        let both = format!("{}{pkcs8}", certificate.cert.pem());
        let lines = KEY.replace('\n', "\r\n");
        for (pem, is_pkcs8) in [
            (KEY.to_owned(), false),
            (format!("{parameters}{KEY}"), false),
            (format!("subject: somebody\n\n{KEY}\n\n"), false),
            (lines, false),
            (pkcs8, true),
            (both, true),
        ] {
            let key = source(&pem).key().unwrap();
            assert_eq!(matches!(key, PrivateKeyDer::Pkcs8(_)), is_pkcs8, "{pem}");
        }
        for (pem, says) in [
            (
                KEY.replace("MHc", "M!c"),
                "key_pem: it holds PEM that is damaged",
            ),
            (
                KEY.replace(" EC PRIVATE", ""),
                "key_pem: it holds no private key",
            ),
            (KEY.replace(" EC ", " ENCRYPTED "), "is encrypted"),
        ] {
            let error = source(&pem).key().unwrap_err().to_string();
            assert!(error.contains(says), "{says}: {error}");
            assert!(!error.contains("IsXIT"), "{error}");
        }
    }

    #[test]
    fn a_chain_keeps_its_order() {
        let names = ["leaf", "between", "above"];
        let chain =
            names.map(|name| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap());
        let pem: String = chain.iter().map(|one| one.cert.pem()).collect();
        let read = source(&pem).certificates().unwrap();
        assert!(read.iter().eq(chain.iter().map(|one| one.cert.der())));
    }
}
