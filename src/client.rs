//! Who sent a request, as far as processors and exporters may know.

use std::collections::BTreeMap;
use std::fmt;

use http::header::{HeaderMap, HeaderName, HeaderValue};

/// The sender of a request. Its values may be secrets: they are never shown.
#[derive(Clone, Default)]
pub struct Client {
    metadata: HeaderMap,
    auth: BTreeMap<String, String>,
}

impl Client {
    /// A sender of whom nothing is known.
    pub fn unknown() -> Self {
        Self::default()
    }

    /// The sender of a request with these headers: gRPC metadata, or HTTP headers.
    #[must_use]
    pub fn with_metadata(self, metadata: HeaderMap) -> Self {
        Self { metadata, ..self }
    }

    /// The sender whose credential an authenticator found good, and what that says of it, such as
    /// its `username`.
    #[must_use]
    pub fn with_auth(self, auth: BTreeMap<String, String>) -> Self {
        Self { auth, ..self }
    }

    /// The values of a header, in the order in which they came. None unless the receiver has
    /// `include_metadata`.
    pub fn metadata(&self, name: &str) -> impl Iterator<Item = &HeaderValue> {
        self.metadata.get_all(name).into_iter()
    }

    /// All headers, with their values.
    pub fn all_metadata(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.metadata.iter()
    }

    /// How many bytes of memory they take.
    pub fn metadata_len(&self) -> usize {
        let lens = self.all_metadata();
        lens.map(|(name, value)| name.as_str().len() + value.len())
            .sum()
    }

    /// What the authenticator of the receiver says of the sender.
    pub fn auth(&self, attribute: &str) -> Option<&str> {
        self.auth.get(attribute).map(String::as_str)
    }
}

/// With names alone.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("metadata", &self.metadata.keys().collect::<Vec<_>>())
            .field("auth", &self.auth.keys().collect::<Vec<_>>())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_is_ever_shown() {
        let mut metadata = HeaderMap::new();
        metadata.append("authorization", HeaderValue::from_static("Bearer canary"));
        metadata.append("x-tenant", HeaderValue::from_static("canary"));
        metadata.append("x-tenant", HeaderValue::from_static("canary2"));
        let auth = BTreeMap::from([("username".to_owned(), "canary".to_owned())]);
        let client = Client::unknown().with_metadata(metadata).with_auth(auth);
        assert_eq!(client.auth("username"), Some("canary"));
        assert_eq!(client.metadata("X-Tenant").count(), 2);
        let shown = format!("{client:?}");
        assert!(shown.contains("x-tenant") && !shown.contains("canary"));
    }
}
