use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{Latency, add, get};

/// What became of what was asked of one artifact server.
#[derive(Debug, Default)]
pub struct ServerCounts {
    /// The server's id.
    pub(crate) server: String,
    requests: Mutex<BTreeMap<Request, u64>>,
    sent: AtomicU64,
    received: AtomicU64,
    cut: AtomicU64,
    damaged: AtomicU64,
    restored: AtomicU64,
    left: AtomicU64,
    /// What it took until an answer began.
    pub(crate) latency: Latency,
}

/// A request, as far as it is told apart: by words of fixed lists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) route: String,
    pub(crate) status: u16,
}

/// The counts of bytes and references at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Served {
    /// Bytes of answers.
    pub(crate) sent: u64,
    /// Bytes of artifacts that were stored.
    pub(crate) received: u64,
    /// Answers that ended before their end.
    pub(crate) cut: u64,
    /// Artifacts that were found damaged.
    pub(crate) damaged: u64,
    /// References in whose place files were put back.
    pub(crate) restored: u64,
    /// References that stayed.
    pub(crate) left: u64,
}

impl ServerCounts {
    pub(super) fn of(server: &str) -> Self {
        Self {
            server: server.to_owned(),
            ..Self::default()
        }
    }

    /// A request was answered after so long. `route` is the pattern of its path, not the path.
    pub fn answered(&self, method: &'static str, route: &str, status: u16, took: Duration) {
        let request = Request {
            method,
            route: route.to_owned(),
            status,
        };
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry(request).or_default() += 1;
        drop(requests);
        self.latency.took(took);
    }

    /// Bytes of an answer went out.
    pub fn sent(&self, bytes: usize) {
        add(&self.sent, bytes);
    }

    /// An answer ended before its end: its reader went away, or was too slow, or what was read was damaged.
    pub fn cut(&self) {
        add(&self.cut, 1);
    }

    /// An artifact was read, and its bytes do not have its digest.
    pub fn damaged(&self) {
        add(&self.damaged, 1);
    }

    /// An artifact of so many bytes was stored.
    pub fn received(&self, bytes: u64) {
        add(&self.received, usize::try_from(bytes).unwrap_or(usize::MAX));
    }

    /// Of a request so many references were replaced by their files, and so many were not.
    pub fn restored(&self, restored: usize, left: usize) {
        add(&self.restored, restored);
        add(&self.left, left);
    }

    pub(crate) fn requests(&self) -> BTreeMap<Request, u64> {
        let requests = self.requests.lock();
        requests.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn read(&self) -> Served {
        Served {
            sent: get(&self.sent),
            received: get(&self.received),
            cut: get(&self.cut),
            damaged: get(&self.damaged),
            restored: get(&self.restored),
            left: get(&self.left),
        }
    }
}
