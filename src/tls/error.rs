/// Why TLS cannot be set up. Its text begins with the key to change: `tls.cert_file: cannot read ...`.
/// Nothing of what a file or key holds is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("tls.{key}: {reason}")]
pub struct TlsError {
    key: &'static str,
    reason: String,
}

impl TlsError {
    pub(super) fn new(key: &'static str, reason: impl Into<String>) -> Self {
        Self {
            key,
            reason: reason.into(),
        }
    }
}
