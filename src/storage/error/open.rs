//! Why a store is not opened.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use super::cause::one_line;
use crate::storage::spool::OfAnother;

/// The store cannot be opened as configured. Trying again does not help.
///
/// The text begins with the key to change, in the body of the extension, and includes the cause.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL names no store.
    #[error("url: {url:?} cannot be used: {problem}")]
    Url {
        /// As written, without anything that may be secret.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The URL holds a user or a password.
    #[error("url: credentials do not belong into a URL: use the environment or options")]
    CredentialsInUrl,
    /// The kind of store has no such option.
    #[error("options.{key}: {store} has no such option")]
    UnknownOption {
        /// As written.
        key: String,
        /// The kind of store.
        store: &'static str,
    },
    /// The folder cannot be made or used.
    #[error("url: cannot use the folder {path}: {source}")]
    Folder {
        /// The folder, absolute.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The spool cannot be opened.
    #[error("spool.directory: {0}")]
    Spool(#[from] crate::journal::OpenError),
    /// What waits in the spool is for another store.
    #[error("spool.directory: {0}")]
    Spooled(Box<OfAnother>),
    /// It cannot be found out, or written down, for which store the spool is.
    #[error(
        "spool.directory: cannot {what} {file}, which says for which store the spool is: {source}"
    )]
    Label {
        /// What was tried.
        what: &'static str,
        /// The file that says it.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The client of the cloud refuses its configuration.
    #[error("url: cannot open {url}: {}", one_line(.source))]
    Client {
        /// As written.
        url: String,
        /// What the client said.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl OpenError {
    pub(in crate::storage) fn url(url: impl fmt::Display, problem: impl Into<String>) -> Self {
        Self::Url {
            url: url.to_string(),
            problem: problem.into(),
        }
    }

    /// Whether another has the spool open.
    pub fn is_in_use(&self) -> bool {
        matches!(self, Self::Spool(error) if error.is_in_use())
    }

    pub(in crate::storage) fn credentials_in_url() -> Self {
        Self::CredentialsInUrl
    }
}
