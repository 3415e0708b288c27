/// Why an authenticator cannot be set up. Its text begins with the key to change; no credential is in
/// it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct AuthError {
    key: &'static str,
    reason: String,
}

impl AuthError {
    pub(super) fn new(key: &'static str, reason: impl Into<String>) -> Self {
        Self {
            key,
            reason: reason.into(),
        }
    }
}
