//! Who read which artifact when.

use std::fs::File;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use slimspan_artifact::Digest;

use super::access::Reader;
use super::address::Address;
use crate::catalog::Deleted;
use crate::tenant::TenantId;

/// The file that is told. It is opened for each line, so it can be moved away at any time.
#[derive(Debug)]
pub(super) struct Audit {
    path: Option<Arc<PathBuf>>,
}

/// What was done with an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    Read,
    Stored,
    Linked,
    Restored,
}

impl Deed {
    fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Stored => "store",
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

    /// Finds out whether something can be written down, for who begins what is told when it has ended.
    pub(super) async fn can_tell(&self) -> io::Result<()> {
        let Some(path) = self.path.clone() else {
            return Ok(());
        };
        let opened = tokio::task::spawn_blocking(move || open(&path).map(drop)).await;
        opened.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    /// Writes down what somebody does with an artifact, before it is answered.
    pub(super) async fn tell(
        &self,
        who: &Reader,
        peer: IpAddr,
        deed: Deed,
        address: &Address,
        status: StatusCode,
    ) -> io::Result<()> {
        let line = Line {
            sha256: Some(address.digest.to_string()),
            ..Line::of(who, peer, deed.name(), &address.tenant, status)
        };
        self.write([line]).await
    }

    /// Writes down what somebody did with several artifacts of a tenant, in one go.
    pub(super) async fn tell_all(
        &self,
        who: &Reader,
        peer: IpAddr,
        deed: Deed,
        tenant: &TenantId,
        digests: &[Digest],
    ) -> io::Result<()> {
        let lines = digests.iter().map(|digest| Line {
            sha256: Some(digest.to_string()),
            ..Line::of(who, peer, deed.name(), tenant, StatusCode::OK)
        });
        self.write(lines).await
    }

    /// Writes down what somebody deletes of a tenant's and why, before it is gone.
    pub(super) async fn tell_deletion(
        &self,
        who: &Reader,
        peer: IpAddr,
        tenant: &TenantId,
        deleted: Deleted,
        reason: &str,
    ) -> io::Result<()> {
        let (action, sha256, trace_id) = match deleted {
            Deleted::Artifact { digest } => ("delete", Some(digest.to_string()), None),
            Deleted::Trace { trace } => ("delete trace", None, Some(trace.to_string())),
            Deleted::Tenant => ("delete tenant", None, None),
        };
        let line = Line {
            sha256,
            trace_id,
            reason: Some(reason),
            ..Line::of(who, peer, action, tenant, StatusCode::OK)
        };
        self.write([line]).await
    }

    async fn write(&self, lines: impl IntoIterator<Item = Line<'_>>) -> io::Result<()> {
        let mut text = String::new();
        for line in lines {
            let line = serde_json::to_string(&line)?;
            if self.path.is_none() {
                tracing::debug!("{line}");
                continue;
            }
            text.push_str(&line);
            text.push('\n');
        }
        let Some(path) = self.path.as_ref().filter(|_| !text.is_empty()) else {
            return Ok(());
        };
        let path = Arc::clone(path);
        let write = move || open(&path)?.write_all(text.as_bytes());
        let written = tokio::task::spawn_blocking(write).await;
        written.unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

/// What is written down of one deed.
#[derive(Debug, Serialize)]
struct Line<'a> {
    time: String,
    who: &'a str,
    peer: IpAddr,
    action: &'static str,
    tenant: &'a str,
    /// None of all that is in a trace, or a tenant's.
    sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    status: u16,
}

impl<'a> Line<'a> {
    fn of(
        who: &'a Reader,
        peer: IpAddr,
        action: &'static str,
        tenant: &'a TenantId,
        status: StatusCode,
    ) -> Self {
        Self {
            time: Timestamp::now().to_string(),
            who: &who.name,
            peer,
            action,
            tenant: tenant.as_str(),
            sha256: None,
            trace_id: None,
            reason: None,
            status: status.as_u16(),
        }
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
