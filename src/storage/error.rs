use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use slimspan_artifact::Digest;

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
    pub(super) fn url(url: impl fmt::Display, problem: impl Into<String>) -> Self {
        Self::Url {
            url: url.to_string(),
            problem: problem.into(),
        }
    }

    pub(super) fn credentials_in_url() -> Self {
        Self::CredentialsInUrl
    }
}

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
}

/// The local folder reports a missing permission as a generic error.
fn is_forbidden_by_the_system(error: &object_store::Error) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return matches!(
                io.kind(),
                std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem
            );
        }
        next = error.source();
    }
    false
}

/// Longest cause that is printed, in characters: clouds answer with whole XML documents.
const LONGEST_CAUSE: usize = 600;

/// The error and those behind it, as far as it does not tell them itself.
fn one_line<E: AsRef<dyn Error + Send + Sync>>(error: E) -> String {
    let error = error.as_ref();
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let told = cause.to_string();
        if !text.contains(&told) {
            text = text + ": " + &told;
        }
        next = cause.source();
    }
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(LONGEST_CAUSE) {
        line.truncate(end);
        line.push_str("...");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(error: object_store::Error, action: Action) -> StoreError {
        StoreError::from_client("s3://media".into(), action, Digest::of(b"abc"), error)
    }

    fn generic(error: impl Error + Send + Sync + 'static) -> object_store::Error {
        object_store::Error::Generic {
            store: "S3",
            source: Box::new(error),
        }
    }

    fn missing() -> object_store::Error {
        object_store::Error::NotFound {
            path: "key".to_owned(),
            source: "NoSuchBucket".into(),
        }
    }

    #[test]
    fn each_cause_has_its_kind() {
        use std::io::{Error as Io, ErrorKind};
        let full = generic(Io::from(ErrorKind::StorageFull));
        assert!(matches!(
            of(full, Action::Put),
            StoreError::Unavailable { .. }
        ));
        let forbidden = generic(Io::from(ErrorKind::PermissionDenied));
        assert!(matches!(
            of(forbidden, Action::Put),
            StoreError::Denied { .. }
        ));
        assert!(matches!(
            of(missing(), Action::Get),
            StoreError::NotFound { .. }
        ));
        assert!(matches!(
            of(missing(), Action::Put),
            StoreError::Misconfigured { .. }
        ));
    }

    #[test]
    fn causes_that_an_error_keeps_to_itself_are_told() {
        #[derive(Debug, thiserror::Error)]
        #[error("error sending request")]
        struct Taciturn(#[source] std::io::Error);

        let refused = Taciturn(std::io::ErrorKind::ConnectionRefused.into());
        let text = of(generic(refused), Action::Put).to_string();
        assert!(
            text.ends_with(": Generic S3 error: error sending request: connection refused"),
            "{text}"
        );
    }

    #[test]
    fn a_long_answer_becomes_one_short_line() {
        let page = format!("<Error>\n  <Code>é</Code>\n{}</Error>", "x".repeat(10_000));
        let text = of(generic(std::io::Error::other(page)), Action::Put).to_string();
        assert!(
            text.starts_with("s3://media failed to put artifact ba7816bf"),
            "{text}"
        );
        assert!(text.contains("<Error> <Code>é</Code> xxx"), "{text}");
        assert!(text.len() < 800 && !text.contains('\n'), "{text}");
    }
}
