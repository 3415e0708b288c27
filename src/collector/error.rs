use std::error::Error;
use std::io;

use crate::auth::AuthError;
use crate::config::{ComponentId, HostPort};
use crate::storage::OpenError;
use crate::tls::TlsError;

/// Why a collector could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An extension cannot be set up.
    #[error("extensions.{id}.{reason}")]
    Store {
        /// The extension.
        id: ComponentId,
        /// Why; the text begins with the key to change.
        reason: OpenError,
    },
    /// An exporter cannot be set up.
    #[error("exporters.{id}.{reason}")]
    Exporter {
        /// The exporter.
        id: ComponentId,
        /// Why; the text begins with the key to change.
        reason: Box<dyn Error + Send + Sync>,
    },
    /// A collector ended, and nobody had asked for it.
    #[error("the collector ended by itself, which is a fault of slimspan: the log has the panic")]
    Ended,
    /// A queue on disk cannot be opened.
    #[error("extensions.{id}.directory: {reason}")]
    Queue {
        /// The extension.
        id: ComponentId,
        /// Why.
        reason: String,
        /// Whether somebody else has it open.
        in_use: bool,
    },
    /// A spool in which something waits would be left behind.
    #[error("extensions.{id}.spool.directory: {reason}")]
    Spool {
        /// The store that has it.
        id: ComponentId,
        /// Why.
        reason: String,
    },
    /// A part of the memory is the limit, and nobody tells how much there is.
    #[error(
        "{section}.{id}.limit_percentage: the system does not tell how much memory there is; \
         give limit_mib"
    )]
    UnknownMemory {
        /// Where it stands: processors or extensions.
        section: &'static str,
        /// The `memory_limiter`.
        id: ComponentId,
    },
    /// A part of the memory is the limit, and too little for the largest request.
    #[error(
        "{section}.{id}.limit_percentage: {limit} MiB of the {memory} MiB that there are is too \
         little: {needed} are needed, four times the largest request"
    )]
    TooLittleMemory {
        /// Where it stands: processors or extensions.
        section: &'static str,
        /// The `memory_limiter`.
        id: ComponentId,
        /// The limit, in MiB.
        limit: u64,
        /// What there is, in MiB.
        memory: u64,
        /// What is needed, in MiB.
        needed: u64,
    },
    /// The system gives no thread.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// An authenticator cannot be set up.
    #[error("extensions.{id}.{reason}")]
    Auth {
        /// The extension.
        id: ComponentId,
        /// Why; the text begins with the key to change.
        reason: AuthError,
    },
    /// A receiver's connections cannot be protected.
    #[error("{listener}.{reason}")]
    Tls {
        /// The path of its listener in the configuration.
        listener: String,
        /// Why; the text begins with the key to change.
        reason: TlsError,
    },
    /// An extension cannot listen.
    #[error("extensions.{id}.endpoint: cannot listen on {endpoint}: {reason}")]
    Listener {
        /// The extension.
        id: ComponentId,
        /// The address.
        endpoint: HostPort,
        /// Why.
        reason: io::Error,
    },
    /// What slimspan says of itself cannot be sent.
    #[error("{path}.{reason}")]
    OwnTelemetry {
        /// Where that is configured.
        path: String,
        /// Why; the text begins with the key to change.
        reason: Box<dyn Error + Send + Sync>,
    },
    /// Metrics cannot be told.
    #[error(
        "service.telemetry.metrics.{key}: cannot listen on {endpoint}: {reason}; take another port, \
         or level: none"
    )]
    Metrics {
        /// The key below it.
        key: String,
        /// The address.
        endpoint: HostPort,
        /// Why.
        reason: io::Error,
    },
    /// An address cannot be listened on.
    #[error("{owner}: cannot listen on {endpoint}: {reason}")]
    Bind {
        /// The path of what wants to.
        owner: String,
        /// The address, or the Unix socket.
        endpoint: String,
        /// Why.
        reason: io::Error,
    },
}

impl StartError {
    /// Whether it is only that somebody has a folder open who may let go of it.
    pub(super) fn is_in_use(&self) -> bool {
        match self {
            Self::Store { reason, .. } => reason.is_in_use(),
            Self::Queue { in_use, .. } => *in_use,
            _ => false,
        }
    }
}
