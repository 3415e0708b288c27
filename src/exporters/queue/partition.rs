//! Whose requests of a queue may go as one.

use std::fmt;

use http::HeaderValue;
use slimspan_proto::Signal;

use crate::client::Client;
use crate::exporters::terms::Terms;

/// What has to be known later of who sent a request. On disk it is beside the request.
#[derive(Debug, Clone, Default)]
pub(super) struct Sender {
    /// With what is passed on, and what tells requests apart.
    pub(super) client: Client,
    /// Whose it is, where there are tenants.
    pub(super) tenants: Vec<String>,
    /// Whether the request goes with no other one.
    pub(super) alone: bool,
}

/// What the requests have in common that go as one. What a backend is told of one sender is not said of
/// another's requests, and what it says of one tenant's is not for another one.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Partition {
    signal: Signal,
    metadata: Vec<(String, HeaderValue)>,
    tenants: Vec<String>,
}

impl Sender {
    /// One of whom so much of the client is to be known.
    pub(super) fn of(client: Client, terms: &Terms) -> Self {
        let tenants = terms.tenants.iter();
        Self {
            client,
            tenants: tenants.map(ToString::to_string).collect(),
            alone: terms.alone,
        }
    }
}

impl Partition {
    /// That of a request; none where it goes alone.
    pub(super) fn of(signal: Signal, sender: &Sender) -> Option<Self> {
        let metadata = sender.client.all_metadata();
        let metadata = metadata.map(|(name, value)| (name.to_string(), value.clone()));
        (signal.is_divisible() && !sender.alone).then(|| Self {
            signal,
            metadata: metadata.collect(),
            tenants: sender.tenants.clone(),
        })
    }
}

/// Without the values of headers, which may be secrets.
impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Partition")
            .field("signal", &self.signal)
            .field("tenants", &self.tenants)
            .finish_non_exhaustive()
    }
}
