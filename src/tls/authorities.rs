//! Who vouches for senders.

use std::fmt;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls_pki_types::TrustAnchor;

use super::client::add;
use super::config::TlsServerConfig;
use super::error::TlsError;

/// Who vouches for senders, in their order; nobody where senders need no certificate. Two are equal where what is said
/// of whom to trust is the same, in whatever file and whatever stands beside it there.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Authorities(Arc<[TrustAnchor<'static>]>);

impl Authorities {
    /// Those that `config` names, as its file is now.
    pub fn of(config: &TlsServerConfig) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        if let Some(source) = config.clients() {
            add(&mut roots, &source)?;
        }
        Ok(Self(roots.roots.into()))
    }

    pub(super) fn roots(&self) -> RootCertStore {
        self.0.iter().cloned().collect()
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} authorities", self.0.len())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn certificate() -> String {
        let signed = rcgen::generate_simple_self_signed(["x".to_owned()]).unwrap();
        signed.cert.pem()
    }

    #[test]
    fn they_are_what_their_file_says_of_whom_to_trust() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("senders.pem");
        let config = TlsServerConfig {
            client_ca_file: Some(file.clone()),
            ..TlsServerConfig::default()
        };
        Authorities::of(&config).unwrap_err();
        let (one, other) = (certificate(), certificate());
        let holding = |text: String| {
            std::fs::write(&file, text).unwrap();
            Authorities::of(&config).unwrap()
        };
        let before = holding(one.clone());
        assert_eq!(holding(format!("# Ours.\n{one}")), before);
        assert_ne!(holding(other.clone()), before);
        assert_ne!(holding(format!("{one}{other}")), before);
        let nobody = Authorities::of(&TlsServerConfig::default()).unwrap();
        assert_eq!(nobody, Authorities::default());
        assert_ne!(nobody, before);
    }
}
