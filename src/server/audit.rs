//! Who read which artifact when.

use std::fs::File;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use http::StatusCode;
use jiff::Timestamp;
use serde_json::json;

use super::access::Reader;
use super::address::Address;

/// The file that is told. It is opened for each line, so it can be moved away at any time.
#[derive(Debug)]
pub(super) struct Audit {
    path: Option<Arc<PathBuf>>,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    Read,
    Stored,
    Deleted,
    DeletedTrace,
    DeletedTenant,
    Linked,
    Restored,
}

impl Deed {
    fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Stored => "store",
            Self::Deleted => "delete",
            Self::DeletedTrace => "delete trace",
            Self::DeletedTenant => "delete tenant",
            Self::Linked => "link",
            Self::Restored => "restore",
        }
    }
}

impl Audit {
    pub(super) fn new(path: Option<PathBuf>) -> Self {
        Self {
            path: path.map(Arc::new),
        }
    }

    /// Writes down what somebody did with an artifact, before it is done.
    pub(super) async fn tell(
        &self,
        who: &Reader,
        peer: IpAddr,
        deed: Deed,
        address: &Address,
        status: StatusCode,
    ) -> io::Result<()> {
        let Some(path) = &self.path else {
            let name = &who.name;
            tracing::debug!("{name} at {peer}: {} {address}: {status}", deed.name());
            return Ok(());
        };
        let line = json!({
            "time": Timestamp::now().to_string(),
            "who": who.name,
            "peer": peer.to_string(),
            "action": deed.name(),
            "tenant": address.tenant.as_str(),
            "sha256": address.digest.to_string(),
            "status": status.as_u16(),
        });
        let (path, line) = (Arc::clone(path), format!("{line}\n"));
        let write = move || open(&path)?.write_all(line.as_bytes());
        let written = tokio::task::spawn_blocking(write).await;
        written.unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

#[cfg(unix)]
fn open(path: &std::path::Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;

    // What people looked at is nobody else's business.
    let mut options = File::options();
    options.append(true).create(true).mode(0o600).open(path)
}

#[cfg(not(unix))]
fn open(path: &std::path::Path) -> io::Result<File> {
    File::options().append(true).create(true).open(path)
}
