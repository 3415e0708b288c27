//! What of a store fails, and whether trying again can help.

mod cause;
mod open;
#[cfg(test)]
mod tests;
mod told;

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use slimspan_artifact::Digest;
use tokio::task::JoinError;

pub(super) use self::cause::one_line;
use self::cause::{is_clock_skew, is_forbidden_by_the_system, passes};
pub use self::open::OpenError;
use super::breaker::Refused;
use crate::telemetry::Reason;

/// What was done to an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Written to the store.
    Put,
    /// Read from the store.
    Get,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Put => "put",
            Self::Get => "get",
        })
    }
}

/// An artifact could not be put or got. The text is one line and includes the cause.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// No end within the limit; the artifact may be stored or not. Trying again can help.
    #[error(
        "{store} did not {action} artifact {digest} within {limit:?}, \
         the timeout of its artifact_store"
    )]
    TimedOut {
        /// Where.
        store: Arc<str>,
        /// What was tried.
        action: Action,
        /// Which artifact.
        digest: Digest,
        /// The `timeout` of the `artifact_store` extension.
        limit: Duration,
    },
    /// No answer to one attempt; the artifact may be stored or not. Trying again can help.
    #[error("{store} was silent for {waited:?} when it was asked to {action} artifact {digest}")]
    Silent {
        /// Where.
        store: Arc<str>,
        /// What was tried.
        action: Action,
        /// Which artifact.
        digest: Digest,
        /// For how long.
        waited: Duration,
    },
    /// The store did not work lately and was not asked. Trying again can help, later.
    #[error(
        "{store} does not work since {since:.0} and is asked again {}; the last attempt: {cause}",
        in_time(.wait)
    )]
    NotAsked {
        /// Where.
        store: Arc<str>,
        /// Since when.
        since: Timestamp,
        /// Until an attempt is made again; none is left where one is under way.
        wait: Duration,
        /// What the last attempt failed with.
        cause: Arc<str>,
    },
    /// The store takes no requests that were signed at another time than its own.
    #[error(
        "{store} refuses to {action} artifact {digest} because its clock and the one of this \
         machine differ: set the clock, with NTP for example: {}",
        one_line(.source)
    )]
    ClockSkew {
        /// Where.
        store: Arc<str>,
        /// What was tried.
        action: Action,
        /// Which artifact.
        digest: Digest,
        /// What the store said.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The store is away, overloaded or full. Trying again can help.
    #[error("{store} failed to {action} artifact {digest}: {}", one_line(.source))]
    Unavailable {
        /// Where.
        store: Arc<str>,
        /// What was tried.
        action: Action,
        /// Which artifact.
        digest: Digest,
        /// What the store said.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The credentials are missing, wrong or lack a permission.
    #[error(
        "{store} does not allow to {action} artifact {digest}, check the credentials and \
         permissions: {}",
        one_line(.source)
    )]
    Denied {
        /// Where.
        store: Arc<str>,
        /// What was tried.
        action: Action,
        /// Which artifact.
        digest: Digest,
        /// What the store said.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The store cannot work as configured: no such bucket, or an operation it does not know.
    #[error(
        "{store} cannot {action} artifact {digest}, check the url of its artifact_store: {}",
        one_line(.source)
    )]
    Misconfigured {
        /// Where.
        store: Arc<str>,
        /// What was tried.
        action: Action,
        /// Which artifact.
        digest: Digest,
        /// What the store said.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// It waits in the spool, whose disk does not give it. Trying again can help.
    #[error("{spool} does not give artifact {digest}, which waits there for {store}: {source}")]
    SpoolUnread {
        /// Where.
        store: Arc<str>,
        /// Where it waits.
        spool: String,
        /// Which artifact.
        digest: Digest,
        /// What the system said.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The store has no such artifact.
    #[error("{store} has no artifact {digest}")]
    NotFound {
        /// Where.
        store: Arc<str>,
        /// Which artifact.
        digest: Digest,
    },
    /// The stored bytes are not the artifact.
    #[error("{store} holds damaged bytes as artifact {digest}: their sha256 is {found}")]
    Corrupt {
        /// Where.
        store: Arc<str>,
        /// Which artifact.
        digest: Digest,
        /// What the bytes hash to.
        found: Digest,
    },
}

impl StoreError {
    pub(super) fn from_client(
        store: Arc<str>,
        action: Action,
        digest: Digest,
        error: object_store::Error,
    ) -> Self {
        use object_store::Error as E;
        match (&error, action) {
            (E::NotFound { .. }, Action::Get) => Self::NotFound { store, digest },
            // Answered with 403 like a wrong key, but it passes when the clock is right again.
            (E::PermissionDenied { source, .. }, _) if is_clock_skew(source.as_ref()) => {
                Self::ClockSkew {
                    store,
                    action,
                    digest,
                    source: Arc::new(error),
                }
            }
            (E::PermissionDenied { .. } | E::Unauthenticated { .. }, _) => Self::Denied {
                store,
                action,
                digest,
                source: Arc::new(error),
            },
            // Nothing has to exist for a put but the bucket.
            (
                E::NotFound { .. }
                | E::InvalidPath { .. }
                | E::NotSupported { .. }
                | E::NotImplemented { .. }
                | E::UnknownConfigurationKey { .. },
                _,
            ) => Self::Misconfigured {
                store,
                action,
                digest,
                source: Arc::new(error),
            },
            _ if is_forbidden_by_the_system(&error) => Self::Denied {
                store,
                action,
                digest,
                source: Arc::new(error),
            },
            _ => Self::Unavailable {
                store,
                action,
                digest,
                source: Arc::new(error),
            },
        }
    }

    pub(super) fn not_asked(store: Arc<str>, refused: Refused) -> Self {
        let Refused { since, wait, cause } = refused;
        Self::NotAsked {
            store,
            since,
            wait,
            cause,
        }
    }

    /// The task that did it did not end.
    pub(super) fn lost(store: Arc<str>, action: Action, digest: Digest, error: JoinError) -> Self {
        Self::Unavailable {
            store,
            action,
            digest,
            source: Arc::new(error),
        }
    }

    /// Whether the store is away or too busy, so that the same attempt may work in a moment.
    pub(super) fn is_outage(&self) -> bool {
        match self {
            Self::TimedOut { .. } | Self::Silent { .. } => true,
            Self::Unavailable { source, .. } => passes(source.as_ref()),
            _ => false,
        }
    }

    /// What kind of failure it is, for counting.
    pub(super) fn reason(&self) -> Reason {
        match self {
            Self::TimedOut { .. } => Reason::TimedOut,
            Self::Silent { .. } => Reason::Silent,
            Self::NotAsked { .. } => Reason::NotAsked,
            Self::ClockSkew { .. } => Reason::ClockSkew,
            Self::Unavailable { .. } | Self::SpoolUnread { .. } => Reason::Unavailable,
            Self::Denied { .. } => Reason::Denied,
            Self::Misconfigured { .. } => Reason::Misconfigured,
            Self::NotFound { .. } => Reason::NotFound,
            Self::Corrupt { .. } => Reason::Corrupt,
        }
    }

    /// When to try again, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::NotAsked { wait, .. } => Some(*wait),
            _ => None,
        }
    }
}

fn in_time(wait: &Duration) -> String {
    if wait.is_zero() {
        "now".to_owned()
    } else {
        format!("in {wait:.1?}")
    }
}
