//! What is killed: slimspan, or something that promises too much.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;

use crate::support::backend::{Backend, Received};
use crate::support::insistent::Place;
use crate::support::sender::Sender;
use crate::support::slimspan::{Ended, Slimspan};

/// What can be started again and again.
pub(super) enum Subject {
    /// The program, with the text of its configuration, in a folder that it finds again.
    Slimspan { folder: Arc<TempDir>, yaml: String },
    /// A collector that says OK as soon as it has a request in memory.
    Hasty { backend: SocketAddr },
}

/// One run, from its start to its end.
pub(super) enum Life {
    Slimspan(Slimspan),
    Hasty(Backend),
}

impl Subject {
    pub(super) fn slimspan(folder: &Arc<TempDir>, config: &serde_json::Value) -> Self {
        Self::Slimspan {
            folder: Arc::clone(folder),
            // JSON is YAML.
            yaml: config.to_string(),
        }
    }

    pub(super) async fn start(&self) -> Life {
        match self {
            Self::Slimspan { folder, yaml } => {
                Life::Slimspan(Slimspan::spawn(Arc::clone(folder), yaml))
            }
            Self::Hasty { backend } => Life::Hasty(hasty(*backend).await),
        }
    }
}

impl Life {
    /// Waits until it accepts requests.
    pub(super) async fn ready(&mut self) -> Place {
        match self {
            Self::Slimspan(slimspan) => {
                assert!(slimspan.ready().await, "{}", slimspan.stderr());
                slimspan.place()
            }
            Self::Hasty(receiver) => receiver.address.into(),
        }
    }

    /// Ends it as a crash does; what it had logged by then.
    pub(super) async fn kill(self) -> String {
        match self {
            Self::Slimspan(slimspan) => slimspan.kill().await,
            Self::Hasty(receiver) => {
                receiver.kill().await;
                String::new()
            }
        }
    }

    /// Ends it by a second signal, at which it waits for nothing; what it had logged by then.
    pub(super) async fn hurry(self) -> String {
        match self {
            Self::Slimspan(slimspan) => slimspan.hurry().await,
            Self::Hasty(_) => self.kill().await,
        }
    }

    /// Ends it as an operator does.
    pub(super) async fn stop(self) -> Option<Ended> {
        match self {
            Self::Slimspan(slimspan) => Some(slimspan.stop().await),
            Self::Hasty(receiver) => {
                receiver.kill().await;
                None
            }
        }
    }
}

/// Every collector whose queue is in memory and whose sender does not wait for the backend.
async fn hasty(backend: SocketAddr) -> Backend {
    let sender = Sender::connect(backend).await;
    Backend::answering(move |received: Received| {
        let sender = sender.clone();
        tokio::spawn(async move {
            // What a batch processor waits for more.
            tokio::time::sleep(Duration::from_millis(20)).await;
            let _ = sender.send(received.signal, &received.message).await;
        });
        Ok(Bytes::new())
    })
    .await
}
